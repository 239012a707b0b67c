"""What was given to add_async_job() is what the callback gets, byte for byte."""

from __future__ import annotations

import json

from tests.support.site import Site

# Both sides build the same value from a seed: one enqueues it, the other compares what it got with its own.
VALUES = r"""
class Round_Trip {
    public $a = 1;
    protected $b = "prot\0ected";
    private $c = array( 'deep' => array( 1, 2.5, null, true ) );
    public $self;
}
class Round_Trip_Magic {
    public $v;
    public function __construct( $v ) { $this->v = $v; }
    public function __serialize(): array { return array( 'kept' => strrev( $this->v ) ); }
    public function __unserialize( array $data ): void { $this->v = strrev( $data['kept'] ); }
}
if ( PHP_VERSION_ID >= 80100 ) {
    eval( 'enum Round_Trip_Suit: string { case Hearts = "H"; case Spades = "S"; }' );
}
function round_trip_random( $length ) {
    $bytes = '';
    for ( $i = 0; strlen( $bytes ) < $length; $i++ ) {
        $bytes .= hash( 'sha256', "seed $i", true );
    }
    return substr( $bytes, 0, $length );
}
function round_trip_values() {
    $storage = new SplObjectStorage();
    $key     = new Round_Trip();
    $storage[ $key ] = 'attached';
    $cycle       = new Round_Trip();
    $cycle->self = $cycle;
    $shared = array( 'x' => 1 );
    $refs   = array( 'one' => &$shared, 'two' => &$shared );
    $all = array(
        'random'  => round_trip_random( 65536 ),
        'every'   => implode( '', array_map( 'chr', range( 0, 255 ) ) ),
        'nul'     => "a\0b\0",
        'emoji'   => "\u{1F600} \u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467} \u{202E}abc",
        'quotes'  => "'\"\\`%s%d\r\n\x1a",
        'inf'     => INF, 'minus' => -INF, 'zero' => -0.0, 'sum' => 0.1 + 0.2, 'tiny' => 5e-324, 'max' => PHP_INT_MAX,
        'nested'  => array( array( array( array( 'k' => array( null, false, '' ) ) ) ) ),
        'refs'    => $refs,
        'cycle'   => $cycle,
        'magic'   => new Round_Trip_Magic( "abc\0def" ),
        'storage' => $storage,
        'big'     => str_repeat( round_trip_random( 1024 ), 5 * 1024 ),
    );
    if ( PHP_VERSION_ID >= 80100 ) {
        $all['enum'] = constant( 'Round_Trip_Suit::Spades' );
    }
    return $all;
}
function round_trip_compare( $got ) {
    $want  = round_trip_values();
    $wrong = array();
    foreach ( $want as $name => $value ) {
        if ( ! array_key_exists( $name, $got ) || serialize( $got[ $name ] ) !== serialize( $value ) ) {
            $wrong[] = $name;
        }
    }
    $got['refs']['one']['x'] = 7;
    return array(
        'wrong'   => $wrong,
        'names'   => array_keys( $got ),
        'bytes'   => strlen( serialize( $got ) ),
        'shared'  => 7 === $got['refs']['two']['x'],
        'itself'  => $got['cycle']->self === $got['cycle'],
        'minus0'  => '-0' === (string) $got['zero'],
    );
}
"""


def test_payload_round_trip(site: Site) -> None:
    site.mu_plugin("round-trip", VALUES)
    job = site.eval_php(
        "ini_set( 'memory_limit', '512M' );"
        "$job = array( 'function' => 'round_trip_compare', 'user_data' => round_trip_values() );"
        "$id  = add_async_job( (object) $job );"
        "echo is_wp_error( $id ) ? $id->get_error_message() : $id;"
    )
    assert job.isdigit(), job
    site.wpbg("run", check=True)
    row = site.job(job)
    assert row["status"] == "completed", row["error"]
    seen = json.loads(row["result"])
    assert seen["wrong"] == []
    assert seen["bytes"] > 5 * 1024 * 1024
    assert (seen["shared"], seen["itself"], seen["minus0"]) == (True, True, True)
    assert {"random", "enum", "storage", "big"} <= set(seen["names"])


def test_every_way_to_name_a_callback(site: Site) -> None:
    site.mu_plugin(
        "ways",
        'class Way { public $k = 5; public static function stat( $d ) { return "static $d"; }'
        ' public function meth( $d ) { return "method $d {$this->k}"; } }'
        'function way( $d ) { return "function $d"; }'
        "add_action( 'way_hook', function ( $d ) { echo \"hook $d\"; } );",
    )
    ids = site.eval_php(
        "$o = new Way(); $o->k = 6;"
        "foreach ( array( 'way', 'Way::stat', array( 'Way', 'stat' ), array( $o, 'meth' ) ) as $f ) {"
        " echo add_async_job( (object) array( 'function' => $f, 'user_data' => 'x' ) ), ' '; }"
        "echo wp_async_task_add( 'way_hook', 'x', 'low' ) ? 'ok' : 'no';"
    ).split()
    assert ids[-1] == "ok"
    site.wpbg("listen", "--stop-when-empty", check=True)
    results = [json.loads(site.job(job)["result"]) for job in ids[:4]]
    assert results == ["function x", "static x", "static x", "method x 6"]
    hook = site.query(f"SELECT * FROM {site.jobs} ORDER BY id DESC")[0]
    assert (hook["status"], hook["callback"], bytes(hook["output"])) == ("completed", "way_hook", b"hook x")
