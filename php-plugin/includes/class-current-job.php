<?php
/**
 * The job that runs in this process.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * What a callback may ask about itself, and how it says how far it is.
 */
final class Current_Job {

	/**
	 * Seconds between two progress messages; the last one is always sent.
	 */
	const PROGRESS_INTERVAL = 0.1;

	/**
	 * The job, or null outside of one.
	 *
	 * @var \stdClass|null
	 */
	private static $job = null;

	/**
	 * Where progress goes.
	 *
	 * @var Channel|null
	 */
	private static $channel = null;

	/**
	 * Progress that has not been sent yet.
	 *
	 * @var array|null
	 */
	private static $pending = null;

	/**
	 * When progress was last sent.
	 *
	 * @var float
	 */
	private static $sent_at = 0.0;

	/**
	 * Opens a job.
	 *
	 * @param array   $head    What the worker said of it.
	 * @param Channel $channel Where progress goes.
	 */
	public static function begin( array $head, Channel $channel ) {
		self::$channel = $channel;
		self::$pending = null;
		self::$sent_at = 0.0;
		self::$job     = (object) array(
			'id'           => (string) $head['id'],
			'queue'        => (string) $head['queue'],
			'attempt'      => (int) $head['attempt'],
			'max_attempts' => (int) $head['max_attempts'],
			'batch'        => $head['batch'] ?? null,
		);
	}

	/**
	 * Closes it.
	 */
	public static function end() {
		self::flush();
		self::$job     = null;
		self::$channel = null;
	}

	/**
	 * The job that runs now.
	 *
	 * @return \stdClass|null A copy: id, queue, attempt, max_attempts, batch.
	 */
	public static function get() {
		return self::$job ? clone self::$job : null;
	}

	/**
	 * Says how far the job is.
	 *
	 * @param int|float      $done    Units done, 0 or more.
	 * @param int|float|null $total   Units in all, null when unknown.
	 * @param string         $message What it does now; the first 191 characters are kept.
	 * @return bool False outside of a job.
	 */
	public static function progress( $done, $total = null, $message = '' ) {
		if ( null === self::$job || ! self::$channel->is_mine() ) {
			return false;
		}
		self::$pending = array(
			'done'    => max( 0, (int) $done ),
			'total'   => null === $total ? null : max( 0, (int) $total ),
			'message' => function_exists( 'mb_substr' ) ? mb_substr( (string) $message, 0, 191 ) : substr( (string) $message, 0, 191 ),
		);
		if ( Clock::now() - self::$sent_at >= self::PROGRESS_INTERVAL ) {
			self::flush();
		}
		return true;
	}

	/**
	 * Sends what has not been sent.
	 */
	public static function flush() {
		if ( null !== self::$pending && null !== self::$channel ) {
			$progress      = self::$pending;
			self::$pending = null;
			self::$sent_at = Clock::now();
			self::$channel->send( 'P', $progress );
		}
	}
}
