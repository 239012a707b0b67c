<?php
/**
 * Writes past the output buffer, into the pipe that carries the frames.
 */

function fault_writes_to_stdout() {
	fwrite( STDOUT, "one\n" );
	file_put_contents( 'php://stdout', "two\n" );
	echo "three\n";
	fwrite( STDERR, "four\n" );
	passthru( 'echo five' );
	return 'written';
}
