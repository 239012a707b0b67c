<?php
/**
 * A job that is not there.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * There is no such job.
 */
final class No_Such_Job extends \RuntimeException {}
