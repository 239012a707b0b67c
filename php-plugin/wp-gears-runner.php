<?php
/**
 * The runner of WP Gears and WP Minions, for a supervisor entry that is there already:
 *
 *     ln -s wp-content/plugins/background-worker/wp-gears-runner.php /path/to/site/wp-gears-runner.php
 *     command=php /path/to/site/wp-gears-runner.php
 *
 * As theirs, it waits for a job, runs it and ends; the supervisor starts it again. It stays for two seconds at least:
 * supervisord takes a program that ends within one, as a quick job would have it, for one that does not start, and gives
 * it up (so does systemd, after five in ten seconds). `wpbg listen` in its place does many times as many jobs. The worker
 * takes this process's place, so the supervisor's signals reach it.
 *
 * WordPress is not loaded here, and nothing of this can be reached by a browser.
 *
 * @package Background_Worker
 */

// phpcs:disable WordPress.Security, WordPress.WP.AlternativeFunctions -- A program for the command line, without WordPress.

if ( 'cli' !== PHP_SAPI ) {
	http_response_code( 403 );
	exit;
}

( static function () {
	$stop = static function ( $why ) {
		fwrite( STDERR, "wp-gears-runner: {$why}\n" );
		exit( 3 );
	};

	// The name it was called by: __DIR__ is where a symlink leads to.
	$root    = '';
	$folders = array( dirname( (string) $_SERVER['SCRIPT_FILENAME'] ), (string) getcwd() );
	foreach ( $folders as $folder ) {
		if ( '' === $root && is_file( "{$folder}/wp-load.php" ) ) {
			$root = (string) realpath( $folder );
		}
	}
	if ( '' === $root ) {
		$stop( 'there is no WordPress (wp-load.php) in ' . implode( ' or ', array_unique( $folders ) ) . ': symlink this file into the root of the site, and call it there.' );
	}

	$program = (string) getenv( 'WPBG_BIN' );
	$places  = '' === $program ? array() : array( $program );
	foreach ( '' === $program ? explode( PATH_SEPARATOR, (string) getenv( 'PATH' ) ) : array() as $folder ) {
		$places[] = "{$folder}/wpbg";
	}
	$places = array_filter(
		$places,
		static function ( $file ) {
			return is_file( $file ) && is_executable( $file );
		}
	);
	if ( ! $places && '' !== $program ) {
		$stop( "WPBG_BIN names {$program}, and that is not a program." );
	}
	if ( ! $places ) {
		$stop( 'the worker, wpbg, is not on the PATH of this process: `pipx install wpbg` installs it; if it is somewhere else, name it with the environment variable WPBG_BIN.' );
	}
	if ( ! function_exists( 'pcntl_exec' ) ) {
		$stop( "PHP's pcntl extension is missing here, or its functions are switched off (disable_functions): install it (Debian and Ubuntu: php-cli), or have the supervisor run: wpbg listen --path {$root}" );
	}
	pcntl_exec( reset( $places ), array( 'listen', '--max-jobs', '1', '--min-time', '2', '--max-time', '300', '--path', $root ) );
	$stop( reset( $places ) . ' could not be started: ' . pcntl_strerror( pcntl_get_last_error() ) . '.' );
} )();
