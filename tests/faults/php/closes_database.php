<?php
/**
 * Closes the connection to the database.
 */

function fault_closes_database() {
	global $wpdb;
	return $wpdb->close();
}
