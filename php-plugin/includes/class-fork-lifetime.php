<?php
/**
 * A child for each job.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * The fork lifetime: a booted WordPress that never runs a job itself, but forks a child for each.
 *
 * The parent holds no connection while it forks: two processes on one connection would read each other's answers. Of
 * one that it cannot close it tells the worker, which replaces it after a job that may have left half an answer there.
 * It hears the worker while a child runs, so it can end the child when it is told to, when its time is over, or when
 * the worker is gone.
 */
final class Fork_Lifetime {

	/**
	 * By which signal a child says that it did not begin its job. PHP has no _exit() that would carry a code past
	 * the shutdown functions.
	 */
	const STALE    = 10; // SIGUSR1.
	const NOT_HERE = 12; // SIGUSR2.

	/**
	 * What PHP has to have.
	 */
	const NEEDS = array( 'pcntl_fork', 'pcntl_waitpid', 'pcntl_wifexited', 'pcntl_wexitstatus', 'pcntl_wtermsig', 'pcntl_signal', 'pcntl_sigprocmask', 'pcntl_sigtimedwait', 'posix_kill', 'posix_setpgid' );

	/**
	 * Signals of a process that broke inside: SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV.
	 */
	const CRASHES = array( 4, 6, 7, 8, 11 );

	/**
	 * Children in a row that broke inside or hung: with so many, it is not the jobs.
	 */
	const TOO_MANY_BROKEN = 3;

	/**
	 * The classes that each child works with: read here once, and not by each.
	 */
	const OF_EVERY_JOB = array( Blog_Fit::class, Job_Runner::class, Current_Job::class, Callback::class, Envelope::class );

	/**
	 * Nanoseconds between two looks at the worker while a child runs.
	 */
	const LOOK = 100000000;

	/**
	 * By how much the linear congruential generator is moved on in a child, at most: some 40 µs.
	 */
	const MOST_DRAWS = 4096;

	/**
	 * The wire.
	 *
	 * @var Channel
	 */
	private $channel;

	/**
	 * What runs a job, in the child.
	 *
	 * @var Job_Process
	 */
	private $process;

	/**
	 * When this process has to be replaced.
	 *
	 * @var Recycling
	 */
	private $recycling;

	/**
	 * What connections its children share with it, one after the other.
	 *
	 * @var string[]
	 */
	private $shared = array();

	/**
	 * How many of the last children, in a row, broke inside or hung.
	 *
	 * @var int
	 */
	private $broken = 0;

	/**
	 * Whether the last child was killed because its time was over.
	 *
	 * @var bool
	 */
	private $overran = false;

	/**
	 * Takes over.
	 *
	 * @param Channel     $channel The wire.
	 * @param Job_Process $process What runs a job.
	 * @param array       $hello   What the worker asked for.
	 */
	public function __construct( Channel $channel, Job_Process $process, array $hello ) {
		$this->channel   = $channel;
		$this->process   = $process;
		$this->recycling = new Recycling( $hello );
	}

	/**
	 * What this PHP lacks for forking: an extension that is not there, functions that are switched off.
	 *
	 * @return string[] Functions.
	 */
	public static function missing() {
		return array_values(
			array_filter(
				self::NEEDS,
				static function ( $name ) {
					return ! function_exists( $name );
				}
			)
		);
	}

	/**
	 * Forks for what it is sent.
	 */
	public function serve() {
		$missing = self::missing();
		if ( $missing ) {
			$this->channel->send( 'B', array( 'why' => 'PHP lacks ' . implode( ', ', $missing ) ) );
			return;
		}
		Connections::let_go();
		$this->shared = Connections::held( $this->channel->inodes() );
		pcntl_sigprocmask( SIG_BLOCK, array( SIGCHLD ) );
		array_map( 'class_exists', self::OF_EVERY_JOB );
		while ( true ) {
			$message = $this->channel->receive();
			if ( null === $message || 'Q' === $message['type'] ) {
				break;
			}
			if ( 'J' !== $message['type'] ) {
				continue; // The end of a job that has ended by itself.
			}
			$why = $this->recycling->stale_files();
			if ( null === $why ) {
				$why = $this->fork_for( $message['head'], $message['payload'] );
			}
			if ( null !== $why ) {
				$this->channel->send( 'B', array( 'why' => $why ) );
				break;
			}
		}
		Bridge::leave( 0 ); // Its shutdown functions have run in every child; here they would want a connection.
	}

	/**
	 * Runs one job in a child.
	 *
	 * @param array  $head    What the worker says of the job.
	 * @param string $payload What was serialized.
	 * @return string|null Why this process has to be replaced.
	 */
	private function fork_for( array $head, $payload ) {
		$look = $this->recycling->time_to_look_at_plugins();
		$pid  = pcntl_fork();
		if ( 0 === $pid ) {
			$this->be_the_child( $head, $payload, $look );
		}
		if ( $pid < 0 ) {
			return 'no process can be forked: ' . pcntl_strerror( pcntl_get_last_error() );
		}
		posix_setpgid( $pid, $pid );
		$status = $this->wait_for( $pid, (int) ( $head['timeout'] ?? 0 ) );
		$code   = pcntl_wifexited( $status ) ? pcntl_wexitstatus( $status ) : -pcntl_wtermsig( $status );
		if ( -self::STALE === $code ) {
			$why = 'the active plugins have changed';
			$this->channel->send( 'B', array( 'why' => $why ) ); // Before the next: that the job did not begin, if so.
		}
		if ( -self::NOT_HERE === $code ) {
			$this->channel->send( 'N', array( 'id' => $head['id'] ) );
			return null;
		}
		$this->channel->send(
			'D',
			array(
				'id'      => $head['id'],
				'code'    => $code,
				'shared'  => $this->shared,
				'overran' => $this->overran,
			)
		);
		return $why ?? $this->shaken( $code ) ?? $this->recycling->worn_out();
	}

	/**
	 * Whether the memory with the compiled code, which all children share, may be what breaks them.
	 *
	 * @param int $code How the last one ended, negative for a signal.
	 * @return string|null Why this process has to be replaced.
	 */
	private function shaken( $code ) {
		$this->broken = $this->overran || in_array( -$code, self::CRASHES, true ) ? $this->broken + 1 : 0;
		return $this->broken >= self::TOO_MANY_BROKEN ? 'a job after the other crashed or hung' : null;
	}

	/**
	 * The child: its own connections, the job, WordPress's shutdown, and out.
	 *
	 * @param array  $head    What the worker says of the job.
	 * @param string $payload What was serialized.
	 * @param bool   $look    Whether it is time to see if the active plugins have changed.
	 */
	private function be_the_child( array $head, $payload, $look ) {
		posix_setpgid( 0, 0 );
		pcntl_sigprocmask( SIG_UNBLOCK, array( SIGCHLD ) );
		$this->channel->adopt();
		self::draw_other_numbers();
		if ( ! Connections::open() ) {
			fwrite( STDERR, "Error: the job's process could not connect to the site's database.\n" );
			Bridge::leave( 1 );
		}
		if ( $look && $this->recycling->plugins_changed() ) {
			$this->quit( self::STALE );
		}
		if ( ! ( new Blog_Fit() )->fits( (int) ( $head['blog_id'] ?? 0 ) ) ) {
			$this->quit( self::NOT_HERE );
		}
		$this->process->leave_at_once();
		$this->process->run( $head, $payload );
		exit( 0 );
	}

	/**
	 * Else every job would draw the numbers that the job before it drew.
	 */
	private static function draw_other_numbers() {
		mt_srand( random_int( 0, PHP_INT_MAX ) );
		// PHP gives no way to seed this one anew, which uniqid() uses too: it is moved on.
		for ( $draws = random_int( 1, self::MOST_DRAWS ); $draws > 0; $draws-- ) {
			lcg_value();
		}
	}

	/**
	 * Ends a child that has not begun its job.
	 *
	 * @param int $signal What it says by it.
	 */
	private function quit( $signal ) {
		pcntl_signal( $signal, SIG_DFL );
		posix_kill( getmypid(), $signal );
		Bridge::leave( 1 );
	}

	/**
	 * Waits for a child's end, and sees to it.
	 *
	 * @param int $pid     The child.
	 * @param int $timeout Seconds its job may take; 0 is no limit.
	 * @return int What waitpid() says.
	 */
	private function wait_for( $pid, $timeout ) {
		$status   = 0;
		$info     = array();

		$this->overran = false;
		$deadline = $timeout > 0 ? Clock::now() + $timeout + Job_Process::KILL_AFTER + 1 : INF;
		while ( pcntl_waitpid( $pid, $status, WNOHANG ) !== $pid ) {
			if ( SIGCHLD === pcntl_sigtimedwait( array( SIGCHLD ), $info, 0, self::LOOK ) ) {
				continue;
			}
			if ( Clock::now() > $deadline ) {
				$this->overran = true;
				posix_kill( -$pid, SIGKILL );
			}
			if ( $this->channel->has_news() ) {
				$this->hear( $pid );
			}
		}
		return $status;
	}

	/**
	 * Hears the worker while a child runs.
	 *
	 * @param int $pid The child.
	 */
	private function hear( $pid ) {
		$message = $this->channel->receive();
		if ( null === $message ) {
			// The worker is gone: nobody would write down how the job ended, and another one will run it.
			posix_kill( -$pid, SIGKILL );
			Bridge::leave( 0 );
		}
		if ( 'X' === $message['type'] ) {
			posix_kill( -$pid, empty( $message['head']['now'] ) ? SIGTERM : SIGKILL );
		}
	}
}
