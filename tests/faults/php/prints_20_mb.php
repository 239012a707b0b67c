<?php
/**
 * Prints more than anybody wants to keep.
 */

function fault_prints_20_mb() {
	echo "the beginning\n";
	for ( $i = 0; $i < 20 * 1024; $i++ ) {
		echo str_repeat( 'y', 1023 ), "\n";
	}
	echo "the end\n";
	return 'printed';
}
