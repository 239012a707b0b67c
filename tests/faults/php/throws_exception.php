<?php
/**
 * Fails as callbacks should: with an exception.
 */

function fault_throws_exception() {
	echo 'before it fails';
	throw new Exception( 'The warehouse does not answer.' );
}
