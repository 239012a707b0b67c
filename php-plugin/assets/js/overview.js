/**
 * The first screen: whether all is well.
 */
( function ( wp, bgw ) {
	'use strict';

	const { h, __, usePoll, href, counted, span, Heading, Trouble, Table, Time, Progress, Lengths } = bgw;
	const { Fragment } = wp.element;
	const SIGNS = { good: 'yes-alt', attention: 'warning', bad: 'dismiss' };
	const WORDS = {
		good: __( 'All is well:', 'background-worker' ),
		attention: __( 'Needs attention:', 'background-worker' ),
		bad: __( 'Not well:', 'background-worker' ),
	};

	/** Text with `commands` set off. */
	function advice( text ) {
		return text.split( '`' ).map( ( piece, place ) => place % 2 ? h( 'code', { key: place }, piece ) : piece );
	}

	function Health( { health } ) {
		return h(
			'div',
			{ className: 'bgw-health is-' + health.status, 'data-testid': 'health' },
			h( 'span', { className: 'dashicons dashicons-' + SIGNS[ health.status ], 'aria-hidden': true } ),
			h( 'div', null,
				h( 'p', { className: 'bgw-sentence' }, h( 'strong', null, WORDS[ health.status ] ), ' ', health.sentence ),
				health.problems.map( ( problem ) => h( 'p', { key: problem.code }, h( 'strong', null, problem.message ), ' ', advice( problem.advice ) ) )
			)
		);
	}

	const WORKERS = [
		{ key: 'name', title: __( 'Worker', 'background-worker' ), main: true, cell: ( worker ) => h( Fragment, null, worker.name, h( 'div', { className: 'bgw-faint' }, worker.host, ' · ', worker.pid, ' · ', worker.mode ) ) },
		{ key: 'state', title: __( 'State', 'background-worker' ), cell: ( worker ) => h( 'span', { className: 'bgw-status is-' + worker.state }, { idle: __( 'Idle', 'background-worker' ), running: __( 'Running', 'background-worker' ), stopping: __( 'Stopping', 'background-worker' ), lost: __( 'Lost', 'background-worker' ) }[ worker.state ] || worker.state ) },
		{ key: 'job', title: __( 'Runs now', 'background-worker' ), className: 'bgw-wide', cell: ( worker ) => worker.running ? h( Fragment, null,
			h( 'a', { href: href( 'job/' + worker.running.id ) }, worker.running.callback ), ' ', h( 'span', { className: 'bgw-faint' }, worker.running.started_at ? span( Math.max( 0, Date.now() - Date.parse( worker.running.started_at ) ) ) : '' ),
			worker.running.progress && h( Progress, worker.running.progress )
		) : h( 'span', { 'aria-hidden': true }, '–' ) },
		{ key: 'queues', title: __( 'Queues', 'background-worker' ), cell: ( worker ) => worker.queues.join( ', ' ) },
		{ key: 'done', title: __( 'Jobs done', 'background-worker' ), className: 'bgw-number', cell: ( worker ) => bgw.number( worker.jobs_done ) },
		{ key: 'memory', title: __( 'Memory', 'background-worker' ), className: 'bgw-number', cell: ( worker ) => worker.memory_mb ? worker.memory_mb + ' MB' : '–' },
		{ key: 'beat', title: __( 'Last heard', 'background-worker' ), cell: ( worker ) => h( Time, { at: worker.heartbeat_at } ) },
	];

	function depth( queues ) {
		return queues.map( ( queue ) => ( {
			name: queue.queue,
			value: queue.queued.number,
			text: counted( queue.queued ) + ( queue.paused ? ' · ' + __( 'paused', 'background-worker' ) : queue.oldest_queued_seconds !== null ? ' · ' + bgw.sprintf( /* translators: %s: a time span */ __( 'oldest %s', 'background-worker' ), span( queue.oldest_queued_seconds * 1000 ) ) : '' ),
		} ) );
	}

	bgw.screens.overview = function Overview() {
		const { data, error } = usePoll( '/overview', 2000 );
		return h(
			Fragment,
			null,
			h( Heading, null, __( 'Overview', 'background-worker' ) ),
			h( Trouble, { error } ),
			! data ? ! error && h( 'p', null, __( 'Loading…', 'background-worker' ) ) : h( Fragment, null,
				h( Health, { health: data.health } ),
				h( bgw.Statistics, { quiet: !! error }, h( Lengths, { title: __( 'Waiting jobs by queue', 'background-worker' ), rows: depth( data.queues ), empty: __( 'No queue has had a job yet.', 'background-worker' ) } ) ),
				h( 'h3', null, __( 'Workers', 'background-worker' ) ),
				h( Table, { label: __( 'Workers', 'background-worker' ), columns: WORKERS, rows: data.workers, rowKey: ( worker ) => worker.id, empty: __( 'No worker is running.', 'background-worker' ) } ),
				h( 'p', { className: 'bgw-faint' }, bgw.sprintf( /* translators: 1: database, beanstalkd or gearman, 2: a version */ __( 'Queue server: %1$s. Plugin version %2$s.', 'background-worker' ), data.site.backend, data.site.plugin_version ) )
			)
		);
	};
} )( window.wp, window.backgroundWorker );
