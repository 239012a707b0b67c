<?php
/**
 * Forks; the child comes back into the bridge.
 */

function fault_forks() {
	$pid = pcntl_fork();
	if ( 0 === $pid ) {
		return 'child';
	}
	pcntl_waitpid( $pid, $status );
	return 'parent';
}
