<?php
/**
 * The fast lane of the site.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Knows which broker the site has chosen, if any, and leaves it alone for a while when it fails.
 */
final class Lane {

	/**
	 * Seconds that a broker that failed is left alone: for the rest of a request, and in a process that lives for
	 * days not for ever.
	 */
	const REST = 30;

	/**
	 * The lane: null when there is none, false before anybody asked.
	 *
	 * @var Fast_Lane|null|false
	 */
	private static $lane = false;

	/**
	 * When a lane that failed is tried again.
	 *
	 * @var float
	 */
	private static $rests_until = 0.0;

	/**
	 * Why it failed, for a human.
	 *
	 * @var string
	 */
	private static $failure = '';

	/**
	 * Whether that was logged.
	 *
	 * @var bool
	 */
	private static $is_logged = false;

	/**
	 * What the site has chosen: `database`, `beanstalkd` or `gearman`.
	 *
	 * @return string
	 */
	public static function backend() {
		if ( defined( 'ABW_BACKEND' ) ) {
			return strtolower( (string) ABW_BACKEND );
		}
		$minions = defined( 'WP_MINIONS_BACKEND' ) && 'gearman' === strtolower( (string) WP_MINIONS_BACKEND );
		return $minions || defined( 'WP_GEARS' ) && WP_GEARS ? 'gearman' : 'database';
	}

	/**
	 * Why no job can go by the lane, whether its server answers or not.
	 *
	 * @return string Empty when there is no such reason.
	 */
	public static function obstacle() {
		return 'database' === self::backend() || null !== self::lane() ? '' : self::$failure;
	}

	/**
	 * What the worker has to know of the lane. The key is the site's secret.
	 *
	 * @return array
	 */
	public static function facts() {
		return array(
			'backend'         => self::backend(),
			'key'             => Envelope::key_hex(),
			'salt'            => Lane_Names::salt(),
			'shared_function' => Lane_Names::shared_function(),
			'beanstalkd'      => defined( 'ABW_BEANSTALKD' ) ? (string) ABW_BEANSTALKD : '127.0.0.1:11300',
			'gearman'         => Gearman_Lane::servers(),
		);
	}

	/**
	 * Why a job goes into the table.
	 *
	 * @param New_Job $job The job.
	 * @return string|null Null when it goes by the lane; empty when the table is its ordinary way.
	 */
	public static function detour( New_Job $job ) {
		if ( 'database' === self::backend() || null !== $job->options->unique || $job->options->is_later() ) {
			return '';
		}
		if ( null === self::lane() || Clock::now() < self::$rests_until ) {
			return self::$failure;
		}
		try {
			return self::$lane->takes( $job ) ? null : 'the job is larger than ' . self::backend() . ' takes';
		} catch ( Lane_Failed $failed ) {
			return self::rest( $failed );
		}
	}

	/**
	 * Hands jobs to the broker.
	 *
	 * @param New_Job[] $jobs Jobs of one queue without a detour, from 0.
	 * @return array{0: string[], 1: string} The ids of those that it has taken, by their places, and why it has not
	 *                                       taken the others.
	 */
	public static function put( array $jobs ) {
		$ids = array();
		try {
			$problem           = (string) self::$lane->put( $jobs, $ids );
			self::$rests_until = 0.0;
		} catch ( Lane_Failed $failed ) {
			$problem = self::rest( $failed );
		}
		return array( $ids, $problem );
	}

	/**
	 * Leaves the broker alone for a while.
	 *
	 * @param Lane_Failed $failed What happened.
	 * @return string Why jobs go into the table meanwhile.
	 */
	private static function rest( Lane_Failed $failed ) {
		self::$failure     = $failed->getMessage();
		self::$rests_until = Clock::now() + self::REST;
		return self::$failure;
	}

	/**
	 * Says that jobs went into the table that were meant for the broker.
	 *
	 * @param string[] $ids     Their ids.
	 * @param string   $queue   Their queue.
	 * @param string   $problem Why.
	 */
	public static function spooled( array $ids, $queue, $problem ) {
		if ( ! self::$is_logged ) {
			self::$is_logged = true;
			error_log( "Background Worker: {$problem}. Jobs go into the database instead; the worker runs them from there." ); // phpcs:ignore WordPress.PHP.DevelopmentFunctions -- Where the site's operator looks.
		}
		/**
		 * Fires when jobs that were meant for the broker have been written to the table instead.
		 *
		 * @param string[] $ids     Their ids.
		 * @param string   $queue   Their queue.
		 * @param string   $problem Why.
		 */
		do_action( 'background_worker_spooled', $ids, $queue, $problem );
	}

	/**
	 * The lane.
	 *
	 * @return Fast_Lane|null
	 */
	private static function lane() {
		if ( false === self::$lane ) {
			self::$lane = null;
			$backend    = self::backend();
			if ( 'beanstalkd' === $backend ) {
				self::$lane = new Beanstalkd_Lane();
			} elseif ( 'gearman' !== $backend ) {
				self::$failure = 'ABW_BACKEND is none of database, beanstalkd and gearman';
			} elseif ( class_exists( '\GearmanClient' ) ) {
				self::$lane = new Gearman_Lane();
			} else {
				self::$failure = 'this PHP has no gearman extension (Debian package php-gearman)';
			}
		}
		return self::$lane;
	}
}
