<?php
/**
 * One job, run.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Runs one job's callback between the actions around it and says how it ended.
 */
final class Job_Runner {

	/**
	 * Bytes of JSON. A larger result is not kept.
	 */
	const MAX_RESULT = 1048576;

	/**
	 * Characters of a trace.
	 */
	const MAX_TRACE = 16384;

	/**
	 * The name of the job that runs, or ran last.
	 *
	 * @var string
	 */
	private static $label = '';

	/**
	 * The name of the job that runs, or ran last; empty when it could not be read.
	 *
	 * @return string
	 */
	public static function current_label() {
		return self::$label;
	}

	/**
	 * Runs the job.
	 *
	 * @param string $payload What was serialized, or the signed body it came in.
	 * @param array  $head    What the worker says of it: `blog_id`, the blog that enqueued it, 0 is any; `external_id`
	 *                        and `payload_mac`, where it came through a broker.
	 * @return array The outcome: `status` completed or failed, `result`, `note`, `error`.
	 */
	public static function run( $payload, array $head = array() ) {
		self::$label = '';
		try {
			$payload = Envelope::payload_of( $head, $payload );
			self::go_to( (int) ( $head['blog_id'] ?? 0 ) );
			$job         = self::open( $payload );
			self::$label = Callback::label( $job );
			return self::completed( self::call( $job ) );
		} catch ( \Throwable $thrown ) {
			return self::failed( $thrown );
		}
	}

	/**
	 * Makes the job's blog the current one. The worker boots it, where it can.
	 *
	 * @param int $blog Its id.
	 * @throws \RuntimeException When there is no such blog any more.
	 */
	private static function go_to( $blog ) {
		if ( $blog < 1 || ! is_multisite() ) {
			return;
		}
		if ( get_main_site_id() !== $blog && ! get_site( $blog ) ) {
			throw new \RuntimeException( "The job was enqueued on blog {$blog} of the network, which does not exist any more." );
		}
		if ( get_current_blog_id() !== $blog ) {
			switch_to_blog( $blog );
			self::settle_in();
		}
	}

	/**
	 * What a process that was booted for the blog would have: its language and the form of its links. WordPress leaves
	 * both as they were when it switches.
	 */
	private static function settle_in() {
		unset( $GLOBALS['locale'] );
		$locale = get_locale();
		if ( determine_locale() === $locale || ! switch_to_locale( $locale ) ) {
			$GLOBALS['locale'] = $locale; // phpcs:ignore WordPress.WP.GlobalVariablesOverride -- Where a language has no files.
		}
		if ( isset( $GLOBALS['wp_rewrite'] ) ) {
			$GLOBALS['wp_rewrite']->init();
		}
	}

	/**
	 * Reads a payload.
	 *
	 * @param string $payload What was serialized.
	 * @return object The job.
	 * @throws \UnexpectedValueException When it cannot be read.
	 */
	private static function open( $payload ) {
		$job = @unserialize( $payload ); // phpcs:ignore -- The site's own jobs; that they are objects is the point.
		if ( is_array( $job ) ) {
			$job = (object) $job;
		}
		if ( ! is_object( $job ) || ! ( isset( $job->function ) || isset( $job->hook ) ) ) {
			throw new \UnexpectedValueException(
				false === $job
					? 'The payload cannot be read: it is not what serialize() writes, or it was cut.'
					: 'The payload names no function: $job->function is missing.'
			);
		}
		return $job;
	}

	/**
	 * Fires the actions and the callback, in WP Minions' order.
	 *
	 * @param object $job The job.
	 * @return mixed What the callback returned.
	 */
	private static function call( $job ) {
		$hook = Callback::label( $job );
		do_action( 'wp_async_task_before_job', $hook, $job );
		do_action( "wp_async_task_before_job_{$hook}", $job );
		$data = $job->user_data ?? null;
		if ( isset( $job->hook ) ) {
			$result = null;
			do_action( $job->hook, $data, $job );
		} else {
			self::check( $job->function, $hook );
			$result = call_user_func( $job->function, $data );
		}
		do_action( 'wp_async_task_after_job', $hook, $job );
		do_action( "wp_async_task_after_job_{$hook}", $job );
		return $result;
	}

	/**
	 * Says in words why a function cannot be called.
	 *
	 * @param mixed  $function The callable.
	 * @param string $label    Its name.
	 * @throws \BadFunctionCallException When it cannot be called.
	 */
	private static function check( $function, $label ) {
		$object = is_array( $function ) ? ( $function[0] ?? null ) : $function;
		if ( $object instanceof \__PHP_Incomplete_Class ) {
			$fields = (array) $object;
			throw new \BadFunctionCallException( "The class {$fields['__PHP_Incomplete_Class_Name']} of the job's callback does not exist here: is the plugin or theme that declares it active on this site?" );
		}
		if ( ! is_callable( $function ) ) {
			throw new \BadFunctionCallException( "{$label}() cannot be called: is the plugin or theme that declares it active on this site?" );
		}
	}

	/**
	 * The outcome of a callback that returned.
	 *
	 * @param mixed $returned What it returned.
	 * @return array
	 */
	private static function completed( $returned ) {
		$outcome = array( 'status' => 'completed' );
		if ( null === $returned ) {
			return $outcome;
		}
		$json = json_encode( $returned, JSON_PRESERVE_ZERO_FRACTION ); // phpcs:ignore WordPress.WP.AlternativeFunctions -- It is asked why it could not.
		if ( false === $json ) {
			$outcome['note'] = 'The result could not be written as JSON in full (' . json_last_error_msg() . ').';
			$json            = json_encode( $returned, JSON_PARTIAL_OUTPUT_ON_ERROR | JSON_INVALID_UTF8_SUBSTITUTE | JSON_PRESERVE_ZERO_FRACTION ); // phpcs:ignore WordPress.WP.AlternativeFunctions -- As above.
		}
		if ( false === $json || strlen( $json ) > self::MAX_RESULT ) {
			$outcome['note'] = false === $json
				? 'The result was not kept: it cannot be written as JSON.'
				: sprintf( 'The result was not kept: its JSON has %d bytes, and at most %d are kept.', strlen( $json ), self::MAX_RESULT );
			return $outcome;
		}
		$outcome['result'] = $json;
		return $outcome;
	}

	/**
	 * The outcome of a callback that threw.
	 *
	 * @param \Throwable $thrown What it threw.
	 * @return array
	 */
	public static function failed( \Throwable $thrown ) {
		list( $file, $line ) = self::place( $thrown );
		return array(
			'status' => 'failed',
			'halt'   => $thrown instanceof Halt ? strtolower( substr( strrchr( get_class( $thrown ), '\\' ), 1 ) ) : null,
			'error'  => array(
				'class'   => self::class_of( $thrown ),
				'message' => $thrown->getMessage(),
				'file'    => $file,
				'line'    => $line,
				'trace'   => substr( self::trace( $thrown ), 0, self::MAX_TRACE ),
			),
		);
	}

	/**
	 * The class of a failure, as people are shown it.
	 *
	 * @param \Throwable $thrown What was thrown.
	 * @return string
	 */
	private static function class_of( \Throwable $thrown ) {
		if ( $thrown instanceof Wp_Die_Called ) {
			return 'wp_die';
		}
		return $thrown instanceof Forged_Job ? 'ForgedJob' : get_class( $thrown );
	}

	/**
	 * Where it happened: for wp_die(), where it was called; for a time limit, where the job was at the time.
	 *
	 * @param \Throwable $thrown What was thrown.
	 * @return array{0: string, 1: int}
	 */
	private static function place( \Throwable $thrown ) {
		if ( $thrown instanceof Halt ) {
			foreach ( $thrown->getTrace() as $step ) {
				$here = isset( $step['file'] ) && 0 !== strpos( $step['file'], __DIR__ );
				if ( $here && ( 'wp_die' === $step['function'] || ! $thrown instanceof Wp_Die_Called ) ) {
					return array( $step['file'], $step['line'] );
				}
			}
		}
		return array( $thrown->getFile(), $thrown->getLine() );
	}

	/**
	 * The way to the failure, without our own steps and WP-CLI's, and with the causes behind it.
	 *
	 * @param \Throwable $thrown What was thrown.
	 * @return string
	 */
	private static function trace( \Throwable $thrown ) {
		$lines = array();
		foreach ( explode( "\n", $thrown->getTraceAsString() ) as $line ) {
			if ( false !== strpos( $line, __FILE__ ) ) {
				break;
			}
			if ( false === strpos( $line, ' ' . __DIR__ ) ) {
				$lines[] = $line;
			}
		}
		$trace = implode( "\n", $lines );
		$cause = $thrown->getPrevious();
		if ( $cause ) {
			$trace .= "\nCaused by " . get_class( $cause ) . ': ' . $cause->getMessage() . ' in ' . $cause->getFile() . ':' . $cause->getLine() . "\n" . self::trace( $cause );
		}
		return $trace;
	}
}
