<?php
/**
 * A job that is not this site's.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Thrown before anything of a job is read: its signature is not the site's.
 */
final class Forged_Job extends \RuntimeException {
}
