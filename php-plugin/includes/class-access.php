<?php
/**
 * Who may look.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Says who may see and change the jobs: on the pages and in the REST API alike.
 */
final class Access {

	/**
	 * The capability that it takes.
	 *
	 * The tables of a network hold the jobs of all its blogs, so that there it is the network's administrators'.
	 *
	 * @return string
	 */
	public static function capability() {
		$default = is_multisite() ? 'manage_network_options' : 'manage_options';
		/**
		 * Filters the capability that it takes to see and change background jobs.
		 *
		 * @param string $capability Default `manage_options`; on a network, `manage_network_options`.
		 */
		return (string) apply_filters( 'background_worker_capability', $default );
	}

	/**
	 * Whether the current user may.
	 *
	 * @return bool
	 */
	public static function is_allowed() {
		return current_user_can( self::capability() );
	}
}
