<?php
/**
 * Jobs behind a wrapper: what they print, say on stderr, return, and how long they take.
 */

function says_much( $bytes ) {
	echo 'begin ', str_repeat( "line of output\n", 3000 ), 'end';
	fwrite( STDERR, "a word on stderr\n" );
	background_job_progress( 1, 2, 'half' );
	return array( strlen( $bytes ), md5( $bytes ), function_exists( 'posix_getppid' ) );
}

function breaks() {
	throw new DomainException( 'broken behind a wrapper' );
}

function ends_its_process() {
	exit( 3 );
}

function never_ends() {
	while ( true ) {
		usleep( 1000 );
	}
}

function waits_for( $file ) {
	touch( "$file.begun" );
	while ( ! file_exists( "$file.go" ) ) {
		usleep( 10000 );
	}
	return 'waited';
}

function runs_on_and_on( $file ) {
	touch( "$file.begun" );
	while ( true ) {
		touch( "$file.alive" );
		usleep( 20000 );
	}
}
