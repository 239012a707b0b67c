<?php
/**
 * Jobs into beanstalkd.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Signs jobs and puts them into their queue's tube.
 */
final class Beanstalkd_Lane implements Fast_Lane {

	/**
	 * Bytes of the largest job that beanstalkd takes, unless its -z says otherwise.
	 */
	const MAX_BODY = 65535;

	/**
	 * Bytes of a payload that fits in any case: the other fields are names of at most 191 characters, and numbers.
	 */
	const ALWAYS_FITS = 60000;

	/**
	 * What our priority 0 is there; beanstalkd's begin at 0.
	 */
	const MIDDLE = 2147483648;
	const LAST   = 4294967295;

	/**
	 * The connection.
	 *
	 * @var Beanstalkd_Client
	 */
	private $client;

	/**
	 * A lane to the server of ABW_BEANSTALKD.
	 */
	public function __construct() {
		$this->client = new Beanstalkd_Client( defined( 'ABW_BEANSTALKD' ) ? (string) ABW_BEANSTALKD : '127.0.0.1:11300' );
	}

	/**
	 * Whether it fits.
	 *
	 * @param New_Job $job The job.
	 * @return bool
	 */
	public function takes( New_Job $job ) {
		$size = strlen( $job->payload );
		return $size <= self::ALWAYS_FITS || $size <= self::MAX_BODY && strlen( Envelope::seal( $job, Envelope::id() ) ) <= self::MAX_BODY;
	}

	/**
	 * Puts jobs of one queue.
	 *
	 * @param New_Job[] $jobs The jobs.
	 * @param string[]  $ids  Gets the ids.
	 * @return string|null What was wrong with one.
	 * @throws Lane_Failed When the server cannot be reached or takes no jobs now.
	 */
	public function put( array $jobs, array &$ids ) {
		$bodies = array();
		foreach ( $jobs as $job ) {
			$job->external_id = Envelope::id();
			$bodies[]         = array( min( max( self::MIDDLE + $job->options->priority, 0 ), self::LAST ), Envelope::seal( $job, $job->external_id ) );
		}
		$answers = array();
		$sent    = 0;
		$problem = null;
		$failed  = null;
		try {
			$this->client->put( Lane_Names::tube( $jobs[0]->queue ), $bodies, $answers, $sent );
		} catch ( Lane_Failed $failed ) {
			foreach ( array_slice( $jobs, $sent ) as $job ) {
				$job->external_id = null; // The server has not got the whole of it.
			}
		}
		foreach ( $answers as $place => $words ) {
			if ( 'INSERTED' === $words[0] && isset( $words[1] ) ) {
				$ids[ $place ] = "{$jobs[ $place ]->external_id}-b{$words[1]}";
			} elseif ( 'JOB_TOO_BIG' === $words[0] ) {
				$jobs[ $place ]->external_id = null;
				$problem                     = 'the job is larger than beanstalkd takes (its option -z)';
			} else {
				$failed = $failed ? $failed : self::refused( $words[0], $jobs[ $place ] );
			}
		}
		if ( $failed ) {
			throw $failed;
		}
		return $problem;
	}

	/**
	 * What an answer means that is not the job's fault.
	 *
	 * @param string  $answer What the server said.
	 * @param New_Job $job    To which job.
	 * @return Lane_Failed
	 */
	private static function refused( $answer, New_Job $job ) {
		$meanings = array(
			'DRAINING'      => 'it takes no new jobs (drain mode)',
			'OUT_OF_MEMORY' => 'it is out of memory',
			'BURIED'        => 'it is out of memory',
		);
		if ( in_array( $answer, array( 'DRAINING', 'OUT_OF_MEMORY' ), true ) ) {
			$job->external_id = null; // Any other answer may mean that the server keeps the job nevertheless.
		}
		return new Lane_Failed( 'beanstalkd refuses jobs: ' . ( $meanings[ $answer ] ?? "it answers {$answer}" ) );
	}
}
