<?php
/**
 * Closes the three standard streams.
 */

function fault_closes_all_descriptors() {
	foreach ( array( STDIN, STDOUT, STDERR ) as $stream ) {
		is_resource( $stream ) && fclose( $stream );
	}
	return 'closed';
}
