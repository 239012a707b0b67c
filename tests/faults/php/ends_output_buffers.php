<?php
/**
 * Ends every output buffer, ours too.
 */

function fault_ends_output_buffers() {
	while ( ob_get_level() ) {
		ob_end_clean();
	}
	echo 'past the buffers';
	return 'ended';
}
