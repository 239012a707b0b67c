<?php
/**
 * Returns what JSON cannot hold.
 */

function fault_returns_unserializable() {
	return array( 'fine' => 1, 'handle' => fopen( 'php://memory', 'r' ), 'number' => INF, 'text' => "\xff" );
}
