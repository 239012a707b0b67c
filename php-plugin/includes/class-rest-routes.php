<?php
/**
 * What the REST routes share.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Registers routes of `background-worker/v1`, each for those who may (see Access), and says errors the way WordPress
 * does. Cookies count with a nonce only: WordPress takes a request without one for a visitor's.
 */
abstract class Rest_Routes extends \WP_REST_Controller {

	/**
	 * The namespace of the routes.
	 *
	 * @var string
	 */
	protected $namespace = 'background-worker/v1';

	/**
	 * An id as add_async_job() returns it.
	 */
	const ID = '(?P<id>[0-9]{1,18}|[0-9a-f]{32}-(?:b[0-9]{1,20}|g))';

	/**
	 * All of them.
	 */
	public static function register_all() {
		foreach ( array( new Rest_Overview(), new Rest_Jobs(), new Rest_Job_Actions(), new Rest_Queues(), new Rest_Watch() ) as $routes ) {
			$routes->register_routes();
		}
	}

	/**
	 * Whether the current user may.
	 *
	 * @return true|\WP_Error
	 */
	public function allow() {
		return Access::is_allowed() ? true : new \WP_Error(
			'background_worker_forbidden',
			__( 'You are not allowed to see or change background jobs.', 'background-worker' ),
			array( 'status' => 403 )
		);
	}

	/**
	 * Registers one route.
	 *
	 * @param string   $route   Below the namespace.
	 * @param string   $method  GET, POST or DELETE.
	 * @param callable $handler Gets the request; what it returns is the answer.
	 * @param array    $args    The arguments' schema.
	 * @param array    $schema  The answer's schema.
	 */
	protected function route( $route, $method, $handler, array $args = array(), array $schema = array() ) {
		register_rest_route(
			$this->namespace,
			$route,
			array(
				array(
					'methods'             => $method,
					'callback'            => static function ( $request ) use ( $handler ) {
						return self::answer( $handler, $request );
					},
					'permission_callback' => array( $this, 'allow' ),
					'args'                => $args,
				),
				'schema' => static function () use ( $schema, $route ) {
					return array(
						'$schema' => 'http://json-schema.org/draft-04/schema#',
						'title'   => 'background-worker' . preg_replace( '/[^a-z]+/', '-', strtolower( $route ) ),
						'type'    => 'object',
					) + $schema;
				},
			)
		);
	}

	/**
	 * Handles a request.
	 *
	 * @param callable         $handler What does it.
	 * @param \WP_REST_Request $request The request.
	 * @return \WP_REST_Response|\WP_Error
	 */
	private static function answer( $handler, $request ) {
		try {
			$response = rest_ensure_response( $handler( $request ) );
			if ( $response instanceof \WP_REST_Response ) {
				$response->header( 'Cache-Control', 'no-store' );
			}
			return $response;
		} catch ( No_Such_Job $missing ) {
			return new \WP_Error( 'background_worker_no_such_job', $missing->getMessage(), array( 'status' => 404 ) );
		} catch ( Wrong_State $wrong ) {
			return new \WP_Error( 'background_worker_wrong_state', $wrong->getMessage(), array( 'status' => 409 ) );
		} catch ( Write_Failed $failed ) {
			return new \WP_Error(
				'background_worker_database',
				/* translators: %s: what the database said */
				sprintf( __( 'The database did not do it (%s). Try again; if it stays so, run `wpbg doctor`.', 'background-worker' ), $failed->getMessage() ),
				array( 'status' => 503 )
			);
		}
	}

	/**
	 * The schema of a text argument.
	 *
	 * @param string $what What it is.
	 * @param bool   $need Whether it is required.
	 * @return array
	 */
	protected static function text_arg( $what, $need = false ) {
		return array(
			'description' => $what,
			'type'        => 'string',
			'required'    => $need,
			'minLength'   => 1,
			'maxLength'   => 191,
		);
	}

	/**
	 * The schema of a count.
	 *
	 * @return array
	 */
	protected static function count_schema() {
		return array(
			'type'       => 'object',
			'properties' => array(
				'number' => array( 'type' => 'integer' ),
				'more'   => array(
					'type'        => 'boolean',
					'description' => __( 'Whether there are more than `number`, which counting ended at.', 'background-worker' ),
				),
			),
		);
	}
}
