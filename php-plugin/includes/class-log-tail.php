<?php
/**
 * The log, from its end.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Reads the end of the file that BACKGROUND_WORKER_LOG names, and follows it: never the whole of it, whatever happens
 * to the file meanwhile.
 */
final class Log_Tail {

	/**
	 * Bytes of one answer.
	 */
	const MOST = 65536;

	/**
	 * Bytes that are shown of a line that is longer than that: its end.
	 */
	const LONG = 2048;

	/**
	 * What was written since.
	 *
	 * @param string|null $since Where the last answer ended; null for the end of the file.
	 * @return array `available`, `reason` (why not), `file`, `lines`, `at` (where it ended), `restarted` (another file
	 *               than before, or it was cut: the lines begin anew), `skipped` (bytes that were passed over).
	 */
	public static function read( $since ) {
		$path = defined( 'BACKGROUND_WORKER_LOG' ) ? BACKGROUND_WORKER_LOG : null;
		if ( ! is_string( $path ) || '' === $path ) {
			return self::none( '', __( 'No log file is set. Put it into wp-config.php, such as: define( \'BACKGROUND_WORKER_LOG\', \'/var/log/background-worker.log\' );', 'background-worker' ) );
		}
		clearstatcache( true, $path );
		if ( ! is_file( $path ) ) {
			return self::none( $path, __( 'The file is not there (yet): the worker makes it when it starts.', 'background-worker' ) );
		}
		$file = @fopen( $path, 'rb' ); // phpcs:ignore -- A log that grows; it is asked why it cannot be read.
		if ( ! $file ) {
			return self::none( $path, __( 'The site may not read the file: let its user do so, or look on the worker’s machine.', 'background-worker' ) );
		}
		$told = self::from( $file, (string) $since );
		fclose( $file ); // phpcs:ignore WordPress.WP.AlternativeFunctions -- As above.
		return array(
			'available' => true,
			'reason'    => null,
			'file'      => Job_View::text( $path ),
		) + $told;
	}

	/**
	 * Reads on.
	 *
	 * @param resource $file  The open file.
	 * @param string   $since Where the last answer ended: the file's number and an offset.
	 * @return array
	 */
	private static function from( $file, $since ) {
		$about     = fstat( $file );
		$size      = (int) $about['size'];
		$inode     = (string) $about['ino'];
		$at        = preg_match( '/^(\d{1,20})-(\d{1,18})$/', $since, $found ) && $found[1] === $inode && (int) $found[2] <= $size ? (int) $found[2] : null;
		$restarted = null === $at;
		$begin     = null === $at ? max( 0, $size - self::MOST ) : $at;
		$skipped   = 0;
		if ( $size - $begin > self::MOST ) {
			$skipped = $size - self::MOST - $begin;
			$begin   = $size - self::MOST;
		}
		fseek( $file, $begin );
		$bytes = (string) fread( $file, self::MOST ); // phpcs:ignore WordPress.WP.AlternativeFunctions -- A part of a large file.
		// Whole lines only: the end of one that is being written comes next time, the rest of one that was cut never.
		$last  = strrpos( $bytes, "\n" );
		$bytes = false === $last ? '' : substr( $bytes, 0, $last + 1 );
		$end   = $begin + strlen( $bytes );
		if ( $begin > 0 && ( $skipped || $restarted ) ) {
			$whole = (string) substr( $bytes, (int) strpos( $bytes, "\n" ) + 1 );
			$bytes = '' === $whole && '' !== $bytes ? '… ' . substr( $bytes, -self::LONG ) : $whole; // One line, longer than an answer.
		}
		if ( false === $last && $size - $begin >= self::MOST ) {
			$end = $size; // A line longer than an answer.
		}
		return array(
			'lines'     => '' === $bytes ? array() : array_map( array( Job_View::class, 'text' ), explode( "\n", rtrim( $bytes, "\n" ) ) ),
			'at'        => "{$inode}-{$end}",
			'restarted' => $restarted,
			'skipped'   => $skipped,
		);
	}

	/**
	 * The answer when there is nothing to read.
	 *
	 * @param string $path   The file.
	 * @param string $reason Why.
	 * @return array
	 */
	private static function none( $path, $reason ) {
		return array(
			'available' => false,
			'reason'    => $reason,
			'file'      => Job_View::text( $path ),
			'lines'     => array(),
			'at'        => null,
			'restarted' => true,
			'skipped'   => 0,
		);
	}
}
