<?php
/**
 * Takes a memory limit of its own.
 */

function fault_changes_memory_limit() {
	ini_set( 'memory_limit', '1G' );
	return ini_get( 'memory_limit' );
}
