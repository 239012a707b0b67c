<?php
/**
 * Is done, and then dies in a shutdown function.
 */

function fault_shutdown_fails() {
	register_shutdown_function( function () {
		another_function_that_does_not_exist();
	} );
	return 'done before';
}
