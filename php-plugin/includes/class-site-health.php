<?php
/**
 * Tools → Site Health.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Three tests of WordPress's own health check: workers are alive, jobs are not piling up, versions match.
 */
final class Site_Health {

	/**
	 * Hooks in.
	 */
	public static function watch() {
		add_filter( 'site_status_tests', array( __CLASS__, 'add' ) );
	}

	/**
	 * Adds the tests.
	 *
	 * @param array[] $tests The tests.
	 * @return array[]
	 */
	public static function add( $tests ) {
		if ( ! Access::is_allowed() && ! wp_doing_cron() ) {
			return $tests;
		}
		$tests['direct']['background_worker_alive']    = array(
			'label' => __( 'Background workers are alive', 'background-worker' ),
			'test'  => array( __CLASS__, 'alive' ),
		);
		$tests['direct']['background_worker_piling']   = array(
			'label' => __( 'Background jobs are not piling up', 'background-worker' ),
			'test'  => array( __CLASS__, 'piling' ),
		);
		$tests['direct']['background_worker_versions'] = array(
			'label' => __( 'Background worker and plugin are of the same version', 'background-worker' ),
			'test'  => array( __CLASS__, 'versions' ),
		);
		return $tests;
	}

	/**
	 * Workers are alive.
	 *
	 * @return array
	 */
	public static function alive() {
		return self::result( 'background_worker_alive', array( 'no_worker' ), __( 'Background workers are alive', 'background-worker' ), __( 'No background worker is alive', 'background-worker' ) );
	}

	/**
	 * Jobs are not piling up.
	 *
	 * @return array
	 */
	public static function piling() {
		return self::result( 'background_worker_piling', array( 'piling_up', 'unserved' ), __( 'Background jobs are not piling up', 'background-worker' ), __( 'Background jobs are piling up', 'background-worker' ) );
	}

	/**
	 * The versions match.
	 *
	 * @return array
	 */
	public static function versions() {
		return self::result( 'background_worker_versions', array( 'versions' ), __( 'Background worker and plugin are of the same version', 'background-worker' ), __( 'Background worker and plugin are of different versions', 'background-worker' ) );
	}

	/**
	 * The result of a test.
	 *
	 * @param string   $test  Its name.
	 * @param string[] $codes The problems that it is about.
	 * @param string   $good  The label when there is none of them.
	 * @param string   $bad   The label when there is.
	 * @return array
	 */
	private static function result( $test, array $codes, $good, $bad ) {
		$result = array(
			'label'       => $good,
			'status'      => 'good',
			'badge'       => array(
				'label' => __( 'Background jobs', 'background-worker' ),
				'color' => 'blue',
			),
			'description' => '',
			'actions'     => '<p><a href="' . esc_url( Dashboard::url() ) . '">' . esc_html__( 'Background Jobs', 'background-worker' ) . '</a></p>',
			'test'        => $test,
		);
		try {
			$health = Health::look();
		} catch ( Write_Failed $failed ) {
			$result['status']      = 'recommended';
			$result['label']       = $bad;
			$result['description'] = '<p>' . esc_html( $failed->getMessage() ) . '</p>';
			return $result;
		}
		$result['description'] = '<p>' . esc_html( $health['sentence'] ) . '</p>';
		foreach ( $health['problems'] as $problem ) {
			if ( in_array( $problem['code'], $codes, true ) ) {
				$result['status']      = 'bad' === $problem['weight'] ? 'critical' : 'recommended';
				$result['label']       = $bad;
				$result['description'] = '<p>' . esc_html( $problem['message'] ) . '</p><p>' . preg_replace( '/`([^`]*)`/', '<code>$1</code>', esc_html( $problem['advice'] ) ) . '</p>';
			}
		}
		return $result;
	}
}
