<?php
/**
 * Ends the process with a text, which is exit code 0.
 */

function fault_dies_with_text() {
	die( 'x' );
}
