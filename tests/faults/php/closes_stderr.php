<?php
/**
 * Closes stderr, then warns.
 */

function fault_closes_stderr() {
	fclose( STDERR );
	trigger_error( 'nobody hears this', E_USER_WARNING );
	return 'closed';
}
