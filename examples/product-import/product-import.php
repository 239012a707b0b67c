<?php
/**
 * Plugin Name:       Product Import (example)
 * Description:       Imports a CSV file of products in the background, one job per row. An example for Background Worker.
 * Version:           1.0.0
 * Requires at least: 6.1
 * Requires PHP:      7.4
 * Requires Plugins:  background-worker
 * License:           GPL-2.0-or-later
 * Text Domain:       product-import
 *
 * How it works: product_import_enqueue() reads the file and adds one job per row; product_import_row() is
 * what a worker calls for each of them. The rest is what the two need.
 *
 * @package Product_Import
 */

defined( 'ABSPATH' ) || exit;

require_once __DIR__ . '/includes/class-invalid-row.php';
require_once __DIR__ . '/includes/class-row.php';
require_once __DIR__ . '/includes/class-store.php';
require_once __DIR__ . '/includes/class-file.php';

/**
 * The job: imports one row. What it returns is the job's result, what it throws is why the job failed.
 *
 * Safe to run again for the same row: the product is found by its SKU and updated.
 *
 * @param array $data `import`: the name of the import, `number`: the row's, from 1, `cells`: what is in it.
 * @return array What became of the row.
 * @throws Product_Import\Invalid_Row When the row cannot be imported; the message says why.
 */
function product_import_row( array $data ) {
	$row = Product_Import\Row::from_cells( $data['number'], $data['cells'] );
	background_job_progress( 1, 2, __( 'checked', 'product-import' ) );
	$saved = Product_Import\Store::save( $row, $data['import'] );
	background_job_progress( 2, 2, __( 'saved', 'product-import' ) );
	return $saved;
}

/**
 * Adds one job per row of a CSV file. The file is streamed: its size does not matter.
 *
 * @param string $path  The file; its first line names the columns.
 * @param string $batch The name under which the jobs can be looked up together.
 * @return string[]|WP_Error The ids of the jobs.
 */
function product_import_enqueue( $path, $batch ) {
	if ( ! function_exists( 'add_async_jobs' ) ) {
		return new WP_Error( 'no_worker', __( 'Background Worker is not active.', 'product-import' ) );
	}
	$file = Product_Import\File::open( $path );
	if ( is_wp_error( $file ) ) {
		return $file;
	}
	$jobs = ( static function () use ( $file, $batch ) {
		foreach ( $file->rows() as $number => $cells ) {
			yield (object) array(
				'function'  => 'product_import_row',
				'user_data' => array(
					'import' => $batch,
					'number' => $number,
					'cells'  => $cells,
				),
			);
		}
	} )();
	// A broken row does not get better by trying again.
	return add_async_jobs(
		$jobs,
		'product-import',
		array(
			'batch'        => $batch,
			'max_attempts' => 1,
			'timeout'      => 60,
		)
	);
}

add_action( 'init', array( Product_Import\Store::class, 'register' ) );
add_filter( 'the_content', array( Product_Import\Store::class, 'describe' ) );

register_activation_hook(
	__FILE__,
	static function () {
		Product_Import\Store::register();
		Product_Import\Store::create_categories();
		flush_rewrite_rules();
	}
);

if ( defined( 'WP_CLI' ) && WP_CLI ) {
	require_once __DIR__ . '/includes/class-cli-command.php';
	WP_CLI::add_command( 'product-import', Product_Import\Cli_Command::class );
}
