<?php
/**
 * Ends as by a bug in PHP.
 */

function fault_segfaults() {
	echo 'going down';
	posix_kill( posix_getpid(), SIGSEGV );
	sleep( 10 );
}
