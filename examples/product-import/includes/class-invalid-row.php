<?php
/**
 * A row that cannot be imported.
 *
 * @package Product_Import
 */

namespace Product_Import;

/**
 * Its message names the row, and all that is wrong with it.
 */
final class Invalid_Row extends \RuntimeException {

	/**
	 * Builds the message.
	 *
	 * @param int      $number   The row's number, from 1.
	 * @param string   $sku      Its SKU, empty where it has no usable one.
	 * @param string[] $problems What is wrong with it.
	 */
	public function __construct( $number, $sku, array $problems ) {
		parent::__construct(
			sprintf(
				'' === $sku
					/* translators: 1: row number, 3: problems. */
					? __( 'Row %1$d: %3$s', 'product-import' )
					/* translators: 1: row number, 2: SKU, 3: problems. */
					: __( 'Row %1$d (%2$s): %3$s', 'product-import' ),
				$number,
				$sku,
				implode( '; ', $problems )
			)
		);
	}
}
