<?php
/**
 * Takes memory until there is none left.
 */

function fault_exhausts_memory() {
	$heap = array();
	while ( true ) {
		$heap[] = str_repeat( 'x', 1048576 );
	}
}
