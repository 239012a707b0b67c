<?php
/**
 * The job of a trial, and what puts it into the queue.
 */

/**
 * Appends its number to a table. A job that cannot has failed, and will be tried again.
 */
function chaos_job( $n ) {
	global $wpdb;
	usleep( random_int( 0, 4000 ) );
	$wpdb->suppress_errors( true );
	$done = $wpdb->query( $wpdb->prepare( "INSERT INTO {$wpdb->base_prefix}chaos_ran (n, attempt, at) VALUES (%d, %d, %d)", $n, background_job()->attempt, (int) ( chaos_clock() * 1000 ) ) );
	if ( 1 !== $done ) {
		throw new RuntimeException( "Run $n could not be written down: {$wpdb->last_error}" );
	}
	return $n;
}

/**
 * The machine's uptime: a clock that nobody moves.
 */
function chaos_clock() {
	return hrtime( true ) / 1e9;
}

/**
 * Puts jobs into the queue and writes the number of each that was acknowledged, with its id, into a file.
 */
function chaos_enqueue( $from, $to, $file, $pause ) {
	for ( $n = $from; $n < $to; $n++ ) {
		$job = (object) array( 'function' => 'chaos_job', 'user_data' => $n );
		$id  = add_async_job( $job, 'default', array( 'max_attempts' => 1000, 'backoff' => 1 ) );
		$ok  = is_string( $id ) && '' !== $id;
		file_put_contents( $file, $ok ? "$n $id\n" : "$n -\n", FILE_APPEND );
		usleep( $ok ? $pause : 200000 );
	}
}
