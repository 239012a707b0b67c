<?php
/**
 * What a job calls.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Decides which callbacks can be kept in a queue, and names them.
 */
final class Callback {

	/**
	 * Refuses what cannot be kept or called.
	 *
	 * A callback has to be callable in the request that adds the job. A name that only the worker knows would look
	 * the same as a misspelt one, and a misspelt one is better heard of now than from a failed job at night. A site
	 * whose jobs' code is loaded in the worker only says so with the `background_worker_callback_exists` filter.
	 *
	 * @param mixed $callback The job's `function`.
	 * @throws Bad_Argument When it is refused.
	 */
	public static function check( $callback ) {
		$object = is_array( $callback ) ? ( $callback[0] ?? null ) : $callback;
		if ( $object instanceof \Closure ) {
			throw new Bad_Argument( 'function', "a closure cannot be kept in a queue: give a function's name, 'Class::method' or array( \$object, 'method' )." );
		}
		if ( ! is_callable( $callback, true ) ) {
			throw new Bad_Argument( 'function', sprintf( "%s is not a callable: give a function's name, 'Class::method' or array( \$object, 'method' ).", Bad_Argument::show( $callback ) ) );
		}
		/**
		 * Filters whether a job's callback exists.
		 *
		 * @param bool  $exists   Whether it can be called in this request.
		 * @param mixed $callback The callback; its form has been checked.
		 */
		if ( ! apply_filters( 'background_worker_callback_exists', self::exists( $callback ), $callback ) ) {
			throw new Bad_Argument( 'function', sprintf( '%s cannot be called: no such function or method is declared, or it is not public.', self::name( $callback ) ) );
		}
	}

	/**
	 * The name people know a job by.
	 *
	 * @param object $job The job.
	 * @return string
	 */
	public static function label( $job ) {
		$function = $job->hook ?? $job->function ?? '';
		if ( is_array( $function ) && isset( $function[0], $function[1] ) && is_string( $function[1] ) ) {
			return is_object( $function[0] ) ? get_class( $function[0] ) . '->' . $function[1] : $function[0] . '::' . $function[1];
		}
		return is_object( $function ) ? get_class( $function ) : (string) $function;
	}

	/**
	 * Whether PHP can call it now.
	 *
	 * @param mixed $callback Something of the form of a callable.
	 * @return bool
	 */
	private static function exists( $callback ) {
		try {
			return is_callable( $callback );
		} catch ( Halt $halt ) {
			throw $halt; // A job that adds jobs has reached its time limit.
		} catch ( \Throwable $thrown ) {
			return false; // An autoloader that throws where it knows no such class.
		}
	}

	/**
	 * The callback in words.
	 *
	 * @param mixed $callback Something of the form of a callable.
	 * @return string
	 */
	private static function name( $callback ) {
		if ( is_array( $callback ) ) {
			$is_object = is_object( $callback[0] );
			$callback  = ( $is_object ? get_class( $callback[0] ) : $callback[0] ) . ( $is_object ? '->' : '::' ) . $callback[1];
		}
		return Bad_Argument::show( $callback );
	}
}
