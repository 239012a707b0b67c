<?php
/**
 * Leaves a buffer whose end throws.
 */

function fault_throws_in_output_buffer() {
	ob_start( function () {
		throw new Exception( 'from the buffer' );
	} );
	echo 'never seen';
	return 'buffered';
}
