<?php
/**
 * The callbacks of the benchmarks.
 *
 * @package Background_Worker
 */

/**
 * Does nothing. Its result tells which job it was.
 *
 * @param mixed $number The job's number.
 * @return mixed
 */
function bench_noop( $number ) {
	return $number;
}

/**
 * Says when it was called: in its result, and to whoever listens on `bell`.
 *
 * @param array $data `number`, and `bell`: the path of a datagram socket, or null.
 * @return array Its number, and seconds since 1970.
 */
function bench_stamp( $data ) {
	$now = microtime( true );
	if ( null !== $data['bell'] ) {
		$bell = stream_socket_client( 'udg://' . $data['bell'] );
		fwrite( $bell, $data['number'] . ' ' . sprintf( '%.6f', $now ) );
		fclose( $bell );
	}
	return array( $data['number'], $now );
}
