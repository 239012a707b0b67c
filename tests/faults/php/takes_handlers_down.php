<?php
/**
 * Takes down every handler, also those that were there before it.
 */

function fault_takes_handlers_down() {
	for ( $n = 0; $n < 10; $n++ ) {
		restore_error_handler();
		restore_exception_handler();
	}
	return 'down';
}
