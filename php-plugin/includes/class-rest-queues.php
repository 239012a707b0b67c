<?php
/**
 * REST: queues, batches.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * `GET /queues`, `POST /queues/pause|resume|purge`, `GET /batches`, `GET /batch`. Names are arguments, not parts of the
 * address: they may hold anything.
 */
final class Rest_Queues extends Rest_Routes {

	/**
	 * Registers them.
	 */
	public function register_routes() {
		$name = array( 'queue' => self::text_arg( __( 'The queue.', 'background-worker' ), true ) );
		$this->route( '/queues', 'GET', array( $this, 'queues' ), array(), array( 'properties' => array( 'queues' => array( 'type' => 'array' ) ) ) );
		foreach ( array( 'pause', 'resume', 'purge' ) as $action ) {
			$this->route(
				"/queues/{$action}",
				'POST',
				static function ( $request ) use ( $action ) {
					$done = Queue_Desk::$action( $request['queue'] );
					return array( 'queue' => $request['queue'] ) + ( is_array( $done ) ? $done : array( 'paused' => 'pause' === $action ) );
				},
				$name,
				array(
					'properties' => array(
						'queue'   => array( 'type' => 'string' ),
						'paused'  => array( 'type' => 'boolean' ),
						'deleted' => array( 'type' => 'integer' ),
						'more'    => array(
							'type'        => 'boolean',
							'description' => __( 'Whether jobs are left: ask again to purge on.', 'background-worker' ),
						),
					),
				)
			);
		}
		$this->route( '/batches', 'GET', array( $this, 'batches' ), self::page_args(), array( 'properties' => array( 'batches' => array( 'type' => 'array' ) ) ) );
		$this->route(
			'/batch',
			'GET',
			static function ( $request ) {
				return Batches::one( $request['batch'] );
			},
			array( 'batch' => self::text_arg( __( 'The batch.', 'background-worker' ), true ) )
		);
	}

	/**
	 * The queues: what waits, what runs, and how many slots serve each.
	 *
	 * @return array
	 */
	public function queues() {
		$queues = Rest_Overview::listed( Counts::by_queue() );
		$slots  = array();
		foreach ( Health::workers() as $worker ) {
			foreach ( 'lost' === $worker['state'] ? array() : $worker['queues'] as $queue ) {
				$slots[ $queue ] = ( $slots[ $queue ] ?? 0 ) + 1;
			}
		}
		foreach ( $queues as $number => $queue ) {
			$queues[ $number ]['slots'] = $slots[ $queue['queue'] ] ?? 0;
		}
		return array( 'queues' => $queues );
	}

	/**
	 * A page of batches.
	 *
	 * @param \WP_REST_Request $request The request.
	 * @return array
	 */
	public function batches( $request ) {
		return Batches::page( $request['before'], $request['per_page'] );
	}

	/**
	 * The arguments of a page of batches.
	 *
	 * @return array[]
	 */
	private static function page_args() {
		return array(
			'before'   => array(
				'description' => __( 'The `next` of the page before.', 'background-worker' ),
				'type'        => 'integer',
				'minimum'     => 0,
			),
			'per_page' => array(
				'description' => __( 'Batches on a page.', 'background-worker' ),
				'type'        => 'integer',
				'minimum'     => 1,
				'maximum'     => 100,
				'default'     => 20,
			),
		);
	}
}
