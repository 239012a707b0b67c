<?php
/**
 * The site's code, as this process has loaded it.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Notices that a file which this process has loaded was changed, that a must-use plugin or a drop-in came or went,
 * that a link leads to another release, and that other plugins or another theme are active.
 *
 * PHP tells the times of a file in whole seconds. So a file that was changed in this second or the last is known by
 * its content as well, until it has come to rest; and one that was changed since this process began to boot may have
 * been loaded before that or after: it counts as changed.
 */
final class Code_Watch {

	/**
	 * Seconds after its last change in which a file may change again without another time.
	 */
	const UNREST = 2;

	/**
	 * File or folder => what identifies it, and its content while that is needed.
	 *
	 * @var array{0: string, 1: string|null}[]
	 */
	private $files = array();

	/**
	 * Folder => which one it is. What is in it may change; that it is another one may not.
	 *
	 * @var string[]
	 */
	private $folders = array();

	/**
	 * How many files were loaded when they were listed.
	 *
	 * @var int
	 */
	private $loaded = 0;

	/**
	 * When the files were looked at last, Unix time. One that was loaded and changed since may have been loaded before
	 * its change.
	 *
	 * @var int
	 */
	private $looked_at;

	/**
	 * What is active; null when that is not what was loaded.
	 *
	 * @var string[]|null
	 */
	private $active;

	/**
	 * Remembers the code as it is now.
	 *
	 * @param string $site The folder by which the worker knows the site; it may be a link to a release.
	 */
	public function __construct( $site = '' ) {
		$this->looked_at = time();
		$this->note_new_files( (int) ( $_SERVER['REQUEST_TIME'] ?? time() ) );
		foreach ( self::places() as $place ) {
			$this->note( $place );
		}
		foreach ( self::ways( $site ) as $way ) {
			$this->folders[ $way ] = self::which( $way );
		}
		$active       = self::active();
		$booted       = self::booted_with();
		$this->active = array_intersect_key( $active, $booted ) === $booted ? $active : null;
	}

	/**
	 * The first file or folder found changed.
	 *
	 * @return string|null
	 */
	public function changed_file() {
		clearstatcache();
		$now = time();
		foreach ( $this->folders as $folder => $which ) {
			if ( self::which( $folder ) !== $which ) {
				return $folder;
			}
		}
		foreach ( $this->files as $file => list( $identity, $content ) ) {
			if ( self::identify( $file ) !== $identity || ( null !== $content && self::content( $file ) !== $content ) ) {
				return $file;
			}
			if ( null !== $content ) {
				$this->note( $file );
			}
		}
		$changed         = $this->note_new_files( $this->looked_at );
		$this->looked_at = $now;
		return $changed;
	}

	/**
	 * Whether other plugins or another theme are active than were loaded.
	 *
	 * @return bool
	 */
	public function plugins_changed() {
		$active = self::active();
		return $active && $active !== $this->active;
	}

	/**
	 * Lists what has been loaded since.
	 *
	 * @param int $began Unix time. A file that was changed since then counts as changed.
	 * @return string|null One that does.
	 */
	private function note_new_files( $began ) {
		$found  = null;
		$loaded = get_included_files();
		foreach ( array_slice( $loaded, $this->loaded ) as $file ) {
			if ( 0 === strpos( $file, 'phar:' ) || 0 === strpos( $file, WP_CONTENT_DIR . '/cache/' ) ) {
				continue; // There is no changing the first; the second is data in the form of PHP.
			}
			$this->note( $file );
			$changed = (int) @filectime( $file ); // phpcs:ignore WordPress.PHP.NoSilencedErrors -- As below.
			if ( $changed >= $began && $changed <= time() ) {
				$this->files[ $file ] = array( 'changed while this process booted', null );
				$found                = $file;
			}
		}
		$this->loaded = count( $loaded );
		return $found;
	}

	/**
	 * Remembers a file or folder as it is now.
	 *
	 * @param string $file Its path.
	 */
	private function note( $file ) {
		$stat    = @stat( $file ); // phpcs:ignore WordPress.PHP.NoSilencedErrors -- That it is not there is an answer.
		$at_rest = ! $stat || max( $stat['mtime'], $stat['ctime'] ) + self::UNREST <= time();

		$this->files[ $file ] = array( self::identify( $file ), $at_rest ? null : self::content( $file ) );
	}

	/**
	 * Where code may appear that would be loaded by the next process.
	 *
	 * @return string[]
	 */
	private static function places() {
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
	 * The folders on the way to the code. PHP knows loaded files by where links led when it loaded them.
	 *
	 * @param string $site As in the constructor.
	 * @return string[]
	 */
	private static function ways( $site ) {
		$plugins = wp_get_active_and_valid_plugins();
		if ( is_multisite() ) {
			$plugins = array_merge( $plugins, wp_get_active_network_plugins() );
		}
		$folders = array( $site, ABSPATH, WP_CONTENT_DIR, WP_PLUGIN_DIR, WPMU_PLUGIN_DIR, get_template_directory(), get_stylesheet_directory() );
		$folders = array_values( array_unique( array_merge( $folders, array_map( 'dirname', $plugins ) ) ) );
		$links   = array_merge( array_filter( $plugins, 'is_link' ), ...array_map( array( __CLASS__, 'links_in' ), $folders ) );
		return array_filter( array_unique( array_merge( $folders, $links ) ), 'file_exists' );
	}

	/**
	 * The links in a folder, such as a plugin's to its libraries.
	 *
	 * @param string $folder The folder.
	 * @return string[]
	 */
	private static function links_in( $folder ) {
		$links = array();
		$names = '' === $folder ? false : @scandir( $folder ); // phpcs:ignore WordPress.PHP.NoSilencedErrors -- It may not be there.
		foreach ( $names ? $names : array() as $name ) {
			if ( is_link( "$folder/$name" ) ) {
				$links[] = "$folder/$name";
			}
		}
		return $links;
	}

	/**
	 * What identifies a file's content, once it has come to rest: an edit with the same size, and even with its time
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
	 * Which file or folder this is, wherever links lead.
	 *
	 * @param string $file A file or folder.
	 * @return string
	 */
	private static function which( $file ) {
		$stat = @stat( $file ); // phpcs:ignore WordPress.PHP.NoSilencedErrors -- That it is not there is an answer.
		return $stat ? "{$stat['dev']}:{$stat['ino']}" : '';
	}

	/**
	 * The content of a file, or the names in a folder, in short.
	 *
	 * @param string $file A file or folder.
	 * @return string
	 */
	private static function content( $file ) {
		return is_dir( $file ) ? md5( implode( '/', (array) scandir( $file ) ) ) : (string) @md5_file( $file ); // phpcs:ignore WordPress.PHP.NoSilencedErrors -- As above.
	}

	/**
	 * The active plugins and theme, as the database has them: options may be cached, filtered or both.
	 *
	 * @return string[] By option; empty when the database does not say.
	 */
	private static function active() {
		global $wpdb;
		$active = array();
		$rows   = $wpdb->get_results( "SELECT option_name, option_value FROM {$wpdb->options} WHERE option_name IN ('active_plugins', 'template', 'stylesheet')" ); // phpcs:ignore WordPress.DB -- Past the cache.
		foreach ( (array) $rows as $row ) {
			$active[ $row->option_name ] = $row->option_value;
		}
		if ( $active && is_multisite() ) {
			$active['active_sitewide_plugins'] = (string) $wpdb->get_var( "SELECT meta_value FROM {$wpdb->sitemeta} WHERE meta_key = 'active_sitewide_plugins' ORDER BY site_id LIMIT 1" ); // phpcs:ignore WordPress.DB -- As above.
		}
		ksort( $active );
		return '' === $wpdb->last_error ? $active : array();
	}

	/**
	 * The same, as it was when WordPress loaded them, as far as that is known: it has read them into its cache.
	 *
	 * @return string[]
	 */
	private static function booted_with() {
		if ( wp_using_ext_object_cache() ) {
			return array(); // That one may be newer than this process, or older than the database.
		}
		$booted = array_intersect_key( (array) wp_cache_get( 'alloptions', 'options' ), array_flip( array( 'active_plugins', 'template', 'stylesheet' ) ) );
		$found  = false;
		$wide   = is_multisite() ? wp_cache_get( get_current_network_id() . ':active_sitewide_plugins', 'site-options', false, $found ) : null;
		if ( $found ) {
			$booted['active_sitewide_plugins'] = (string) maybe_serialize( $wide );
		}
		ksort( $booted );
		return $booted;
	}
}
