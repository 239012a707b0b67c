<?php
/**
 * Leaves somebody logged in.
 */

function fault_sets_current_user() {
	wp_set_current_user( 1 );
	return get_current_user_id();
}
