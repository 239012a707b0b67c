<?php
/**
 * Leaves an exception handler.
 */

function fault_sets_exception_handler() {
	set_exception_handler( function () {} );
	set_exception_handler( function () {} );
	return 'set';
}
