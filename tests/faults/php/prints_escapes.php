<?php
/**
 * Prints bytes that are no text and codes that steer terminals.
 */

function fault_prints_escapes() {
	echo "\x1b[2J\x1b]0;owned\x07", "\xff\xfe", "\0";
	throw new Exception( "\x1b[31mred\x1b[0m \xff" );
}
