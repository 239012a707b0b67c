<?php
/**
 * Jobs into Gearman.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Signs jobs and hands them to the servers of $gearman_servers, through PHP's gearman extension.
 */
final class Gearman_Lane implements Fast_Lane {

	/**
	 * Milliseconds that the extension waits for servers: for all of them together.
	 */
	const TIMEOUT = 150;

	const PORT = 4730;

	/**
	 * Bytes of a function's name that gearmand keeps, in its persistent queues, too.
	 */
	const MAX_NAME = 255;

	/**
	 * The client.
	 *
	 * @var \GearmanClient|null
	 */
	private $client = null;

	/**
	 * The process that made it.
	 *
	 * @var int
	 */
	private $pid = 0;

	/**
	 * Clients of a parent process, kept until the end: freed, they would hang up on behalf of the parent.
	 *
	 * @var \GearmanClient[]
	 */
	private static $inherited = array();

	/**
	 * The servers, each `host:port` or `host`.
	 *
	 * @return string[]
	 */
	public static function servers() {
		global $gearman_servers;
		$list = array();
		foreach ( (array) $gearman_servers as $server ) {
			$server = is_array( $server ) ? implode( ':', $server ) : (string) $server;
			$list   = array_merge( $list, array_filter( array_map( 'trim', explode( ',', $server ) ), 'strlen' ) );
		}
		return $list ? $list : array( '127.0.0.1:' . self::PORT );
	}

	/**
	 * Bytes of the largest payload that goes this way. Gearman has no limit of its own, but the database, which gets
	 * the job from the worker later on, has: what is larger, it is asked for at once.
	 */
	const MAX_PAYLOAD = 4000000;

	/**
	 * Whether it can carry the job.
	 *
	 * @param New_Job $job The job.
	 * @return bool
	 */
	public function takes( New_Job $job ) {
		return strlen( $job->payload ) <= self::MAX_PAYLOAD && strlen( Lane_Names::gearman_function( $job->queue ) ) <= self::MAX_NAME;
	}

	/**
	 * Hands jobs to a server, one by one.
	 *
	 * @param New_Job[] $jobs The jobs.
	 * @param string[]  $ids  Gets the ids.
	 * @return string|null What was wrong with one.
	 * @throws Lane_Failed When no server takes them.
	 */
	public function put( array $jobs, array &$ids ) {
		$client  = $this->client();
		$problem = null;
		foreach ( $jobs as $place => $job ) {
			list( $function, $workload ) = $this->workload( $job );
			if ( null === $function ) {
				$problem = 'WP Minions\' format has no way to write the arguments of a task (' . json_last_error_msg() . ')';
				continue;
			}
			$is_through = false;
			try {
				$method = $job->options->priority < 0 ? 'doHighBackground' : ( $job->options->priority > 0 ? 'doLowBackground' : 'doBackground' );
				// PHP warns on its own when a server is away.
				$handle     = @$client->$method( $function, $workload, $job->external_id ); // phpcs:ignore WordPress.PHP.NoSilencedErrors
				$is_through = GEARMAN_SUCCESS === $client->returnCode() && '' !== (string) $handle;
			} catch ( \GearmanException $thrown ) {
				throw new Lane_Failed( 'the Gearman client failed: ' . $thrown->getMessage(), 0, $thrown );
			} finally {
				if ( ! $is_through ) {
					$this->client = null;
				}
			}
			if ( ! $is_through ) {
				throw new Lane_Failed( sprintf( 'no Gearman server takes jobs (%1$s: %2$s)', implode( ', ', self::servers() ), trim( (string) @$client->error() ) ) ); // phpcs:ignore WordPress.PHP.NoSilencedErrors -- It may have none.
			}
			$ids[ $place ] = "{$job->external_id}-g";
		}
		return $problem;
	}

	/**
	 * What goes to the server.
	 *
	 * @param New_Job $job The job; gets its id.
	 * @return array{0: string|null, 1: string} The function, null when the job cannot be written so, and its workload.
	 */
	private function workload( New_Job $job ) {
		if ( null === $job->task || ! Lane_Names::is_compatible() ) {
			$job->external_id = Envelope::id();
			return array( Lane_Names::gearman_function( $job->queue ), Envelope::seal( $job, $job->external_id ) );
		}
		// Byte for byte what WP Minions writes: its own runner may be the one to read it.
		$json = json_encode( $job->task + array( 'blog_id' => is_multisite() ? get_current_blog_id() : false ) ); // phpcs:ignore WordPress.WP.AlternativeFunctions -- wp_json_encode() changes what it is given.
		if ( false === $json ) {
			return array( null, '' );
		}
		$job->external_id = Envelope::id();
		return array( (string) Lane_Names::shared_function(), $json );
	}

	/**
	 * The client.
	 *
	 * @return \GearmanClient
	 * @throws Lane_Failed When the servers' names mean nothing.
	 */
	private function client() {
		if ( null !== $this->client && getmypid() !== $this->pid ) {
			self::$inherited[] = $this->client;
			$this->client      = null;
		}
		if ( null === $this->client ) {
			$client = new \GearmanClient();
			$client->setTimeout( (int) max( 20, self::TIMEOUT / count( self::servers() ) ) );
			// The second argument of newer extensions: no question to the server as long as there is no job for it.
			$more     = ( new \ReflectionMethod( $client, 'addServers' ) )->getNumberOfParameters() > 1 ? array( false ) : array();
			$servers  = implode( ',', self::servers() );
			$is_added = false;
			try {
				$is_added = @$client->addServers( $servers, ...$more ); // phpcs:ignore WordPress.PHP.NoSilencedErrors -- The answer says it.
			} catch ( \GearmanException $thrown ) {
				throw new Lane_Failed( "the Gearman servers {$servers} cannot be used: " . $thrown->getMessage(), 0, $thrown );
			}
			if ( ! $is_added ) {
				throw new Lane_Failed( "the Gearman servers {$servers} cannot be used: check \$gearman_servers" );
			}
			$this->client = $client;
			$this->pid    = getmypid();
		}
		return $this->client;
	}
}
