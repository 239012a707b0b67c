<?php
/**
 * Shows WordPress's error page, where there is nobody to see it.
 */

function fault_wp_dies() {
	wp_die( '<p>You are <b>not</b> allowed to do this.</p>' );
}
