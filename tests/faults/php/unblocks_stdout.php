<?php
/**
 * Makes the pipe of the channel non-blocking and fills it.
 */

function fault_unblocks_stdout() {
	stream_set_blocking( STDOUT, false );
	for ( $i = 0; $i < 2000; $i++ ) {
		echo str_repeat( 'z', 4000 );
	}
	return 'unblocked';
}
