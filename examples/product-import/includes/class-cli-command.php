<?php
/**
 * The command line.
 *
 * @package Product_Import
 */

namespace Product_Import;

use WP_CLI;

/**
 * Imports products from a CSV file in the background.
 */
final class Cli_Command {

	/**
	 * Adds one background job per row of a CSV file.
	 *
	 * ## OPTIONS
	 *
	 * [<file>]
	 * : The CSV file. Default: the one that comes with this example.
	 *
	 * [--batch=<name>]
	 * : The name under which the jobs can be looked up together. Default: product-import and the time.
	 *
	 * [--porcelain]
	 * : Print only the ids of the jobs, one per line.
	 *
	 * ## EXAMPLES
	 *
	 *     wp product-import enqueue products.csv --batch=spring
	 *     wpbg listen --queue product-import --stop-when-empty
	 *
	 * @param array $args       The file.
	 * @param array $assoc_args The options.
	 */
	public function enqueue( $args, $assoc_args ) {
		$file  = $args[0] ?? dirname( __DIR__ ) . '/products.csv';
		$batch = $assoc_args['batch'] ?? gmdate( '\p\r\o\d\u\c\t-\i\m\p\o\r\t Y-m-d H:i:s' );
		$ids   = product_import_enqueue( $file, $batch );
		if ( is_wp_error( $ids ) ) {
			WP_CLI::error( $ids );
		}
		if ( WP_CLI\Utils\get_flag_value( $assoc_args, 'porcelain' ) ) {
			WP_CLI::line( implode( "\n", $ids ) );
			return;
		}
		/* translators: 1: number of jobs, 2: name of the batch. */
		WP_CLI::success( sprintf( __( '%1$d jobs added as batch "%2$s".', 'product-import' ), count( $ids ), $batch ) );
	}
}
