<?php
/**
 * Many jobs in one process.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * The loop lifetime: one booted WordPress runs job after job, and what a job changed in it is put back.
 */
final class Loop_Lifetime {

	/**
	 * The wire.
	 *
	 * @var Channel
	 */
	private $channel;

	/**
	 * What runs the jobs.
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
	 * Takes over.
	 *
	 * @param Channel     $channel The wire.
	 * @param Job_Process $process What runs the jobs.
	 * @param array       $hello   What the worker asked for.
	 */
	public function __construct( Channel $channel, Job_Process $process, array $hello ) {
		$this->channel   = $channel;
		$this->process   = $process;
		$this->recycling = new Recycling( $hello );
	}

	/**
	 * Runs what it is sent.
	 */
	public function serve() {
		$state = new Process_State();
		$fit   = new Blog_Fit();
		while ( true ) {
			$message = $this->channel->receive();
			if ( null === $message || 'J' !== $message['type'] ) {
				return;
			}
			$head = $message['head'];
			if ( Job_Process::is_late( $head ) ) {
				$this->process->leave_alone( $head );
				continue;
			}
			$why  = $state->reconnect() ?? $this->recycling->stale();
			if ( null !== $why ) {
				$this->channel->send( 'B', array( 'why' => $why ) );
				return;
			}
			if ( ! $fit->fits( (int) ( $head['blog_id'] ?? 0 ) ) ) {
				$this->channel->send( 'N', array( 'id' => $head['id'] ) );
				continue;
			}
			$failed = ! $this->process->run( $head, $message['payload'] );
			unset( $message );
			$why = $state->restore( $failed ) ?? $this->recycling->worn_out();
			if ( null !== $why ) {
				$this->channel->send( 'B', array( 'why' => $why ) );
				return;
			}
		}
	}
}
