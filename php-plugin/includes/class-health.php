<?php
/**
 * Whether all is well.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Looks at workers, queues and broker and says in a sentence how things stand, and what to do when they do not.
 */
final class Health {

	/**
	 * A worker that has been silent for so long is lost, as `wpbg workers list` has it. Milliseconds.
	 */
	const SILENT_MS = 60000;

	/**
	 * Seconds that a job may wait while workers are alive before the jobs pile up.
	 */
	const PATIENCE = 300;

	/**
	 * Everything.
	 *
	 * @param array[]|null $queues What Counts::by_queue() tells, when it is known already.
	 * @return array `status` (good, attention, bad), `sentence`, `problems` of `code`, `message`, `advice`; and the
	 *               facts: `workers`, `waiting`, `oldest_seconds`, `failed_last_day`.
	 */
	public static function look( $queues = null ) {
		$queues  = null === $queues ? Counts::by_queue() : $queues;
		$workers = self::workers();
		$alive   = array_filter(
			$workers,
			static function ( $worker ) {
				return 'lost' !== $worker['state'];
			}
		);
		$facts   = array(
			'workers'         => count( $alive ),
			'waiting'         => self::waiting( $queues ),
			'oldest_seconds'  => self::oldest( $queues ),
			'failed_last_day' => Counts::ended_since( 'failed', (string) ( Counts::now_ms() - DAY_IN_SECONDS * 1000 ) ),
		);
		$problems = array_values( array_filter( array( self::no_worker( $alive, $facts ), self::versions( $alive ), self::broker(), self::piling( $alive, $queues ) ) ) );
		return array(
			'status'   => self::status( $problems ),
			'sentence' => self::sentence( $facts ),
			'problems' => $problems,
		) + $facts;
	}

	/**
	 * The slots of all workers, as `wpbg workers list --format json` has them.
	 *
	 * @return array[]
	 */
	public static function workers() {
		$now   = Counts::now_ms();
		$found = array();
		foreach ( Database::rows( 'SELECT * FROM ' . Schema::workers() . ' ORDER BY host, pid, slot LIMIT 500' ) as $row ) {
			$queues  = json_decode( (string) $row->queues, true );
			$found[] = array(
				'id'           => $row->id,
				'name'         => Job_View::text( $row->name ),
				'host'         => Job_View::text( $row->host ),
				'pid'          => (int) $row->pid,
				'mode'         => Job_View::text( $row->mode ),
				'queues'       => array_map( array( Job_View::class, 'text' ), is_array( $queues ) ? array_filter( $queues, 'is_string' ) : array() ),
				'state'        => $now - (int) $row->heartbeat_at > self::SILENT_MS ? 'lost' : Job_View::text( $row->state ),
				'job'          => null === $row->job_id ? null : Job_View::text( $row->job_id ),
				'started_at'   => Job_View::iso( $row->started_at ),
				'heartbeat_at' => Job_View::iso( $row->heartbeat_at ),
				'jobs_done'    => (int) $row->jobs_done,
				'memory_mb'    => round( $row->memory_bytes / 1048576, 1 ),
				'version'      => Job_View::text( $row->version ),
			);
		}
		return $found;
	}

	/**
	 * How many jobs wait that could run: those of paused queues do not.
	 *
	 * @param array[] $queues Queues.
	 * @return array A count.
	 */
	private static function waiting( array $queues ) {
		$number = 0;
		$more   = false;
		foreach ( $queues as $queue ) {
			$number += $queue['paused'] ? 0 : $queue['queued']['number'];
			$more    = $more || ( ! $queue['paused'] && $queue['queued']['more'] );
		}
		return array(
			'number' => $number,
			'more'   => $more,
		);
	}

	/**
	 * How long the oldest of them waits.
	 *
	 * @param array[] $queues Queues.
	 * @return int|null Seconds.
	 */
	private static function oldest( array $queues ) {
		$ages = array();
		foreach ( $queues as $queue ) {
			if ( ! $queue['paused'] && null !== $queue['oldest_queued_seconds'] ) {
				$ages[] = $queue['oldest_queued_seconds'];
			}
		}
		return $ages ? max( $ages ) : null;
	}

	/**
	 * Nobody works.
	 *
	 * @param array[] $alive Workers.
	 * @param array   $facts Facts.
	 * @return array|null
	 */
	private static function no_worker( array $alive, array $facts ) {
		if ( $alive ) {
			return null;
		}
		$waits = $facts['waiting']['number'] > 0;
		return self::problem(
			$waits ? 'bad' : 'attention',
			'no_worker',
			$waits ? __( 'Jobs wait, and no worker is alive.', 'background-worker' ) : __( 'No worker is alive: a job that is added now would wait.', 'background-worker' ),
			__( 'Start one on the worker’s machine: `wpbg listen`. If a supervisor should keep it alive, look there why it does not; `wpbg doctor` checks the rest.', 'background-worker' )
		);
	}

	/**
	 * The worker and the plugin are of different versions.
	 *
	 * @param array[] $alive Workers.
	 * @return array|null
	 */
	private static function versions( array $alive ) {
		foreach ( $alive as $worker ) {
			if ( BACKGROUND_WORKER_VERSION !== $worker['version'] ) {
				$older = version_compare( $worker['version'], BACKGROUND_WORKER_VERSION, '<' );
				return self::problem(
					'attention',
					'versions',
					/* translators: 1: a worker's name, 2: its version, 3: the plugin's version */
					sprintf( __( 'Worker %1$s is of version %2$s, the plugin of version %3$s.', 'background-worker' ), $worker['name'], $worker['version'], BACKGROUND_WORKER_VERSION ),
					$older
						? __( 'Update wpbg on the worker’s machine, then restart the worker.', 'background-worker' )
						: __( 'Update the plugin: run `wpbg install` on the worker’s machine.', 'background-worker' )
				);
			}
		}
		return null;
	}

	/**
	 * The broker does not answer.
	 *
	 * @return array|null
	 */
	private static function broker() {
		$obstacle = Lane::obstacle();
		if ( '' !== $obstacle ) {
			return self::problem(
				'attention',
				'broker',
				/* translators: 1: beanstalkd, gearman or what was written instead, 2: why, in English */
				sprintf( __( 'No job can go to the queue server “%1$s”: %2$s. Jobs go into the database instead.', 'background-worker' ), Job_View::text( Lane::backend() ), $obstacle ),
				__( 'On the worker’s machine, `wpbg doctor` says what to do.', 'background-worker' )
			);
		}
		$where = Broker_Check::unreachable();
		return null === $where ? null : self::problem(
			'attention',
			'broker',
			/* translators: 1: beanstalkd or gearman, 2: host and port */
			sprintf( __( '%1$s does not answer at %2$s; jobs go into the database instead.', 'background-worker' ), Lane::backend(), $where ),
			__( 'Start it, or take ABW_BACKEND out of wp-config.php.', 'background-worker' )
		);
	}

	/**
	 * Jobs wait for long though workers live.
	 *
	 * @param array[] $alive  Workers.
	 * @param array[] $queues Queues.
	 * @return array|null
	 */
	private static function piling( array $alive, array $queues ) {
		$served = $alive ? array_merge( ...array_column( array_values( $alive ), 'queues' ) ) : array();
		foreach ( $alive ? $queues : array() as $name => $queue ) {
			$waits = ! $queue['paused'] && null !== $queue['oldest_queued_seconds'] && $queue['queued']['number'] > 0;
			$long  = $waits && $queue['oldest_queued_seconds'] > 60 || ! $queue['paused'] && $queue['in_broker'] > 0; // A broker tells no times.
			if ( $long && ! in_array( (string) $name, $served, true ) ) {
				/* translators: %s: a queue's name */
				return self::problem( 'bad', 'unserved', sprintf( __( 'Jobs wait in the queue “%s”, and no worker serves it.', 'background-worker' ), Job_View::text( $name ) ), __( 'Start a worker for it: `wpbg listen --queue NAME`, or add it to the queues of one that runs.', 'background-worker' ) );
			}
			if ( $waits && $queue['oldest_queued_seconds'] > self::PATIENCE ) {
				/* translators: 1: a queue's name, 2: a time span */
				return self::problem( 'attention', 'piling_up', sprintf( __( 'Jobs pile up in the queue “%1$s”: the oldest has waited for %2$s.', 'background-worker' ), Job_View::text( $name ), self::span( $queue['oldest_queued_seconds'] ) ), __( 'Give the worker more slots (`wpbg listen --concurrency N`), start another one, or use the faster lifetime (`--mode fork`).', 'background-worker' ) );
			}
		}
		return null;
	}

	/**
	 * A problem.
	 *
	 * @param string $weight  attention or bad.
	 * @param string $code    For programs.
	 * @param string $message What is wrong.
	 * @param string $advice  What to do.
	 * @return array
	 */
	private static function problem( $weight, $code, $message, $advice ) {
		return compact( 'weight', 'code', 'message', 'advice' );
	}

	/**
	 * How bad it is.
	 *
	 * @param array[] $problems The problems.
	 * @return string
	 */
	private static function status( array $problems ) {
		$weights = array_column( $problems, 'weight' );
		return in_array( 'bad', $weights, true ) ? 'bad' : ( $weights ? 'attention' : 'good' );
	}

	/**
	 * The sentence.
	 *
	 * @param array $facts Facts.
	 * @return string
	 */
	private static function sentence( array $facts ) {
		$parts = array(
			/* translators: %s: a number */
			sprintf( _n( '%s worker', '%s workers', $facts['workers'], 'background-worker' ), number_format_i18n( $facts['workers'] ) ),
			/* translators: %s: a number */
			sprintf( _n( '%s job waiting', '%s jobs waiting', $facts['waiting']['number'], 'background-worker' ), self::counted( $facts['waiting'] ) ),
		);
		if ( null !== $facts['oldest_seconds'] ) {
			/* translators: %s: a time span */
			$parts[] = sprintf( __( 'oldest %s', 'background-worker' ), self::span( $facts['oldest_seconds'] ) );
		}
		/* translators: %s: a number */
		$parts[] = sprintf( _n( '%s failed in the last day', '%s failed in the last day', $facts['failed_last_day']['number'], 'background-worker' ), self::counted( $facts['failed_last_day'] ) );
		return implode( ', ', $parts );
	}

	/**
	 * A count for people.
	 *
	 * @param array $count A count.
	 * @return string
	 */
	public static function counted( array $count ) {
		return number_format_i18n( $count['number'] ) . ( $count['more'] ? '+' : '' );
	}

	/**
	 * A time span for people.
	 *
	 * @param int $seconds Seconds.
	 * @return string
	 */
	public static function span( $seconds ) {
		if ( $seconds < 120 ) {
			/* translators: %s: a number of seconds */
			return sprintf( __( '%s s', 'background-worker' ), number_format_i18n( $seconds ) );
		}
		return human_time_diff( 0, (int) $seconds );
	}
}
