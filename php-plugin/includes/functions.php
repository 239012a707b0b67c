<?php
/**
 * The public functions.
 *
 * Each gives way to one that is there already: the older Async Background Worker declares the same names.
 *
 * @package Background_Worker
 */

use Background_Worker\Current_Job;
use Background_Worker\Enqueuer;
use Background_Worker\Other_Declarer;

defined( 'ABSPATH' ) || exit;

if ( did_action( 'plugins_loaded' ) ) {
	require_once __DIR__ . '/task-functions.php';
} else {
	// WP Minions and WP Gears declare wp_async_task_add() without looking, and are loaded after this plugin.
	add_action(
		'plugins_loaded',
		static function () {
			if ( ! Other_Declarer::is_about_to_come() ) {
				require_once __DIR__ . '/task-functions.php';
			}
		},
		PHP_INT_MIN
	);
}

if ( ! function_exists( 'add_async_job' ) ) {
	/**
	 * Puts a job into a queue; a worker runs it soon, or when its options say.
	 *
	 * Nothing is written when an argument is bad. Called inside a database transaction, the job is part of it, unless
	 * it goes to a broker (ABW_BACKEND): that has it at once and keeps it when the transaction is rolled back.
	 *
	 * @param object|array $job     `function`: what to call, any callable that serializes and that can be called in
	 *                              this request, too (a name, 'Class::method', array( $object, 'method' )); a closure
	 *                              cannot be kept. `user_data`: its one argument, anything serialize() takes.
	 * @param string       $queue   The queue, 1 to 191 characters.
	 * @param array        $options {
	 *     Optional. The `background_worker_job_options` filter sets the defaults.
	 *
	 *     @type int|float  $delay        Seconds from now, 0 or more.
	 *     @type int|float  $run_at       Unix time. Not together with `delay`.
	 *     @type int|string $priority     'high', 'normal', 'low' or an int, the lower the sooner. Default 'normal' (0).
	 *     @type int        $max_attempts Runs at most, 1 to 1000. Default 3.
	 *     @type int        $backoff      Seconds before the second run, doubled for each later one, 0 to 86400. Default 30.
	 *     @type int        $timeout      Seconds a run may take, 1 to 86400. Default ABW_TIMELIMIT.
	 *     @type string     $unique       A key, 1 to 191 characters: while a job of this key and queue is unfinished,
	 *                                    no second one is added and the first one's id is returned.
	 *     @type string     $batch        A name, 1 to 191 characters, that the job's batch is looked up by.
	 * }
	 * @return string|WP_Error The job's id. An error's data names the argument in `field`.
	 */
	function add_async_job( $job, $queue = ABW_QUEUE_NAME, $options = array() ) {
		return Enqueuer::add( $job, $queue, $options );
	}
}

if ( ! function_exists( 'add_async_jobs' ) ) {
	/**
	 * Puts many jobs into a queue. They are written in chunks while they are read: give a generator, and 100,000
	 * jobs need no more memory than a few hundred (and their ids).
	 *
	 * Stops at the first job that cannot be added. Every job before it has been written, none after it.
	 *
	 * @param iterable $jobs    Jobs as add_async_job() takes them. Their keys mean nothing.
	 * @param string   $queue   The queue, 1 to 191 characters.
	 * @param array    $options As for add_async_job(), the same for all of them.
	 * @return string[]|WP_Error The ids, in order. An error's data holds `index`, the place of the job that could not
	 *                           be added (from 0), and `ids`, those of the jobs that were, which is all before it.
	 */
	function add_async_jobs( $jobs, $queue = ABW_QUEUE_NAME, $options = array() ) {
		return Enqueuer::add_many( $jobs, $queue, $options );
	}
}

if ( ! function_exists( 'wp_background_add_job' ) ) {
	/**
	 * The later name of add_async_job() in the older Async Background Worker.
	 *
	 * @param object|array $job     The job.
	 * @param string       $queue   The queue.
	 * @param array        $options Options.
	 * @return string|WP_Error The job's id.
	 */
	function wp_background_add_job( $job, $queue = ABW_QUEUE_NAME, $options = array() ) {
		return Enqueuer::add( $job, $queue, $options );
	}
}

if ( ! function_exists( 'background_job' ) ) {
	/**
	 * The job that runs now.
	 *
	 * @return object|null Its id, queue, attempt and batch; null outside of a worker.
	 */
	function background_job() {
		return class_exists( Current_Job::class ) ? Current_Job::get() : null;
	}
}

if ( ! function_exists( 'background_job_progress' ) ) {
	/**
	 * Says from inside a job how far it is; shown live.
	 *
	 * @param int|float      $done    Units done.
	 * @param int|float|null $total   Units in all, null when unknown.
	 * @param string         $message What it does now.
	 * @return bool False outside of a job.
	 */
	function background_job_progress( $done, $total = null, $message = '' ) {
		return class_exists( Current_Job::class ) && Current_Job::progress( $done, $total, $message );
	}
}
