<?php
/**
 * Calls what is not there.
 */

function fault_calls_undefined_function() {
	this_function_does_not_exist();
}
