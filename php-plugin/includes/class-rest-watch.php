<?php
/**
 * REST: statistics and log.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * `GET /statistics`, `GET /log`.
 */
final class Rest_Watch extends Rest_Routes {

	/**
	 * Registers them.
	 */
	public function register_routes() {
		$this->route(
			'/statistics',
			'GET',
			static function ( $request ) {
				return Statistics::series( $request['range'], $request['queue'] ) + array( 'run_times' => Statistics::run_times() );
			},
			array(
				'range' => array(
					'description' => __( 'The last hour by minutes, or the last day by quarters of an hour.', 'background-worker' ),
					'type'        => 'string',
					'enum'        => array_keys( Statistics::RANGES ),
					'default'     => 'hour',
				),
				'queue' => self::text_arg( __( 'Only this queue.', 'background-worker' ) ),
			),
			array(
				'properties' => array(
					'step'      => array( 'type' => 'integer' ),
					'points'    => array( 'type' => 'array' ),
					'completed' => array( 'type' => 'integer' ),
					'failed'    => array( 'type' => 'integer' ),
					'retried'   => array( 'type' => 'integer' ),
					'run_times' => array( 'type' => 'array' ),
				),
			)
		);
		$this->route(
			'/log',
			'GET',
			static function ( $request ) {
				return Log_Tail::read( $request['since'] );
			},
			array(
				'since' => array(
					'description' => __( 'The `at` of the answer before.', 'background-worker' ),
					'type'        => 'string',
					'pattern'     => '^[0-9]{1,20}-[0-9]{1,18}$',
				),
			),
			array(
				'properties' => array(
					'available' => array( 'type' => 'boolean' ),
					'reason'    => array( 'type' => array( 'string', 'null' ) ),
					'file'      => array( 'type' => 'string' ),
					'lines'     => array( 'type' => 'array' ),
					'at'        => array( 'type' => array( 'string', 'null' ) ),
					'restarted' => array( 'type' => 'boolean' ),
					'skipped'   => array( 'type' => 'integer' ),
				),
			)
		);
	}
}
