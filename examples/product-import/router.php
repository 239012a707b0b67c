<?php
/**
 * What a web server's rewrite rules do, for PHP's own server: php -S 127.0.0.1:8080 -t SITE router.php
 *
 * @package Product_Import
 */

// phpcs:disable WordPress.Security.ValidatedSanitizedInput -- WordPress is not loaded here.
$product_import_path = rawurldecode( (string) parse_url( $_SERVER['REQUEST_URI'], PHP_URL_PATH ) );
$product_import_file = $_SERVER['DOCUMENT_ROOT'] . $product_import_path;

if ( preg_match( '#/\.#', $product_import_path ) ) {
	http_response_code( 403 ); // The SQLite file is one of these.
	exit;
}
if ( is_dir( $product_import_file ) && '/' !== substr( $product_import_path, -1 ) ) {
	header( "Location: $product_import_path/", true, 301 );
	exit;
}
if ( is_file( $product_import_file ) || is_file( "$product_import_file/index.php" ) ) {
	return false; // PHP's server does the rest.
}
$_SERVER['SCRIPT_NAME'] = '/index.php';
require $_SERVER['DOCUMENT_ROOT'] . '/index.php';
