<?php
/**
 * `wp background-worker`.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Runs background jobs: the same program as `wpbg`, which takes this process's place.
 */
final class Cli_Command {

	const VERBS = array( 'run', 'listen', 'listen-loop' );

	/**
	 * The exit code for a site or machine on which it cannot work.
	 */
	const UNUSABLE = 3;
	const MISUSED  = 2;

	/**
	 * WP-CLI's own flags that decide how WordPress is started; the worker starts it the same way.
	 */
	const BOOT_FLAGS = array( 'user', 'skip-plugins', 'skip-themes', 'skip-packages', 'require', 'exec', 'context', 'allow-root' );

	/**
	 * Runs background jobs with the wpbg worker.
	 *
	 * The program `wpbg` takes this command's place, so that signals reach it.
	 * TERM lets the running jobs finish, a second one stops them.
	 *
	 * ## OPTIONS
	 *
	 * [<verb>...]
	 * : `listen` works until it is stopped, `listen-loop` too, with one PHP process for many jobs.
	 * `run`, or nothing, runs one job and ends.
	 * `skip-lock` is the flag --skip-lock.
	 *
	 * [--queue_name=<queue>]
	 * : The queue to work on; several with commas, or give it again. The order is their precedence.
	 *
	 * [--name=<name>]
	 * : The worker's name, for logs and lists.
	 *
	 * [--<field>=<value>]
	 * : Any other flag of `wpbg listen`, such as --concurrency=4: see `wpbg listen --help`.
	 *
	 * ## EXAMPLES
	 *
	 *     # Run one job, if one is waiting.
	 *     $ wp background-worker
	 *
	 *     # Work on one queue until Ctrl-C.
	 *     $ wp background-worker listen --queue_name=special_queue --name=w1
	 *
	 *     # Four jobs at a time, urgent ones first.
	 *     $ wp background-worker listen --queue_name=urgent,default --concurrency=4
	 *
	 * @when after_wp_load
	 *
	 * @param string[] $args  Words.
	 * @param array    $flags Flags, without WP-CLI's own.
	 */
	public function __invoke( $args, $flags ) {
		if ( ! function_exists( 'pcntl_exec' ) ) {
			self::stop( "PHP's pcntl extension is missing here, or its functions are switched off (disable_functions), so this command cannot hand over to wpbg: install it (Debian and Ubuntu: php-cli; Fedora and RHEL: php-process; Alpine: php-pcntl; Docker images: docker-php-ext-install pcntl), or run wpbg itself.", self::UNUSABLE );
		}
		$words       = array_merge( self::words( $args, $flags ), self::site() );
		$environment = array_merge( getenv(), array( 'WPBG_WP' => self::wp_cli() ) );
		$program     = self::program();
		self::let_go();
		@pcntl_exec( $program, $words, $environment ); // phpcs:ignore WordPress.PHP.NoSilencedErrors -- It returns only when it failed; said below.
		self::stop( sprintf( '%s could not be started: %s.', $program, pcntl_strerror( pcntl_get_last_error() ) ), self::UNUSABLE );
	}

	/**
	 * The words for wpbg.
	 *
	 * @param string[] $args  Words.
	 * @param array    $flags Flags.
	 * @return string[]
	 */
	private static function words( array $args, array $flags ) {
		$skip_lock = in_array( 'skip-lock', $args, true );
		$args      = array_values( array_diff( $args, array( 'skip-lock' ) ) );
		$verb      = $args[0] ?? 'run';
		if ( count( $args ) > 1 || ! in_array( $verb, self::VERBS, true ) ) {
			self::stop( sprintf( '"%s" is not understood: one of %s is, with "skip-lock" behind it or not. Flags are written --name=value.', implode( ' ', $args ), implode( ', ', self::VERBS ) ), self::MISUSED );
		}
		$words = array( $verb );
		if ( $skip_lock ) {
			$words[] = '--skip-lock';
		}
		foreach ( self::queues( $flags ) as $queue ) {
			$words[] = "--queue={$queue}";
		}
		foreach ( $flags as $name => $value ) {
			if ( 'queue_name' !== $name && 'queue' !== $name ) {
				$words[] = self::flag( $name, $value );
			}
		}
		return $words;
	}

	/**
	 * A flag as it was written.
	 *
	 * @param string      $name  Its name.
	 * @param string|bool $value Its value; true for --name, false for --no-name.
	 * @return string
	 */
	private static function flag( $name, $value ) {
		if ( is_bool( $value ) ) {
			return $value ? "--{$name}" : "--no-{$name}";
		}
		return "--{$name}={$value}";
	}

	/**
	 * The queues that were named. WP-CLI keeps only the last of a repeated flag, so the command line is read again.
	 *
	 * @param array $flags Flags.
	 * @return string[]
	 */
	private static function queues( array $flags ) {
		$named = array();
		foreach ( self::command_line() as $word ) {
			if ( preg_match( '/^--(queue_name|queue)(?:=(.*))?$/s', $word, $found ) ) {
				$named[] = array( $found[1], $found[2] ?? '' );
			}
		}
		foreach ( $named ? array() : array( 'queue_name', 'queue' ) as $name ) {
			if ( isset( $flags[ $name ] ) ) {
				$named[] = array( $name, $flags[ $name ] ); // Called by another command, inside its process.
			}
		}
		$queues = array();
		foreach ( $named as list( $name, $value ) ) {
			$values = array_filter( 'queue_name' === $name && is_string( $value ) ? explode( ',', $value ) : array( $value ), 'is_string' );
			foreach ( $values ? $values : array( '' ) as $queue ) {
				if ( '' === $queue ) {
					self::stop( "--{$name} needs the name of a queue: --{$name}=NAME.", self::MISUSED );
				}
				$queues[] = $queue;
			}
		}
		return $queues;
	}

	/**
	 * The words that name this site.
	 *
	 * @return string[]
	 */
	private static function site() {
		$words = array( '--path=' . untrailingslashit( ABSPATH ) );
		$url   = \WP_CLI::get_runner()->config['url'] ?? '';
		if ( $url ) {
			$words[] = "--url={$url}";
		}
		return $words;
	}

	/**
	 * How WP-CLI was started, as words for a shell: the worker starts it with the same PHP and the same flags.
	 *
	 * @return string
	 */
	private static function wp_cli() {
		$words = self::interpreter();
		$given = \WP_CLI::get_runner()->runtime_config;
		foreach ( self::BOOT_FLAGS as $name ) {
			foreach ( array_key_exists( $name, $given ) ? (array) $given[ $name ] : array() as $value ) {
				$words[] = self::flag( $name, $value );
			}
		}
		return implode( ' ', array_map( array( __CLASS__, 'quote' ), $words ) );
	}

	/**
	 * A word for a shell. In the C locale, escapeshellarg() drops every letter that is not ASCII.
	 *
	 * @param string $word The word.
	 * @return string
	 */
	private static function quote( $word ) {
		return preg_match( '~^[\w@%+=:,./-]+$~', $word ) ? $word : "'" . str_replace( "'", "'\\''", $word ) . "'";
	}

	/**
	 * PHP with its own flags, and WP-CLI's file.
	 *
	 * @return string[]
	 */
	private static function interpreter() {
		$script = class_exists( 'Phar', false ) && '' !== \Phar::running( false ) ? \Phar::running( false ) : (string) realpath( $_SERVER['argv'][0] ); // phpcs:ignore WordPress.Security.ValidatedSanitizedInput -- The command line.
		$told   = @file_get_contents( '/proc/self/cmdline' ); // phpcs:ignore -- Linux only; elsewhere PHP's own flags are lost.
		$all    = is_string( $told ) ? explode( "\0", rtrim( $told, "\0" ) ) : array();
		$before = array_slice( $all, 0, max( 0, count( $all ) - count( $_SERVER['argv'] ) ) );
		if ( ! $before || $_SERVER['argv'][0] !== ( $all[ count( $before ) ] ?? null ) ) { // phpcs:ignore WordPress.Security.ValidatedSanitizedInput -- As above.
			return array( PHP_BINARY, $script );
		}
		return array_merge( array( PHP_BINARY ), array_slice( $before, 1 ), array( $script ) );
	}

	/**
	 * The words of this command's line.
	 *
	 * @return string[]
	 */
	private static function command_line() {
		return array_slice( (array) ( $_SERVER['argv'] ?? array() ), 1 ); // phpcs:ignore WordPress.Security.ValidatedSanitizedInput -- Words for another program, which checks them.
	}

	/**
	 * Where wpbg is: the constant or the environment WPBG_BIN, else on the PATH.
	 *
	 * @return string
	 */
	private static function program() {
		$named = defined( 'WPBG_BIN' ) ? (string) WPBG_BIN : (string) getenv( 'WPBG_BIN' );
		if ( '' !== $named ) {
			if ( ! self::is_program( $named ) ) {
				self::stop( sprintf( 'WPBG_BIN names %s, and that is not a program.', $named ), self::UNUSABLE );
			}
			return $named;
		}
		foreach ( explode( PATH_SEPARATOR, (string) getenv( 'PATH' ) ) as $folder ) {
			if ( '' !== $folder && self::is_program( "{$folder}/wpbg" ) ) {
				return "{$folder}/wpbg";
			}
		}
		self::stop( 'the worker, wpbg, is not installed on this machine: `pipx install wpbg` (or `pip install wpbg`) installs it; if it is somewhere else, name it with the environment variable or constant WPBG_BIN.', self::UNUSABLE );
	}

	/**
	 * Whether a file can be run.
	 *
	 * @param string $path Its path.
	 * @return bool
	 */
	private static function is_program( $path ) {
		return is_file( $path ) && is_executable( $path );
	}

	/**
	 * Lets go of what wpbg must not inherit: the connection to the database, and what has not been printed yet.
	 */
	private static function let_go() {
		global $wpdb;
		while ( ob_get_level() > 0 && ob_end_flush() ) {
			continue;
		}
		flush();
		$wpdb->close();
	}

	/**
	 * Ends with an error.
	 *
	 * @param string $message What and why.
	 * @param int    $code    Exit code.
	 * @return never
	 */
	private static function stop( $message, $code ) {
		\WP_CLI::error( $message, false );
		exit( (int) $code );
	}
}
