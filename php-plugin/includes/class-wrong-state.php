<?php
/**
 * A job that is in the wrong state.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * What was asked for cannot be done to a job in its state; the message says why, for a human.
 */
final class Wrong_State extends \RuntimeException {}
