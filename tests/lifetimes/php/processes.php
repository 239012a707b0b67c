<?php
/**
 * Jobs that tell in which process they run.
 */

// The process that the worker started: in fork mode, the parent.
function process() {
	return getenv( 'FORKS' ) ? posix_getppid() : getmypid();
}

function grows( $bytes ) {
	static $kept = array();
	$kept[]      = str_repeat( 'x', $bytes );
	return process();
}

function waits( $file ) {
	file_put_contents( "$file.begun", getmypid() . ' ' . process() );
	while ( ! file_exists( "$file.go" ) ) {
		usleep( 10000 );
	}
	return 'waited';
}

function runs_on( $file ) {
	file_put_contents( "$file.begun", getmypid() . ' ' . process() );
	while ( true ) {
		usleep( 10000 );
	}
}

function dies_by( $signal ) {
	posix_kill( getmypid(), $signal );
	sleep( 5 );
}

function blocks_past_the_alarm( $seconds ) {
	pcntl_sigprocmask( SIG_BLOCK, array( SIGALRM ) );
	$until = hrtime( true ) / 1e9 + $seconds;
	while ( hrtime( true ) / 1e9 < $until ) {
		usleep( 10000 );
	}
}

// What the process does between this job and the next one never ends.
function hangs_after_itself() {
	$GLOBALS['wp_object_cache'] = new class() {
		public function flush() {
			while ( true ) {
				sleep( 600 );
			}
		}
	};
	return process();
}

mt_rand(); // Both generators are seeded in the process that forks.
lcg_value();

function draws() {
	return array( mt_rand(), lcg_value() );
}
