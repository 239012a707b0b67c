<?php
/**
 * One row of the file, checked.
 *
 * @package Product_Import
 */

namespace Product_Import;

/**
 * What is in a row, once it is known to be good. Knows nothing of the database.
 */
final class Row {

	const COLUMNS    = array( 'sku', 'name', 'price', 'category', 'stock', 'weight_kg', 'description' );
	const CATEGORIES = array( 'Kitchen', 'Garden', 'Office', 'Toys', 'Books', 'Outdoor' );

	/**
	 * Dearer than this is taken for a slip of the decimal point.
	 */
	const HIGHEST_PRICE = 10000;

	/**
	 * The row's number in the file, from 1.
	 *
	 * @var int
	 */
	public $number;

	/**
	 * The cells by column.
	 *
	 * @var array<string, string>
	 */
	public $cells;

	/**
	 * What is wrong with the row.
	 *
	 * @var string[]
	 */
	private $problems = array();

	/**
	 * Checks a row.
	 *
	 * @param int      $number Its number, from 1.
	 * @param string[] $cells  Its cells in the order of the columns.
	 * @return self
	 * @throws Invalid_Row With everything that is wrong, not only with the first thing.
	 */
	public static function from_cells( $number, array $cells ) {
		$row         = new self();
		$row->number = $number;
		$row->check( array_map( 'trim', $cells ) );
		if ( $row->problems ) {
			throw new Invalid_Row( $number, $row->cells['sku'] ?? '', $row->problems ); // phpcs:ignore WordPress.Security.EscapeOutput.ExceptionNotEscaped
		}
		return $row;
	}

	/**
	 * Every check.
	 *
	 * @param string[] $cells The cells.
	 */
	private function check( array $cells ) {
		$this->cells = array( 'sku' => $this->sku( $cells[0] ?? '' ) );
		if ( count( $cells ) !== count( self::COLUMNS ) ) {
			/* translators: 1: number of columns, 2: number that there should be. */
			$this->problem( __( 'it has %1$d columns, not %2$d: is the line cut off?', 'product-import' ), count( $cells ), count( self::COLUMNS ) );
			return;
		}
		$sku         = $this->cells['sku'];
		$this->cells = array_combine( self::COLUMNS, $cells );

		$this->cells['sku'] = $sku;
		foreach ( array( 'name', 'description' ) as $column ) {
			if ( ! preg_match( '//u', $this->cells[ $column ] ) ) {
				/* translators: %s: column. */
				$this->problem( __( 'the %s is not UTF-8 text', 'product-import' ), $column );
			}
		}
		if ( '' === $this->cells['name'] ) {
			$this->problem( __( 'the name is missing', 'product-import' ) );
		}
		$this->check_price( $this->cells['price'] );
		$this->check_category( $this->cells['category'] );
		if ( ! preg_match( '/^\d{1,9}$/', $this->cells['stock'] ) ) {
			/* translators: %s: what is in the cell. */
			$this->problem( __( 'the stock "%s" is not a whole number of 0 or more', 'product-import' ), $this->cells['stock'] );
		}
		if ( ! preg_match( '/^\d+(\.\d+)?$/', $this->cells['weight_kg'] ) ) {
			/* translators: %s: what is in the cell. */
			$this->problem( __( 'the weight "%s" is not a number like 0.75', 'product-import' ), $this->cells['weight_kg'] );
		}
	}

	/**
	 * The SKU, or an empty string where it cannot be used.
	 *
	 * @param string $sku What is in the cell.
	 * @return string
	 */
	private function sku( $sku ) {
		if ( '' === $sku ) {
			$this->problem( __( 'the SKU is missing', 'product-import' ) );
		} elseif ( ! preg_match( '/^[A-Za-z0-9-]{1,64}$/', $sku ) ) {
			/* translators: %s: what is in the cell. */
			$this->problem( __( 'the SKU "%s" has characters other than letters, digits and "-"', 'product-import' ), $sku );
			$sku = '';
		}
		return $sku;
	}

	/**
	 * A price is a plain decimal number: what a comma means depends on who wrote it, so it is not guessed.
	 *
	 * @param string $price What is in the cell.
	 */
	private function check_price( $price ) {
		if ( '' === $price ) {
			$this->problem( __( 'the price is missing', 'product-import' ) );
		} elseif ( ! preg_match( '/^-?\d+(\.\d{1,2})?$/', $price ) ) {
			/* translators: %s: what is in the cell. */
			$this->problem( __( 'the price "%s" is not a number like 12.50', 'product-import' ), $price );
		} elseif ( $price < 0 ) {
			/* translators: %s: what is in the cell. */
			$this->problem( __( 'the price "%s" is negative', 'product-import' ), $price );
		} elseif ( $price > self::HIGHEST_PRICE ) {
			/* translators: 1: what is in the cell, 2: the highest price. */
			$this->problem( __( 'the price "%1$s" is above %2$d: is the decimal point missing?', 'product-import' ), $price, self::HIGHEST_PRICE );
		}
	}

	/**
	 * A category is one of the known ones; a near miss is named.
	 *
	 * @param string $category What is in the cell.
	 */
	private function check_category( $category ) {
		if ( in_array( $category, self::CATEGORIES, true ) ) {
			return;
		}
		foreach ( self::CATEGORIES as $known ) {
			if ( levenshtein( strtolower( $category ), strtolower( $known ) ) <= 2 ) {
				/* translators: 1: what is in the cell, 2: the category that was meant. */
				$this->problem( __( 'the category "%1$s" is not known (did you mean %2$s?)', 'product-import' ), $category, $known );
				return;
			}
		}
		/* translators: 1: what is in the cell, 2: list of categories. */
		$this->problem( __( 'the category "%1$s" is not known (there are: %2$s)', 'product-import' ), $category, implode( ', ', self::CATEGORIES ) );
	}

	/**
	 * Notes a problem.
	 *
	 * @param string $text   What is wrong.
	 * @param mixed  ...$args What belongs into its placeholders.
	 */
	private function problem( $text, ...$args ) {
		$this->problems[] = vsprintf( $text, $args );
	}
}
