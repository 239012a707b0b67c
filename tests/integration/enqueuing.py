"""What the tests of the enqueue side share: callbacks to name, and a way to ask PHP."""

from __future__ import annotations

import json
from typing import Any

from tests.support.site import Site

CALLBACKS = """
function a_callback( $data ) {}
class A_Class {
    public $open = 1;
    protected $guarded = "\\xff\\0";
    private $closed = 'x';
    public static function fixed( $data ) {}
    public function method( $data ) {}
    public function __invoke( $data ) {}
    private function hidden( $data ) {}
}
class Not_Invokable { public function method( $data ) {} }
class Refuses { public function __serialize(): array { throw new TypeError( 'I will not' ); } }
function closure_inside() { $o = new A_Class(); $o->open = function () {}; return $o; }
function told( $r ) {
    return is_wp_error( $r ) ? array( 'message' => $r->get_error_message() )
        + array_diff_key( (array) $r->get_error_data(), array( 'exception' => 1 ) ) : $r;
}
"""

JOB = "array( 'function' => 'a_callback', 'user_data' => 1 )"


def answer(site: Site, code: str) -> Any:
    """What PHP code leaves in `$answer`. Nothing else may be printed: a visitor would see it.

    `$table` is the table of the jobs; `told( $result )` makes an array of a WP_Error.
    """
    printed = site.eval_php(
        f"global $wpdb; $table = $wpdb->base_prefix . 'bg_jobs'; {code}; echo \"\\n\", wp_json_encode( $answer );"
    )
    before, _, said = printed.rpartition("\n")
    assert before == ""
    return json.loads(said)


def count(site: Site) -> int:
    """How many jobs are in the table."""
    return int(site.query(f"SELECT count(*) AS n FROM {site.jobs}")[0]["n"])
