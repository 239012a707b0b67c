<?php
/**
 * The job of a trial, and what puts it into the queue.
 */

/**
 * Appends its number to a table, and which process of which worker it was. A job that cannot has failed, and will be
 * tried again. It may be hit before and after.
 */
function chaos_job( $n ) {
	global $wpdb;
	$pause = 0 === $n % CHAOS_SLOW ? CHAOS_PAUSE * CHAOS_SLOW : 0;
	usleep( random_int( 0, $pause ) );
	$wpdb->suppress_errors( true );
	$row  = array( $n, background_job()->id, (int) ( chaos_clock() * 1000 ), getmypid(), posix_getppid(), (string) getenv( 'CHAOS_WORKER' ) );
	$done = $wpdb->query( $wpdb->prepare( "INSERT INTO {$wpdb->base_prefix}chaos_ran (n, job, at, pid, ppid, worker) VALUES (%d, %s, %d, %d, %d, %s)", $row ) );
	if ( 1 !== $done ) {
		throw new RuntimeException( "Run $n could not be written down: {$wpdb->last_error}" );
	}
	usleep( random_int( 0, $pause ) );
	return $n;
}

/**
 * The machine's uptime: a clock that nobody moves.
 */
function chaos_clock() {
	return hrtime( true ) / 1e9;
}

/**
 * Puts jobs into the queue until so many more have been acknowledged, numbered from $n on, and writes each number into
 * a file: with its id and the time, or with `-` and the reason; and before, so that no number is used twice, into one beside it.
 */
function chaos_enqueue( $n, $more, $file, $pause ) {
	// On a dead link a query waits for an answer for very long: that is what the time limit is for.
	$options = array(
		'max_attempts' => 1000,
		'backoff'      => 1,
		'timeout'      => 10,
	);
	for ( ; $more > 0; $n++ ) {
		file_put_contents( "$file.tried", "$n\n", FILE_APPEND );
		$job = (object) array( 'function' => 'chaos_job', 'user_data' => $n );
		$id  = add_async_job( $job, 'default', $options );
		$ok  = is_string( $id ) && '' !== $id;
		$why = is_wp_error( $id ) ? preg_replace( '/\s+/', ' ', $id->get_error_message() ) : '';
		$at  = sprintf( '%.3f', chaos_clock() );
		file_put_contents( $file, $ok ? "$n $id $at\n" : "$n - $why\n", FILE_APPEND );
		$more -= (int) $ok;
		usleep( $ok ? $pause : 200000 );
	}
}
