<?php
/**
 * Uses the alarm for itself.
 */

function fault_raises_alarm() {
	$rang = false;
	pcntl_signal( SIGALRM, function () use ( &$rang ) {
		$rang = true;
	} );
	pcntl_alarm( 1 );
	sleep( 3 );
	return $rang;
}
