<?php
/**
 * Ends by a real segmentation fault: it writes where nothing is.
 */

function fault_segfaults_in_ffi() {
	$pointer = FFI::cdef()->cast( 'char *', 1 );
	$pointer[0] = 'x';
}
