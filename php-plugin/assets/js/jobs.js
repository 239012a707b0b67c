/**
 * The list of jobs: tabs, search, pages, bulk actions.
 */
( function ( wp, bgw ) {
	'use strict';

	const { h, api, __, _n, sprintf, usePoll, href, path, counted, span, Heading, Trouble, Table, Time, Status, Progress, Act, Confirm, useMessage, LABELS, STATUSES } = bgw;
	const { Fragment, useState, useEffect } = wp.element;

	const FINISHED = [ 'completed', 'failed', 'cancelled' ];
	const BULK = {
		retry: { title: __( 'Retry', 'background-worker' ), fits: ( job ) => job.status === 'failed' || job.status === 'cancelled' },
		cancel: { title: __( 'Cancel', 'background-worker' ), fits: ( job ) => ! FINISHED.includes( job.status ), ask: true },
		delete: { title: __( 'Delete', 'background-worker' ), fits: ( job ) => job.status !== 'running', ask: true },
	};

	function Tabs( { counts, query } ) {
		const total = counts && STATUSES.reduce( ( sum, status ) => ( { number: sum.number + counts[ status ].number, more: sum.more || counts[ status ].more } ), { number: 0, more: false } );
		const tab = ( status, label, count ) => {
			const here = ( query.status || '' ) === status;
			return h( 'li', { key: status }, h( 'a', { href: href( 'jobs', { ...query, status, cursor: '', order: '', orderby: '' } ), className: here ? 'current' : '', 'aria-current': here ? 'page' : undefined }, label, ' ', count && h( 'span', { className: 'count' }, '(' + counted( count ) + ')' ) ) );
		};
		return h( 'nav', { 'aria-label': __( 'Jobs by status', 'background-worker' ) }, h( 'ul', { className: 'subsubsub bgw-tabs' },
			tab( '', __( 'All', 'background-worker' ), total ),
			STATUSES.map( ( status ) => tab( status, LABELS[ status ], counts && counts[ status ] ) )
		) );
	}

	function Search( { query } ) {
		const [ text, setText ] = useState( query.search || '' );
		useEffect( () => setText( query.search || '' ), [ query.search ] );
		const submit = ( event ) => {
			event.preventDefault();
			window.location.hash = href( 'jobs', { ...query, search: text.trim(), cursor: '', orderby: '' } );
		};
		return h( 'form', { className: 'bgw-search', role: 'search', onSubmit: submit },
			h( 'label', { className: 'screen-reader-text', htmlFor: 'bgw-search' }, __( 'Search jobs by id, callback, queue or batch', 'background-worker' ) ),
			h( 'input', { id: 'bgw-search', type: 'search', value: text, maxLength: 191, placeholder: __( 'Id, callback, queue, batch', 'background-worker' ), onChange: ( event ) => setText( event.target.value ) } ),
			h( 'button', { type: 'submit', className: 'button' }, __( 'Search jobs', 'background-worker' ) )
		);
	}

	/** What the list is narrowed down to, each with a way out. */
	function Filters( { query } ) {
		const names = { queue: __( 'Queue', 'background-worker' ), batch: __( 'Batch', 'background-worker' ), search: __( 'Search', 'background-worker' ) };
		const set = Object.keys( names ).filter( ( name ) => query[ name ] );
		return set.length ? h( 'p', { className: 'bgw-filters' }, set.map( ( name ) =>
			h( 'a', { key: name, className: 'bgw-filter', href: href( 'jobs', { ...query, [ name ]: '', cursor: '' } ) }, names[ name ] + ': ' + query[ name ] + ' ', h( 'span', { 'aria-hidden': true }, '×' ), h( 'span', { className: 'screen-reader-text' }, __( '(take this filter away)', 'background-worker' ) ) )
		) ) : null;
	}

	/** What else there is to say of a job in a few words. */
	function detail( job ) {
		if ( job.progress && job.status === 'running' ) {
			return h( Progress, { ...job.progress, label: sprintf( /* translators: %s: a job's id */ __( 'Progress of job %s', 'background-worker' ), job.id ) } );
		}
		if ( job.error ) {
			return h( 'span', { className: 'bgw-error' }, job.error.class, ': ', job.error.message );
		}
		return job.note || '';
	}

	function when( job ) {
		if ( FINISHED.includes( job.status ) ) {
			return h( Fragment, null, h( Time, { at: job.finished_at } ), job.runtime_ms !== null && h( 'div', { className: 'bgw-faint' }, sprintf( /* translators: %s: a time span */ __( 'took %s', 'background-worker' ), span( job.runtime_ms ) ) ) );
		}
		if ( job.status === 'running' ) {
			return h( Fragment, null, __( 'since', 'background-worker' ), ' ', h( Time, { at: job.started_at } ) );
		}
		return h( Time, { at: job.status === 'delayed' ? job.available_at : job.created_at } );
	}

	function columns( selected, toggle, all, query, few ) {
		const up = query.order === 'asc';
		const narrow = query.search || query.queue || query.batch;
		const own = narrow || ! query.status ? 'id' : 'when';
		const sorted = query.orderby || own;
		const words = up ? __( '(sorted upwards; sort downwards)', 'background-worker' ) : __( '(sorted downwards; sort upwards)', 'background-worker' );
		// Along an index always; by other columns only where there are few.
		const sort = ( key, title ) => {
			const here = key === sorted;
			if ( key !== own && ( narrow || ! few ) ) {
				return title;
			}
			return h( 'a', { className: 'bgw-sort', href: href( 'jobs', { ...query, orderby: key === own ? '' : key, order: here && ! up ? 'asc' : '', cursor: '' } ) }, title, h( 'span', { 'aria-hidden': true }, here ? ( up ? ' ▲' : ' ▼' ) : '' ), here && h( 'span', { className: 'screen-reader-text' }, words ) );
		};
		const direction = ( key ) => ( key === sorted ? ( up ? 'ascending' : 'descending' ) : undefined );
		return [
			{ key: 'pick', className: 'bgw-pick', title: h( 'input', { type: 'checkbox', 'aria-label': __( 'Select all jobs of this page', 'background-worker' ), checked: all.on, onChange: all.toggle } ), cell: ( job ) => h( 'input', { type: 'checkbox', 'aria-label': sprintf( /* translators: %s: a job's id */ __( 'Select job %s', 'background-worker' ), job.id ), checked: selected.has( job.id ), onChange: () => toggle( job.id ) } ) },
			{ key: 'id', title: sort( 'id', __( 'Job', 'background-worker' ) ), label: __( 'Job', 'background-worker' ), sort: direction( 'id' ), main: true, className: 'bgw-id', cell: ( job ) => h( 'a', { href: href( 'job/' + job.id ) }, job.id ) },
			{ key: 'callback', title: sort( 'callback', __( 'Callback', 'background-worker' ) ), label: __( 'Callback', 'background-worker' ), sort: direction( 'callback' ), className: 'bgw-wide', cell: ( job ) => h( Fragment, null, h( 'a', { className: 'bgw-callback', href: href( 'job/' + job.id ) }, job.callback ), job.batch && h( 'div', { className: 'bgw-faint' }, __( 'batch', 'background-worker' ), ' ', h( 'a', { href: href( 'jobs', { batch: job.batch } ) }, job.batch ) ) ) },
			{ key: 'status', title: __( 'Status', 'background-worker' ), cell: ( job ) => h( Status, { status: job.status, asked: job.cancel_requested } ) },
			{ key: 'queue', title: sort( 'queue', __( 'Queue', 'background-worker' ) ), label: __( 'Queue', 'background-worker' ), sort: direction( 'queue' ), cell: ( job ) => h( 'a', { href: href( 'jobs', { status: query.status || '', queue: job.queue } ) }, job.queue ) },
			{ key: 'attempts', title: sort( 'attempts', __( 'Attempts', 'background-worker' ) ), label: __( 'Attempts', 'background-worker' ), sort: direction( 'attempts' ), className: 'bgw-number', cell: ( job ) => job.attempts + ' / ' + job.max_attempts },
			{ key: 'when', title: sort( 'when', __( 'When', 'background-worker' ) ), label: __( 'When', 'background-worker' ), sort: direction( 'when' ), cell: when },
			{ key: 'detail', title: __( 'Details', 'background-worker' ), className: 'bgw-wide', cell: detail },
		];
	}

	function Bulk( { jobs, onDone, tell } ) {
		const [ asking, setAsking ] = useState( null );
		const run = ( action ) => api( 'POST', '/jobs/bulk', { action, ids: jobs.filter( BULK[ action ].fits ).map( ( job ) => job.id ) } ).then(
			( { done, refused } ) => {
				tell( refused.length ? 'warning' : 'success', sprintf( /* translators: 1: Retry, Cancel or Delete, 2: how many jobs */ _n( '%1$s: %2$s job.', '%1$s: %2$s jobs.', done.length, 'background-worker' ), BULK[ action ].title, done.length ) + refused.map( ( one ) => ' ' + one.id + ': ' + one.message ).join( '' ) );
				onDone();
			},
			( error ) => tell( 'error', bgw.why( error ) )
		);
		return h( 'div', { className: 'bgw-bulk', role: 'group', 'aria-label': __( 'Selected jobs', 'background-worker' ) },
			h( 'span', null, sprintf( /* translators: %s: how many */ _n( '%s selected', '%s selected', jobs.length, 'background-worker' ), jobs.length ) ),
			Object.entries( BULK ).map( ( [ action, { title, fits, ask } ] ) => {
				const many = jobs.filter( fits ).length;
				return h( Act, { key: action, disabled: ! many, isDestructive: ask, act: () => ask ? setAsking( action ) : run( action ) }, many && many < jobs.length ? title + ' ' + many : title );
			} ),
			asking && h( Confirm, { title: BULK[ asking ].title, yes: BULK[ asking ].title, text: asking === 'delete' ? __( 'Delete the selected jobs with all that is known of them? This cannot be undone.', 'background-worker' ) : __( 'Cancel the selected jobs? Waiting ones will not run; running ones are asked to stop.', 'background-worker' ), onYes: () => run( asking ), onClose: () => setAsking( null ) } )
		);
	}

	bgw.screens.jobs = function Jobs( { query } ) {
		const [ selected, setSelected ] = useState( new Set() );
		const [ shown, tell ] = useMessage();
		const status = STATUSES.includes( query.status ) ? query.status : '';
		query = { ...query, status };
		const wanted = { status, queue: query.queue, batch: query.batch, search: query.search, orderby: query.orderby, order: query.order, cursor: query.cursor };
		const { data, error, refresh } = usePoll( path( '/jobs', wanted ), 2000 );
		const counts = usePoll( '/jobs?per_page=1', 4000 );
		const jobs = data ? data.jobs : [];
		const picked = jobs.filter( ( job ) => selected.has( job.id ) );
		useEffect( () => setSelected( new Set() ), [ JSON.stringify( wanted ) ] );
		// A search goes on by itself until it has found something or everything was looked through.
		useEffect( () => {
			if ( data && ! data.complete && ! data.jobs.length && data.next ) {
				window.location.replace( href( 'jobs', { ...query, cursor: data.next } ) );
			}
		}, [ data ] );
		const toggle = ( id ) => setSelected( ( last ) => {
			const next = new Set( last );
			if ( ! next.delete( id ) ) {
				next.add( id );
			}
			return next;
		} );
		const on = jobs.length > 0 && picked.length === jobs.length;
		const all = { on, toggle: () => setSelected( new Set( on ? [] : jobs.map( ( job ) => job.id ) ) ) };
		const known = ( data && data.counts ) || ( counts.data && counts.data.counts );
		const few = known && ! ( query.status ? [ query.status ] : STATUSES ).some( ( status ) => known[ status ].more ) && ( query.status ? [ query.status ] : STATUSES ).reduce( ( sum, status ) => sum + known[ status ].number, 0 ) <= 1000;
		const going = data && ! data.complete && ! data.jobs.length;
		return h(
			Fragment,
			null,
			h( Heading, null, __( 'Jobs', 'background-worker' ) ),
			h( Trouble, { error } ),
			shown,
			h( 'div', { className: 'bgw-head' }, h( Tabs, { counts: known, query } ), h( Search, { query } ) ),
			h( Filters, { query } ),
			picked.length > 0 && h( Bulk, { jobs: picked, tell, onDone: () => { setSelected( new Set() ); refresh(); counts.refresh(); } } ),
			! data || going ? ! error && h( 'p', { 'aria-live': 'polite' }, going ? __( 'Searching…', 'background-worker' ) : __( 'Loading…', 'background-worker' ) )
				: h( Table, { label: __( 'Jobs', 'background-worker' ), columns: columns( selected, toggle, all, query, few ), rows: jobs, rowKey: ( job ) => job.id, empty: __( 'No jobs here.', 'background-worker' ) } ),
			data && h( 'nav', { className: 'bgw-pages', 'aria-label': __( 'Pages', 'background-worker' ) },
				query.cursor && h( 'a', { className: 'button', href: href( 'jobs', { ...query, cursor: '' } ) }, __( 'First page', 'background-worker' ) ),
				data.next && ! going && h( 'a', { className: 'button', href: href( 'jobs', { ...query, cursor: data.next } ) }, data.complete ? __( 'Next page', 'background-worker' ) : __( 'Search further', 'background-worker' ) )
			)
		);
	};
} )( window.wp, window.backgroundWorker );
