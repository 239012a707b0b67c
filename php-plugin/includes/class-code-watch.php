<?php
/**
 * The site's code, as this process has loaded it.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Notices that a file which this process has loaded was changed, that a must-use plugin or a drop-in came or went,
 * and that other plugins or another theme are active.
 */
final class Code_Watch {

	/**
	 * File => what identifies its content.
	 *
	 * @var string[]
	 */
	private $files = array();

	/**
	 * How many files were loaded when they were listed.
	 *
	 * @var int
	 */
	private $loaded = 0;

	/**
	 * What is active.
	 *
	 * @var string
	 */
	private $active;

	/**
	 * Remembers the code as it is now.
	 */
	public function __construct() {
		$this->note_new_files();
		foreach ( $this->places() as $place ) {
			$this->files[ $place ] = self::identify( $place );
		}
		$this->active = $this->what_is_active();
	}

	/**
	 * The first file found changed.
	 *
	 * @return string|null
	 */
	public function changed_file() {
		clearstatcache();
		foreach ( $this->files as $file => $identity ) {
			if ( self::identify( $file ) !== $identity ) {
				return $file;
			}
		}
		$this->note_new_files();
		return null;
	}

	/**
	 * Whether other plugins or another theme are active.
	 *
	 * @return bool
	 */
	public function plugins_changed() {
		$active = $this->what_is_active();
		return '' !== $active && $active !== $this->active;
	}

	/**
	 * Lists what has been loaded since.
	 */
	private function note_new_files() {
		$loaded = get_included_files();
		foreach ( array_slice( $loaded, $this->loaded ) as $file ) {
			if ( 0 !== strpos( $file, 'phar:' ) ) {
				$this->files[ $file ] = self::identify( $file );
			}
		}
		$this->loaded = count( $loaded );
	}

	/**
	 * Where code may appear that would be loaded by the next process.
	 *
	 * @return string[]
	 */
	private function places() {
		$places = array( WPMU_PLUGIN_DIR, WP_CONTENT_DIR . '/object-cache.php', WP_CONTENT_DIR . '/db.php', WP_CONTENT_DIR . '/sunrise.php' );
		foreach ( array( ABSPATH . 'wp-config.php', dirname( ABSPATH ) . '/wp-config.php' ) as $config ) {
			if ( is_file( $config ) ) {
				$places[] = $config; // WP-CLI runs its text; it is not among the loaded files.
				break;
			}
		}
		return $places;
	}

	/**
	 * What identifies a file's content: an edit within the same second, with the same size and even with its time
	 * put back, still changes the inode or, where it was written in place, its ctime.
	 *
	 * @param string $file A file or folder.
	 * @return string
	 */
	private static function identify( $file ) {
		$stat = @stat( $file ); // phpcs:ignore WordPress.PHP.NoSilencedErrors -- That it is not there is an answer.
		return $stat ? "{$stat['ino']}:{$stat['size']}:{$stat['mtime']}:{$stat['ctime']}" : '';
	}

	/**
	 * The active plugins and theme, as the database has them: options may be cached, filtered or both.
	 *
	 * @return string Empty when the database does not say.
	 */
	private function what_is_active() {
		global $wpdb;
		$names = array( 'active_plugins', 'template', 'stylesheet' );
		$rows  = (array) $wpdb->get_col( "SELECT option_value FROM {$wpdb->options} WHERE option_name IN ('" . implode( "', '", $names ) . "') ORDER BY option_name" ); // phpcs:ignore WordPress.DB -- Past the cache; constants.
		if ( is_multisite() ) {
			$rows[] = (string) $wpdb->get_var( "SELECT meta_value FROM {$wpdb->sitemeta} WHERE meta_key = 'active_sitewide_plugins' ORDER BY site_id LIMIT 1" ); // phpcs:ignore WordPress.DB -- As above.
		}
		return '' === $wpdb->last_error && $rows ? implode( "\n", $rows ) : '';
	}
}
