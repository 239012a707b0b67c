/**
 * Queues: what waits in each, and pausing, resuming, purging.
 */
( function ( wp, bgw ) {
	'use strict';

	const { h, api, __, _n, sprintf, usePoll, href, counted, span, Heading, Trouble, Table, Act, Confirm, useMessage } = bgw;
	const { Fragment, useState } = wp.element;

	function Actions( { queue, tell, refresh } ) {
		const [ asking, setAsking ] = useState( false );
		const name = queue.queue;
		const go = ( action, said ) => api( 'POST', '/queues/' + action, { queue: name } ).then(
			() => { tell( 'success', said ); refresh(); },
			( error ) => tell( 'error', bgw.why( error ) )
		);
		// A request deletes a bounded number: it is asked again until nothing is left.
		const purge = ( before ) => api( 'POST', '/queues/purge', { queue: name } ).then(
			( answer ) => {
				const deleted = before + answer.deleted;
				if ( answer.more ) {
					return purge( deleted );
				}
				tell( 'success', sprintf( /* translators: 1: how many jobs, 2: a queue's name */ _n( '%1$s waiting job of %2$s deleted.', '%1$s waiting jobs of %2$s deleted.', deleted, 'background-worker' ), bgw.number( deleted ), name ) );
				refresh();
			},
			( error ) => tell( 'error', bgw.why( error ) )
		);
		const labelled = ( text ) => ( { 'aria-label': text + ' ' + name } );
		return h( 'div', { className: 'bgw-buttons bgw-row' },
			queue.paused
				? h( Act, { ...labelled( __( 'Resume', 'background-worker' ) ), act: () => go( 'resume', sprintf( /* translators: %s: a queue's name */ __( 'Queue %s goes on.', 'background-worker' ), name ) ) }, __( 'Resume', 'background-worker' ) )
				: h( Act, { ...labelled( __( 'Pause', 'background-worker' ) ), act: () => go( 'pause', sprintf( /* translators: %s: a queue's name */ __( 'Queue %s is paused: no job of it is begun.', 'background-worker' ), name ) ) }, __( 'Pause', 'background-worker' ) ),
			h( Act, { ...labelled( __( 'Purge', 'background-worker' ) ), isDestructive: true, disabled: queue.queued.number === queue.in_broker && ! queue.delayed.number, act: () => setAsking( true ) }, __( 'Purge', 'background-worker' ) ),
			asking && h( Confirm, { title: __( 'Purge', 'background-worker' ), yes: __( 'Purge', 'background-worker' ), text: sprintf( /* translators: %s: a queue's name */ __( 'Delete all jobs that wait in %s, delayed ones too? This cannot be undone.', 'background-worker' ), name ) + ( queue.in_broker ? ' ' + __( 'Those in the queue server stay; “wpbg queues purge” deletes them, too.', 'background-worker' ) : '' ), onYes: () => purge( 0 ), onClose: () => setAsking( false ) } )
		);
	}

	function link( queue, status ) {
		return queue[ status ].number ? h( 'a', { href: href( 'jobs', { queue: queue.queue, status } ) }, counted( queue[ status ] ) ) : '0';
	}

	/** What waits; of what is in the broker there is no list yet. */
	function queued( queue ) {
		return h( Fragment, null, queue.queued.number > queue.in_broker ? link( queue, 'queued' ) : counted( queue.queued ),
			queue.in_broker > 0 && h( 'div', { className: 'bgw-faint' }, sprintf( /* translators: %s: how many jobs */ __( '%s in the queue server', 'background-worker' ), bgw.number( queue.in_broker ) ) ) );
	}

	function columns( tell, refresh ) {
		return [
			{ key: 'queue', title: __( 'Queue', 'background-worker' ), main: true, className: 'bgw-wide', cell: ( queue ) => h( Fragment, null, h( 'a', { href: href( 'jobs', { queue: queue.queue } ) }, queue.queue ), queue.paused && h( Fragment, null, ' ', h( 'span', { className: 'bgw-status is-delayed' }, __( 'Paused', 'background-worker' ) ) ) ) },
			{ key: 'queued', title: __( 'Queued', 'background-worker' ), className: 'bgw-number', cell: queued },
			{ key: 'delayed', title: __( 'Delayed', 'background-worker' ), className: 'bgw-number', cell: ( queue ) => link( queue, 'delayed' ) },
			{ key: 'running', title: __( 'Running', 'background-worker' ), className: 'bgw-number', cell: ( queue ) => h( Fragment, null, link( queue, 'running' ), ' ', h( 'span', { className: 'bgw-faint' }, sprintf( /* translators: %s: how many jobs the workers can run at a time */ __( 'of %s slots', 'background-worker' ), queue.slots ) ) ) },
			{ key: 'failed', title: __( 'Failed', 'background-worker' ), className: 'bgw-number', cell: ( queue ) => link( queue, 'failed' ) },
			{ key: 'oldest', title: __( 'Oldest waits', 'background-worker' ), className: 'bgw-number', cell: ( queue ) => queue.oldest_queued_seconds === null ? '–' : span( queue.oldest_queued_seconds * 1000 ) },
			{ key: 'actions', title: __( 'Actions', 'background-worker' ), cell: ( queue ) => h( Actions, { queue, tell, refresh } ) },
		];
	}

	bgw.screens.queues = function Queues() {
		const [ shown, tell ] = useMessage();
		const { data, error, refresh } = usePoll( '/queues', 2000 );
		return h(
			Fragment,
			null,
			h( Heading, null, __( 'Queues', 'background-worker' ) ),
			h( Trouble, { error } ),
			shown,
			! data ? ! error && h( 'p', null, __( 'Loading…', 'background-worker' ) )
				: h( Table, { label: __( 'Queues', 'background-worker' ), columns: columns( tell, refresh ), rows: data.queues, rowKey: ( queue ) => queue.queue, empty: __( 'No queue has had a job yet.', 'background-worker' ) } )
		);
	};
} )( window.wp, window.backgroundWorker );
