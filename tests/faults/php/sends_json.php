<?php
/**
 * Answers as an AJAX handler does, and ends the process.
 */

function fault_sends_json() {
	wp_send_json_success( array( 'sent' => true ) );
}
