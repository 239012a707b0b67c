<?php
/**
 * Starts a program that outlives the job, as `convert … &` does.
 */

function fault_leaves_child() {
	exec( 'sleep 300 > /dev/null 2>&1 & echo $!', $lines );
	return array( 'left' => (int) $lines[0] );
}
