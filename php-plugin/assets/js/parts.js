/**
 * Pieces that screens are made of.
 */
( function ( wp, bgw ) {
	'use strict';

	const { h, __, sprintf, ago, span, number, LABELS } = bgw;
	const { useEffect, useRef, useState, Fragment } = wp.element;
	const { Button, Modal, Notice } = wp.components;

	function Status( { status, asked } ) {
		const text = status === 'running' && asked ? __( 'Stopping', 'background-worker' ) : LABELS[ status ] || status;
		return h( 'span', { className: 'bgw-status is-' + status }, text );
	}

	/** A time: how long ago, with the moment itself for those who point at it, or (`full`) for everybody. */
	function Time( { at, full } ) {
		if ( ! at ) {
			return h( 'span', { 'aria-hidden': true }, '–' );
		}
		const moment = new Date( at ).toLocaleString( document.documentElement.lang || undefined );
		return h( 'time', { dateTime: at, title: moment }, ago( at ), full && h( 'span', { className: 'bgw-faint bgw-moment' }, moment ) );
	}

	/** How far something is. Without a total there is no bar to fill: it says how much is done. */
	function Progress( { done, total, message, label } ) {
		const known = total !== null && total !== undefined && total > 0;
		const share = known ? Math.min( 1, done / total ) : 0;
		const text = known
			? sprintf( /* translators: 1: how many are done, 2: of how many, 3: percent */ __( '%1$s of %2$s (%3$s %%)', 'background-worker' ), number( done ), number( total ), Math.floor( share * 100 ) )
			: sprintf( /* translators: %s: how many are done */ __( '%s done', 'background-worker' ), number( done ) );
		return h(
			'div',
			{ className: 'bgw-progress' },
			known && h(
				'div',
				{ className: 'bgw-bar', role: 'progressbar', 'aria-label': label || __( 'Progress', 'background-worker' ), 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-valuenow': Math.floor( share * 100 ), 'aria-valuetext': text },
				h( 'div', { style: { width: share * 100 + '%' } } )
			),
			h( 'div', { className: 'bgw-progress-text' }, text, message ? h( Fragment, null, ' · ', message ) : null )
		);
	}

	/** A heading that takes the focus when its screen appears, so that a screen reader begins there. */
	function Heading( { children } ) {
		const heading = useRef( null );
		useEffect( () => {
			if ( bgw.moved ) {
				heading.current.focus();
			}
		}, [] );
		return h( 'h2', { ref: heading, tabIndex: -1, className: 'bgw-heading' }, children );
	}

	/** What went wrong with a poll; what was there stays, and it goes on by itself where it can. */
	function Trouble( { error } ) {
		if ( ! error ) {
			return null;
		}
		return h( Notice, { status: 'error', isDismissible: false }, bgw.why( error ), ' ', bgw.isLoggedOut( error )
			? h( 'a', { href: window.location.pathname + window.location.search, target: '_blank', rel: 'noreferrer' }, __( 'Log in again in another tab; this page then goes on.', 'background-worker' ) )
			: bgw.mayPass( error ) && __( 'Trying again.', 'background-worker' )
		);
	}

	/** What came of a click, kept until it is dismissed or the next one. */
	function useMessage() {
		const [ message, setMessage ] = useState( null );
		const tell = ( status, text ) => {
			setMessage( text ? { status, text } : null );
			if ( text ) {
				bgw.say( text );
			}
		};
		const shown = message && h( Notice, { status: message.status, onRemove: () => setMessage( null ) }, message.text );
		return [ shown, tell ];
	}

	/** A button that waits for what it started. `act` returns a promise. */
	function Act( { act, children, ...rest } ) {
		const [ busy, setBusy ] = useState( false );
		const alive = useRef( true );
		useEffect( () => {
			alive.current = true;
			return () => ( alive.current = false );
		}, [] );
		const click = () => {
			if ( busy ) {
				return;
			}
			setBusy( true );
			Promise.resolve( act() ).finally( () => alive.current && setBusy( false ) );
		};
		return h( Button, { variant: 'secondary', ...rest, isBusy: busy, 'aria-disabled': busy || undefined, onClick: click }, children );
	}

	/** Asks before something that cannot be undone. */
	function Confirm( { title, text, yes, onYes, onClose } ) {
		const done = useRef( false );
		// What was clicked may be gone then: the focus goes to where the screen begins, not to nowhere.
		useEffect( () => () => {
			if ( done.current ) {
				setTimeout( () => document.querySelector( '.bgw-heading' ).focus() );
			}
		}, [] );
		const finish = () => {
			done.current = true;
			onClose();
		};
		return h(
			Modal,
			{ title, onRequestClose: onClose, className: 'bgw-modal' },
			h( 'p', null, text ),
			h(
				'div',
				{ className: 'bgw-buttons' },
				h( Act, { variant: 'primary', isDestructive: true, act: () => onYes().then( finish, finish ) }, yes ),
				h( Button, { variant: 'tertiary', onClick: onClose }, __( 'Keep', 'background-worker' ) )
			)
		);
	}

	/** In a box of its own, so that it stays together beside its label in a narrow window. */
	function content( cell ) {
		return cell === '' ? null : h( 'div', { className: 'bgw-cell' }, cell );
	}

	/**
	 * A table that becomes a list of cards in a narrow window. `columns`: `{ key, title, cell( row ), className, main }`.
	 * Roles are said explicitly, because the narrow layout takes the tables' own away.
	 */
	function Table( { label, columns, rows, rowKey, empty } ) {
		if ( ! rows.length ) {
			return h( 'p', { className: 'bgw-empty' }, empty );
		}
		const isControl = ( column ) => typeof column.title !== 'string';
		return h(
			'table',
			{ className: 'widefat striped bgw-table' + ( columns.some( isControl ) ? ' has-controls' : '' ), role: 'table', 'aria-label': label },
			h( 'thead', { role: 'rowgroup' }, h( 'tr', { role: 'row' }, columns.map( ( column ) =>
				h( 'th', { key: column.key, scope: 'col', role: 'columnheader', className: ( column.className || '' ) + ( isControl( column ) ? ' has-control' : '' ), 'aria-sort': column.sort }, column.title )
			) ) ),
			h( 'tbody', { role: 'rowgroup' }, rows.map( ( row ) =>
				h( 'tr', { key: rowKey( row ), role: 'row' }, columns.map( ( column ) =>
					h( column.main ? 'th' : 'td', { key: column.key, scope: column.main ? 'row' : undefined, role: column.main ? 'rowheader' : 'cell', className: column.className, 'data-label': column.label || ( isControl( column ) ? undefined : column.title ) }, content( column.cell( row ) ) )
				) )
			) )
		);
	}

	/** The text of a job: never markup, and set off so that it cannot be mistaken for ours. */
	function Pre( { children, label, refTo } ) {
		return h( 'pre', { className: 'bgw-pre', tabIndex: 0, role: 'region', 'aria-label': label, ref: refTo }, children );
	}

	Object.assign( bgw, { Status, Time, Progress, Heading, Trouble, useMessage, Act, Confirm, Table, Pre, spanOf: span } );
} )( window.wp, window.backgroundWorker );
