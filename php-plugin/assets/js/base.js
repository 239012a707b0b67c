/**
 * What all screens share: the REST API, polling, the address, times.
 *
 * Written without a build step for what WordPress ships (6.1 and later).
 */
( function ( wp ) {
	'use strict';

	const { useState, useEffect, useRef, useCallback } = wp.element;
	const { __, _n, sprintf } = wp.i18n;
	const BASE = '/background-worker/v1';

	/** Asks the REST API; rejects with `{ code, message }`. */
	function api( method, path, data, signal ) {
		return wp.apiFetch( { path: BASE + path, method, data, signal } );
	}

	/** Whether the session has ended: the nonce is refused, and WordPress gives no new one. */
	function isLoggedOut( error ) {
		return error.code === 'rest_cookie_invalid_nonce';
	}

	/** What went wrong, for a human. */
	function why( error ) {
		if ( error.code === 'fetch_error' ) {
			return __( 'The site does not answer.', 'background-worker' );
		}
		if ( isLoggedOut( error ) ) {
			return __( 'You are logged out.', 'background-worker' );
		}
		if ( /^(background_worker|rest)_/.test( error.code ) ) {
			return error.message;
		}
		// A WordPress that is broken, or without its database, answers in HTML or in JSON that holds some.
		return __( 'The site broke while it answered; its error log says why.', 'background-worker' );
	}

	/** Whether asking again may help: not when the question itself was refused. */
	function mayPass( error ) {
		return error.code !== 'background_worker_late' && ! ( error.data && error.data.status >= 400 && error.data.status < 500 ) || isLoggedOut( error );
	}

	/**
	 * Asks again and again while the page is looked at: `{ data, error, refresh }`.
	 * The next question is put `every` ms after the last answer, so that a slow site is not asked faster than it answers.
	 */
	function usePoll( path, every ) {
		const [ state, setState ] = useState( { path: null, data: null, error: null } );
		const again = useRef( function () {} );
		useEffect( () => {
			let timer = null;
			let stopped = false;
			let asked = 0;
			let control = null;
			let late = null;
			const fail = ( error ) => setState( ( last ) => ( { path, data: last.path === path ? last.data : null, error } ) );
			const ask = () => {
				clearTimeout( timer );
				clearTimeout( late );
				if ( document.hidden && asked > 0 ) {
					return;
				}
				const mine = ++asked;
				if ( control ) {
					control.abort();
				}
				control = new AbortController();
				late = setTimeout( () => fail( { code: 'background_worker_late', message: __( 'The site takes long to answer; what is shown may be old.', 'background-worker' ) } ), window.backgroundWorker.patience );
				api( 'GET', path, undefined, control.signal ).then(
					( data ) => {
						if ( ! stopped && mine === asked ) {
							clearTimeout( late );
							setState( { path, data, error: null } );
							timer = setTimeout( ask, every );
						}
					},
					( error ) => {
						if ( ! stopped && mine === asked ) {
							clearTimeout( late );
							fail( error );
							timer = setTimeout( ask, Math.max( every, 3000 ) );
						}
					}
				);
			};
			again.current = ask;
			const seen = () => ! document.hidden && ask();
			document.addEventListener( 'visibilitychange', seen );
			ask();
			return () => {
				stopped = true;
				clearTimeout( timer );
				clearTimeout( late );
				document.removeEventListener( 'visibilitychange', seen );
				if ( control ) {
					control.abort();
				}
			};
		}, [ path, every ] );
		const refresh = useCallback( () => again.current(), [] );
		const mine = state.path === path;
		return { data: mine ? state.data : null, error: mine ? state.error : null, refresh };
	}

	/** The screen and its settings in the address: `#/jobs?status=failed` is `{ screen: 'jobs', query: { status } }`. */
	function readRoute() {
		const [ path, search ] = window.location.hash.replace( /^#\/?/, '' ).split( '?' );
		const query = {};
		new URLSearchParams( search || '' ).forEach( ( value, key ) => ( query[ key ] = value ) );
		const [ screen, ...rest ] = path.split( '/' );
		let id = rest.join( '/' );
		try {
			id = decodeURIComponent( id );
		} catch ( malformed ) {
			// It is an id of nothing, then, as it is.
		}
		return { screen: screen === 'job' && ! id ? 'jobs' : screen || 'overview', id, query };
	}

	/** The address of a screen. */
	function href( screen, query ) {
		const search = new URLSearchParams();
		Object.entries( query || {} ).forEach( ( [ key, value ] ) => value && search.set( key, value ) );
		const text = search.toString();
		return '#/' + screen + ( text ? '?' + text : '' );
	}

	function useRoute() {
		const [ route, setRoute ] = useState( readRoute );
		useEffect( () => {
			const listen = () => setRoute( readRoute() );
			window.addEventListener( 'hashchange', listen );
			return () => window.removeEventListener( 'hashchange', listen );
		}, [] );
		return route;
	}

	/** A path with a query. */
	function path( route, query ) {
		const search = href( '', query ).slice( 2 );
		return route + search;
	}

	function number( value ) {
		return Number( value ).toLocaleString( document.documentElement.lang || undefined );
	}

	/** A count of the API: "10,000+" when there are more. */
	function counted( count ) {
		return count ? number( count.number ) + ( count.more ? '+' : '' ) : '';
	}

	/** Milliseconds as people say them. */
	function span( ms ) {
		if ( ms === null || ms === undefined ) {
			return '';
		}
		if ( ms < 1000 ) {
			return sprintf( /* translators: %s: a number of milliseconds */ __( '%s ms', 'background-worker' ), Math.round( ms ) );
		}
		const seconds = ms / 1000;
		if ( seconds < 120 ) {
			return sprintf( /* translators: %s: a number of seconds */ __( '%s s', 'background-worker' ), seconds < 10 ? seconds.toFixed( 1 ) : Math.round( seconds ) );
		}
		if ( seconds < 7200 ) {
			return sprintf( /* translators: %s: a number of minutes */ __( '%s min', 'background-worker' ), Math.round( seconds / 60 ) );
		}
		if ( seconds < 172800 ) {
			return sprintf( /* translators: %s: a number of hours */ __( '%s h', 'background-worker' ), Math.round( seconds / 3600 ) );
		}
		return sprintf( /* translators: %s: a number of days */ __( '%s days', 'background-worker' ), Math.round( seconds / 86400 ) );
	}

	/** An ISO time as "8 s ago" or "in 5 min". */
	function ago( iso ) {
		const ms = Date.now() - Date.parse( iso );
		if ( ms >= 0 ) {
			return ms < 1000 ? __( 'just now', 'background-worker' ) : sprintf( /* translators: %s: a time span */ __( '%s ago', 'background-worker' ), span( Math.round( ms / 1000 ) * 1000 ).replace( '.0', '' ) );
		}
		return sprintf( /* translators: %s: a time span */ __( 'in %s', 'background-worker' ), span( -ms ) );
	}

	const LABELS = {
		queued: __( 'Queued', 'background-worker' ),
		delayed: __( 'Delayed', 'background-worker' ),
		running: __( 'Running', 'background-worker' ),
		completed: __( 'Completed', 'background-worker' ),
		failed: __( 'Failed', 'background-worker' ),
		cancelled: __( 'Cancelled', 'background-worker' ),
	};

	/** Says something to those who do not see the page. */
	function say( text ) {
		wp.a11y.speak( text, 'polite' );
	}

	window.backgroundWorker = {
		h: wp.element.createElement, api, why, isLoggedOut, mayPass, usePoll, useRoute, href, path, number, counted, span, ago, say,
		LABELS, STATUSES: Object.keys( LABELS ), __, _n, sprintf, screens: Object.create( null ),
		patience: 10000, // Milliseconds until a question that was not answered is told of.
	};
} )( window.wp );
