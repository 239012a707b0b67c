<?php
/**
 * What a web server's rewrite rules do, for PHP's own server.
 *
 * @package Background_Worker
 */

$background_worker_path = rawurldecode( (string) parse_url( $_SERVER['REQUEST_URI'], PHP_URL_PATH ) ); // phpcs:ignore -- WordPress is not loaded here.
$background_worker_file = $_SERVER['DOCUMENT_ROOT'] . $background_worker_path;

if ( preg_match( '#/\.#', $background_worker_path ) ) {
	http_response_code( 403 ); // The SQLite file is one of these.
	exit;
}
// A blog of a network: what lies below its address is the network's own files.
if ( preg_match( '#^/[a-z]+(/wp-(?:admin|login\.php).*)$#', $background_worker_path, $background_worker_found ) && ! is_dir( $_SERVER['DOCUMENT_ROOT'] . '/' . strtok( $background_worker_path, '/' ) ) ) {
	$background_worker_file = $_SERVER['DOCUMENT_ROOT'] . $background_worker_found[1];
	if ( '.php' === substr( $background_worker_file, -4 ) && is_file( $background_worker_file ) ) {
		$_SERVER['SCRIPT_NAME']     = $background_worker_found[1];
		$_SERVER['PHP_SELF']        = $background_worker_found[1];
		$_SERVER['SCRIPT_FILENAME'] = $background_worker_file;
		chdir( dirname( $background_worker_file ) );
		require $background_worker_file;
		exit;
	}
}
if ( is_file( $background_worker_file ) || is_file( "$background_worker_file/index.php" ) ) {
	return false; // PHP's server does the rest.
}
$_SERVER['SCRIPT_NAME'] = '/index.php';
require $_SERVER['DOCUMENT_ROOT'] . '/index.php';
