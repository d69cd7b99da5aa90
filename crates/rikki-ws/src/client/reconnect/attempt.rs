//! One attempt to connect, with the hooks before and after it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use http::Response;
use tokio::time::timeout;

use super::Loss;
use crate::WebSocket;
use crate::client::Builder;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An attempt under way.
pub(super) type Attempt = BoxFuture<'static, Result<(WebSocket, Response<()>), Loss>>;

type BeforeConnect = dyn Fn(Builder) -> BoxFuture<'static, Result<Builder, BoxError>> + Send + Sync;
type AfterConnect = dyn for<'a> Fn(&'a mut WebSocket) -> BoxFuture<'a, Result<(), BoxError>> + Send + Sync;

/// What is called around each attempt.
#[derive(Clone, Default)]
pub(super) struct Hooks {
    before: Option<Arc<BeforeConnect>>,
    after: Option<Arc<AfterConnect>>,
}

impl Hooks {
    pub(super) fn set_before<F, R, E>(&mut self, hook: F)
    where
        F: FnOnce(Builder) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Result<Builder, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.before = Some(Arc::new(move |builder| {
            let changed = hook.clone()(builder);
            Box::pin(async { changed.await.map_err(Into::into) })
        }));
    }

    pub(super) fn set_after<F, E>(&mut self, hook: F)
    where
        F: for<'a> ConnectHook<'a, E> + Clone + Send + Sync + 'static,
        E: Into<BoxError>,
    {
        self.after = Some(Arc::new(move |socket| {
            let done = hook.clone()(socket);
            Box::pin(async { done.await.map_err(Into::into) })
        }));
    }

    /// Connects as `builder` says, once.
    pub(super) fn attempt(&self, builder: Builder) -> Attempt {
        Box::pin(self.clone().run(builder))
    }

    async fn run(self, mut builder: Builder) -> Result<(WebSocket, Response<()>), Loss> {
        let time = builder.limits.connect_timeout;
        if let Some(before) = self.before {
            builder = timeout(time, before(builder)).await.unwrap_or_else(|_| Err(late())).map_err(Loss::Hook)?;
        }
        let (mut socket, response) = builder.connect().await.map_err(Loss::Connect)?;
        let Some(after) = self.after else { return Ok((socket, response)) };
        match timeout(time, after(&mut socket)).await.unwrap_or_else(|_| Err(late())) {
            Ok(()) => Ok((socket, response)),
            // What the server has said about it tells more, as that this client is not to come back.
            Err(error) => Err(socket.take_closed().map_or(Loss::Hook(error), Loss::Closed)),
        }
    }
}

fn late() -> BoxError {
    "it took longer than a connection may".into()
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

/// What can be called after each connect, such as an `async fn` or an `async` closure that takes a `&mut WebSocket`:
/// see [`Reconnecting::on_connect`](super::Reconnecting::on_connect).
pub trait ConnectHook<'a, E>: FnOnce(&'a mut WebSocket) -> <Self as ConnectHook<'a, E>>::Future {
    /// What is awaited.
    type Future: Future<Output = Result<(), E>> + Send + 'a;
}

impl<'a, E, F, R> ConnectHook<'a, E> for F
where
    F: FnOnce(&'a mut WebSocket) -> R,
    R: Future<Output = Result<(), E>> + Send + 'a,
{
    type Future = R;
}
