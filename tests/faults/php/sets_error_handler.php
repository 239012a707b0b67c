<?php
/**
 * Leaves an error handler that throws.
 */

function fault_sets_error_handler() {
	set_error_handler( function ( $number, $text ) {
		throw new ErrorException( $text, 0, $number );
	} );
	return 'set';
}
