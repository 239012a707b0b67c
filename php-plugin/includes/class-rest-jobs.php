<?php
/**
 * REST: jobs, looked at.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * `GET /jobs` and `GET /jobs/ID`.
 */
final class Rest_Jobs extends Rest_Routes {

	/**
	 * Registers them.
	 */
	public function register_routes() {
		$this->route( '/jobs', 'GET', array( $this, 'list_jobs' ), $this->get_collection_params(), self::list_schema() );
		$this->route( '/jobs/' . self::ID, 'GET', array( $this, 'get_job' ), array(), $this->get_item_schema() );
	}

	/**
	 * A page of jobs and how many there are of each status.
	 *
	 * @param \WP_REST_Request $request The request.
	 * @return array
	 */
	public function list_jobs( $request ) {
		$wanted = array();
		foreach ( array( 'status', 'queue', 'batch', 'search', 'orderby', 'order', 'cursor', 'per_page' ) as $name ) {
			$wanted[ $name ] = $request[ $name ];
		}
		$page = ( new Job_List( $wanted ) )->page();
		if ( array_filter( $wanted, 'is_string' ) === array( 'order' => $wanted['order'] ) ) { // All jobs, from the beginning.
			$page['counts'] = Counts::by_status();
		}
		return $page;
	}

	/**
	 * A job.
	 *
	 * @param \WP_REST_Request $request The request.
	 * @return array
	 * @throws No_Such_Job When there is none.
	 */
	public function get_job( $request ) {
		$rows = Database::rows( 'SELECT *, ' . Job_View::created() . ' AS created FROM ' . Schema::jobs() . ' WHERE id = ' . Job_Desk::number( $request['id'] ) );
		if ( ! $rows ) {
			throw Job_Desk::missing( $request['id'] );
		}
		return Job_View::details( $rows[0] );
	}

	/**
	 * The arguments of the list.
	 *
	 * @return array[]
	 */
	public function get_collection_params() {
		return array(
			'status'   => array(
				'description' => __( 'Only jobs of this status.', 'background-worker' ),
				'type'        => 'string',
				'enum'        => Job_View::STATUSES,
			),
			'queue'    => self::text_arg( __( 'Only jobs of this queue.', 'background-worker' ) ),
			'batch'    => self::text_arg( __( 'Only jobs of this batch.', 'background-worker' ) ),
			'search'   => self::text_arg( __( 'An id, or a part of the callback, the queue or the batch.', 'background-worker' ) ),
			'orderby'  => array(
				'description' => __( 'A column to sort by instead; only where there are 1,000 jobs at most, without queue, batch and search.', 'background-worker' ),
				'type'        => 'string',
				'enum'        => Job_List::COLUMNS,
			),
			'order'    => array(
				'description' => __( 'Along the id; with a status, along the time it ended or is due; with a status and a queue, along their turns.', 'background-worker' ),
				'type'        => 'string',
				'enum'        => array( 'asc', 'desc' ),
				'default'     => 'desc',
			),
			'cursor'   => array(
				'description' => __( 'The `next` of the page before.', 'background-worker' ),
				'type'        => 'string',
				'pattern'     => '^-?[0-9]{1,18}-[0-9]{1,18}$',
			),
			'per_page' => array(
				'description' => __( 'Jobs on a page.', 'background-worker' ),
				'type'        => 'integer',
				'minimum'     => 1,
				'maximum'     => 100,
				'default'     => 20,
			),
		);
	}

	/**
	 * What a job looks like.
	 *
	 * @return array
	 */
	public function get_item_schema() {
		$more = array();
		foreach ( array( 'timeout' => 'integer', 'backoff' => 'integer', 'unique_key' => 'string', 'due_at' => 'string', 'arguments' => 'object', 'output' => 'string', 'output_cut' => 'boolean', 'result_cut' => 'string', 'ending' => 'string', 'history' => 'array' ) as $name => $type ) {
			$more[ $name ] = array( 'type' => array( $type, 'null' ) );
		}
		$more['result']                   = array( 'description' => __( 'What the callback returned: any JSON value.', 'background-worker' ) );
		$more['arguments']['description'] = __( 'A tree of what was serialized, read without making objects: `type`, `value`, `items`, `class`, `cut`.', 'background-worker' );
		return array( 'properties' => self::properties() + $more );
	}

	/**
	 * What the list looks like.
	 *
	 * @return array
	 */
	private static function list_schema() {
		return array(
			'properties' => array(
				'jobs'     => array(
					'type'  => 'array',
					'items' => array(
						'type'       => 'object',
						'properties' => self::properties(),
					),
				),
				'next'     => array(
					'type'        => array( 'string', 'null' ),
					'description' => __( 'The cursor of the next page.', 'background-worker' ),
				),
				'complete' => array(
					'type'        => 'boolean',
					'description' => __( 'False when a search has looked through a part of the jobs only: go on with `next`.', 'background-worker' ),
				),
				'counts'   => array(
					'type'                 => 'object',
					'description'          => __( 'How many there are of each status; on the first page of all jobs.', 'background-worker' ),
					'additionalProperties' => self::count_schema(),
				),
			),
		);
	}

	/**
	 * What a job in a list looks like.
	 *
	 * @return array[]
	 */
	private static function properties() {
		$types = array(
			'string'  => array( 'id', 'external_id', 'queue', 'callback', 'status', 'batch', 'created_at', 'available_at', 'started_at', 'finished_at', 'worker', 'note' ),
			'integer' => array( 'attempts', 'max_attempts', 'priority', 'blog_id', 'runtime_ms' ),
			'object'  => array( 'progress', 'error' ),
			'boolean' => array( 'cancel_requested' ),
		);
		$found = array();
		foreach ( $types as $type => $names ) {
			foreach ( $names as $name ) {
				$found[ $name ] = array( 'type' => array( $type, 'null' ) );
			}
		}
		$found['status']['enum'] = Job_View::STATUSES;
		return $found;
	}
}
