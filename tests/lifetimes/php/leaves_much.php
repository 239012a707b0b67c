<?php
/**
 * Leaves memory, hooks, cached things, handlers, buffers and globals behind.
 */

function leaves_much( $data ) {
	global $wpdb;
	static $kept  = array();
	static $calls = 0;
	$n            = $data['n'];
	file_put_contents( $data['trace'], "$n\n", FILE_APPEND );

	$kept[] = random_bytes( 80000 ) . $n;
	$kept[] = new WP_Query();
	$cycle  = new stdClass();

	$cycle->me   = $cycle;
	$cycle->text = str_repeat( (string) $n, 1000 );

	add_action( "left_by_$n", static function () use ( $cycle ) { return $cycle; } );
	add_filter( 'the_content', static function ( $content ) use ( $n ) { return $content . $n; } );
	add_filter( 'wp_mail', 'strtoupper', $n );
	$GLOBALS[ "left_by_$n" ] = str_repeat( 'g', 1000 );
	for ( $i = 0; $i < 20; $i++ ) {
		wp_cache_set( "left_by_{$n}_{$i}", str_repeat( 'c', 1000 ), 'leaks' );
	}
	update_option( 'left_' . ( $n % 20 ), $n, 0 === $n % 2 );
	set_error_handler( static function () use ( $cycle ) { return false; } );
	ob_start();
	echo 'in an open buffer';
	ini_set( 'memory_limit', '1G' );
	if ( $wpdb->get_var( "SELECT option_value FROM {$wpdb->options} WHERE option_name = 'left_" . ( $n % 20 ) . "'" ) !== (string) $n ) {
		throw new Exception( 'The database has something else than was written.' );
	}
	return array(
		'memory' => memory_get_usage( true ),
		'calls'  => ++$calls,
		'pid'    => getmypid(),
	);
}
