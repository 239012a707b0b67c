<?php
/**
 * Payloads, looked at.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Reads what serialize() wrote without unserialize(): no object is made, no class is loaded, nothing of it runs.
 *
 * A node is `type` (null, bool, int, float, string, array, object, custom, reference, enum, unreadable) with `value`
 * or, for arrays and objects, `items` of `key`, `visibility` (objects) and `node`; `count` and `class` where they say
 * something; `cut` where not all is shown.
 */
final class Payload_Tree {

	const MAX_NODES = 2000;
	const MAX_DEPTH = 16;
	const MAX_TEXT  = 2000;
	const MAX_BYTES = 1048576;

	/**
	 * The bytes.
	 *
	 * @var string
	 */
	private $bytes;

	/**
	 * How far they are read.
	 *
	 * @var int
	 */
	private $at = 0;

	/**
	 * How many nodes there are so far.
	 *
	 * @var int
	 */
	private $nodes = 0;

	/**
	 * Reads from bytes.
	 *
	 * @param string $bytes What serialize() wrote.
	 */
	private function __construct( $bytes ) {
		$this->bytes = $bytes;
	}

	/**
	 * The arguments of a job.
	 *
	 * @param string $payload Its payload: serialized, or the signed body that it came in.
	 * @return array A node: what is in `user_data`; without that, all.
	 */
	public static function of( $payload ) {
		$job = self::read( self::inner( $payload ) );
		foreach ( $job['items'] ?? array() as $item ) {
			if ( 'user_data' === $item['key'] ) {
				return $item['node'];
			}
		}
		return $job;
	}

	/**
	 * What a job calls: the function's name, `Class::method`, `Class->method` or the hook.
	 *
	 * @param string $payload The payload; its beginning is enough.
	 * @return string
	 */
	public static function label( $payload ) {
		foreach ( self::read( self::inner( $payload ) )['items'] ?? array() as $item ) {
			if ( 'function' === $item['key'] || 'hook' === $item['key'] ) {
				return self::name( $item['node'] );
			}
		}
		return __( '(unknown)', 'background-worker' );
	}

	/**
	 * A tree of all of it.
	 *
	 * @param string $bytes What serialize() wrote.
	 * @return array A node.
	 */
	public static function read( $bytes ) {
		$whole = strlen( $bytes ) <= self::MAX_BYTES;
		$tree  = ( new self( $whole ? $bytes : substr( $bytes, 0, self::MAX_BYTES ) ) )->node( 0 );
		if ( ! $whole ) {
			$tree['cut'] = true;
		}
		return $tree;
	}

	/**
	 * What is serialized in a signed body. It is only looked at: whether the signature fits is for the one who runs it.
	 *
	 * @param string $payload A payload.
	 * @return string
	 */
	private static function inner( $payload ) {
		if ( 0 !== strpos( $payload, Envelope::PREFIX ) || ! preg_match( '/s:7:"payload";s:(\d+):"/', $payload, $found, PREG_OFFSET_CAPTURE ) ) {
			return $payload;
		}
		return (string) substr( $payload, $found[0][1] + strlen( $found[0][0] ), (int) $found[1][0] );
	}

	/**
	 * A callable as PHP people write it.
	 *
	 * @param array $node Its node.
	 * @return string
	 */
	private static function name( array $node ) {
		if ( 'string' === $node['type'] ) {
			return $node['value'];
		}
		if ( 'object' === $node['type'] ) {
			return $node['class'] . '->__invoke';
		}
		$items = $node['items'] ?? array();
		if ( 2 === count( $items ) && 'string' === $items[1]['node']['type'] ) {
			$on = $items[0]['node'];
			return 'object' === $on['type'] ? $on['class'] . '->' . $items[1]['node']['value'] : ( $on['value'] ?? '?' ) . '::' . $items[1]['node']['value'];
		}
		return __( '(unknown)', 'background-worker' );
	}

	/**
	 * The next value.
	 *
	 * @param int $depth How deep it is.
	 * @return array A node.
	 */
	private function node( $depth ) {
		if ( ++$this->nodes > self::MAX_NODES || $depth > self::MAX_DEPTH ) {
			return $this->unreadable( true );
		}
		$rest = substr( $this->bytes, $this->at, 64 );
		if ( 'N;' === substr( $rest, 0, 2 ) ) {
			$this->at += 2;
			return array( 'type' => 'null' );
		}
		if ( preg_match( '/\A([bidrR]):([^;]{1,40});/', $rest, $found ) ) {
			$this->at += strlen( $found[0] );
			return $this->scalar( $found[1], $found[2] );
		}
		if ( preg_match( '/\A([sE]):(\d{1,10}):"/', $rest, $found ) ) {
			$this->at += strlen( $found[0] );
			return $this->text( 's' === $found[1] ? 'string' : 'enum', (int) $found[2] );
		}
		if ( preg_match( '/\Aa:(\d{1,10}):\{/', $rest, $found ) ) {
			$this->at += strlen( $found[0] );
			return $this->items( array( 'type' => 'array' ), (int) $found[1], $depth );
		}
		if ( preg_match( '/\A([OC]):\d{1,5}:"([^"]{1,500})":(\d{1,10}):\{/', substr( $this->bytes, $this->at, 600 ), $found ) ) {
			$this->at += strlen( $found[0] );
			$class     = Job_View::text( $found[2] );
			if ( 'C' === $found[1] ) { // Bytes of the class's own making.
				return array( 'class' => $class ) + $this->text( 'custom', (int) $found[3], '}' );
			}
			return $this->items(
				array(
					'type'  => 'object',
					'class' => $class,
				),
				(int) $found[3],
				$depth
			);
		}
		return $this->unreadable( false );
	}

	/**
	 * A value that is written as one word.
	 *
	 * @param string $letter Its type.
	 * @param string $word   Its text.
	 * @return array A node.
	 */
	private function scalar( $letter, $word ) {
		switch ( $letter ) {
			case 'b':
				return array(
					'type'  => 'bool',
					'value' => '1' === $word,
				);
			case 'i': // As text: JavaScript's numbers are smaller than PHP's.
				return array(
					'type'  => 'int',
					'value' => Job_View::text( $word ),
				);
			case 'd':
				return array(
					'type'  => 'float',
					'value' => Job_View::text( $word ),
				);
		}
		return array(
			'type'  => 'reference',
			'value' => Job_View::text( $word ),
		);
	}

	/**
	 * A text of a known length.
	 *
	 * @param string $type   The node's type.
	 * @param int    $length Bytes.
	 * @param string $end    What comes behind it.
	 * @return array A node.
	 */
	private function text( $type, $length, $end = '";' ) {
		$value  = (string) substr( $this->bytes, $this->at, min( $length, self::MAX_TEXT ) );
		$behind = substr( $this->bytes, $this->at + $length, strlen( $end ) );
		if ( $end !== $behind ) {
			$this->at = strlen( $this->bytes );
		} else {
			$this->at += $length + strlen( $end );
		}
		$node = array(
			'type'  => $type,
			'value' => Job_View::text( $value ),
			'bytes' => $length,
		);
		if ( $length > self::MAX_TEXT || $end !== $behind ) {
			$node['cut'] = true;
		}
		if ( 1 !== preg_match( '//u', $value ) && $length <= self::MAX_TEXT ) {
			$node['hex'] = bin2hex( substr( $value, 0, 32 ) );
		}
		return $node;
	}

	/**
	 * What is in an array or object.
	 *
	 * @param array $node  The node so far.
	 * @param int   $count How many there are.
	 * @param int   $depth How deep it is.
	 * @return array The node.
	 */
	private function items( array $node, $count, $depth ) {
		$node += array(
			'count' => $count,
			'items' => array(),
		);
		for ( $number = 0; $number < $count; $number++ ) {
			list( $key, $visibility ) = $this->key();
			if ( null === $key ) {
				$node['cut'] = true;
				return $node;
			}
			$value = $this->node( $depth + 1 );
			$item  = array(
				'key'  => $key,
				'node' => $value,
			);
			if ( null !== $visibility ) {
				$item['visibility'] = $visibility;
			}
			$node['items'][] = $item;
			if ( 'unreadable' === $value['type'] ) {
				$node['cut'] = true;
				return $node;
			}
		}
		++$this->at; // The brace.
		return $node;
	}

	/**
	 * A key. A private property's is NUL, class, NUL, name; a protected one's has an asterisk for the class.
	 *
	 * @return array{0: string|null, 1: string|null} Its name and visibility; null for what is none.
	 */
	private function key() {
		$rest       = substr( $this->bytes, $this->at, 600 );
		$visibility = null;
		$name       = null;
		if ( preg_match( '/\As:(\d{1,7}):"\x00([^\x00]+)\x00/', $rest, $found ) ) {
			$visibility = '*' === $found[2] ? 'protected' : 'private';
			$this->at  += strlen( $found[0] );
			$name       = $this->text( 'string', max( 0, (int) $found[1] - strlen( $found[2] ) - 2 ) );
		} elseif ( preg_match( '/\A[is]:/', $rest ) ) {
			$name = $this->node( self::MAX_DEPTH );
		}
		$is_name = null !== $name && 'unreadable' !== $name['type'];
		return array( $is_name ? (string) $name['value'] : null, $visibility );
	}

	/**
	 * The node for what cannot be read, or is more than is shown.
	 *
	 * @param bool $is_more Whether it is only more.
	 * @return array A node.
	 */
	private function unreadable( $is_more ) {
		$node = array(
			'type'  => 'unreadable',
			'value' => $is_more ? '' : Job_View::text( substr( $this->bytes, $this->at, 200 ) ),
			'cut'   => true,
		);
		$this->at = strlen( $this->bytes );
		return $node;
	}
}
