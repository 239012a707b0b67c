/**
 * The end of the log, followed.
 */
( function ( wp, bgw ) {
	'use strict';

	const { h, api, __, path, Heading, Trouble, Pre } = bgw;
	const { Fragment, useState, useEffect, useRef } = wp.element;

	const KEPT = 2000;
	const EVERY = 1500;

	/** The lines with those of an answer; the same ones when it brought none, so that the box is not scrolled. */
	function added( lines, about ) {
		const before = about.restarted ? [] : lines;
		return about.lines.length || before.length !== lines.length ? before.concat( about.skipped ? [ '…' ] : [], about.lines ).slice( -KEPT ) : lines;
	}

	/** Follows the file: each answer says where the next one begins. */
	function useTail( on ) {
		const [ tail, setTail ] = useState( { lines: [], about: null, error: null } );
		const at = useRef( null );
		useEffect( () => {
			let timer = null;
			let stopped = false;
			const ask = () => api( 'GET', path( '/log', { since: at.current } ) ).then(
				( about ) => {
					at.current = about.at;
					if ( ! stopped ) {
						setTail( ( last ) => ( { about, error: null, lines: added( last.lines, about ) } ) );
					}
				},
				( error ) => ! stopped && setTail( ( last ) => ( { ...last, error } ) )
			).finally( () => ! stopped && ( timer = setTimeout( ask, EVERY ) ) );
			if ( on ) {
				ask();
			}
			return () => {
				stopped = true;
				clearTimeout( timer );
			};
		}, [ on ] );
		return tail;
	}

	bgw.screens.log = function Log() {
		const [ on, setOn ] = useState( true );
		const { lines, about, error } = useTail( on );
		const box = useRef( null );
		useEffect( () => {
			if ( on && box.current ) {
				box.current.scrollTop = box.current.scrollHeight;
			}
		}, [ lines, on ] );
		return h(
			Fragment,
			null,
			h( Heading, null, __( 'Log', 'background-worker' ) ),
			h( Trouble, { error } ),
			! about ? ! error && h( 'p', null, __( 'Loading…', 'background-worker' ) ) : ! about.available
				? h( 'div', { className: 'bgw-empty' }, about.file && h( 'p', null, h( 'code', null, about.file ) ), h( 'p', null, about.reason ) )
				: h( Fragment, null,
					h( 'p', null, h( 'code', { className: 'bgw-place' }, about.file ) ),
					h( 'p', null, h( 'label', null, h( 'input', { type: 'checkbox', checked: on, onChange: () => setOn( ! on ) } ), ' ', __( 'Follow', 'background-worker' ) ) ),
					lines.length ? h( Pre, { label: __( 'Log', 'background-worker' ), refTo: box }, lines.join( '\n' ) ) : h( 'p', { className: 'bgw-empty' }, __( 'Nothing in it yet.', 'background-worker' ) )
				)
		);
	};
} )( window.wp, window.backgroundWorker );
