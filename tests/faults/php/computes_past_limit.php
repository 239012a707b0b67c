<?php
/**
 * Runs longer than its limit without ever calling anything that waits.
 */

function fault_computes_past_limit() {
	for ( $i = 0; ; $i++ ) {
		$i = $i % 1000;
	}
}
