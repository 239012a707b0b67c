<?php
/**
 * Activation and upgrades.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Sees to it that the tables are there, from activation through every update of the plugin.
 *
 * Deactivation keeps everything; uninstall.php removes it.
 */
final class Lifecycle {

	/**
	 * Why the last upgrade did not work.
	 *
	 * @var string|null
	 */
	private static $problem = null;

	/**
	 * Hooks in.
	 */
	public static function watch() {
		register_activation_hook( BACKGROUND_WORKER_FILE, array( __CLASS__, 'activate' ) );
		add_action( 'admin_init', array( __CLASS__, 'upgrade' ) );
		add_action( 'admin_notices', array( __CLASS__, 'notices' ) );
		add_action( 'network_admin_notices', array( __CLASS__, 'notices' ) );
		if ( ( defined( 'WP_CLI' ) && \WP_CLI ) || wp_doing_cron() ) {
			add_action( 'plugins_loaded', array( __CLASS__, 'upgrade' ) );
		}
	}

	/**
	 * Activation.
	 *
	 * @param bool $network_wide Whether for all blogs of a network.
	 */
	public static function activate( $network_wide = false ) {
		try {
			Schema::install();
			Older_Plugin::retire();
			if ( is_multisite() && $network_wide ) {
				foreach ( self::blogs() as $blog ) {
					switch_to_blog( $blog );
					Older_Plugin::retire();
					self::adopt();
					restore_current_blog();
				}
			} else {
				self::adopt();
			}
		} catch ( Write_Failed $failed ) {
			if ( defined( 'WP_CLI' ) && \WP_CLI ) {
				\WP_CLI::error( self::explain( $failed ) );
			}
			wp_die( esc_html( self::explain( $failed ) ) );
		}
	}

	/**
	 * Brings the tables up to date after an update of the plugin's files, if they are not.
	 */
	public static function upgrade() {
		if ( Older_Plugin::is_loaded() ) {
			Older_Plugin::retire();
		}
		try {
			Schema::ensure();
			self::adopt();
		} catch ( Write_Failed $failed ) {
			self::$problem = self::explain( $failed );
			if ( defined( 'WP_CLI' ) && \WP_CLI ) {
				\WP_CLI::warning( self::$problem );
			}
		}
	}

	/**
	 * Says in wp-admin what happened.
	 */
	public static function notices() {
		Older_Plugin::notice();
		if ( null !== self::$problem && current_user_can( 'activate_plugins' ) ) {
			echo '<div class="notice notice-error"><p>' . esc_html( self::$problem ) . '</p></div>';
		}
	}

	/**
	 * The ids of all blogs of the network.
	 *
	 * @return int[]
	 */
	public static function blogs() {
		return get_sites(
			array(
				'fields' => 'ids',
				'number' => 0,
			)
		);
	}

	/**
	 * On a network, takes over the older plugin's table of the current blog, if there was one and it is not done.
	 *
	 * @throws Write_Failed When the database refuses.
	 */
	private static function adopt() {
		$its_version = is_multisite() ? (int) get_option( Schema::OPTION ) : 0;
		if ( $its_version > 0 && $its_version < Schema::VERSION ) {
			Older_Table::adopt();
		}
	}

	/**
	 * The problem and what to do about it.
	 *
	 * @param Write_Failed $failed What the database said.
	 * @return string
	 */
	private static function explain( Write_Failed $failed ) {
		return sprintf(
			/* translators: %s: what the database said */
			__( 'Background Worker could not create or upgrade its tables (%s). Check that the database user may create and alter tables, then try again.', 'background-worker' ),
			$failed->getMessage()
		);
	}
}
