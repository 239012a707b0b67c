<?php
/**
 * An Error is no Exception; it fails the job all the same.
 */

function fault_throws_type_error() {
	strlen( array() );
}
