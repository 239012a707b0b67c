<?php
/**
 * Ends the process with an error.
 */

function fault_exits_3() {
	echo 'leaving';
	exit( 3 );
}
