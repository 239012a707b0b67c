<?php
/**
 * Puts things into the object cache, and another cache in its place.
 */

function fault_changes_object_cache() {
	wp_cache_set( 'left', 'by a fault', 'faults' );
	$GLOBALS['wp_object_cache'] = new WP_Object_Cache();
	wp_cache_set( 'left', 'by a fault', 'faults' );
	return wp_cache_get( 'left', 'faults' );
}
