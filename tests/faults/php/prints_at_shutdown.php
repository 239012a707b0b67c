<?php
/**
 * Prints after the job, from a shutdown function.
 */

function fault_prints_at_shutdown() {
	register_shutdown_function( function () {
		echo 'printed at shutdown';
	} );
	return 'registered';
}
