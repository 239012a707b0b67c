<?php
/**
 * A refused argument.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Thrown inside the enqueue side only; Enqueuer makes a WP_Error of it.
 */
final class Bad_Argument extends \InvalidArgumentException {

	/**
	 * Which argument or option.
	 *
	 * @var string
	 */
	public $field;

	/**
	 * Names the argument and what is wrong with it.
	 *
	 * @param string          $field    Which argument or option.
	 * @param string          $problem  What is wrong with it, and what would be right.
	 * @param \Throwable|null $previous What PHP said.
	 */
	public function __construct( $field, $problem, ?\Throwable $previous = null ) {
		$this->field = $field;
		parent::__construct( "{$field}: {$problem}", 0, $previous );
	}

	/**
	 * A value as it is shown in a message.
	 *
	 * @param mixed $value Any value.
	 * @return string
	 */
	public static function show( $value ) {
		if ( is_string( $value ) ) {
			$text = Job_Options::is_utf8( $value ) ? $value : '(bytes that are not UTF-8)';
			return '"' . ( mb_strlen( $text ) > 60 ? mb_substr( $text, 0, 57 ) . '…' : $text ) . '"';
		}
		if ( is_object( $value ) ) {
			return 'an object of ' . get_class( $value );
		}
		return is_scalar( $value ) ? var_export( $value, true ) : gettype( $value ); // phpcs:ignore WordPress.PHP.DevelopmentFunctions -- A number or a boolean in a message.
	}
}
