/**
 * Batches: imports as wholes.
 */
( function ( wp, bgw ) {
	'use strict';

	const { h, __, sprintf, usePoll, href, path, counted, span, Heading, Trouble, Table, Time, Progress } = bgw;
	const { Fragment } = wp.element;

	function finished( batch ) {
		return [ 'completed', 'failed', 'cancelled' ].reduce( ( sum, status ) => sum + batch.counts[ status ].number, 0 );
	}

	/** How far: with the total it is a bar, and words for what the bar does not say. */
	function Far( { batch } ) {
		const more = batch.total.more;
		return h( Fragment, null,
			more ? h( 'span', null, sprintf( /* translators: 1: how many are done, 2: of how many */ __( '%1$s of %2$s', 'background-worker' ), bgw.number( finished( batch ) ) + '+', counted( batch.total ) ) )
				: h( Progress, { done: finished( batch ), total: batch.total.number, label: sprintf( /* translators: %s: a batch's name */ __( 'Progress of batch %s', 'background-worker' ), batch.batch ) } )
		);
	}

	function rate( batch ) {
		if ( ! batch.open ) {
			return batch.closed_at ? h( Fragment, null, __( 'done', 'background-worker' ), ' ', h( Time, { at: batch.closed_at } ) ) : __( 'done', 'background-worker' );
		}
		if ( ! batch.rate ) {
			return batch.counts.running.number ? __( 'runs', 'background-worker' ) : __( 'waits', 'background-worker' );
		}
		const speed = batch.rate >= 1 ? sprintf( /* translators: %s: a number */ __( '%s jobs/s', 'background-worker' ), bgw.number( batch.rate.toFixed( 1 ) ) ) : sprintf( /* translators: %s: a number */ __( '%s jobs/min', 'background-worker' ), bgw.number( ( batch.rate * 60 ).toFixed( 1 ) ) );
		return h( Fragment, null, speed, batch.seconds_left !== null && h( 'div', { className: 'bgw-faint' }, sprintf( /* translators: %s: a time span */ __( '%s left', 'background-worker' ), span( batch.seconds_left * 1000 ) ) ) );
	}

	function link( batch, status ) {
		const count = batch.counts[ status ];
		return count.number ? h( 'a', { className: status === 'failed' ? 'bgw-error' : '', href: href( 'jobs', { batch: batch.batch, status } ) }, counted( count ) ) : '0';
	}

	const COLUMNS = [
		{ key: 'batch', title: __( 'Batch', 'background-worker' ), main: true, className: 'bgw-wide', cell: ( batch ) => h( 'a', { dir: 'auto', href: href( 'jobs', { batch: batch.batch } ) }, batch.batch ) },
		{ key: 'far', title: __( 'Progress', 'background-worker' ), className: 'bgw-wide', cell: ( batch ) => h( Far, { batch } ) },
		{ key: 'rate', title: __( 'Rate', 'background-worker' ), cell: rate },
		{ key: 'running', title: __( 'Running', 'background-worker' ), className: 'bgw-number', cell: ( batch ) => link( batch, 'running' ) },
		{ key: 'failed', title: __( 'Failed', 'background-worker' ), className: 'bgw-number', cell: ( batch ) => link( batch, 'failed' ) },
		{ key: 'cancelled', title: __( 'Cancelled', 'background-worker' ), className: 'bgw-number', cell: ( batch ) => link( batch, 'cancelled' ) },
		{ key: 'first', title: __( 'Begun', 'background-worker' ), cell: ( batch ) => h( Time, { at: batch.first_at } ) },
	];

	bgw.screens.batches = function Batches( { query } ) {
		const { data, error } = usePoll( path( '/batches', { before: query.before } ), 2000 );
		return h(
			Fragment,
			null,
			h( Heading, null, __( 'Batches', 'background-worker' ) ),
			h( Trouble, { error } ),
			! data ? ! error && h( 'p', null, __( 'Loading…', 'background-worker' ) ) : h( Fragment, null,
				h( Table, { label: __( 'Batches', 'background-worker' ), columns: COLUMNS, rows: data.batches, rowKey: ( batch ) => batch.batch, empty: __( 'There are no batches. Jobs that are added with the option “batch” are shown here together.', 'background-worker' ) } ),
				h( 'nav', { className: 'bgw-pages', 'aria-label': __( 'Pages', 'background-worker' ) },
					query.before && h( 'a', { className: 'button', href: href( 'batches' ) }, __( 'First page', 'background-worker' ) ),
					data.next && h( 'a', { className: 'button', href: href( 'batches', { before: String( data.next ) } ) }, __( 'Next page', 'background-worker' ) )
				)
			)
		);
	};
} )( window.wp, window.backgroundWorker );
