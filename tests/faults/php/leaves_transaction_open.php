<?php
/**
 * Begins a transaction and forgets it, with a change in it.
 */

function fault_leaves_transaction_open() {
	global $wpdb;
	$wpdb->query( 'START TRANSACTION' );
	update_option( 'left_in_transaction', 'lost', false );
	return 'open';
}
