<?php
/**
 * Whether a blog's jobs can run in this process.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Switching to a blog loads neither its plugins nor its theme: a process serves the blogs that have what it booted with.
 */
final class Blog_Fit {

	/**
	 * Seconds for which an answer holds: blogs activate plugins, too.
	 */
	const HOLDS = 1.0;

	/**
	 * Since when answers are remembered.
	 *
	 * @var float
	 */
	private $since = 0.0;

	/**
	 * Blog => whether it fits.
	 *
	 * @var bool[]
	 */
	private $known = array();

	/**
	 * Whether a job of that blog can run here.
	 *
	 * @param int $blog The blog's id; 0 is any.
	 * @return bool Also true for a blog that is gone: the job will say so.
	 */
	public function fits( $blog ) {
		if ( $blog < 1 || ! is_multisite() || get_current_blog_id() === $blog ) {
			return true;
		}
		if ( Clock::now() - $this->since > self::HOLDS ) {
			$this->known = array();
			$this->since = Clock::now();
		}
		if ( ! isset( $this->known[ $blog ] ) ) {
			$this->known[ $blog ] = ! get_site( $blog ) || self::has_of( $blog ) === self::has_of( get_current_blog_id() );
		}
		return $this->known[ $blog ];
	}

	/**
	 * The plugins and the theme of a blog.
	 *
	 * @param int $blog The blog's id.
	 * @return array
	 */
	private static function has_of( $blog ) {
		$plugins = (array) get_blog_option( $blog, 'active_plugins', array() );
		sort( $plugins );
		return array( $plugins, get_blog_option( $blog, 'template' ), get_blog_option( $blog, 'stylesheet' ) );
	}
}
