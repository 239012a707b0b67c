<?php
/**
 * What `wp_die()` means in a job.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Thrown where a callback calls wp_die(): the page that it would show is the job's failure.
 */
final class Wp_Die_Called extends Halt {
}
