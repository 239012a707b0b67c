<?php
/**
 * The time limit.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Thrown into a callback that runs past its time limit. One that goes on all the same is killed.
 */
final class Time_Limit_Exceeded extends Halt {
}
