<?php
/**
 * The other plugins that declare wp_async_task_add().
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Knows when one of them is about to be activated.
 *
 * WP Minions and WP Gears declare the function without looking whether it is there, which PHP does not forgive. Once
 * they are active they are first. But the request that activates one of them loads it last, so in that one request
 * this plugin has to go without.
 */
final class Other_Declarer {

	/**
	 * Whether this request or command activates one of them.
	 *
	 * @param string|null $words What it says.
	 * @return bool
	 */
	public static function is_about_to_come( $words = null ) {
		$words = $words ?? self::words();
		if ( ! preg_match( '~\bactivate\b|error_scrape|\btoggle\b|/wp/v2/plugins~i', $words ) ) {
			return false;
		}
		if ( preg_match( '~ install .*wp-?(minions|gears)~i', $words ) ) {
			return true; // Not there yet.
		}
		$is_all = false !== strpos( $words, ' --all' );
		$files  = array_merge( (array) glob( WP_PLUGIN_DIR . '/*/*.php' ), (array) glob( WP_PLUGIN_DIR . '/*.php' ) );
		foreach ( array_filter( $files ) as $file ) {
			$name = dirname( $file ) === WP_PLUGIN_DIR ? basename( $file, '.php' ) : basename( dirname( $file ) );
			if ( ( $is_all || false !== strpos( $words, $name ) ) && self::declares( $file ) ) {
				return true;
			}
		}
		return false;
	}

	/**
	 * What the request or command says.
	 *
	 * @return string
	 */
	private static function words() {
		if ( defined( 'WP_CLI' ) && \WP_CLI ) {
			return ' ' . implode( ' ', (array) ( $GLOBALS['argv'] ?? array() ) );
		}
		return self::request();
	}

	/**
	 * What the request says of plugins.
	 *
	 * @return string
	 */
	private static function request() {
		// phpcs:disable WordPress.Security -- Only looked for names of folders; whoever acts on it checks for itself.
		$fields = array_intersect_key( $_POST, array_flip( array( 'action', 'action2', 'plugin', 'slug', 'checked' ) ) );
		return rawurldecode( (string) ( $_SERVER['REQUEST_URI'] ?? '' ) ) . ' ' . wp_json_encode( $fields, JSON_UNESCAPED_SLASHES );
		// phpcs:enable
	}

	/**
	 * Whether the file is another plugin's and declares the function without looking.
	 *
	 * @param string $file The file.
	 * @return bool
	 */
	private static function declares( $file ) {
		return 0 !== strpos( $file, dirname( BACKGROUND_WORKER_FILE ) . '/' )
			&& (bool) preg_match( '/^function\s+wp_async_task_add\b/m', (string) file_get_contents( $file ) ); // phpcs:ignore WordPress.WP.AlternativeFunctions -- A file of this site.
	}
}
