<?php
/**
 * The pages in wp-admin.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Tools → Background Jobs, on a network also in its own admin: one page that a script fills from the REST API.
 */
final class Dashboard {

	const SLUG = 'background-jobs';

	/**
	 * The scripts, each with those it needs first.
	 */
	const SCRIPTS = array(
		'base'       => array( 'wp-element', 'wp-components', 'wp-api-fetch', 'wp-i18n', 'wp-a11y', 'wp-url' ),
		'parts'      => array( 'base' ),
		'charts'     => array( 'parts' ),
		'statistics' => array( 'charts' ),
		'overview'   => array( 'statistics' ),
		'jobs'       => array( 'parts' ),
		'job'        => array( 'parts' ),
		'batches'    => array( 'parts' ),
		'queues'     => array( 'parts' ),
		'log'        => array( 'parts' ),
		'app'        => array( 'overview', 'jobs', 'job', 'batches', 'queues', 'log' ),
	);

	/**
	 * Hooks in.
	 */
	public static function watch() {
		add_action( 'rest_api_init', array( Rest_Routes::class, 'register_all' ) );
		Site_Health::watch();
		Alerts::watch();
		add_action( 'admin_menu', array( __CLASS__, 'add_page' ) );
		add_action( 'network_admin_menu', array( __CLASS__, 'add_network_page' ) );
		add_filter( 'plugin_action_links_' . plugin_basename( BACKGROUND_WORKER_FILE ), array( __CLASS__, 'links' ) );
	}

	/**
	 * Adds the page of a site.
	 */
	public static function add_page() {
		$page = add_management_page( __( 'Background Jobs', 'background-worker' ), __( 'Background Jobs', 'background-worker' ), Access::capability(), self::SLUG, array( __CLASS__, 'page' ) );
		self::prepare( $page );
	}

	/**
	 * Adds the page of a network.
	 */
	public static function add_network_page() {
		$page = add_submenu_page( 'settings.php', __( 'Background Jobs', 'background-worker' ), __( 'Background Jobs', 'background-worker' ), Access::capability(), self::SLUG, array( __CLASS__, 'page' ) );
		self::prepare( $page );
	}

	/**
	 * Where the page is.
	 *
	 * @param string $screen What to show of it, such as `jobs?status=failed`.
	 * @return string
	 */
	public static function url( $screen = '' ) {
		$page = is_network_admin() ? network_admin_url( 'settings.php?page=' . self::SLUG ) : admin_url( 'tools.php?page=' . self::SLUG );
		return $page . ( '' === $screen ? '' : "#/{$screen}" );
	}

	/**
	 * A link to it in the list of plugins.
	 *
	 * @param string[] $links The links.
	 * @return string[]
	 */
	public static function links( $links ) {
		if ( Access::is_allowed() ) {
			array_unshift( $links, '<a href="' . esc_url( self::url() ) . '">' . esc_html__( 'Background Jobs', 'background-worker' ) . '</a>' );
		}
		return $links;
	}

	/**
	 * The page; its script does the rest.
	 */
	public static function page() {
		echo '<div class="wrap bgw"><h1>' . esc_html__( 'Background Jobs', 'background-worker' ) . '</h1>';
		echo '<div id="background-jobs"><p>' . esc_html__( 'Loading…', 'background-worker' ) . '</p></div>';
		echo '<noscript><div class="notice notice-error"><p>' . esc_html__( 'This page needs JavaScript. On the worker’s machine, `wpbg status` and `wpbg jobs list` show the same.', 'background-worker' ) . '</p></div></noscript></div>';
	}

	/**
	 * Loads scripts and styles on the page only.
	 *
	 * @param string|false $page Its hook; false for those who may not see it.
	 */
	private static function prepare( $page ) {
		if ( $page ) {
			add_action(
				"load-{$page}",
				static function () {
					add_action( 'admin_enqueue_scripts', array( __CLASS__, 'enqueue' ) );
				}
			);
		}
	}

	/**
	 * Scripts and styles.
	 */
	public static function enqueue() {
		foreach ( self::SCRIPTS as $name => $needs ) {
			$needs = array_map(
				static function ( $need ) {
					return 0 === strpos( $need, 'wp-' ) ? $need : "background-worker-{$need}";
				},
				$needs
			);
			wp_register_script( "background-worker-{$name}", plugins_url( "assets/js/{$name}.js", BACKGROUND_WORKER_FILE ), $needs, self::version( "assets/js/{$name}.js" ), true );
			wp_set_script_translations( "background-worker-{$name}", 'background-worker', dirname( BACKGROUND_WORKER_FILE ) . '/languages' );
		}
		wp_enqueue_script( 'background-worker-app' );
		wp_enqueue_style( 'background-worker', plugins_url( 'assets/css/dashboard.css', BACKGROUND_WORKER_FILE ), array( 'wp-components' ), self::version( 'assets/css/dashboard.css' ) );
	}

	/**
	 * What a browser tells an edited file by.
	 *
	 * @param string $file Below the plugin's folder.
	 * @return string
	 */
	private static function version( $file ) {
		return BACKGROUND_WORKER_VERSION . '-' . (int) @filemtime( dirname( BACKGROUND_WORKER_FILE ) . "/{$file}" ); // phpcs:ignore -- A file of ours.
	}
}
