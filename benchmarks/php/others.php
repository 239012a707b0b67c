<?php
/**
 * The job that is given to other plugins, and how each of them is given it.
 *
 *     wp eval-file others.php KIND JOBS
 *
 * prints the seconds that adding took. Dropped into mu-plugins, the same file is the job: it notes down its number and
 * when it was called in the file BENCH_NOTES, and does nothing else.
 *
 * @package Background_Worker
 */

if ( ! function_exists( 'bench_other' ) ) {
	/**
	 * The job.
	 *
	 * @param mixed $given Its number, in an array where the plugin hands on its arguments so.
	 */
	function bench_other( $given ) {
		$number = is_array( $given ) ? $given[0] : $given;
		file_put_contents( BENCH_NOTES, sprintf( "%d %.6f\n", $number, microtime( true ) ), FILE_APPEND );
	}
	add_action( 'bench_other', 'bench_other' );
	return;
}

list( $bench_kind, $bench_jobs ) = $args;

$bench_ways = array(
	'action-scheduler' => static function ( $number ) {
		as_enqueue_async_action( 'bench_other', array( $number ) );
	},
	'wp-minions'       => static function ( $number ) {
		wp_async_task_add( 'bench_other', array( $number ) );
	},
	'job'              => static function ( $number ) {
		add_async_job(
			(object) array(
				'function'  => 'bench_other',
				'user_data' => $number,
			)
		);
	},
);
$bench_add  = $bench_ways[ $bench_kind ];

$bench_began = microtime( true );
for ( $bench_number = 0; $bench_number < (int) $bench_jobs; $bench_number++ ) {
	$bench_add( $bench_number );
}
echo "\nBENCH ", microtime( true ) - $bench_began, "\n";
