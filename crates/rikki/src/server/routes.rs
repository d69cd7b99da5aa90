//! The routes of a server. axum tells what is wrong with one by a panic, which is noted like any other wrong value.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::routing::{MethodRouter, any};

use super::{Server, StartError};
use crate::ws::{Endpoint, Handler, Upgrade};

impl Server {
    /// Serves WebSockets at `path` with a handler or a closure `Fn(&mut Socket, Message)`.
    ///
    /// To decide who may have one, [`route`](Self::route) an axum handler that takes an [`Upgrade`] instead. A path
    /// that is taken or does not begin with a slash is an error of [`start`](Self::start).
    pub fn websocket<H: Handler>(self, path: &str, handler: H) -> Self {
        let handler = Arc::new(handler);
        let serve = move |request: Request| {
            let handler = handler.clone();
            async move { Upgrade::new(request).on_upgrade_with(handler) }
        };
        self.route(path, any(serve))
    }

    /// Serves WebSockets at `path` with an [`Endpoint`]: a handler with a configuration, subprotocols and origins.
    ///
    /// Its configuration takes the place of [`websocket_config`](Self::websocket_config), also where it sets none.
    /// Subprotocols and origins that it does not set are those of the server. [`start`](Self::start) gives an error if the
    /// path is taken or does not begin with a slash, or if a limit of the endpoint is out of its range.
    pub fn endpoint<H: Handler>(mut self, path: &str, endpoint: Endpoint<H>) -> Self {
        if let Err(error) = endpoint.check_limits() {
            self.note(error.into());
        }
        let serve = move |request: Request| {
            let endpoint = endpoint.clone();
            async move { Upgrade::new(request).serve(&endpoint) }
        };
        self.route(path, any(serve))
    }

    /// Answers requests for `path` with axum's own handlers, such as `get(|| async { "hello" })`.
    ///
    /// Several calls may have the same path for other methods. What axum's `Router::route` would not take, such as a
    /// path that is taken or does not begin with a slash, is an error of [`start`](Self::start).
    pub fn route(mut self, path: &str, methods: MethodRouter) -> Self {
        if !path.starts_with('/') {
            self.note(StartError::Route { path: path.to_owned(), why: "it must begin with a slash".to_owned() });
            return self;
        }
        self.add_routes(path, |router| router.route(path, methods))
    }

    /// Adds the routes of an axum application, and its fallback. With a fallback no folder can be served at `/`, which
    /// would take its place: that is an error of [`start`](Self::start), and so is what axum's `Router::merge` would
    /// not take, such as a path that is taken or a second fallback.
    pub fn merge(self, routes: Router) -> Self {
        self.add_routes("", |router| router.merge(routes))
    }

    fn add_routes(mut self, path: &str, add: impl FnOnce(Router) -> Router) -> Self {
        match added(std::mem::take(&mut self.router), path, add) {
            Ok(router) => self.router = router,
            Err(mistake) => self.note(mistake),
        }
        self
    }
}

/// The router with more in it, if axum takes that.
pub(super) fn added(router: Router, path: &str, add: impl FnOnce(Router) -> Router) -> Result<Router, StartError> {
    contained(|| add(router)).map_err(|why| StartError::Route { path: path.to_owned(), why })
}

/// What comes of a router, or what a panic has said of it.
pub(super) fn contained(work: impl FnOnce() -> Router) -> Result<Router, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| said(&*panic))
}

/// What a panic has said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("axum does not take it").to_owned()
}
