<?php
/**
 * Starts a program that outlives the job and keeps the job's stdout and stderr open.
 */

function fault_leaves_child_on_pipes() {
	$pid = pcntl_fork();
	if ( 0 === $pid ) {
		pcntl_exec( '/bin/sleep', array( '300' ) );
	}
	return array( 'left' => $pid );
}
