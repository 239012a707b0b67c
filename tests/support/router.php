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
if ( is_file( $background_worker_file ) || is_file( "$background_worker_file/index.php" ) ) {
	return false; // PHP's server does the rest.
}
$_SERVER['SCRIPT_NAME'] = '/index.php';
require $_SERVER['DOCUMENT_ROOT'] . '/index.php';
