<?php
/**
 * Plugin Name:       Background Worker
 * Description:       Background jobs that people can trust: add_async_job() here, the wpbg worker beside the site.
 * Version:           0.1.0
 * Requires at least: 6.1
 * Requires PHP:      7.4
 * License:           GPL-2.0-or-later
 * License URI:       https://www.gnu.org/licenses/gpl-2.0.html
 * Text Domain:       background-worker
 *
 * @package Background_Worker
 */

namespace Background_Worker;

defined( 'ABSPATH' ) || exit;

if ( defined( 'BACKGROUND_WORKER_VERSION' ) ) {
	return; // A second copy of this plugin, in a folder of another name.
}

define( 'BACKGROUND_WORKER_VERSION', '0.1.0' );
define( 'BACKGROUND_WORKER_FILE', __FILE__ );

// What wp-config.php does not say. Settings that have no value of their own here (ABW_NO_JOB_PERIOD,
// ABW_BACKEND, BACKGROUND_WORKER_LOG …) stay undefined: whoever reads them must see that nobody chose.
defined( 'ABW_QUEUE_NAME' ) || define( 'ABW_QUEUE_NAME', 'default' );
defined( 'ABW_TIMELIMIT' ) || define( 'ABW_TIMELIMIT', 300 );
defined( 'ABW_SLEEP' ) || define( 'ABW_SLEEP', 0 );
defined( 'ABW_DEBUG' ) || define( 'ABW_DEBUG', false );
defined( 'ABW_RETENTION_DAYS' ) || define( 'ABW_RETENTION_DAYS', 7 );

spl_autoload_register(
	static function ( $name ) {
		if ( 0 !== strpos( $name, __NAMESPACE__ . '\\' ) ) {
			return;
		}
		$file = strtolower( str_replace( '_', '-', substr( $name, strlen( __NAMESPACE__ ) + 1 ) ) );
		$path = __DIR__ . "/includes/class-{$file}.php";
		if ( preg_match( '/^[a-z0-9-]+$/', $file ) && is_file( $path ) ) {
			require_once $path;
		}
	}
);

require_once __DIR__ . '/includes/functions.php';

Lifecycle::watch();
Dashboard::watch();
Doorbell::watch();

if ( defined( 'WP_CLI' ) && \WP_CLI ) {
	\WP_CLI::add_command( 'background-worker', new Cli_Command() );
}
