<?php
/**
 * Ends as by the kernel's memory killer.
 */

function fault_killed_from_outside() {
	posix_kill( posix_getpid(), SIGKILL );
	sleep( 10 );
}
