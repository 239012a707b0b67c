<?php
/**
 * REST: how things stand.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * `GET /overview`.
 */
final class Rest_Overview extends Rest_Routes {

	/**
	 * Registers it.
	 */
	public function register_routes() {
		$this->route( '/overview', 'GET', array( $this, 'overview' ), array(), $this->get_item_schema() );
	}

	/**
	 * Health, queues, workers.
	 *
	 * @return array
	 */
	public function overview() {
		$queues = Counts::by_queue();
		return array(
			'health'  => Health::look( $queues ),
			'site'    => array(
				'backend'        => Lane::backend(),
				'plugin_version' => BACKGROUND_WORKER_VERSION,
				'now'            => Job_View::iso( Counts::now_ms() ),
			),
			'queues'  => self::listed( $queues ),
			'workers' => $this->workers(),
		);
	}

	/**
	 * Queues as a list.
	 *
	 * @param array[] $queues What Counts::by_queue() tells.
	 * @return array[]
	 */
	public static function listed( array $queues ) {
		$found = array();
		foreach ( $queues as $name => $queue ) {
			$found[] = array( 'queue' => (string) $name ) + $queue;
		}
		return $found;
	}

	/**
	 * The workers, with the job that each runs.
	 *
	 * @return array[]
	 */
	private function workers() {
		$workers = Health::workers();
		$ids     = array_filter( array_map( 'intval', array_column( $workers, 'job' ) ) );
		$running = array();
		if ( $ids ) {
			foreach ( Database::rows( 'SELECT ' . Job_View::columns() . ' FROM ' . Schema::jobs() . ' WHERE id IN (' . implode( ',', $ids ) . ')' ) as $row ) {
				$running[ $row->id ] = Job_View::summary( $row );
			}
		}
		foreach ( $workers as $number => $worker ) {
			$job                           = $running[ (string) $worker['job'] ] ?? null;
			$workers[ $number ]['running'] = $job && 'running' === $job['status'] ? $job : null;
		}
		return $workers;
	}

	/**
	 * What it looks like.
	 *
	 * @return array
	 */
	public function get_item_schema() {
		return array(
			'properties' => array(
				'health'  => array(
					'type'       => 'object',
					'properties' => array(
						'status'          => array(
							'type' => 'string',
							'enum' => array( 'good', 'attention', 'bad' ),
						),
						'sentence'        => array( 'type' => 'string' ),
						'problems'        => array( 'type' => 'array' ),
						'workers'         => array( 'type' => 'integer' ),
						'waiting'         => self::count_schema(),
						'oldest_seconds'  => array( 'type' => array( 'integer', 'null' ) ),
						'failed_last_day' => self::count_schema(),
					),
				),
				'site'    => array( 'type' => 'object' ),
				'queues'  => array( 'type' => 'array' ),
				'workers' => array( 'type' => 'array' ),
			),
		);
	}
}
