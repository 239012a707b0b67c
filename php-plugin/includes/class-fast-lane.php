<?php
/**
 * What a broker has to do.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * A way for jobs that can run at once into the worker, without a row. What it cannot carry goes through the table.
 */
interface Fast_Lane {

	/**
	 * Whether it can carry a job, as far as that can be known without asking the server.
	 *
	 * @param New_Job $job The job, to run at once and without a unique key.
	 * @return bool
	 */
	public function takes( New_Job $job );

	/**
	 * Hands jobs to the server.
	 *
	 * A job that has no id afterwards was not taken, or nobody knows: then its `external_id` is set, and its row in
	 * the table must have that, so that it runs once.
	 *
	 * @param New_Job[] $jobs The jobs, from 0.
	 * @param string[]  $ids  Gets the ids of those that were taken, by their places, as they are taken.
	 * @return string|null What was wrong with a job that was not taken.
	 * @throws Lane_Failed When the server cannot be reached or takes no jobs now.
	 */
	public function put( array $jobs, array &$ids );
}
