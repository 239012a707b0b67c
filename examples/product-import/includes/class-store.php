<?php
/**
 * Products in WordPress.
 *
 * @package Product_Import
 */

namespace Product_Import;

/**
 * The post type, its categories, and how a row gets there.
 */
final class Store {

	const POST_TYPE = 'product';
	const TAXONOMY  = 'product_category';
	const META      = array( 'sku', 'price', 'stock', 'weight_kg' );

	/**
	 * Registers the post type and its categories.
	 */
	public static function register() {
		register_post_type(
			self::POST_TYPE,
			array(
				'labels'       => array(
					'name'          => __( 'Products', 'product-import' ),
					'singular_name' => __( 'Product', 'product-import' ),
				),
				'public'       => true,
				'has_archive'  => 'products',
				'show_in_rest' => true,
				'menu_icon'    => 'dashicons-cart',
				'supports'     => array( 'title', 'editor', 'custom-fields' ),
			)
		);
		register_taxonomy(
			self::TAXONOMY,
			self::POST_TYPE,
			array(
				'labels'            => array(
					'name'          => __( 'Product categories', 'product-import' ),
					'singular_name' => __( 'Product category', 'product-import' ),
				),
				'hierarchical'      => true,
				'show_admin_column' => true,
				'show_in_rest'      => true,
			)
		);
	}

	/**
	 * Creates the categories once, so that jobs side by side do not create one twice.
	 */
	public static function create_categories() {
		foreach ( Row::CATEGORIES as $name ) {
			if ( ! term_exists( $name, self::TAXONOMY ) ) {
				wp_insert_term( $name, self::TAXONOMY );
			}
		}
	}

	/**
	 * Creates the row's product, or updates the one that has its SKU.
	 *
	 * @param Row    $row    The row.
	 * @param string $import The name of the import: within one, a SKU belongs to one row.
	 * @return array The job's result.
	 * @throws Invalid_Row       When another row has the SKU.
	 * @throws \RuntimeException When WordPress does not take the product.
	 */
	public static function save( Row $row, $import ) {
		self::claim_sku( $row, $import );
		$cells = $row->cells;
		$slug  = sanitize_title( $cells['sku'] );
		$found = get_page_by_path( $slug, OBJECT, self::POST_TYPE );
		$saved = wp_insert_post(
			wp_slash( // wp_insert_post() takes a layer of slashes away.
				array(
					'ID'           => $found ? $found->ID : 0,
					'post_type'    => self::POST_TYPE,
					'post_status'  => 'publish',
					'post_name'    => $slug,
					'post_title'   => $cells['name'],
					'post_content' => $cells['description'],
					'meta_input'   => array_intersect_key( $cells, array_flip( self::META ) ),
				)
			),
			true
		);
		if ( is_wp_error( $saved ) ) {
			throw new \RuntimeException( $saved->get_error_message() ); // phpcs:ignore WordPress.Security.EscapeOutput.ExceptionNotEscaped
		}
		wp_set_object_terms( $saved, $cells['category'], self::TAXONOMY );
		return array(
			'post_id' => $saved,
			'sku'     => $cells['sku'],
			'action'  => $found ? 'updated' : 'created',
		);
	}

	/**
	 * Makes the row the owner of its SKU within this import.
	 *
	 * Two workers may hold two rows of the same SKU at the same moment, and neither sees the other's
	 * product yet. The unique index on the option's name decides between them.
	 *
	 * @param Row    $row    The row.
	 * @param string $import The name of the import.
	 * @throws Invalid_Row When another row owns it.
	 */
	private static function claim_sku( Row $row, $import ) {
		global $wpdb;
		$option = 'product_import_sku_' . strtolower( $row->cells['sku'] );
		$mine   = "{$row->number} {$import}";
		// phpcs:disable WordPress.DB.DirectDatabaseQuery -- the options API caches, and does not say who was first.
		$wpdb->query( $wpdb->prepare( "INSERT IGNORE INTO {$wpdb->options} (option_name, option_value, autoload) VALUES (%s, %s, 'no')", $option, $mine ) );
		do {
			$owner = (string) $wpdb->get_var( $wpdb->prepare( "SELECT option_value FROM {$wpdb->options} WHERE option_name = %s", $option ) );
			if ( $owner === $mine ) {
				return;
			}
			list( $number, $owners_import ) = explode( ' ', $owner, 2 ) + array( '', '' );
			if ( $owners_import === $import ) {
				/* translators: %d: row number. */
				$problem = sprintf( __( 'the SKU belongs to row %d of the same file', 'product-import' ), $number );
				throw new Invalid_Row( $row->number, $row->cells['sku'], array( $problem ) ); // phpcs:ignore WordPress.Security.EscapeOutput.ExceptionNotEscaped
			}
			// An earlier import's: taken over, unless another row of this one does it first.
			$wpdb->query( $wpdb->prepare( "UPDATE {$wpdb->options} SET option_value = %s WHERE option_name = %s AND option_value = %s", $mine, $option, $owner ) );
		} while ( true );
		// phpcs:enable
	}

	/**
	 * Shows price and stock below a product's text.
	 *
	 * @param string $content The text.
	 * @return string
	 */
	public static function describe( $content ) {
		if ( self::POST_TYPE !== get_post_type() ) {
			return $content;
		}
		return $content . sprintf(
			'<p class="product-facts">%s</p>',
			esc_html(
				sprintf(
					/* translators: 1: price, 2: number in stock, 3: SKU. */
					__( 'Price: %1$s · In stock: %2$d · SKU: %3$s', 'product-import' ),
					number_format_i18n( (float) get_post_meta( get_the_ID(), 'price', true ), 2 ),
					(int) get_post_meta( get_the_ID(), 'stock', true ),
					get_post_meta( get_the_ID(), 'sku', true )
				)
			)
		);
	}
}
