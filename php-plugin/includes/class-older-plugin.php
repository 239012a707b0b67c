<?php
/**
 * The older plugin.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Switches off the older Async Background Worker: it declares functions of the same names, and its worker knows
 * nothing of leases.
 */
final class Older_Plugin {

	const FILE   = 'async-background-worker.php';
	const NOTICE = 'background_worker_older_retired';

	/**
	 * Whether it is loaded in this request.
	 *
	 * @return bool
	 */
	public static function is_loaded() {
		return function_exists( 'async_background_worker_install_db' );
	}

	/**
	 * Deactivates it on the current blog, and on the network, wherever it is active, and says so.
	 */
	public static function retire() {
		$active = (array) get_option( 'active_plugins', array() );
		if ( is_multisite() ) {
			$active = array_merge( $active, array_keys( (array) get_site_option( 'active_sitewide_plugins', array() ) ) );
		}
		$its_files = array();
		foreach ( $active as $file ) {
			if ( basename( $file ) === self::FILE ) {
				$its_files[] = $file;
			}
		}
		if ( ! $its_files ) {
			return;
		}
		require_once ABSPATH . 'wp-admin/includes/plugin.php';
		deactivate_plugins( $its_files, true );
		if ( defined( 'WP_CLI' ) && \WP_CLI ) {
			\WP_CLI::warning( self::message() );
		} else {
			set_transient( self::NOTICE, 1, DAY_IN_SECONDS );
		}
	}

	/**
	 * Says on the next page of plugins what was done.
	 */
	public static function notice() {
		global $pagenow;
		if ( 'plugins.php' === $pagenow && current_user_can( 'activate_plugins' ) && get_transient( self::NOTICE ) ) {
			delete_transient( self::NOTICE );
			echo '<div class="notice notice-warning"><p>' . esc_html( self::message() ) . '</p></div>';
		}
	}

	/**
	 * What was done.
	 *
	 * @return string
	 */
	private static function message() {
		return __( 'Background Worker takes the place of Async Background Worker, which has been deactivated. Its jobs were kept and will run.', 'background-worker' );
	}
}
