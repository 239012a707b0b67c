<?php
/**
 * Jobs, page by page.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * A page of jobs. Each costs the same at a million rows as at a thousand: pages go on from where the last one ended,
 * along an index, and a search looks through a bounded number of rows at a time and says how far it has come.
 */
final class Job_List {

	/**
	 * Rows that one request of a search looks at: those along the id lie together, those of a status all over the table.
	 */
	const WINDOW        = 5000;
	const STATUS_WINDOW = 1000;

	/**
	 * So many jobs are sorted by what no index is for.
	 */
	const SORTED = 1000;

	/**
	 * What they can be sorted by.
	 */
	const COLUMNS = array( 'callback', 'queue', 'attempts', 'runtime_ms', 'priority' );

	/**
	 * What is wanted: `status`, `queue`, `batch`, `search` (null for any), `orderby` (null or one of COLUMNS), `order` (asc, desc),
	 * `cursor`, `per_page`.
	 *
	 * @var array
	 */
	private $wanted;

	/**
	 * The page.
	 *
	 * @param array $wanted As above.
	 */
	public function __construct( array $wanted ) {
		$this->wanted = $wanted;
	}

	/**
	 * Reads it.
	 *
	 * @return array `jobs`, `next` (the cursor of the next page or null), `complete`: false when a search has to go on
	 *               from `next` to know whether there are more.
	 */
	public function page() {
		$search = (string) $this->wanted['search'];
		if ( preg_match( '/^#?(\d{1,18}|[0-9a-f]{32}-[bg]\d*)$/', $search, $found ) ) {
			return $this->one( $found[1] );
		}
		if ( null !== $this->wanted['orderby'] ) {
			return $this->sorted();
		}
		if ( null !== $this->wanted['batch'] ) {
			return $this->of_batch();
		}
		if ( null !== $this->wanted['status'] && null !== $this->wanted['queue'] && null === $this->wanted['search'] ) {
			return $this->of_queue();
		}
		return $this->along_index();
	}

	/**
	 * The job of an id.
	 *
	 * @param string $id The id.
	 * @return array
	 */
	private function one( $id ) {
		try {
			$rows = $this->read( 'WHERE id = ' . Job_Desk::number( $id ) );
		} catch ( No_Such_Job $missing ) {
			$rows = array();
		}
		return $this->told( array_filter( $rows, array( $this, 'fits' ) ), null, true );
	}

	/**
	 * The jobs of a status, or all, in an order that no index has: only where there are not many.
	 *
	 * @return array
	 * @throws Wrong_State When there are too many, or only a part of them is wanted.
	 */
	private function sorted() {
		$status = $this->wanted['status'];
		$which  = null === $status ? '' : 'FORCE INDEX (due) WHERE status = ' . Database::literal( $status );
		$narrow = null !== $this->wanted['batch'] || null !== $this->wanted['queue'] || null !== $this->wanted['search'];
		if ( $narrow || (int) Database::value( 'SELECT ' . Counts::bounded( $which, self::SORTED ) . ' AS jobs' ) > self::SORTED ) {
			/* translators: %s: a number of jobs */
			throw new Wrong_State( sprintf( __( 'Only a status with %s jobs at most, and no search, can be sorted by that.', 'background-worker' ), number_format_i18n( self::SORTED ) ) );
		}
		$word   = 'asc' === $this->wanted['order'] ? 'ASC' : 'DESC';
		$column = $this->wanted['orderby'];
		$cursor = $this->cursor();
		$from   = $cursor ? (int) $cursor->id : 0;
		$many   = (int) $this->wanted['per_page'];
		$rows   = $this->read( "{$which} ORDER BY {$column} {$word}, id {$word} LIMIT " . ( $many + 1 ) . " OFFSET {$from}" );
		$more   = count( $rows ) > $many;
		$told   = $this->told( array_slice( $rows, 0, $many ), null, true );
		if ( $more ) {
			$told['next'] = '0-' . ( $from + $many );
		}
		return $told;
	}

	/**
	 * The jobs along the index of their status, or by id.
	 *
	 * @return array
	 */
	private function along_index() {
		list( $from, $order ) = $this->way();
		$conditions           = $this->conditions();
		$many                 = (int) $this->wanted['per_page'];
		$until                = null;
		if ( $conditions ) {
			$ends  = Database::rows( "SELECT id, due_at FROM {$from} {$order} LIMIT 1 OFFSET " . ( null === $this->wanted['status'] ? self::WINDOW : self::STATUS_WINDOW ) );
			$until = $ends ? $ends[0] : null;
			$from .= $until ? ' AND ' . $this->beyond( $until, false ) : '';
			$from .= ' AND ' . implode( ' AND ', $conditions );
		}
		$rows = Database::rows( 'SELECT ' . Job_View::columns() . " FROM {$from} {$order} LIMIT " . ( $many + 1 ) );
		if ( count( $rows ) > $many ) {
			array_pop( $rows );
			return $this->told( $rows, end( $rows ), true );
		}
		return $this->told( $rows, $until, null === $until );
	}

	/**
	 * Where to read on, and in which order.
	 *
	 * @return array{0: string, 1: string} SQL.
	 */
	private function way() {
		$word   = 'asc' === $this->wanted['order'] ? 'ASC' : 'DESC';
		$jobs   = Schema::jobs();
		$cursor = $this->cursor();
		$after  = $cursor ? $this->beyond( $cursor, true ) : '1 = 1';
		if ( null === $this->wanted['status'] ) {
			return array( "{$jobs} WHERE {$after}", "ORDER BY id {$word}" );
		}
		$status = Database::literal( $this->wanted['status'] );
		return array( "{$jobs} FORCE INDEX (due) WHERE status = {$status} AND {$after}", "ORDER BY due_at {$word}, id {$word}" );
	}

	/**
	 * What lies behind a row in the order, or (not `after`) before and at it.
	 *
	 * @param object $row   `id` and `due_at`.
	 * @param bool   $after Which side.
	 * @return string SQL.
	 */
	private function beyond( $row, $after ) {
		$id   = (int) $row->id;
		$due  = (int) $row->due_at;
		$less = ( 'asc' === $this->wanted['order'] ) !== $after;
		$sign = $less ? '<' : '>';
		$own  = $after ? '' : '=';
		if ( null === $this->wanted['status'] ) {
			return "id {$sign}{$own} {$id}";
		}
		return self::behind( 'due_at', $due, $sign, "{$sign}{$own}", $id );
	}

	/**
	 * What lies on one side of a place in an order of two columns, as ranges that both databases find in an index: all
	 * waiting jobs have the same time, so that the id counts.
	 *
	 * @param string $column The first column; the second is the id.
	 * @param int    $value  The place's.
	 * @param string $sign   `<` or `>`.
	 * @param string $own    The same for the id, with `=` when the place itself is meant, too.
	 * @param int    $id     The place's id.
	 * @return string SQL.
	 */
	private static function behind( $column, $value, $sign, $own, $id ) {
		return "{$column} {$sign}= {$value} AND ({$column} {$sign} {$value} OR ({$column} = {$value} AND id {$own} {$id}))";
	}

	/**
	 * What the rows of a search have to be like.
	 *
	 * @return string[] SQL.
	 */
	private function conditions() {
		global $wpdb;
		$found = array();
		if ( null !== $this->wanted['queue'] ) {
			$found[] = 'queue = ' . Database::literal( $this->wanted['queue'] );
		}
		if ( null !== $this->wanted['search'] ) {
			$like    = Database::literal( '%' . $wpdb->esc_like( $this->wanted['search'] ) . '%' );
			$collate = Database::is_sqlite() ? '' : ' COLLATE utf8mb4_unicode_ci'; // There, LIKE takes a for A anyway.
			$found[] = "(callback{$collate} LIKE {$like} OR queue{$collate} LIKE {$like} OR batch{$collate} LIKE {$like})";
		}
		return $found;
	}

	/**
	 * The jobs of a batch, by id: along the batch's index, each status for itself.
	 *
	 * @return array
	 */
	private function of_batch() {
		$word   = 'asc' === $this->wanted['order'] ? 'ASC' : 'DESC';
		$sign   = 'asc' === $this->wanted['order'] ? '>' : '<';
		$cursor = $this->cursor();
		$after  = $cursor ? "AND id {$sign} " . (int) $cursor->id : '';
		$many   = (int) $this->wanted['per_page'];
		$batch  = Database::literal( $this->wanted['batch'] );
		$rows   = array();
		foreach ( null === $this->wanted['status'] ? Job_View::STATUSES : array( $this->wanted['status'] ) as $status ) {
			$status = Database::literal( $status );
			$rows   = array_merge( $rows, $this->read( "FORCE INDEX (batch) WHERE batch = {$batch} AND status = {$status} {$after} ORDER BY id {$word} LIMIT " . ( $many + 1 ) ) );
		}
		usort(
			$rows,
			static function ( $one, $other ) use ( $sign ) {
				return '<' === $sign ? $other->id - $one->id : $one->id - $other->id;
			}
		);
		$more = count( $rows ) > $many;
		$rows = array_slice( $rows, 0, $many );
		return $this->told( $rows, $more ? end( $rows ) : null, true );
	}

	/**
	 * The jobs of a status and queue in the order of their turns: along the index that jobs are claimed by.
	 *
	 * @return array
	 */
	private function of_queue() {
		$word   = 'asc' === $this->wanted['order'] ? 'ASC' : 'DESC';
		$sign   = 'asc' === $this->wanted['order'] ? '>' : '<';
		$cursor = $this->cursor();
		$after  = $cursor ? 'AND ' . self::behind( 'priority', $cursor->due_at, $sign, $sign, $cursor->id ) : '';
		$many   = (int) $this->wanted['per_page'];
		$which  = 'status = ' . Database::literal( $this->wanted['status'] ) . ' AND queue = ' . Database::literal( $this->wanted['queue'] );
		$rows   = $this->read( "FORCE INDEX (claim) WHERE {$which} {$after} ORDER BY priority {$word}, id {$word} LIMIT " . ( $many + 1 ) );
		$more   = count( $rows ) > $many;
		$rows   = array_slice( $rows, 0, $many );
		$last   = $more ? end( $rows ) : null;
		$told   = $this->told( $rows, $last, true );
		if ( $last ) {
			$told['next'] = "{$last->priority}-{$last->id}"; // The first number of a cursor is that of its order.
		}
		return $told;
	}

	/**
	 * Rows of jobs.
	 *
	 * @param string $which What comes behind the table's name.
	 * @return object[]
	 */
	private function read( $which ) {
		return Database::rows( 'SELECT ' . Job_View::columns() . ' FROM ' . Schema::jobs() . " {$which}" );
	}

	/**
	 * Whether a row is among the wanted ones. SQLite takes a for A.
	 *
	 * @param object $row The row.
	 * @return bool
	 */
	private function fits( $row ) {
		foreach ( array( 'status', 'queue', 'batch' ) as $name ) {
			if ( null !== $this->wanted[ $name ] && $row->{$name} !== $this->wanted[ $name ] ) {
				return false;
			}
		}
		return true;
	}

	/**
	 * Where the last page ended.
	 *
	 * @return object|null
	 */
	private function cursor() {
		if ( ! preg_match( '/^(-?\d{1,18})-(\d{1,18})$/', (string) $this->wanted['cursor'], $found ) ) {
			return null;
		}
		return (object) array(
			'due_at' => (int) $found[1],
			'id'     => (int) $found[2],
		);
	}

	/**
	 * The page as it is told.
	 *
	 * @param object[]    $rows     The rows.
	 * @param object|null $last     Where it ends when there is more.
	 * @param bool        $complete Whether the page holds all that fits up to there.
	 * @return array
	 */
	private function told( array $rows, $last, $complete ) {
		$rows = array_filter( $rows, array( $this, 'fits' ) );
		return array(
			'jobs'     => array_map( array( Job_View::class, 'summary' ), array_values( $rows ) ),
			'next'     => $last ? "{$last->due_at}-{$last->id}" : null,
			'complete' => $complete,
		);
	}
}
