<?php
/**
 * Speaks another language, lives elsewhere, and stays there.
 */

function fault_switches_locale() {
	switch_to_locale( 'de_DE' );
	date_default_timezone_set( 'Asia/Tokyo' );
	setlocale( LC_ALL, 'C.UTF-8' );
	chdir( '/' );
	umask( 0 );
	$_POST['left'] = 'by a fault';
	$_SERVER['REQUEST_METHOD'] = 'POST';
	$GLOBALS['post'] = get_post( 1 );
	return date_default_timezone_get();
}
