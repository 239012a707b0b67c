/**
 * Charts of what was done in the last hour or day.
 */
( function ( wp, bgw ) {
	'use strict';

	const { h, __, _n, sprintf, usePoll, span, number, Bars, Lengths, Trouble } = bgw;
	const { Fragment, useState } = wp.element;

	const DONE = [
		{ key: 'completed', label: __( 'completed', 'background-worker' ), className: 'is-completed' },
		{ key: 'failed', label: __( 'failed', 'background-worker' ), className: 'is-failed' },
	];
	const WAITED = [ { key: 'waited_ms', label: __( 'mean wait', 'background-worker' ), className: 'is-waiting' } ];

	function Ranges( { range, choose } ) {
		const choice = ( value, text ) => h( 'button', { key: value, type: 'button', className: 'button', 'aria-pressed': range === value, onClick: () => choose( value ) }, text );
		return h( 'div', { className: 'bgw-ranges', role: 'group', 'aria-label': __( 'Time shown', 'background-worker' ) }, choice( 'hour', __( 'Last hour', 'background-worker' ) ), choice( 'day', __( 'Last day', 'background-worker' ) ) );
	}

	/** `children` are shown beside the charts; `quiet` when somebody else says already that the site is in trouble. */
	bgw.Statistics = function Statistics( { children, quiet } ) {
		const [ range, choose ] = useState( 'hour' );
		const { data, error } = usePoll( '/statistics?range=' + range, 5000 );
		const most = data ? Math.max( 0, ...data.points.map( ( point ) => point.waited_most_ms || 0 ) ) : 0;
		return h(
			Fragment,
			null,
			h( Ranges, { range, choose } ),
			! quiet && h( Trouble, { error } ),
			h( 'div', { className: 'bgw-charts' }, ! data ? ! error && h( 'p', { className: 'bgw-empty' }, __( 'Loading…', 'background-worker' ) ) : h( Fragment, null,
				h( Bars, {
					title: range === 'hour' ? __( 'Jobs per minute', 'background-worker' ) : __( 'Jobs per quarter of an hour', 'background-worker' ), points: data.points, series: DONE,
					summary: sprintf( /* translators: 1, 2, 3: numbers */ __( '%1$s completed, %2$s failed, %3$s to be tried again', 'background-worker' ), number( data.completed ), number( data.failed ), number( data.retried ) ),
				} ),
				h( Bars, { title: __( 'Waiting time', 'background-worker' ), points: data.points, series: WAITED, say: span, summary: most ? sprintf( /* translators: %s: a time span */ __( 'The longest wait was %s', 'background-worker' ), span( most ) ) : __( 'No job has begun in this time', 'background-worker' ) } ),
				h( Lengths, {
					title: __( 'Run time by callback, last day', 'background-worker' ), empty: __( 'No job has run in the last day.', 'background-worker' ),
					rows: data.run_times.slice( 0, 8 ).map( ( one ) => ( { name: one.callback, value: one.p95_ms, text: sprintf( /* translators: 1, 2: time spans, 3: a number */ _n( 'p50 %1$s · p95 %2$s · %3$s run', 'p50 %1$s · p95 %2$s · %3$s runs', one.runs, 'background-worker' ), span( one.p50_ms ), span( one.p95_ms ), number( one.runs ) ) } ) ),
				} )
			), children )
		);
	};
} )( window.wp, window.backgroundWorker );
