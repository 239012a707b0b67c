<?php
/**
 * Ends a callback from outside.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * An \Error, so that the `catch ( Exception $e )` around a row of an import does not swallow it.
 */
abstract class Halt extends \Error {
}
