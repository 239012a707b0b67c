<?php
/**
 * When jobs wait and no worker lives.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * A note in the admin bar, and an e-mail for those who ask for it: ABW_ALERT_EMAIL (an address, or true for the
 * administrator's) or the filter `background_worker_alert_email`.
 */
final class Alerts {

	const EVENT     = 'background_worker_alert';
	const SCHEDULE  = 'background_worker_five_minutes';
	const OPTION    = 'background_worker_alerted';
	const TRANSIENT = 'background_worker_stuck';
	const WAITS     = 'background_worker_waits';

	/**
	 * Seconds that a look counts for: the note is on every page.
	 */
	const TTL = 30;

	/**
	 * Seconds that a job has to wait before somebody is told: workers are restarted now and then.
	 */
	const PATIENCE = 120;

	/**
	 * Hooks in.
	 */
	public static function watch() {
		add_action( 'admin_bar_menu', array( __CLASS__, 'note' ), 90 );
		add_action( self::EVENT, array( __CLASS__, 'mail' ) );
		add_filter( 'cron_schedules', array( __CLASS__, 'schedules' ) ); // phpcs:ignore WordPress.WP.CronInterval -- The look is three short queries.
		add_action( 'init', array( __CLASS__, 'schedule' ) );
		register_deactivation_hook(
			BACKGROUND_WORKER_FILE,
			static function () {
				wp_clear_scheduled_hook( self::EVENT );
			}
		);
	}

	/**
	 * Whether jobs wait and nobody works, as short a question as there is.
	 *
	 * @return int|null For how long the oldest has waited, in seconds; null when all is well.
	 */
	public static function stuck() {
		$now   = Database::now();
		$alive = Database::value( 'SELECT 1 AS one FROM ' . Schema::workers() . " WHERE heartbeat_at > {$now} - " . Health::SILENT_MS . ' LIMIT 1' );
		if ( null !== $alive ) {
			if ( 'database' !== Lane::backend() ) {
				delete_site_transient( self::WAITS );
			}
			return null;
		}
		// Paused queues wait because somebody wants it.
		$since = Database::value( 'SELECT MIN(since) AS since FROM (SELECT CASE WHEN j.available_at > 0 THEN j.available_at ELSE UNIX_TIMESTAMP(j.created_datetime) * 1000 END AS since FROM ' . Schema::jobs() . " j FORCE INDEX (due) WHERE j.status = 'queued' AND j.queue NOT IN (SELECT queue FROM " . Schema::queues() . ' WHERE paused = 1) ORDER BY j.due_at, j.id LIMIT 100) AS first_hundred' );
		$seconds = max( self::seconds_outside(), null === $since ? 0 : intdiv( Counts::now_ms() - (int) $since, 1000 ) );
		return $seconds >= self::PATIENCE ? $seconds : null;
	}

	/**
	 * For how long jobs have waited in the broker while nobody works. It does not tell: counted from the first look.
	 *
	 * @return int Seconds.
	 */
	private static function seconds_outside() {
		$waiting = Broker_Check::waiting();
		foreach ( $waiting ? Database::rows( 'SELECT queue FROM ' . Schema::queues() . ' WHERE paused = 1' ) : array() as $paused ) {
			unset( $waiting[ $paused->queue ] );
		}
		if ( ! $waiting ) {
			delete_site_transient( self::WAITS );
			return 0;
		}
		$since = (int) get_site_transient( self::WAITS );
		if ( ! $since ) {
			$since = time();
			set_site_transient( self::WAITS, $since, WEEK_IN_SECONDS );
		}
		return time() - $since;
	}

	/**
	 * The note.
	 *
	 * @param \WP_Admin_Bar $bar The admin bar.
	 */
	public static function note( $bar ) {
		if ( ! Access::is_allowed() ) {
			return;
		}
		$known = get_site_transient( self::TRANSIENT );
		if ( ! is_array( $known ) ) {
			try {
				$known = array( self::stuck() );
			} catch ( Write_Failed $failed ) {
				$known = array( null ); // The tables are not there yet, or the site has larger worries.
			}
			set_site_transient( self::TRANSIENT, $known, self::TTL );
		}
		if ( null !== $known[0] ) {
			$bar->add_node(
				array(
					'id'    => 'background-worker',
					'title' => '<span class="ab-icon dashicons dashicons-warning" aria-hidden="true"></span><span class="ab-label">' . esc_html__( 'Jobs wait, no worker is alive', 'background-worker' ) . '</span>',
					'href'  => esc_url( is_multisite() ? network_admin_url( 'settings.php?page=' . Dashboard::SLUG ) : admin_url( 'tools.php?page=' . Dashboard::SLUG ) ),
				)
			);
		}
	}

	/**
	 * Where the e-mail goes.
	 *
	 * @return string Empty: nowhere.
	 */
	public static function address() {
		$set = defined( 'ABW_ALERT_EMAIL' ) ? ABW_ALERT_EMAIL : '';
		$set = true === $set ? get_site_option( 'admin_email' ) : (string) $set;
		/**
		 * Filters who gets an e-mail when jobs wait and no worker is alive.
		 *
		 * @param string $address An address; empty for nobody. Default: what ABW_ALERT_EMAIL says.
		 */
		return (string) sanitize_email( (string) apply_filters( 'background_worker_alert_email', $set ) );
	}

	/**
	 * Adds an interval to those of WP-Cron.
	 *
	 * @param array[] $schedules The intervals.
	 * @return array[]
	 */
	public static function schedules( $schedules ) {
		$schedules[ self::SCHEDULE ] = array(
			'interval' => 5 * MINUTE_IN_SECONDS,
			'display'  => __( 'Every five minutes', 'background-worker' ),
		);
		return $schedules;
	}

	/**
	 * Looks every five minutes, where somebody wants to be told. Once is enough for a network.
	 */
	public static function schedule() {
		if ( ! is_main_site() ) {
			return;
		}
		$next   = wp_next_scheduled( self::EVENT );
		$wanted = '' !== self::address();
		if ( $wanted && ! $next ) {
			wp_schedule_event( time() + MINUTE_IN_SECONDS, self::SCHEDULE, self::EVENT );
		} elseif ( ! $wanted && $next ) {
			wp_clear_scheduled_hook( self::EVENT );
		}
	}

	/**
	 * Sends the e-mail, one for each time that the workers are gone.
	 *
	 * @throws Write_Failed When the tables cannot be read; WP-Cron logs it.
	 */
	public static function mail() {
		$address = self::address();
		$waited  = '' === $address ? null : self::stuck();
		if ( null === $waited ) {
			delete_site_option( self::OPTION );
			return;
		}
		if ( get_site_option( self::OPTION ) ) {
			return; // Told already.
		}
		$site    = wp_specialchars_decode( get_bloginfo( 'name' ), ENT_QUOTES );
		$subject = sprintf(
			/* translators: %s: the site's name */
			__( '[%s] Background jobs wait, and no worker is alive', 'background-worker' ),
			$site
		);
		$text = sprintf(
			/* translators: 1: the site's address, 2: a time span, 3: the address of a page */
			__( "On %1\$s, background jobs wait and no worker is alive. The oldest has waited for %2\$s.\n\nStart a worker on its machine (wpbg listen); if a supervisor should keep it alive, look there why it does not. `wpbg doctor` checks the rest.\n\n%3\$s", 'background-worker' ),
			home_url(),
			Health::span( $waited ),
			is_multisite() ? network_admin_url( 'settings.php?page=' . Dashboard::SLUG ) : admin_url( 'tools.php?page=' . Dashboard::SLUG )
		);
		if ( wp_mail( $address, $subject, $text ) ) {
			update_site_option( self::OPTION, time() );
		}
	}
}
