<?php
/**
 * Batches as people are shown them.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * How far batches are. A worker counts those that are at work; what no worker has seen is counted here, up to a bound.
 */
final class Batches {

	/**
	 * How many batches without a worker are looked for.
	 */
	const UNSEEN = 100;

	/**
	 * Where the counting of a batch ends here, for each status.
	 */
	const MOST = 1000;

	/**
	 * A page of them, the last touched first; before all, those that no worker has seen.
	 *
	 * @param int|null $before Only those touched before: milliseconds since 1970.
	 * @param int      $many   How many.
	 * @return array `batches`, `next` (the next page's `before` or null).
	 */
	public static function page( $before, $many ) {
		$which = null === $before ? '1 = 1' : 'touched_at < ' . (int) $before;
		$rows  = Database::rows( 'SELECT * FROM ' . Kept_Tables::batches() . " FORCE INDEX (touched) WHERE {$which} ORDER BY touched_at DESC LIMIT " . ( $many + 1 ) );
		$more  = count( $rows ) > $many;
		$rows  = array_slice( $rows, 0, $many );
		$found = array_map( array( self::class, 'view' ), $rows );
		return array(
			'batches' => null === $before ? array_merge( self::unseen(), $found ) : $found,
			'next'    => $more ? (int) end( $rows )->touched_at : null,
		);
	}

	/**
	 * One batch.
	 *
	 * @param string $batch Its name.
	 * @return array
	 * @throws No_Such_Job When no job has or had that name.
	 */
	public static function one( $batch ) {
		$name = Database::literal( $batch );
		foreach ( Database::rows( 'SELECT * FROM ' . Kept_Tables::batches() . " WHERE batch = {$name}" ) as $row ) {
			if ( $row->batch === $batch ) {
				return self::view( $row );
			}
		}
		$counted = self::counted( $batch );
		if ( 0 === $counted['total']['number'] ) {
			/* translators: %s: a batch's name */
			throw new No_Such_Job( sprintf( __( 'There is no batch “%s”.', 'background-worker' ), Job_View::text( $batch ) ) );
		}
		return $counted;
	}

	/**
	 * A batch that workers have counted.
	 *
	 * @param object $row Its row.
	 * @return array
	 */
	private static function view( $row ) {
		$again = ! $row->is_open && self::is_at_work( $row->batch ); // It was done, and has new jobs since.
		if ( $again || 0 === (int) $row->counted_at ) {
			return array_merge( self::counted( $row->batch ), array( 'first_at' => Job_View::iso( $row->first_at ) ) );
		}
		$counts = array( 'delayed' => (int) $row->waiting_delayed );
		foreach ( array( 'queued', 'running', 'completed', 'failed', 'cancelled' ) as $status ) {
			$counts[ $status ] = (int) $row->{$status};
		}
		$rate = $row->is_open ? $row->rate / 1000 : 0;
		$left = $counts['queued'] + $counts['delayed'] + $counts['running'];
		return array(
			'batch'        => Job_View::text( $row->batch ),
			'open'         => (bool) $row->is_open,
			'counts'       => self::cut_at( $counts, PHP_INT_MAX ),
			'total'        => Counts::of( array_sum( $counts ), PHP_INT_MAX ),
			'rate'         => $rate,
			'seconds_left' => $rate > 0 && $left > 0 ? (int) ceil( $left / $rate ) : null,
			'first_at'     => Job_View::iso( $row->first_at ),
			'closed_at'    => $row->is_open ? null : Job_View::iso( $row->closed_at ),
			'counted_at'   => Job_View::iso( $row->counted_at ),
		);
	}

	/**
	 * Whether a job of a batch waits or runs.
	 *
	 * @param string $batch Its name.
	 * @return bool
	 */
	private static function is_at_work( $batch ) {
		$name = Database::literal( $batch );
		return null !== Database::value( 'SELECT 1 AS one FROM ' . Schema::jobs() . " FORCE INDEX (batch) WHERE batch = {$name} AND status IN ('queued', 'delayed', 'running') LIMIT 1" );
	}

	/**
	 * Counts as they are told.
	 *
	 * @param int[] $counts By status.
	 * @param int   $most   Where counting ended.
	 * @return array[]
	 */
	private static function cut_at( array $counts, $most ) {
		return array_map(
			static function ( $number ) use ( $most ) {
				return Counts::of( $number, $most );
			},
			$counts
		);
	}

	/**
	 * A batch, counted here.
	 *
	 * @param string $batch Its name.
	 * @return array
	 */
	private static function counted( $batch ) {
		$name  = Database::literal( $batch );
		$found = array();
		foreach ( Job_View::STATUSES as $status ) {
			$found[] = Counts::bounded( "FORCE INDEX (batch) WHERE batch = {$name} AND status = '{$status}'", self::MOST ) . " AS `{$status}`";
		}
		$counts = self::cut_at( (array) Database::rows( 'SELECT ' . implode( ', ', $found ) )[0], self::MOST );
		$total  = array_sum( array_column( $counts, 'number' ) );
		return array(
			'batch'        => Job_View::text( $batch ),
			'open'         => $counts['queued']['number'] + $counts['delayed']['number'] + $counts['running']['number'] > 0,
			'counts'       => $counts,
			'total'        => array(
				'number' => $total,
				'more'   => in_array( true, array_column( $counts, 'more' ), true ),
			),
			'rate'         => 0,
			'seconds_left' => null,
			'first_at'     => null,
			'closed_at'    => null,
			'counted_at'   => null,
		);
	}

	/**
	 * Batches that no worker has settled a job of: among all, by name, up to a bound. The index is jumped through.
	 *
	 * @return array[]
	 */
	private static function unseen() {
		$jobs  = Schema::jobs();
		$kept  = Kept_Tables::batches();
		$found = array();
		$after = '';
		for ( $look = 0; $look < self::UNSEEN && count( $found ) < 20; $look++ ) {
			$name = Database::value( "SELECT MIN(batch) AS batch FROM {$jobs} WHERE batch > " . Database::literal( $after ) );
			if ( null === $name ) {
				break;
			}
			$after = $name;
			if ( null === Database::value( "SELECT 1 AS one FROM {$kept} WHERE batch = " . Database::literal( $name ) ) ) {
				$found[] = self::counted( $name );
			}
		}
		return $found;
	}
}
