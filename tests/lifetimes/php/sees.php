<?php
/**
 * A job that writes down what it sees of the site's code.
 */

function sees( $data ) {
	$seen = array(
		'plugin'  => edited_version(),
		'linked'  => function_exists( 'linked_version' ) ? linked_version() : '',
		'new'     => function_exists( 'new_version' ) ? new_version() : '',
		'other'   => function_exists( 'other_version' ),
		'theme'   => get_stylesheet() . ' ' . ( function_exists( 'theme_version' ) ? theme_version() : '' ),
		'config'  => defined( 'CHANGED_LATER' ) ? CHANGED_LATER : '',
		'attempt' => background_job()->attempt,
	);
	$line = array( 'n' => $data['n'], 'at' => microtime( true ), 'pid' => getmypid() ) + $seen;
	file_put_contents( $data['trace'], json_encode( $line ) . "\n", FILE_APPEND );
	file_exists( $data['trace'] . '.fast' ) || usleep( 20000 );
}
