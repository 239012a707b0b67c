<?php
/**
 * A clock for spans of time.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Seconds that only go forward, at one pace: the machine's wall clock may be set at any moment, and no deadline may come
 * or go with it. For times that others read (a row's, a file's) there is microtime().
 */
final class Clock {

	/**
	 * Seconds since some moment; the same for all processes of this machine.
	 *
	 * @return float
	 */
	public static function now() {
		return hrtime( true ) / 1e9;
	}
}
