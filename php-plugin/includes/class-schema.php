<?php
/**
 * The tables.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Names, columns and indexes of the tables, and how a database gets them: the one place that says so.
 *
 * Creating and upgrading are the same thing: look what is missing, add it, look again. So it does not matter how
 * often, from which version or in how many processes at once it is done.
 */
final class Schema {

	/**
	 * Goes up with every change of the tables. The older Async Background Worker's last one was 17.
	 */
	const VERSION = 22;

	/**
	 * The network's option that holds the version of its tables; on a site that is no network, the site's.
	 */
	const OPTION = 'ABW_DB_VERSION';

	const NAME  = 'varchar(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin';
	const TEXT  = 'varchar(191) CHARACTER SET utf8mb4';
	const ASCII = 'CHARACTER SET ascii COLLATE ascii_bin';
	const JSON  = 'longtext CHARACTER SET utf8mb4';

	/**
	 * Prefixes whose tables this process has found to be as it needs them.
	 *
	 * @var bool[]
	 */
	private static $known = array();

	/**
	 * The table of the jobs.
	 *
	 * @return string
	 */
	public static function jobs() {
		return $GLOBALS['wpdb']->base_prefix . 'bg_jobs';
	}

	/**
	 * The table of the workers.
	 *
	 * @return string
	 */
	public static function workers() {
		return $GLOBALS['wpdb']->base_prefix . 'bg_workers';
	}

	/**
	 * The table of what is known of queues.
	 *
	 * @return string
	 */
	public static function queues() {
		return $GLOBALS['wpdb']->base_prefix . 'bg_queues';
	}

	/**
	 * Whether the tables are as this version of the plugin needs them.
	 *
	 * @return bool
	 */
	public static function is_current() {
		return (int) get_site_option( self::OPTION ) >= self::VERSION;
	}

	/**
	 * Makes sure of it: after an update of the plugin, nobody has activated it anew. Asked once in a process.
	 *
	 * @throws Write_Failed When the tables cannot be made so.
	 */
	public static function ensure() {
		$prefix = $GLOBALS['wpdb']->base_prefix;
		if ( isset( self::$known[ $prefix ] ) ) {
			return;
		}
		if ( ! self::is_current() ) {
			self::install();
		}
		self::$known[ $prefix ] = true;
	}

	/**
	 * Has it asked anew: a statement failed, or the tables are gone.
	 */
	public static function forget() {
		self::$known = array();
	}

	/**
	 * Creates or upgrades the tables, whatever there is.
	 *
	 * @throws Write_Failed When the database refuses.
	 */
	public static function install() {
		Schema_Lock::hold(
			static function () {
				$is_older = Older_Table::is_there();
				foreach ( self::tables() as $table => list( $columns, $indexes ) ) {
					Live_Table::converge( $table, $columns, $indexes );
				}
				if ( $is_older || ! self::is_current() ) {
					Older_Table::settle();
				}
			}
		);
		update_site_option( self::OPTION, self::VERSION );
	}

	/**
	 * What the tables lack, for `wpbg doctor`.
	 *
	 * @return string[] Names of tables, columns (`table.column`) and indexes (`index name of table`).
	 * @throws Write_Failed When the database does not tell.
	 */
	public static function missing() {
		$missing = array();
		foreach ( self::tables() as $table => list( $columns, $indexes ) ) {
			$there = Live_Table::columns( $table );
			if ( ! $there ) {
				$missing[] = $table;
				continue;
			}
			foreach ( array_keys( array_diff_key( $columns, $there ) ) as $name ) {
				$missing[] = "{$table}.{$name}";
			}
			foreach ( array_keys( array_diff_key( $indexes, Live_Table::indexes( $table ) ) ) as $name ) {
				$missing[] = "index {$name} of {$table}";
			}
		}
		return $missing;
	}

	/**
	 * Removes the tables and what else there is of ours.
	 *
	 * @throws Write_Failed When the database refuses.
	 */
	public static function remove() {
		self::forget();
		foreach ( array_keys( self::tables() ) as $table ) {
			Database::run( "DROP TABLE IF EXISTS {$table}" );
		}
		delete_site_option( self::OPTION );
	}

	/**
	 * All tables: name => columns and indexes.
	 *
	 * @return array[]
	 */
	private static function tables() {
		return array(
			self::jobs()    => array( self::job_columns(), self::job_indexes() ),
			self::workers() => array( self::worker_columns(), array( 'PRIMARY' => 'PRIMARY KEY  (id)' ) ),
			self::queues()  => array( self::queue_columns(), array( 'PRIMARY' => 'PRIMARY KEY  (queue)' ) ),
		) + Kept_Tables::all();
	}

	/**
	 * The columns of the jobs. Times are milliseconds since 1970 where they are numbers.
	 *
	 * A row written by hand or by the older plugin has queue, payload and attempts only: all the rest has defaults.
	 *
	 * @return string[]
	 */
	private static function job_columns() {
		return array(
			'id'               => 'bigint(20) unsigned NOT NULL AUTO_INCREMENT',
			'queue'            => self::NAME . " NOT NULL DEFAULT 'default'",
			'payload'          => 'longblob NOT NULL',
			'attempts'         => 'int unsigned NOT NULL DEFAULT 0',
			'created_datetime' => 'timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP',
			'updated_datetime' => 'timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP',
			'status'           => 'varchar(10) ' . self::ASCII . " NOT NULL DEFAULT 'queued'",
			'priority'         => 'int NOT NULL DEFAULT 0',
			'max_attempts'     => 'int unsigned NOT NULL DEFAULT 3',
			'backoff'          => 'int unsigned NOT NULL DEFAULT 30',
			'timeout'          => 'int unsigned NULL',
			'available_at'     => 'bigint NOT NULL DEFAULT 0',
			'due_at'           => 'bigint NOT NULL DEFAULT 0',
			'started_at'       => 'bigint NULL',
			'finished_at'      => 'bigint NULL',
			'runtime_ms'       => 'int unsigned NULL',
			'lease_token'      => 'bigint unsigned NOT NULL DEFAULT 0',
			'worker'           => self::NAME . ' NULL',
			'cancel_requested' => 'tinyint unsigned NOT NULL DEFAULT 0',
			'blog_id'          => 'bigint(20) unsigned NOT NULL DEFAULT 0',
			'batch'            => self::NAME . ' NULL',
			'callback'         => self::NAME . ' NULL',
			'unique_key'       => self::NAME . ' NULL',
			'unique_hash'      => 'char(64) ' . self::ASCII . ' NULL',
			'external_id'      => 'varchar(64) ' . self::ASCII . ' NULL',
			'progress_done'    => 'bigint NULL',
			'progress_total'   => 'bigint NULL',
			'progress_message' => self::TEXT . ' NULL',
			'result'           => self::JSON . ' NULL',
			'error'            => self::JSON . ' NULL',
			'output'           => 'longblob NULL',
			'note'             => self::TEXT . ' NULL',
			'history'          => self::JSON . ' NULL',
		);
	}

	/**
	 * The indexes of the jobs.
	 *
	 * @return string[]
	 */
	private static function job_indexes() {
		return array(
			'PRIMARY'     => 'PRIMARY KEY  (id)',
			'unique_hash' => 'UNIQUE KEY unique_hash (unique_hash)',
			'external_id' => 'UNIQUE KEY external_id (external_id)',
			'claim'       => 'KEY claim (status, queue, priority, id)',
			'due'         => 'KEY due (status, due_at)',
			'batch'       => 'KEY batch (batch, status)',
		);
	}

	/**
	 * The columns of the workers.
	 *
	 * @return string[]
	 */
	private static function worker_columns() {
		return array(
			'id'           => self::NAME . ' NOT NULL',
			'name'         => self::TEXT . " NOT NULL DEFAULT ''",
			'host'         => self::TEXT . " NOT NULL DEFAULT ''",
			'pid'          => 'int NOT NULL DEFAULT 0',
			'slot'         => 'int NOT NULL DEFAULT 0',
			'mode'         => "varchar(10) NOT NULL DEFAULT ''",
			'queues'       => 'text CHARACTER SET utf8mb4 NULL',
			'state'        => "varchar(10) NOT NULL DEFAULT 'idle'",
			'job_id'       => 'varchar(64) NULL',
			'started_at'   => 'bigint NOT NULL DEFAULT 0',
			'heartbeat_at' => 'bigint NOT NULL DEFAULT 0',
			'jobs_done'    => 'bigint NOT NULL DEFAULT 0',
			'memory_bytes' => 'bigint NOT NULL DEFAULT 0',
			'version'      => "varchar(20) NOT NULL DEFAULT ''",
		);
	}

	/**
	 * The columns of what is known of queues.
	 *
	 * @return string[]
	 */
	private static function queue_columns() {
		return array(
			'queue'     => self::NAME . ' NOT NULL',
			'paused'    => 'tinyint NOT NULL DEFAULT 0',
			'paused_at' => 'bigint NULL',
		);
	}
}
