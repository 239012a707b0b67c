<?php
/**
 * The worker asked for the end.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Thrown into a callback whose job was cancelled, or whose worker has to stop before the job is through.
 */
final class Stopped extends Halt {
}
