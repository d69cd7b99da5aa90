//! Layers around everything that a server answers.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse;
use axum::routing::Route;
use tower_layer::Layer;
use tower_service::Service;

use super::routes::contained;
use super::{Server, StartError};

impl Server {
    /// Puts a tower layer around everything that is answered here: routes, WebSockets, files and what is not found,
    /// whether they are added before this or after. For logs, sessions, authorization, and layers of tower-http.
    ///
    /// It is axum's `Router::layer` on all of them at once: each route has the layer around itself, so the matched path
    /// is known in it, and a path that it changes is too late for another route. Of several the last is the outermost,
    /// which sees a request first. A layer that answers a handshake itself, or gives the answer another status, starts
    /// no WebSocket.
    ///
    /// What comes before any route comes before it too: what is no request, a host that may not be asked for, what a
    /// limit refuses, and the preflight requests of [`cors`](Self::cors). Those of [`header`](Self::header) are added
    /// behind it. A layer that panics when it is put around is an error of [`start`](Self::start).
    ///
    /// ```
    /// use axum::extract::Request;
    /// use axum::http::StatusCode;
    /// use axum::middleware::{Next, from_fn};
    /// use axum::response::{IntoResponse, Response};
    /// use rikki::Server;
    /// use rikki::ws::{Message, Socket};
    ///
    /// async fn authorize(request: Request, next: Next) -> Response {
    ///     match request.headers().get("authorization") {
    ///         Some(key) if key == "Bearer a long secret" => next.run(request).await,
    ///         _ => StatusCode::UNAUTHORIZED.into_response(),
    ///     }
    /// }
    ///
    /// let server = Server::new()
    ///     .websocket("/chat", |socket: &mut Socket, message: Message<'_>| socket.send(message))
    ///     .layer(from_fn(authorize));
    /// ```
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        self.layers.0.push(Arc::new(move |router: Router| router.layer(layer.clone())));
        self
    }
}

/// What is put around a router, the innermost first.
#[derive(Clone, Default)]
pub(super) struct Layers(Vec<Arc<dyn Fn(Router) -> Router + Send + Sync>>);

impl Layers {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts them around all that the router has.
    pub(super) fn around(&self, router: Router) -> Result<Router, StartError> {
        if self.0.is_empty() {
            return Ok(router);
        }
        let put = |router, layer: &Arc<dyn Fn(Router) -> Router + Send + Sync>| layer(router);
        // With its state a handler has its layers around it now, once, instead of for each request.
        contained(|| self.0.iter().fold(router, put).with_state(())).map_err(|why| StartError::Layer { why })
    }
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Layers").field(&self.0.len()).finish()
    }
}
