<?php
/**
 * Swallows the time limit's exception and goes on.
 */

function fault_ignores_time_limit() {
	while ( true ) {
		try {
			sleep( 60 );
		} catch ( Throwable $thrown ) {
			echo get_class( $thrown ), ' ignored';
		}
	}
}
