/**
 * One job: what it is, how far, what came of it, and what can be done.
 */
( function ( wp, bgw ) {
	'use strict';

	const { h, api, __, sprintf, usePoll, href, span, Heading, Trouble, Time, Status, Progress, Act, Confirm, Pre, useMessage } = bgw;
	const { Fragment, useState } = wp.element;

	const FINISHED = [ 'completed', 'failed', 'cancelled' ];

	/** A value of the arguments. The tree was read without making objects of it. */
	function Value( { node } ) {
		const cut = node.cut ? h( 'em', { className: 'bgw-faint' }, ' ', __( '(cut)', 'background-worker' ) ) : null;
		if ( node.items ) {
			const what = node.type === 'object' ? node.class : 'array';
			return h( 'details', { className: 'bgw-tree', open: node.items.length <= 20 },
				h( 'summary', null, h( 'code', null, what ), ' ', h( 'span', { className: 'bgw-faint' }, '(' + node.count + ')' ), cut ),
				h( 'ul', null, node.items.map( ( item, place ) => h( 'li', { key: place }, h( 'code', null, item.key ), item.visibility && h( 'span', { className: 'bgw-faint' }, ' ' + item.visibility ), ': ', h( Value, { node: item.node } ) ) ) )
			);
		}
		if ( node.type === 'null' ) {
			return h( 'code', null, 'null' );
		}
		if ( node.type === 'string' ) {
			return h( Fragment, null, '“', h( 'bdi', { className: 'bgw-string' }, node.value ), '”', node.hex && h( 'span', { className: 'bgw-faint' }, ' ' + node.bytes + ' B 0x' + node.hex ), cut );
		}
		if ( node.type === 'unreadable' ) {
			return h( 'em', { className: 'bgw-faint' }, node.value ? sprintf( /* translators: %s: the beginning of what cannot be read */ __( 'cannot be read: %s', 'background-worker' ), node.value ) : __( '… more than is shown', 'background-worker' ) );
		}
		return h( Fragment, null, h( 'code', null, ( node.class ? node.class + ' ' : node.type === 'reference' ? '→ ' : '' ) + String( node.value ) ), cut );
	}

	function Failure( { error } ) {
		return h( Fragment, null,
			h( 'p', { className: 'bgw-error', dir: 'auto' }, h( 'strong', null, error.class ), ': ', h( 'span', { className: 'bgw-lines' }, error.message ) ),
			error.file && h( 'p', { className: 'bgw-faint bgw-place' }, error.file + ':' + error.line ),
			error.trace && h( 'details', null, h( 'summary', null, __( 'Trace', 'background-worker' ) ), h( Pre, { label: __( 'Trace', 'background-worker' ) }, error.trace ) )
		);
	}

	function facts( job ) {
		return [
			[ __( 'Callback', 'background-worker' ), h( 'code', { className: 'bgw-callback' }, job.callback ) ],
			[ __( 'Queue', 'background-worker' ), h( 'a', { href: href( 'jobs', { queue: job.queue } ) }, job.queue ) ],
			[ __( 'Batch', 'background-worker' ), job.batch && h( 'a', { href: href( 'jobs', { batch: job.batch } ) }, job.batch ) ],
			[ __( 'Attempts', 'background-worker' ), sprintf( /* translators: 1: how many are done, 2: of how many */ __( '%1$s of %2$s', 'background-worker' ), job.attempts, job.max_attempts ) ],
			[ __( 'Priority', 'background-worker' ), job.priority !== 0 && job.priority ],
			[ __( 'Unique key', 'background-worker' ), job.unique_key ],
			[ __( 'Added', 'background-worker' ), h( Time, { at: job.created_at, full: true } ) ],
			[ __( 'Runs', 'background-worker' ), job.due_at && h( Time, { at: job.due_at, full: true } ) ],
			[ __( 'Started', 'background-worker' ), job.started_at && h( Time, { at: job.started_at, full: true } ) ],
			[ __( 'Finished', 'background-worker' ), job.finished_at && h( Time, { at: job.finished_at, full: true } ) ],
			[ __( 'Took', 'background-worker' ), job.runtime_ms !== null && span( job.runtime_ms ) ],
			[ __( 'Ended as', 'background-worker' ), job.ending && job.ending !== job.status && job.ending ],
			[ __( 'Worker', 'background-worker' ), job.worker ],
			[ __( 'Note', 'background-worker' ), job.note ],
		].filter( ( [ , value ] ) => value );
	}

	function Attempts( { job } ) {
		if ( ! job.history.length ) {
			return null;
		}
		return h( 'section', null, h( 'h3', null, __( 'Earlier attempts', 'background-worker' ) ), h( 'ol', { className: 'bgw-attempts' }, job.history.map( ( one, place ) =>
			h( 'li', { key: place },
				h( 'p', null, h( 'strong', null, sprintf( /* translators: %s: a number */ __( 'Attempt %s', 'background-worker' ), one.attempt ) ), ' · ', one.ending, ' · ', h( Time, { at: one.finished_at, full: true } ), one.started_at && one.finished_at && ' · ' + span( Date.parse( one.finished_at ) - Date.parse( one.started_at ) ), one.worker && ' · ' + one.worker ),
				one.error && h( Failure, { error: one.error } ),
				one.output && h( 'details', null, h( 'summary', null, __( 'Output', 'background-worker' ) ), h( Pre, { label: __( 'Output', 'background-worker' ) }, one.output ) )
			)
		) ) );
	}

	function Actions( { job, tell, refresh } ) {
		const [ asking, setAsking ] = useState( null );
		const go = ( method, action, said ) => () => api( method, '/jobs/' + job.id + action ).then(
			( answer ) => {
				tell( 'success', answer.status === 'running' ? __( 'Its worker has been asked to stop it.', 'background-worker' ) : said );
				refresh();
				if ( answer.status === 'deleted' ) {
					window.location.hash = href( 'jobs' );
				}
			},
			( error ) => { tell( 'error', bgw.why( error ) ); refresh(); }
		);
		const waits = job.status === 'queued' || job.status === 'delayed';
		const retry = go( 'POST', '/retry', __( 'The job runs again.', 'background-worker' ) );
		const next = go( 'POST', '/run-next', __( 'The job is the next of its queue.', 'background-worker' ) );
		const cancel = go( 'POST', '/cancel', __( 'The job is cancelled.', 'background-worker' ) );
		const remove = go( 'DELETE', '', __( 'The job is deleted.', 'background-worker' ) );
		return h( 'div', { className: 'bgw-buttons' },
			( job.status === 'failed' || job.status === 'cancelled' ) && h( Act, { variant: 'primary', act: retry }, __( 'Retry', 'background-worker' ) ),
			waits && h( Act, { act: next }, __( 'Run next', 'background-worker' ) ),
			! FINISHED.includes( job.status ) && h( Act, { isDestructive: true, disabled: job.cancel_requested, act: cancel }, job.cancel_requested ? __( 'Stopping…', 'background-worker' ) : __( 'Cancel', 'background-worker' ) ),
			job.status !== 'running' && h( Act, { isDestructive: true, act: () => setAsking( true ) }, __( 'Delete', 'background-worker' ) ),
			asking && h( Confirm, { title: __( 'Delete', 'background-worker' ), yes: __( 'Delete', 'background-worker' ), text: __( 'Delete this job with all that is known of it? This cannot be undone.', 'background-worker' ), onYes: remove, onClose: () => setAsking( null ) } )
		);
	}

	function Result( { job } ) {
		const none = job.result === null && ! job.result_cut;
		return none ? null : h( 'section', null, h( 'h3', null, __( 'Result', 'background-worker' ) ), h( Pre, { label: __( 'Result', 'background-worker' ) }, job.result_cut ? job.result_cut + ' …' : JSON.stringify( job.result, null, 2 ) ) );
	}

	/** What add_async_job() returns. */
	const ID = /^([0-9]{1,18}|[0-9a-f]{32}-(b[0-9]{1,20}|g))$/;

	bgw.screens.job = function Job( { id } ) {
		return ID.test( id ) ? h( Known, { id } ) : h( Fragment, null,
			h( Back ),
			h( Heading, null, __( 'No such job', 'background-worker' ) ),
			h( 'p', { className: 'bgw-empty' }, sprintf( /* translators: %s: what should be a job's id */ __( '“%s” is not the id of a job: that is a number, or what add_async_job() returned.', 'background-worker' ), id ) )
		);
	};

	function Back() {
		return h( 'p', { className: 'bgw-back' }, h( 'a', { href: href( 'jobs' ) }, h( 'span', { 'aria-hidden': true, className: 'bgw-arrow' }, '← ' ), __( 'All jobs', 'background-worker' ) ) );
	}

	function Known( { id } ) {
		const [ shown, tell ] = useMessage();
		const { data: job, error, refresh } = usePoll( '/jobs/' + encodeURIComponent( id ), 1000 );
		return h(
			Fragment,
			null,
			h( Back ),
			h( Heading, null, sprintf( /* translators: %s: a job's id */ __( 'Job %s', 'background-worker' ), id ), ' ', job && h( Status, { status: job.status, asked: job.cancel_requested } ) ),
			h( Trouble, { error } ),
			shown,
			! job ? ! error && h( 'p', null, __( 'Loading…', 'background-worker' ) ) : h( Fragment, null,
				h( Actions, { job, tell, refresh } ),
				job.progress && h( Progress, job.progress ),
				h( 'dl', { className: 'bgw-facts' }, facts( job ).map( ( [ name, value ] ) => h( 'div', { key: name }, h( 'dt', null, name ), h( 'dd', null, value ) ) ) ),
				job.error && h( 'section', null, h( 'h3', null, __( 'Error', 'background-worker' ) ), h( Failure, { error: job.error } ) ),
				h( Result, { job } ),
				job.output && h( 'section', null, h( 'h3', null, __( 'Output', 'background-worker' ) ), job.output_cut && h( 'p', { className: 'bgw-faint' }, __( 'Only its end is shown.', 'background-worker' ) ), h( Pre, { label: __( 'Output', 'background-worker' ) }, job.output ) ),
				h( 'section', null, h( 'h3', null, __( 'Arguments', 'background-worker' ) ), h( 'div', { className: 'bgw-arguments', dir: 'ltr' }, h( Value, { node: job.arguments } ) ) ),
				h( Attempts, { job } )
			)
		);
	}
} )( window.wp, window.backgroundWorker );
