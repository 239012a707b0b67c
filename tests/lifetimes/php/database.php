<?php
/**
 * Jobs that use the database, and some that leave its session changed.
 */

function writes( $value ) {
	global $wpdb;
	update_option( 'written', $value, false );
	return $wpdb->get_var( "SELECT option_value FROM {$wpdb->options} WHERE option_name = 'written'" );
}

function past_wpdb( $value ) {
	$row = mysqli_fetch_row( mysqli_query( $GLOBALS['wpdb']->dbh, "SELECT $value" ) );
	return $row[0];
}

function waits( $file ) {
	touch( "$file.begun" );
	while ( ! file_exists( "$file.go" ) ) {
		usleep( 10000 );
	}
	return 'waited';
}

function waits_then_writes( $file ) {
	waits( $file );
	return writes( basename( $file ) );
}

function leaves_transaction( $value ) {
	global $wpdb;
	$wpdb->query( 'START TRANSACTION' );
	return writes( $value );
}

function leaves_transaction_and_throws( $value ) {
	leaves_transaction( $value );
	throw new Exception( 'in the middle' );
}

function changes_session( $sql ) {
	global $wpdb;
	if ( false === $wpdb->query( $sql ) ) {
		throw new Exception( $wpdb->last_error );
	}
}

function session() {
	global $wpdb;
	return $wpdb->get_row( "SELECT @@autocommit, @@sql_mode, @@time_zone, @@collation_connection, @left_by_job, DATABASE(), IS_USED_LOCK( 'left_by_job' )" );
}
