<?php
/**
 * Where jobs come in.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Hands jobs to the broker or writes them to the table. What the broker does not take, the table gets in the same
 * call: a job is lost only when both are gone, and then the caller is told.
 */
final class Intake {

	/**
	 * Adds jobs of one queue, without unique keys, in their order.
	 *
	 * @param New_Job[] $jobs The jobs.
	 * @param string[]  $ids  Theirs are added, each as soon as its job is safe.
	 * @throws Write_Failed When the database does not take what it has to.
	 */
	public static function add( array $jobs, array &$ids ) {
		$stretch = array(); // Jobs in a row that go the same way.
		$way     = null;
		foreach ( $jobs as $job ) {
			$detour = Lane::detour( $job );
			if ( $stretch && $detour !== $way ) {
				self::add_alike( $stretch, $way, $ids );
				$stretch = array();
				$detour  = Lane::detour( $job ); // The broker may just have failed.
			}
			$way       = $detour;
			$stretch[] = $job;
		}
		self::add_alike( $stretch, $way, $ids );
	}

	/**
	 * Adds jobs that go the same way.
	 *
	 * @param New_Job[]   $jobs   One or more.
	 * @param string|null $detour Why they go into the table; null when they go to the broker.
	 * @param string[]    $ids    Theirs are added.
	 * @throws Write_Failed When the database does not take what it has to.
	 */
	private static function add_alike( array $jobs, $detour, array &$ids ) {
		if ( null !== $detour ) {
			self::write( $jobs, $detour, $ids );
			return;
		}
		list( $taken, $problem ) = Lane::put( $jobs );
		$left                    = array();
		foreach ( $jobs as $place => $job ) {
			if ( ! isset( $taken[ $place ] ) ) {
				$left[] = $job;
				continue;
			}
			self::write( $left, $problem, $ids );
			$left  = array();
			$ids[] = $taken[ $place ];
		}
		self::write( $left, $problem, $ids );
	}

	/**
	 * Writes jobs to the table.
	 *
	 * @param New_Job[] $jobs    The jobs; may be none.
	 * @param string    $problem Why they do not go to the broker; empty when they never would have.
	 * @param string[]  $ids     Theirs are added.
	 * @throws Write_Failed When the database does not take them.
	 */
	private static function write( array $jobs, $problem, array &$ids ) {
		if ( ! $jobs ) {
			return;
		}
		$before = count( $ids );
		$queue  = $jobs[0]->queue;
		while ( $jobs ) {
			$is_certain = null === $jobs[0]->external_id;
			$count      = 1;
			while ( isset( $jobs[ $count ] ) && ( null === $jobs[ $count ]->external_id ) === $is_certain ) {
				++$count;
			}
			$alike = array_splice( $jobs, 0, $count );
			array_push( $ids, ...( $is_certain ? Job_Writer::insert( $alike ) : Job_Writer::insert_uncertain( $alike ) ) );
		}
		if ( '' !== $problem ) {
			Lane::spooled( array_slice( $ids, $before ), $queue, $problem );
		}
	}
}
