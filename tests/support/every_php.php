<?php
/**
 * Run inside a WordPress by `wp eval-file`, under any PHP: every file of the plugin parses and compiles, what needs no
 * other process works, and nothing is deprecated. Prints one line.
 */

namespace Background_Worker;

set_error_handler(
	static function ( $kind, $message, $file, $line ) {
		if ( false !== strpos( $file, '/background-worker/' ) ) {
			throw new \ErrorException( $message, 0, $kind, $file, $line );
		}
		return false; // WordPress's own.
	}
);

$folder = dirname( BACKGROUND_WORKER_FILE );
$files  = 0;
foreach ( new \RecursiveIteratorIterator( new \RecursiveDirectoryIterator( $folder, \FilesystemIterator::SKIP_DOTS ) ) as $file ) {
	if ( 'php' !== $file->getExtension() ) {
		continue;
	}
	token_get_all( file_get_contents( $file->getPathname() ), TOKEN_PARSE ); // Throws a ParseError.
	++$files;
	if ( preg_match( '/^class-(.+)\.php$/', $file->getFilename(), $name ) ) {
		$class = __NAMESPACE__ . '\\' . str_replace( '-', '_', ucwords( $name[1], '-' ) );
		if ( ! class_exists( $class ) && ! interface_exists( $class ) && ! trait_exists( $class ) ) {
			throw new \Exception( "{$class} is not in {$file}" );
		}
	}
}

function must( $condition, $what ) {
	if ( ! $condition ) {
		throw new \Exception( $what );
	}
}

class Gadget {
	private $secret = "\0\xff";
	public function go( $data ) {
		return $data;
	}
}

$job = static function ( $function, $data ) {
	return (object) array(
		'function'  => $function,
		'user_data' => $data,
	);
};

global $wpdb;
$table = $wpdb->base_prefix . 'bg_jobs';
$id    = add_async_job( $job( 'strtoupper', "bytes \0\xff" ), 'versions', array( 'unique' => 'one', 'batch' => 'b', 'priority' => 'high', 'max_attempts' => 2 ) );
must( is_string( $id ) && '' !== $id, 'add_async_job' );
must( add_async_job( $job( 'strtoupper', 'x' ), 'versions', array( 'unique' => 'one' ) ) === $id, 'a unique key' );
must( is_string( add_async_job( $job( array( new Gadget(), 'go' ), array( 1 ) ), 'versions', array( 'delay' => 60 ) ) ), 'an object as callable' );
must( is_wp_error( add_async_job( $job( 'no_such_function', null ), 'versions', array( 'delay' => -1 ) ) ), 'a wrong option is refused' );
$many = add_async_jobs(
	( static function () use ( $job ) {
		for ( $i = 0; $i < 250; $i++ ) {
			yield $job( 'strtoupper', $i );
		}
	} )(),
	'versions'
);
must( 250 === count( array_unique( $many ) ), 'add_async_jobs' );
must( true === wp_async_task_add( 'a_hook', array( 'a' => 1 ), 'low' ), 'wp_async_task_add' );
must( null === background_job(), 'background_job outside of a job' );
$row = $wpdb->get_row( $wpdb->prepare( "SELECT * FROM {$table} WHERE id = %d", $id ), ARRAY_A );
must( "bytes \0\xff" === unserialize( $row['payload'] )->user_data, 'payloads stay bytes' );
must( array() === Schema::missing(), 'the tables are whole' );
must( is_array( Lane::facts() ), 'facts of the lane' );
$response = rest_do_request( new \WP_REST_Request( 'GET', '/' ) );
must( 200 === $response->get_status(), 'REST routes register' );

printf( "PHP %s, WordPress %s: %d files, %d jobs\n", PHP_VERSION, $GLOBALS['wp_version'], $files, $wpdb->get_var( "SELECT COUNT(*) FROM {$table}" ) );
