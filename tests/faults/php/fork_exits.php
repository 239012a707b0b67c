<?php
/**
 * Forks; the child ends with exit().
 */

function fault_fork_exits() {
	$pid = pcntl_fork();
	if ( 0 === $pid ) {
		exit( 7 );
	}
	pcntl_waitpid( $pid, $status );
	return pcntl_wexitstatus( $status );
}
