<?php
/**
 * `wp background-worker` as a package of WP-CLI: the command is there before, and without, the plugin of a site.
 *
 * Composer loads this file; with the plugin active nothing changes. Outside of WP-CLI it does nothing.
 *
 * @package Background_Worker
 */

if ( ! class_exists( 'WP_CLI', false ) ) {
	return;
}

if ( ! class_exists( 'Background_Worker\Cli_Command', false ) ) {
	require_once __DIR__ . '/includes/class-cli-command.php';
}

WP_CLI::add_command( 'background-worker', 'Background_Worker\Cli_Command' );
