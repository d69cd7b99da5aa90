//! Starting: what was set is judged, then listened on, and served.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::PoisonError;

use axum::Router;

use super::handle::{self, Opened};
use super::listen::{Listen, Planned};
use super::mount::Mounts;
#[cfg(feature = "tls")]
use super::redirect;
use super::{Handle, Memory, Server, StartError};
use crate::live::{Live, Mounted};
#[cfg(feature = "tls")]
use crate::tls::ServerTls;
use crate::ws;

const DEFAULT_URL: &str = "http://localhost:8000";

#[track_caller]
#[allow(clippy::panic, reason = "documented: a mistake of whoever calls, whose line it names")]
fn cannot_block() -> ! {
    panic!(
        "Server::run blocks its thread, and this one belongs to a tokio runtime: use start().await here, and then \
         run().await of the Handle"
    )
}

impl Server {
    /// Opens the listeners and starts the workers; returns when connections are accepted.
    ///
    /// Works on any runtime or none, since the server brings its own threads.
    ///
    /// # Errors
    ///
    /// [`StartError`] names the setting that cannot be met. No thread or socket is left behind.
    ///
    /// # Cancel safety
    ///
    /// Nothing is awaited: the server has started or failed when this is first polled.
    #[allow(clippy::unused_async, reason = "starting may come to wait, and callers should be ready for it")]
    pub async fn start(self) -> Result<Handle, StartError> {
        self.start_now()
    }

    /// Starts the server, and blocks this thread until SIGINT or SIGTERM (Ctrl-C elsewhere) and the drain that follows. A
    /// second signal returns at once.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    ///
    /// # Panics
    ///
    /// Inside of a tokio runtime, whose thread it would block: use [`start`](Self::start) there. `spawn_blocking` has
    /// threads for that.
    #[track_caller]
    pub fn run(self) -> Result<(), StartError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(StartError::Runtime)?;
        // tokio tells by a panic alone whether this thread may be blocked, and says nothing of this server.
        if catch_unwind(AssertUnwindSafe(|| runtime.block_on(async {}))).is_err() {
            runtime.shutdown_background();
            cannot_block();
        }
        runtime.block_on(async {
            let handle = self.start().await?;
            handle.run().await.map_err(StartError::Runtime)
        })
    }

    /// Whether it would start, as far as that can be told without a socket or a thread: what was set, listen URLs, routes
    /// and folders.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start), but for what listening and starting threads may come to.
    pub fn check(mut self) -> Result<(), StartError> {
        self.prepare()?;
        self.arrange().map(drop)
    }

    fn start_now(mut self) -> Result<Handle, StartError> {
        let planned = self.prepare()?;
        let (router, mounts) = self.arrange()?;
        let mut passed = std::mem::take(&mut self.passed);
        let mut listeners = Vec::new();
        for planned in planned {
            listeners.push(Opened {
                sockets: planned.url.bind(&mut passed)?,
                planned,
                router: router.clone(),
                is_redirect: false,
            });
        }
        for (name, _) in passed {
            tracing::warn!(target: "rikki::server", name, "nobody listens on a socket that was passed");
        }
        #[cfg(feature = "tls")]
        if let Some(port) = self.redirect_http {
            listeners.extend(redirect::bind(port, &listeners, &self)?);
        }
        handle::start(self, listeners, mounts)
    }

    /// Judges what was set: what to listen on.
    pub(super) fn prepare(&mut self) -> Result<Vec<Planned>, StartError> {
        if let Some(mistake) = self.mistake.take() {
            return Err(mistake);
        }
        self.check_limits()?;
        self.check_proxies()?;
        if self.listen.is_empty() {
            self.listen.push(Listen::new(DEFAULT_URL));
        }
        let planned = self.listen.iter().map(|listen| self.plan(listen)).collect::<Result<Vec<_>, _>>()?;
        let passed = || planned.iter().filter_map(|planned| planned.url.passed_name());
        if let Some((_, twice)) = passed().enumerate().find(|(index, name)| passed().take(*index).any(|n| n == *name)) {
            let why = "it is given twice, and its sockets are listened on once".to_owned();
            return Err(StartError::Passed { name: twice.to_owned(), why });
        }
        #[cfg(feature = "tls")]
        if self.redirect_http.is_some() && !planned.iter().any(|planned| planned.url.is_tls()) {
            return Err(StartError::NoRedirect);
        }
        Ok(planned)
    }

    /// What answers requests, and the folders that are in it. Opens the files that are secret.
    pub(super) fn arrange(&self) -> Result<(Router, Mounts), StartError> {
        let mut mounts = self.mounts.clone();
        mounts.share(&self.split(), &self.live.counts.closed_slow);
        mounts.deny(self.secrets())?;
        let router = self.assemble(&mounts)?;
        Ok((router, mounts))
    }

    /// Routes, the folders where none of them matches, and the layers around all of it.
    pub(super) fn assemble(&self, mounts: &Mounts) -> Result<Router, StartError> {
        self.layers.around(mounts.clone().add_to(self.router.clone(), self.layers.is_empty())?)
    }

    #[cfg(feature = "tls")]
    pub(super) fn has_certificate(&self) -> bool {
        self.tls.is_some()
    }

    /// The files that are never served: those with the key of the certificate.
    #[cfg(feature = "tls")]
    fn secrets(&self) -> &[PathBuf] {
        self.tls.as_ref().map_or(&[], ServerTls::secrets)
    }

    #[cfg(not(feature = "tls"))]
    fn secrets(&self) -> &[PathBuf] {
        &[]
    }

    #[cfg(not(feature = "tls"))]
    pub(super) fn has_certificate(&self) -> bool {
        false
    }

    /// How memory is split.
    fn split(&self) -> Memory {
        self.limits.memory.map_or_else(Memory::of_this_process, Memory::of)
    }

    /// Gives what has no budget of its own its part of the memory.
    pub(super) fn share_memory(&self, mounts: &Mounts) {
        let memory = self.split();
        let ws::internal::Budgets { messages, queues, compression } = self.websocket_budgets;
        let Live { websockets, connections: places, mounted, .. } = &*self.live;
        websockets.message_memory(messages.unwrap_or(memory.messages));
        websockets.queue_memory(queues.unwrap_or(memory.queues));
        websockets.compression_memory(compression.unwrap_or(memory.compression));
        places.set_most(self.limits.max_connections.unwrap_or(memory.connections));
        #[cfg(feature = "tls")]
        self.live.http2.set_most(self.http.limits.http2_memory.unwrap_or(memory.http2));
        #[cfg(feature = "topics")]
        let topics = {
            let share = memory.topics / self.topics.len().max(1);
            self.topics.iter().for_each(|topics| topics.share_memory(share));
            self.topics.iter().flat_map(rikki_topics::Topics::budgets).cloned().collect()
        };
        #[cfg(not(feature = "topics"))]
        let topics = Vec::new();
        let mounted_now = Mounted {
            folders: mounts.budgets(),
            #[cfg(feature = "admin")]
            caches: mounts.caches(),
            #[cfg(all(feature = "admin", feature = "tls"))]
            tls: self.tls.clone(),
            topics,
            #[cfg(all(feature = "admin", feature = "topics"))]
            hubs: self.topics.clone(),
        };
        *mounted.write().unwrap_or_else(PoisonError::into_inner) = mounted_now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What has been set one by one holds, whether before or after.
    #[test]
    fn one_number_is_split_into_what_has_none_of_its_own() {
        const BYTES: usize = 256 << 20;
        let split = Memory::of(BYTES);
        let budgets = |server: Server| {
            let (_, mounts) = server.arrange().unwrap();
            server.share_memory(&mounts);
            let budgets = server.monitor().budgets();
            let most = |name: &str| budgets.iter().find(|budget| budget.name == name).unwrap().most;
            ["message-memory", "queue-memory", "deflate-memory", "max-connections"].map(most)
        };
        for server in [
            Server::new().memory(BYTES).queue_memory(7).max_connections(9),
            Server::new().queue_memory(7).max_connections(9).memory(BYTES),
        ] {
            assert_eq!(budgets(server.files(".")), [split.messages, 7, split.compression, 9]);
        }
        let all = [split.messages, split.queues, split.compression, 1024];
        assert_eq!(budgets(Server::new().memory(BYTES)), all);
    }
}
