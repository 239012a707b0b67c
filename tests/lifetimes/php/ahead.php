<?php
/**
 * Short jobs, many of which PHP has before their turn.
 */

function says_to_stderr( $n ) {
	if ( $n % 3 ) {
		error_log( "job $n" );
		fwrite( STDERR, "and $n\n" );
	}
	return $n;
}

function stays( $data ) {
	list( $seconds, $file ) = $data;
	file_put_contents( $file, getmypid() . "\n" );
	$until = hrtime( true ) + $seconds * 1e9;
	while ( hrtime( true ) < $until ) {
		usleep( 10000 );
	}
}

function notes( $data ) {
	list( $n, $file ) = $data;
	file_put_contents( $file, "$n\n", FILE_APPEND );
	return $n;
}

function kills_itself() {
	posix_kill( getmypid(), 9 );
}
