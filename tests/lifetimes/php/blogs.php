<?php
/**
 * Jobs that look at, and change, the blog they run on.
 */

function where( $n ) {
	global $wpdb;
	wp_cache_set( 'where', get_current_blog_id(), 'blogs' );
	update_option( 'where', get_current_blog_id() . ' ' . $n, false );
	return array( get_current_blog_id(), $wpdb->prefix, home_url(), wp_cache_get( 'where', 'blogs' ), get_option( 'where' ) );
}

function leaves_switched( $n ) {
	switch_to_blog( 1 + $n % 3 );
	switch_to_blog( 1 + ( $n + 1 ) % 3 );
	return get_current_blog_id();
}

function sets_prefix() {
	$GLOBALS['wpdb']->set_prefix( 'nowhere_' );
	$GLOBALS['blog_id'] = 77;
}

function restores_too_often() {
	restore_current_blog();
	restore_current_blog();
	return get_current_blog_id();
}

function process() {
	return getmypid();
}

function speaks() {
	return array( get_locale(), determine_locale(), $GLOBALS['wp_rewrite']->permalink_structure );
}
