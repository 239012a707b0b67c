<?php
/**
 * When a persistent process has to be replaced.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Keeps count of a process's jobs, time and memory, and of whether the site's code is still what it has loaded.
 */
final class Recycling {

	/**
	 * Seconds between two looks at the code.
	 */
	const LOOK = 1.0;

	/**
	 * Jobs, 0 is no limit.
	 *
	 * @var int
	 */
	private $max_jobs;

	/**
	 * Seconds, 0 is no limit.
	 *
	 * @var float
	 */
	private $max_time;

	/**
	 * Bytes, 0 is no limit. Unless the worker says otherwise, a job has half the room that it had at the beginning.
	 *
	 * @var int
	 */
	private $max_memory;

	/**
	 * Open files, 0 is no limit. Half of what the system gives a process.
	 *
	 * @var int
	 */
	private $max_files;

	/**
	 * Jobs run.
	 *
	 * @var int
	 */
	private $jobs = 0;

	/**
	 * When this began.
	 *
	 * @var float
	 */
	private $since;

	/**
	 * When the files were looked at last.
	 *
	 * @var float
	 */
	private $looked_at;

	/**
	 * When the plugins were looked at last.
	 *
	 * @var float
	 */
	private $plugins_looked_at;

	/**
	 * The code.
	 *
	 * @var Code_Watch
	 */
	private $code;

	/**
	 * Begins to count.
	 *
	 * @param array $hello What the worker asked for: max_jobs, max_time (s), max_memory (bytes); site is its folder.
	 */
	public function __construct( array $hello ) {
		$this->max_jobs          = (int) ( $hello['max_jobs'] ?? 0 );
		$this->max_time          = (float) ( $hello['max_time'] ?? 0 );
		$this->max_memory        = (int) ( $hello['max_memory'] ?? 0 );
		$this->max_files         = self::files_allowed() >> 1;
		if ( $this->max_memory <= 0 && defined( 'WP_MAX_MEMORY_LIMIT' ) ) {
			$limit            = wp_convert_hr_to_bytes( WP_MAX_MEMORY_LIMIT );
			$this->max_memory = $limit > 0 ? (int) ( ( $limit + min( $limit, memory_get_usage( true ) ) ) / 2 ) : 0;
		}
		$this->since             = Clock::now();
		$this->looked_at         = $this->since;
		$this->plugins_looked_at = $this->since;
		$this->code              = new Code_Watch( (string) ( $hello['site'] ?? '' ) );
	}

	/**
	 * Before a job: whether the code is another by now. Looks once a second.
	 *
	 * @return string|null Why the process has to be replaced.
	 */
	public function stale() {
		$why = $this->stale_files();
		if ( null === $why && $this->time_to_look_at_plugins() && $this->plugins_changed() ) {
			$why = 'the active plugins have changed';
		}
		return $why;
	}

	/**
	 * The same, of the files alone: without a connection to the database.
	 *
	 * @return string|null
	 */
	public function stale_files() {
		$now = Clock::now();
		if ( $now - $this->looked_at < self::LOOK ) {
			return null;
		}
		$this->looked_at = $now;
		$file            = $this->code->changed_file();
		return null === $file ? null : "{$file} has changed";
	}

	/**
	 * Whether it is time to look at the active plugins.
	 *
	 * @return bool
	 */
	public function time_to_look_at_plugins() {
		$now = Clock::now();
		if ( $now - $this->plugins_looked_at < self::LOOK ) {
			return false;
		}
		$this->plugins_looked_at = $now;
		return true;
	}

	/**
	 * Whether other plugins or another theme are active by now.
	 *
	 * @return bool
	 */
	public function plugins_changed() {
		return $this->code->plugins_changed();
	}

	/**
	 * After a job: whether the process has done enough.
	 *
	 * @return string|null Why the process has to be replaced.
	 */
	public function worn_out() {
		++$this->jobs;
		if ( $this->max_jobs > 0 && $this->jobs >= $this->max_jobs ) {
			return "it has run {$this->jobs} jobs";
		}
		if ( $this->max_time > 0 && Clock::now() - $this->since >= $this->max_time ) {
			return 'it has run for ' . (int) $this->max_time . ' s';
		}
		return $this->holds_too_much();
	}

	/**
	 * Whether jobs have left more in the process than it may hold.
	 *
	 * @return string|null Why the process has to be replaced.
	 */
	private function holds_too_much() {
		if ( $this->max_memory > 0 && memory_get_usage( true ) > $this->max_memory ) {
			gc_collect_cycles();
			gc_mem_caches();
			$held = memory_get_usage( true );
			if ( $held > $this->max_memory ) {
				return 'it holds ' . (int) ( $held / 1048576 ) . ' MB';
			}
		}
		if ( $this->max_files > 0 ) {
			$open = count( (array) @scandir( '/proc/self/fd' ) ) - 3; // phpcs:ignore WordPress.PHP.NoSilencedErrors -- Where there is none, they are not counted. Less "." and ".." and the folder itself.
			if ( $open > $this->max_files ) {
				return "it holds {$open} open files";
			}
		}
		return null;
	}

	/**
	 * How many files this process may have open.
	 *
	 * @return int 0 for any number.
	 */
	private static function files_allowed() {
		$limits = function_exists( 'posix_getrlimit' ) ? posix_getrlimit() : array();
		return (int) ( $limits['soft openfiles'] ?? 1024 );
	}
}
