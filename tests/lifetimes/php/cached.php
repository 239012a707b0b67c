<?php
/**
 * Jobs that use the object cache. The groups are named as plugins do it, once, while WordPress boots.
 */

wp_cache_add_global_groups( array( 'of_all_blogs' ) );
wp_cache_add_non_persistent_groups( array( 'for_now' ) );

function caches( $n ) {
	global $wp_object_cache;
	$mine = array( $n, str_repeat( chr( 65 + $n % 26 ), 1 + $n * 37 % 5000 ) );
	if ( false !== wp_cache_get( "job-$n", 'jobs' ) ) {
		throw new Exception( "The key of job $n was there." );
	}
	wp_cache_set( "job-$n", $mine, 'jobs' );
	$before = $wp_object_cache->redis()->call( 'INCR', 'counter' );
	for ( $i = 0; $i < 3; $i++ ) {
		if ( wp_cache_get( "job-$n", 'jobs', true ) !== $mine ) {
			throw new Exception( "The key of job $n has another value." );
		}
		$now = (int) $wp_object_cache->redis()->call( 'GET', 'counter' );
		if ( $now < $before ) {
			throw new Exception( "The counter went from $before to $now." );
		}
		if ( get_option( 'blogname' ) !== 'Test' || ! get_userdata( 1 ) || get_userdata( 1 )->user_login !== 'admin' ) {
			throw new Exception( 'What WordPress caches is wrong.' );
		}
	}
	return $before;
}

function dies_before_the_answer() {
	global $wp_object_cache;
	$wp_object_cache->redis()->ask( 'GET', 'counter' );
	posix_kill( getmypid(), SIGKILL );
}

function cached( $key ) {
	return wp_cache_get( $key, 'seen' );
}

function caches_in_groups( $value ) {
	$seen = array( wp_cache_get( 'key', 'of_all_blogs' ), wp_cache_get( 'key', 'for_now' ) );
	wp_cache_set( 'key', $value, 'of_all_blogs' );
	wp_cache_set( 'key', $value, 'for_now' );
	return $seen;
}
