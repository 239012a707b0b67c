<?php
/**
 * A broker that is of no use now.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Thrown by a lane that cannot be reached or refuses. The jobs that it has not taken go into the table.
 */
final class Lane_Failed extends \RuntimeException {
}
