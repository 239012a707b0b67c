<?php
/**
 * Removes the tables, with every job in them, and the options.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

defined( 'WP_UNINSTALL_PLUGIN' ) || exit;

foreach ( array( 'write-failed', 'database', 'schema', 'kept-tables', 'older-plugin' ) as $background_worker_file ) {
	require_once __DIR__ . "/includes/class-{$background_worker_file}.php";
}

Schema::remove();

$background_worker_blogs = is_multisite()
	? get_sites(
		array(
			'fields' => 'ids',
			'number' => 0,
		)
	)
	: array( get_current_blog_id() );

foreach ( $background_worker_blogs as $background_worker_blog ) {
	if ( is_multisite() ) {
		switch_to_blog( $background_worker_blog );
	}
	delete_option( Schema::OPTION ); // The older plugin's, one for each blog.
	delete_transient( Older_Plugin::NOTICE );
	if ( is_multisite() ) {
		restore_current_blog();
	}
}

delete_site_option( 'background_worker_alerted' );
delete_site_transient( 'background_worker_stuck' );
delete_site_transient( 'background_worker_broker' );
delete_site_transient( 'background_worker_waits' );
wp_clear_scheduled_hook( 'background_worker_alert' );
