<?php
/**
 * Prints after the job, from a shutdown function.
 */

function fault_shutdown_prints() {
	register_shutdown_function( function () {
		echo 'printed at shutdown';
	} );
	return 'registered';
}
