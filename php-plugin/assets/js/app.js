/**
 * Puts the screens together.
 */
( function ( wp, bgw ) {
	'use strict';

	const { h, __, useRoute, href, screens } = bgw;
	const { Fragment, useEffect, Component } = wp.element;

	const MENU = [
		[ 'overview', __( 'Overview', 'background-worker' ) ],
		[ 'jobs', __( 'Jobs', 'background-worker' ) ],
		[ 'batches', __( 'Batches', 'background-worker' ) ],
		[ 'queues', __( 'Queues', 'background-worker' ) ],
		[ 'log', __( 'Log', 'background-worker' ) ],
	].filter( ( [ name ] ) => screens[ name ] );

	/** A screen that breaks says so, and the others stay. */
	class Safe extends Component {
		constructor( props ) {
			super( props );
			this.state = { error: null };
		}
		static getDerivedStateFromError( error ) {
			return { error };
		}
		render() {
			return this.state.error
				? h( wp.components.Notice, { status: 'error', isDismissible: false }, __( 'This screen broke; reload the page.', 'background-worker' ) + ' ' + this.state.error.message )
				: this.props.children;
		}
	}

	function App() {
		const route = useRoute();
		const name = screens[ route.screen ] ? route.screen : 'overview';
		const inMenu = name === 'job' ? 'jobs' : name;
		const key = name + '/' + ( route.id || '' );
		useEffect( () => {
			return () => {
				bgw.moved = true; // From now on, headings take the focus: the first one leaves it where the page put it.
			};
		}, [ key ] );
		return h(
			Fragment,
			null,
			h( 'nav', { className: 'nav-tab-wrapper', 'aria-label': __( 'Background jobs', 'background-worker' ) }, MENU.map( ( [ screen, title ] ) =>
				h( 'a', { key: screen, href: href( screen ), className: 'nav-tab' + ( screen === inMenu ? ' nav-tab-active' : '' ), 'aria-current': screen === inMenu ? 'page' : undefined }, title )
			) ),
			h( Safe, { key }, h( screens[ name ], { id: route.id, query: route.query } ) )
		);
	}

	const root = document.getElementById( 'background-jobs' );
	if ( wp.element.createRoot ) {
		wp.element.createRoot( root ).render( h( App ) );
	} else {
		wp.element.render( h( App ), root ); // WordPress 6.1
	}
} )( window.wp, window.backgroundWorker );
