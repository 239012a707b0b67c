<?php
/**
 * Rows as people are shown them.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * A job's row as the REST API gives it. The names are those of `wpbg jobs get --format json`.
 */
final class Job_View {

	const STATUSES = array( 'queued', 'delayed', 'running', 'completed', 'failed', 'cancelled' );
	const FINISHED = array( 'completed', 'failed', 'cancelled' );

	/**
	 * Bytes that are shown of what a run printed: all that a worker keeps of it, with its note in the middle of what was
	 * not kept. Of more than that, the end, where the reason is.
	 */
	const MAX_OUTPUT = 262144 + 1024;

	/**
	 * Bytes of a result that is shown as the value it is.
	 */
	const MAX_RESULT = 262144;

	/**
	 * The columns of a job in a list: none of the large ones.
	 *
	 * @return string
	 */
	public static function columns() {
		return 'id, external_id, queue, status, attempts, max_attempts, priority, batch, blog_id, available_at, due_at, started_at, finished_at, runtime_ms, worker, cancel_requested, progress_done, progress_total, progress_message, note, callback, CASE WHEN callback IS NULL THEN SUBSTR(payload, 1, 4096) END AS head, ' . self::created() . ' AS created, SUBSTR(error, 1, 2000) AS error';
	}

	/**
	 * When a job was made, as SQL: seconds since 1970.
	 *
	 * @return string
	 */
	public static function created() {
		return 'UNIX_TIMESTAMP(created_datetime)';
	}

	/**
	 * A job in a list.
	 *
	 * @param object $row The columns above.
	 * @return array
	 */
	public static function summary( $row ) {
		$error = self::decoded( $row->error );
		if ( is_string( $error ) ) { // Cut: its beginning says enough.
			$error = array(
				'class'   => self::piece( $error, 'class' ),
				'message' => self::piece( $error, 'message' ),
			);
		}
		return array(
			'id'               => (string) $row->id,
			'external_id'      => $row->external_id,
			'queue'            => self::text( $row->queue ),
			'callback'         => self::text( null !== $row->callback && '' !== $row->callback ? $row->callback : Payload_Tree::label( (string) ( $row->head ?? '' ) ) ),
			'status'           => $row->status,
			'attempts'         => (int) $row->attempts,
			'max_attempts'     => (int) $row->max_attempts,
			'priority'         => (int) $row->priority,
			'batch'            => null === $row->batch ? null : self::text( $row->batch ),
			'blog_id'          => (int) $row->blog_id,
			'created_at'       => self::iso( $row->created * 1000 ),
			'available_at'     => self::iso( (int) $row->available_at ? $row->available_at : $row->created * 1000 ),
			'started_at'       => self::iso( $row->started_at ),
			'finished_at'      => in_array( $row->status, self::FINISHED, true ) ? self::iso( $row->finished_at ) : null,
			'runtime_ms'       => self::number( $row->runtime_ms ),
			'worker'           => null === $row->worker ? null : self::text( $row->worker ),
			'cancel_requested' => (bool) $row->cancel_requested,
			'progress'         => self::progress( $row ),
			'note'             => null === $row->note ? null : self::text( $row->note ),
			'error'            => is_array( $error ) && 'completed' !== $row->status ? array(
				'class'   => self::text( (string) ( $error['class'] ?? '' ) ),
				'message' => mb_substr( self::text( (string) ( $error['message'] ?? '' ) ), 0, 300 ),
			) : null,
		);
	}

	/**
	 * Everything that is known of a job.
	 *
	 * @param object $row Its whole row, with `created`.
	 * @return array
	 */
	public static function details( $row ) {
		$row->head = $row->payload;
		$view      = self::summary( $row );
		$error     = self::decoded( $row->error );
		$past      = self::history( $row->history );
		$last      = $past ? end( $past ) : null;
		$ending    = null;
		// The last attempt is in the job's own columns; only how it ended is nowhere else.
		if ( $last && (int) $row->attempts === $last['attempt'] && self::iso( $row->finished_at ) === $last['finished_at'] ) {
			array_pop( $past );
			$ending = $last['ending'];
		}
		$long      = null !== $row->result && strlen( $row->result ) > self::MAX_RESULT;
		return array_merge(
			$view,
			array(
				'timeout'    => self::number( $row->timeout ),
				'backoff'    => (int) $row->backoff,
				'unique_key' => null === $row->unique_key ? null : self::text( $row->unique_key ),
				'due_at'     => 'delayed' === $row->status ? self::iso( $row->due_at ) : null,
				'arguments'  => Payload_Tree::of( (string) $row->payload ),
				'result'     => $long ? null : self::cleaned( self::decoded( $row->result ) ),
				'result_cut' => $long ? self::text( substr( $row->result, 0, 4096 ) ) : null,
				'error'      => null === $error ? null : self::error( $error ),
				'output'     => self::output( $row->output ),
				'output_cut' => strlen( (string) $row->output ) > self::MAX_OUTPUT,
				'ending'     => $ending,
				'history'    => $past,
			)
		);
	}

	/**
	 * Milliseconds since 1970 as ISO 8601 in UTC.
	 *
	 * @param int|float|string|null $ms Milliseconds.
	 * @return string|null
	 */
	public static function iso( $ms ) {
		if ( null === $ms || $ms <= 0 || $ms > 253402300799000 ) {
			return null;
		}
		$ms = (int) $ms;
		return gmdate( 'Y-m-d\TH:i:s', intdiv( $ms, 1000 ) ) . sprintf( '.%03dZ', $ms % 1000 );
	}

	/**
	 * Text from jobs, made safe to show: valid UTF-8 without what commands a terminal or reorders what is around it.
	 *
	 * @param string $text Any bytes.
	 * @return string
	 */
	public static function text( $text ) {
		$text = str_replace( "\r\n", "\n", (string) $text );
		// Escape sequences go as a whole: colours, cursor, window title.
		$text = (string) preg_replace( '/\x1b(?:\[[0-?]*[ -\/]*[@-~]|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\\\)|[ -\/]*[0-~])/', '', $text );
		$text = mb_convert_encoding( $text, 'UTF-8', 'UTF-8' );
		return (string) preg_replace( '/[\x00-\x08\x0b-\x1f\x7f-\x9f\x{061c}\x{200e}\x{200f}\x{202a}-\x{202e}\x{2066}-\x{2069}\x{feff}]/u', '', $text );
	}

	/**
	 * A value with all texts in it made safe to show.
	 *
	 * @param mixed $value Decoded JSON.
	 * @return mixed
	 */
	private static function cleaned( $value ) {
		if ( is_array( $value ) ) {
			$clean = array();
			foreach ( $value as $key => $one ) {
				$clean[ is_string( $key ) ? self::text( $key ) : $key ] = self::cleaned( $one );
			}
			return $clean;
		}
		return is_string( $value ) ? self::text( $value ) : $value;
	}

	/**
	 * A number or null.
	 *
	 * @param string|null $value A column.
	 * @return int|null
	 */
	private static function number( $value ) {
		return null === $value ? null : (int) $value;
	}

	/**
	 * How far a job is.
	 *
	 * @param object $row Its row.
	 * @return array|null
	 */
	private static function progress( $row ) {
		return null === $row->progress_done ? null : array(
			'done'    => (int) $row->progress_done,
			'total'   => self::number( $row->progress_total ),
			'message' => self::text( (string) $row->progress_message ),
		);
	}

	/**
	 * A JSON column's value, its text where it is none.
	 *
	 * @param string|null $json A column.
	 * @return mixed
	 */
	private static function decoded( $json ) {
		if ( null === $json || '' === $json ) {
			return null;
		}
		$value = json_decode( $json, true, 64 );
		return null === $value && 'null' !== trim( $json ) ? $json : $value;
	}

	/**
	 * A text in the beginning of an error's JSON.
	 *
	 * @param string $json JSON that was cut.
	 * @param string $name The key.
	 * @return string
	 */
	private static function piece( $json, $name ) {
		if ( preg_match( '/"' . $name . '":"((?:[^"\\\\]|\\\\.)*)/', $json, $found ) ) {
			return (string) json_decode( '"' . preg_replace( '/\\\\(?:u[0-9a-f]{0,3})?$/i', '', $found[1] ) . '"' );
		}
		return 'message' === $name && '{' !== substr( $json, 0, 1 ) ? $json : '';
	}

	/**
	 * An error with its place and trace.
	 *
	 * @param mixed $said What the column holds.
	 * @return array
	 */
	private static function error( $said ) {
		$said = is_array( $said ) ? $said : array( 'message' => is_scalar( $said ) ? (string) $said : '' );
		return array(
			'class'   => self::text( (string) ( $said['class'] ?? '' ) ),
			'message' => self::text( (string) ( $said['message'] ?? '' ) ),
			'file'    => self::text( (string) ( $said['file'] ?? '' ) ),
			'line'    => (int) ( $said['line'] ?? 0 ),
			'trace'   => self::text( (string) ( $said['trace'] ?? '' ) ),
		);
	}

	/**
	 * What a run printed.
	 *
	 * @param string|null $output Bytes.
	 * @return string
	 */
	private static function output( $output ) {
		return self::text( substr( (string) $output, -self::MAX_OUTPUT ) );
	}

	/**
	 * The earlier attempts that did not end the job well, oldest first.
	 *
	 * @param string|null $json The column.
	 * @return array[]
	 */
	private static function history( $json ) {
		$entries = self::decoded( $json );
		$shown   = array();
		foreach ( is_array( $entries ) ? array_slice( $entries, -50 ) : array() as $entry ) {
			if ( ! is_array( $entry ) ) {
				continue;
			}
			$shown[] = array(
				'attempt'     => (int) ( $entry['attempt'] ?? 0 ),
				'worker'      => self::text( (string) ( $entry['worker'] ?? '' ) ),
				'started_at'  => self::iso( $entry['started_at'] ?? null ),
				'finished_at' => self::iso( $entry['finished_at'] ?? null ),
				'ending'      => self::text( (string) ( $entry['ending'] ?? '' ) ),
				'error'       => empty( $entry['error'] ) ? null : self::error( $entry['error'] ),
				'output'      => self::text( is_string( $entry['output'] ?? null ) ? $entry['output'] : '' ),
			);
		}
		return $shown;
	}
}
