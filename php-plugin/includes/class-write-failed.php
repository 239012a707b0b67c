<?php
/**
 * A refused write.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * The database did not take a statement. The message is its reason.
 */
final class Write_Failed extends \RuntimeException {
}
