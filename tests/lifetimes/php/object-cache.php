<?php
/**
 * An object cache on Redis, for tests: a drop-in that finds out when it reads another process's answers.
 *
 * TEST_CACHE_SOCKET is the server's. TEST_CACHE_KIND is how the connection is held: `plain` in a property of the cache
 * object, as most do; `persistent` the same, but of PHP's persistent kind, which outlives the object; `hidden` in a
 * static variable.
 */

/**
 * The smallest client that keeps one connection.
 */
class Test_Redis {

	private $stream;

	public function __construct() {
		$address      = 'unix://' . TEST_CACHE_SOCKET;
		$this->stream = 'persistent' === TEST_CACHE_KIND ? pfsockopen( $address ) : stream_socket_client( $address );
		if ( ! $this->stream ) {
			throw new RuntimeException( 'The cache does not answer.' );
		}
	}

	public function ask( ...$words ) {
		$nonce = bin2hex( random_bytes( 8 ) );
		fwrite( $this->stream, self::encode( $words ) . self::encode( array( 'ECHO', $nonce ) ) );
		return $nonce;
	}

	public function call( ...$words ) {
		$nonce  = $this->ask( ...$words );
		$answer = $this->read();
		usleep( random_int( 0, 300 ) ); // Others get between the two.
		$echo = $this->read();
		if ( $echo !== $nonce ) {
			file_put_contents( TEST_CACHE_SOCKET . '.crossed', getmypid() . " $echo\n", FILE_APPEND );
			throw new RuntimeException( 'This answer was another process\'s.' );
		}
		return $answer;
	}

	private static function encode( array $words ) {
		$text = '*' . count( $words ) . "\r\n";
		foreach ( $words as $word ) {
			$text .= '$' . strlen( $word ) . "\r\n" . $word . "\r\n";
		}
		return $text;
	}

	private function read() {
		$line = fgets( $this->stream );
		if ( false === $line ) {
			throw new RuntimeException( 'The cache hung up.' );
		}
		$rest = substr( $line, 1, -2 );
		if ( '$' !== $line[0] ) {
			return ':' === $line[0] ? (int) $rest : $rest;
		}
		if ( '-1' === $rest ) {
			return null;
		}
		$bytes = '';
		while ( strlen( $bytes ) < (int) $rest + 2 ) {
			$more = fread( $this->stream, (int) $rest + 2 - strlen( $bytes ) );
			if ( false === $more || '' === $more ) {
				throw new RuntimeException( 'The cache hung up.' );
			}
			$bytes .= $more;
		}
		return substr( $bytes, 0, -2 );
	}
}

class WP_Object_Cache {

	public $global_groups = array();

	protected $ignored_groups = array();

	private $near = array();

	private $redis;

	private $blog = '';

	public function __construct() {
		if ( 'hidden' === TEST_CACHE_KIND ) {
			static $one  = null;
			$one         = $one ?? new Test_Redis();
			$this->redis = $one;
		} else {
			$this->redis = new Test_Redis();
		}
		$this->switch_to_blog( get_current_blog_id() );
	}

	public function redis() {
		return $this->redis;
	}

	public function add_groups( $kind, $groups ) {
		$this->$kind = array_unique( array_merge( $this->$kind, (array) $groups ) );
	}

	public function switch_to_blog( $blog ) {
		$this->blog = is_multisite() ? "$blog:" : '';
	}

	private function key( $key, $group ) {
		$group = $group ? $group : 'default';
		return ( in_array( $group, $this->global_groups, true ) ? '' : $this->blog ) . "$group:$key";
	}

	private function is_far( $group ) {
		return ! in_array( $group ? $group : 'default', $this->ignored_groups, true );
	}

	public function get( $key, $group, $force, &$found ) {
		$name = $this->key( $key, $group );
		if ( ( $force || ! array_key_exists( $name, $this->near ) ) && $this->is_far( $group ) ) {
			$bytes = $this->redis->call( 'GET', $name );
			if ( null === $bytes ) {
				unset( $this->near[ $name ] );
			} else {
				$this->near[ $name ] = unserialize( $bytes );
			}
		}
		$found = array_key_exists( $name, $this->near );
		$value = $found ? $this->near[ $name ] : false;
		return is_object( $value ) ? clone $value : $value;
	}

	public function set( $key, $value, $group ) {
		$name                = $this->key( $key, $group );
		$this->near[ $name ] = is_object( $value ) ? clone $value : $value;
		if ( $this->is_far( $group ) ) {
			$this->redis->call( 'SET', $name, serialize( $value ) );
		}
		return true;
	}

	public function delete( $key, $group ) {
		$name = $this->key( $key, $group );
		unset( $this->near[ $name ] );
		return ! $this->is_far( $group ) || $this->redis->call( 'DEL', $name ) > 0;
	}

	public function flush() {
		$this->near = array();
		$this->redis->call( 'FLUSHDB' );
		return true;
	}

	public function flush_runtime() {
		$this->near = array();
		return true;
	}
}

function wp_cache_init() {
	$GLOBALS['wp_object_cache'] = new WP_Object_Cache();
}

function wp_cache_close() {
	return true; // As the widespread ones do.
}

function wp_cache_supports( $feature ) {
	return 'flush_runtime' === $feature && ! defined( 'TEST_CACHE_SUPPORTS_NOTHING' );
}

function wp_cache_add( $key, $value, $group = '', $expire = 0 ) {
	wp_cache_get( $key, $group, false, $found );
	return ! $found && ! wp_suspend_cache_addition() && wp_cache_set( $key, $value, $group, $expire );
}

function wp_cache_replace( $key, $value, $group = '', $expire = 0 ) {
	wp_cache_get( $key, $group, false, $found );
	return $found && wp_cache_set( $key, $value, $group, $expire );
}

function wp_cache_get( $key, $group = '', $force = false, &$found = null ) {
	return $GLOBALS['wp_object_cache']->get( $key, $group, $force, $found );
}

function wp_cache_set( $key, $value, $group = '', $expire = 0 ) {
	return $GLOBALS['wp_object_cache']->set( $key, $value, $group );
}

function wp_cache_delete( $key, $group = '' ) {
	return $GLOBALS['wp_object_cache']->delete( $key, $group );
}

function wp_cache_incr( $key, $by = 1, $group = '' ) {
	$value = wp_cache_get( $key, $group );
	return is_numeric( $value ) && wp_cache_set( $key, $value + $by, $group ) ? $value + $by : false;
}

function wp_cache_decr( $key, $by = 1, $group = '' ) {
	return wp_cache_incr( $key, -$by, $group );
}

function wp_cache_flush() {
	return $GLOBALS['wp_object_cache']->flush();
}

function wp_cache_flush_runtime() {
	return $GLOBALS['wp_object_cache']->flush_runtime();
}

function wp_cache_switch_to_blog( $blog ) {
	$GLOBALS['wp_object_cache']->switch_to_blog( $blog );
}

function wp_cache_add_global_groups( $groups ) {
	$GLOBALS['wp_object_cache']->add_groups( 'global_groups', $groups );
}

function wp_cache_add_non_persistent_groups( $groups ) {
	$GLOBALS['wp_object_cache']->add_groups( 'ignored_groups', $groups );
}
