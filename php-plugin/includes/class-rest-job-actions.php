<?php
/**
 * REST: jobs, changed.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * `POST /jobs/ID/retry|cancel|run-next`, `DELETE /jobs/ID`, `POST /jobs/bulk`.
 */
final class Rest_Job_Actions extends Rest_Routes {

	const ACTIONS = array( 'retry', 'cancel', 'run-next', 'delete' );

	/**
	 * How many jobs one bulk request may name.
	 */
	const MOST = 100;

	/**
	 * Registers them.
	 */
	public function register_routes() {
		foreach ( array( 'retry', 'cancel', 'run-next' ) as $action ) {
			$this->route(
				'/jobs/' . self::ID . "/{$action}",
				'POST',
				function ( $request ) use ( $action ) {
					return $this->done( $action, $request['id'] );
				},
				array(),
				self::schema()
			);
		}
		$this->route(
			'/jobs/' . self::ID,
			'DELETE',
			function ( $request ) {
				return $this->done( 'delete', $request['id'] );
			},
			array(),
			self::schema()
		);
		$this->route( '/jobs/bulk', 'POST', array( $this, 'bulk' ), self::bulk_args(), self::bulk_schema() );
	}

	/**
	 * Does the same to many jobs.
	 *
	 * @param \WP_REST_Request $request The request.
	 * @return array `done`, ids; `refused`, `id` and `message` of those to which it could not be done.
	 */
	public function bulk( $request ) {
		$done    = array();
		$refused = array();
		foreach ( array_unique( $request['ids'] ) as $id ) {
			try {
				$this->done( $request['action'], $id );
				$done[] = $id;
			} catch ( \RuntimeException $why ) {
				if ( ! $why instanceof Wrong_State && ! $why instanceof No_Such_Job ) {
					throw $why;
				}
				$refused[] = array(
					'id'      => $id,
					'message' => $why->getMessage(),
				);
			}
		}
		return array(
			'done'    => $done,
			'refused' => $refused,
		);
	}

	/**
	 * Does one thing to one job.
	 *
	 * @param string $action One of the actions.
	 * @param string $id     The job.
	 * @return array `id` and its `status`.
	 */
	private function done( $action, $id ) {
		$status = array(
			'retry'    => 'queued',
			'run-next' => 'queued',
			'delete'   => 'deleted',
		)[ $action ] ?? '';
		if ( 'cancel' === $action ) {
			$status = Job_Desk::cancel( $id );
		} elseif ( 'retry' === $action ) {
			Job_Desk::retry( $id );
		} elseif ( 'run-next' === $action ) {
			Job_Desk::run_next( $id );
		} else {
			Job_Desk::delete( $id );
		}
		return array(
			'id'     => $id,
			'status' => $status,
		);
	}

	/**
	 * The arguments of a bulk request.
	 *
	 * @return array[]
	 */
	private static function bulk_args() {
		return array(
			'action' => array(
				'description' => __( 'What to do to each.', 'background-worker' ),
				'type'        => 'string',
				'enum'        => self::ACTIONS,
				'required'    => true,
			),
			'ids'    => array(
				'description' => __( 'The jobs.', 'background-worker' ),
				'type'        => 'array',
				'required'    => true,
				'minItems'    => 1,
				'maxItems'    => self::MOST,
				'items'       => array(
					'type'    => 'string',
					'pattern' => '^([0-9]{1,18}|[0-9a-f]{32}-(b[0-9]{1,20}|g))$',
				),
			),
		);
	}

	/**
	 * What an answer looks like.
	 *
	 * @return array
	 */
	private static function schema() {
		return array(
			'properties' => array(
				'id'     => array( 'type' => 'string' ),
				'status' => array(
					'type'        => 'string',
					'description' => __( 'Where the job stands now. `running` after a cancel: its worker has been asked to stop it.', 'background-worker' ),
				),
			),
		);
	}

	/**
	 * What the answer to a bulk request looks like.
	 *
	 * @return array
	 */
	private static function bulk_schema() {
		return array(
			'properties' => array(
				'done'    => array(
					'type'  => 'array',
					'items' => array( 'type' => 'string' ),
				),
				'refused' => array(
					'type'  => 'array',
					'items' => array(
						'type'       => 'object',
						'properties' => array(
							'id'      => array( 'type' => 'string' ),
							'message' => array( 'type' => 'string' ),
						),
					),
				),
			),
		);
	}
}
