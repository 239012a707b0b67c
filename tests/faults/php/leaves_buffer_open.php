<?php
/**
 * Leaves an output buffer open.
 */

function fault_leaves_buffer_open() {
	ob_start();
	echo 'in an open buffer';
	return 'open';
}
