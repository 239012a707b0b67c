<?php
/**
 * Runs longer than its limit.
 */

function fault_sleeps_past_limit() {
	sleep( 30 );
}
