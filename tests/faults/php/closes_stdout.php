<?php
/**
 * Closes the descriptor of the channel and has a file take its place.
 */

function fault_closes_stdout() {
	fclose( STDOUT );
	$file = fopen( sys_get_temp_dir() . '/wpbg-fault-' . getmypid(), 'w+' );
	echo 'still heard';
	rewind( $file );
	$seen = stream_get_contents( $file );
	unlink( stream_get_meta_data( $file )['uri'] );
	return array( 'in_file' => $seen );
}
