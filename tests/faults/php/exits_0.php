<?php
/**
 * Ends the process as if all were well.
 */

function fault_exits_0() {
	echo 'leaving';
	exit( 0 );
}
