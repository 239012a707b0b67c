<?php
/**
 * The bridge between the worker and WordPress.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Serves the worker from inside a booted WordPress: says `ready`, runs the jobs it is sent, says how each ended.
 *
 * The worker starts it through WP-CLI. An outcome is explicit: a job is through when the bridge said so. Messages,
 * one letter on the wire: R ready, S started, P progress, O output, E outcome, D the job's process is gone (fork),
 * N not this job here, L too late for this one (it was sent ahead, with a time), B bye; from the worker H hello,
 * J job, X end the running job (fork), Q quit.
 *
 * The lifetime that the worker asks for in its hello decides how long a process lives: `restart` one job, `loop`
 * many, `fork` many, each in a child of its own.
 */
final class Bridge {

	const PROTOCOL = 1;

	/**
	 * Talks to the worker until it hangs up or this process has to be replaced. Ends the process.
	 */
	public static function serve() {
		$channel = new Channel();
		$hello   = $channel->greet(
			array(
				'protocol'  => self::PROTOCOL,
				'pid'       => getmypid(),
				'php'       => PHP_VERSION,
				'wordpress' => get_bloginfo( 'version' ),
				'plugin'    => BACKGROUND_WORKER_VERSION,
				'fork'      => ! Fork_Lifetime::missing(),
			)
		);
		if ( null === $hello ) {
			return;
		}
		$channel->hide_stdin();
		try {
			Envelope::key(); // Now, and for all jobs and children: the database may not be there later.
		} catch ( Lane_Failed $failed ) {
			unset( $failed ); // A job that needs it says so.
		}
		while ( ob_get_level() > 0 && @ob_end_clean() ) { // phpcs:ignore -- WP-CLI's shell and plugins leave buffers; jobs begin at none.
			continue;
		}
		$process = new Job_Process( $channel );
		if ( 'fork' === $hello['lifetime'] ) {
			( new Fork_Lifetime( $channel, $process, $hello ) )->serve();
		} elseif ( 'loop' === $hello['lifetime'] ) {
			( new Loop_Lifetime( $channel, $process, $hello ) )->serve();
		} else {
			self::serve_one( $channel, $process );
		}
		exit( 0 );
	}

	/**
	 * Ends this process at once, past every handler and without freeing what it holds.
	 *
	 * PHP has no _exit(). Of the signals that end a process, a shell that waits for it announces all but SIGPIPE and
	 * SIGINT ("Killed", into the output of the job), and takes the latter for a Ctrl-C of its own.
	 *
	 * @param int $code Exit code where a signal cannot be sent.
	 */
	public static function leave( $code ) {
		if ( function_exists( 'posix_kill' ) ) {
			if ( function_exists( 'pcntl_signal' ) && function_exists( 'pcntl_sigprocmask' ) ) {
				pcntl_signal( SIGPIPE, SIG_DFL );
				pcntl_sigprocmask( SIG_UNBLOCK, array( SIGPIPE ) );
				posix_kill( getmypid(), SIGPIPE );
			}
			posix_kill( getmypid(), 9 );
		}
		exit( (int) $code );
	}

	/**
	 * The restart lifetime.
	 *
	 * @param Channel     $channel The wire.
	 * @param Job_Process $process What runs the job.
	 */
	private static function serve_one( Channel $channel, Job_Process $process ) {
		$message = $channel->receive();
		if ( null !== $message && 'J' === $message['type'] ) {
			$process->run( $message['head'], $message['payload'] );
			$process->leave_at_once();
		}
	}
}
