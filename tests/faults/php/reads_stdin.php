<?php
/**
 * Reads where the frames come in.
 */

function fault_reads_stdin() {
	return array(
		'read'  => file_get_contents( 'php://stdin' ),
		'child' => (string) shell_exec( 'cat' ),
	);
}
