/**
 * Charts in plain SVG, each with its figures as text.
 */
( function ( wp, bgw ) {
	'use strict';

	const { h, __, number } = bgw;
	const WIDTH = 600;
	const HEIGHT = 140;
	const LEFT = 56;
	const BOTTOM = 20;
	const TOP = 14;

	/** A round number at or above the largest value. */
	function top( most ) {
		if ( most <= 4 ) {
			return 4;
		}
		const power = Math.pow( 10, Math.floor( Math.log10( most ) ) );
		return [ 1, 2, 4, 6, 8, 10 ].map( ( step ) => step * power ).find( ( step ) => step >= most );
	}

	/**
	 * Stacked bars over time. `points` are `{ at, … }` in order, `series` `[ { key, label, className } ]`, `say( value )` words a value.
	 */
	function Bars( { title, points, series, say, summary } ) {
		const words = say || number;
		const most = top( Math.max( 1, ...points.map( ( point ) => series.reduce( ( sum, one ) => sum + ( point[ one.key ] || 0 ), 0 ) ) ) );
		const step = ( WIDTH - LEFT ) / Math.max( 1, points.length );
		const height = HEIGHT - BOTTOM - TOP;
		const y = ( value ) => TOP + height * ( 1 - value / most );
		const clock = ( at ) => new Date( at ).toLocaleTimeString( [], { hour: '2-digit', minute: '2-digit' } );
		const bars = [];
		points.forEach( ( point, place ) => {
			let below = 0;
			series.forEach( ( one ) => {
				const value = point[ one.key ] || 0;
				if ( value > 0 ) {
					const tall = Math.max( 1, height * value / most );
					bars.push( h( 'rect', { key: place + one.key, className: one.className, x: LEFT + place * step + 0.5, width: Math.max( 1, step - 1 ), y: y( below ) - tall, height: tall }, h( 'title', null, clock( point.at ) + ' · ' + one.label + ': ' + words( value ) ) ) );
					below += value;
				}
			} );
		} );
		const marks = [ 0, 0.25, 0.5, 0.75 ].map( ( share ) => points[ Math.floor( share * points.length ) ] ).filter( Boolean );
		return h(
			'figure',
			{ className: 'bgw-chart' },
			h( 'figcaption', null, h( 'strong', null, title ), ' ', h( 'span', { className: 'bgw-legend' }, series.map( ( one ) => h( 'span', { key: one.key }, h( 'i', { className: one.className, 'aria-hidden': true } ), one.label, ' ' ) ) ) ),
			h(
				'svg',
				{ viewBox: '0 0 ' + WIDTH + ' ' + HEIGHT, role: 'img', 'aria-label': title + ': ' + summary },
				[ 0, 0.5, 1 ].map( ( share ) => h( 'g', { key: share, className: 'bgw-grid' },
					h( 'line', { x1: LEFT, x2: WIDTH, y1: y( most * share ), y2: y( most * share ) } ),
					h( 'text', { x: LEFT - 6, y: y( most * share ) + 4, textAnchor: 'end' }, words( most * share ) )
				) ),
				bars,
				marks.map( ( point, place ) => h( 'text', { key: place, className: 'bgw-axis', x: LEFT + ( WIDTH - LEFT ) * place / 4, y: HEIGHT - 3 }, clock( point.at ) ) )
			),
			h( 'p', { className: 'bgw-summary' }, summary )
		);
	}

	/** Lengths beside one another: `rows` of `{ name, value, text }`. */
	function Lengths( { title, rows, empty } ) {
		const most = Math.max( 1, ...rows.map( ( row ) => row.value ) );
		return h(
			'figure',
			{ className: 'bgw-chart' },
			h( 'figcaption', null, h( 'strong', null, title ) ),
			rows.length ? h( 'ul', { className: 'bgw-lengths' }, rows.map( ( row ) => h( 'li', { key: row.name },
				h( 'span', { className: 'bgw-lengths-name', title: row.name, dir: 'auto' }, row.name ),
				h( 'span', { className: 'bgw-lengths-bar', 'aria-hidden': true }, h( 'span', { style: { width: 100 * row.value / most + '%' } } ) ),
				h( 'span', { className: 'bgw-lengths-text' }, row.text )
			) ) ) : h( 'p', { className: 'bgw-empty' }, empty || __( 'Nothing yet.', 'background-worker' ) )
		);
	}

	Object.assign( bgw, { Bars, Lengths } );
} )( window.wp, window.backgroundWorker );
