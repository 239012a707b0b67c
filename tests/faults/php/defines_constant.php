<?php
/**
 * Defines a constant, which lasts as long as its process.
 */

function fault_defines_constant() {
	define( 'LEFT_BY_A_FAULT', 'constant' );
	return LEFT_BY_A_FAULT;
}
