<?php
/**
 * The public function of WP Gears and WP Minions, where neither is active.
 *
 * @package Background_Worker
 */

use Background_Worker\Enqueuer;

defined( 'ABSPATH' ) || exit;

if ( ! function_exists( 'wp_async_task_add' ) ) {
	/**
	 * WP Gears' and WP Minions' way to add a job: a worker runs do_action( $hook, $args ).
	 *
	 * With the constant ABW_GEARMAN_COMPAT and Gearman as backend, the job is written as WP Minions writes it, for its
	 * runner or ours.
	 *
	 * @param string $hook     The hook.
	 * @param mixed  $args     What its callbacks get, anything serialize() takes.
	 * @param string $priority 'high', 'normal' or 'low'.
	 * @return bool Whether the job was added. The `background_worker_add_failed` action tells why it was not.
	 */
	function wp_async_task_add( $hook, $args = array(), $priority = 'normal' ) {
		return Enqueuer::add_hook( $hook, $args, $priority );
	}
}
