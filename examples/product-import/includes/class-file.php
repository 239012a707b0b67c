<?php
/**
 * The CSV file.
 *
 * @package Product_Import
 */

namespace Product_Import;

/**
 * Reads a file row by row.
 */
final class File {

	/**
	 * The open file, behind its first line.
	 *
	 * @var resource
	 */
	private $handle;

	/**
	 * Opens a file and checks that it has the columns that an import needs.
	 *
	 * @param string $path The file.
	 * @return self|\WP_Error
	 */
	public static function open( $path ) {
		if ( ! is_file( $path ) || ! is_readable( $path ) ) {
			/* translators: %s: path. */
			return new \WP_Error( 'no_file', sprintf( __( '%s is not a file that can be read.', 'product-import' ), $path ) );
		}
		$file         = new self();
		$file->handle = fopen( $path, 'rb' ); // phpcs:ignore WordPress.WP.AlternativeFunctions -- WP_Filesystem reads whole files.
		if ( Row::COLUMNS !== $file->next_row() ) {
			/* translators: 1: path, 2: list of columns. */
			return new \WP_Error( 'bad_columns', sprintf( __( 'The first line of %1$s must name these columns: %2$s.', 'product-import' ), $path, implode( ', ', Row::COLUMNS ) ) );
		}
		return $file;
	}

	/**
	 * The rows that are not empty.
	 *
	 * @return \Generator Row number, from 1 => cells.
	 */
	public function rows() {
		for ( $number = 1; false !== ( $cells = $this->next_row() ); $number++ ) { // phpcs:ignore Generic.CodeAnalysis.AssignmentInCondition
			if ( array( null ) !== $cells ) {
				yield $number => $cells;
			}
		}
	}

	/**
	 * The next row. The empty escape character is what makes it CSV as others write it: "" is a quote, \ is itself.
	 *
	 * @return array|false
	 */
	private function next_row() {
		return fgetcsv( $this->handle, 0, ',', '"', '' );
	}
}
