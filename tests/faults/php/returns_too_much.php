<?php
/**
 * Returns more than is kept.
 */

function fault_returns_too_much() {
	return str_repeat( 'r', 2 * 1024 * 1024 );
}
