//! Other settings while the server runs: judged as a whole, then swapped.

use std::fmt;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
#[cfg(feature = "tls")]
use std::time::SystemTime;

use tokio::sync::Notify;
use tokio::task::spawn_blocking;

use super::admission::Admission;
use super::drain::Plans;
use super::listen::Planned;
use super::mount::Mounts;
use super::signals::{Signal, Signals};
use super::sites::Common;
use super::{Handle, ListenUrl, Server, StartError};
use crate::http::{Current, Draining};
use crate::live::Live;
#[cfg(feature = "tls")]
use crate::tls::ServerTls;
use crate::ws::internal::ListenerKind;

/// What has come of [`Handle::reload`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reload {
    /// What is different and stays as it is until the server is started anew, in words: listeners and workers.
    pub needs_restart: Vec<String>,
}

/// What a reload changes, and what it is compared with.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) sites: Vec<Listener>,
    pub(super) mounts: Mounts,
    pub(super) workers: Option<usize>,
    #[cfg(feature = "tls")]
    pub(super) redirect_http: Option<u16>,
    #[cfg(feature = "tls")]
    pub(super) tls: tokio::sync::watch::Sender<Option<ServerTls>>,
    pub(super) admission: Arc<Admission>,
    pub(super) plans: Plans,
    pub(super) draining: Draining,
}

/// A socket that is listened on.
#[derive(Debug)]
pub(super) struct Listener {
    /// With the port that was asked for.
    pub(super) asked: ListenUrl,
    pub(super) kind: ListenerKind,
    pub(super) is_redirect: bool,
    /// Gone when nobody is served here any more: whoever has a handle then holds no routes.
    pub(super) current: Weak<Current>,
}

impl Handle {
    /// Goes on with the settings of another server, which is never started; connections stay.
    ///
    /// It is judged as a whole first: if anything in it is wrong, everything stays as it is. Otherwise it is in force when
    /// this returns:
    ///
    /// - Routes, folders, headers, hosts, origins, subprotocols, trusted proxies and the access log hold for each
    ///   request that comes from then on, also on connections that are open.
    /// - Certificates, and the limits and deadlines of HTTP connections, hold for connections that come from then on. The
    ///   rates of requests and bodies and [`max_requests`](Server::max_requests) hold for each request.
    /// - Handlers and configurations of WebSockets hold for those that are opened from then on; open ones, and answers
    ///   under way, go on as they began, with what their handlers hold.
    /// - Budgets and bounds over all connections, and how a drain goes, hold at once. Where there is less than is held,
    ///   nothing is taken away: nobody is given more until enough has been given back. An address that gets
    ///   its first limit is counted from then on.
    ///
    /// Where to listen and how many [`workers`](Server::workers) there are cannot change while it runs:
    /// [`Reload::needs_restart`] names what differs, and so does the log. A listener that is in both takes the
    /// [limits](crate::Listen) that it has now.
    ///
    /// A [`monitor`](Server::monitor) of the other server reads this one from then on. State that is to be kept, such as
    /// [`Topics`](crate::topics::Topics), has to be given to both. It may wait for the folders that it opens, as starting
    /// does. Each is counted, in [`reloads`](crate::Counters::reloads) or
    /// [`refused_reloads`](crate::Counters::refused_reloads).
    ///
    /// ```
    /// # async fn example() -> Result<(), rikki::StartError> {
    /// use axum::routing::get;
    /// use rikki::Server;
    ///
    /// let settings = |text: &'static str| {
    ///     Server::new().listen("http://127.0.0.1:0").route("/", get(async move || text))
    /// };
    /// let server = settings("before").start().await?;
    /// let reload = server.reload(settings("after").max_requests(100)).await?;
    /// assert!(reload.needs_restart.is_empty());
    /// # server.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`start`](Server::start); [`StartError::NoCertificate`] also for a TLS listener that runs and is not asked for
    /// any more, [`StartError::Certificate`] for one that was not in use and is not valid now, and
    /// [`StartError::Draining`] once a drain has begun.
    ///
    /// # Cancel safety
    ///
    /// Nothing is awaited: it has been done or refused when this is first polled.
    #[allow(clippy::unused_async, reason = "it may come to wait, as starting may")]
    pub async fn reload(&self, server: Server) -> Result<Reload, StartError> {
        self.reload_now(server)
    }

    /// Serves as [`run`](Self::run) does, and [reloads](Self::reload) what `load` gives whenever SIGHUP arrives.
    ///
    /// `load` may read files: it is called on a thread for blocking work, once at a time, and however often the signal
    /// has come meanwhile, once more. Its error is treated as one of [`reload`](Self::reload): everything stays as it is,
    /// with one line in the log and one more in [`refused_reloads`](crate::Counters::refused_reloads).
    ///
    /// SIGHUP is also what a process is sent whose terminal goes away. Where there was a controlling terminal and is none
    /// any more it stops the server, as SIGTERM does, unless the process began with SIGHUP ignored, as under `nohup`.
    ///
    /// ```no_run
    /// use rikki::{Server, StartError};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let settings = || std::fs::read_to_string("motd.txt").map(|text| Server::new().header("x-motd", text.trim()));
    /// settings()?.start().await?.run_reloading(settings).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors, panics and cancel safety
    ///
    /// As [`run`](Self::run); a panic of `load` counts as its error. A `load` that is under way when this is dropped goes
    /// on, and so does the reload.
    pub fn run_reloading<E: fmt::Display + Send + 'static>(
        &self,
        load: impl FnMut() -> Result<Server, E> + Send + 'static,
    ) -> impl Future<Output = io::Result<()>> + Send {
        let (handle, signals) = (self.clone(), Signals::new(true));
        async move {
            let mut signals = handle.catching(signals)?;
            // However often it was asked for meanwhile, once more.
            let asked = Notify::new();
            let load = Arc::new(Mutex::new(load));
            let mut reloading = pin!(async {
                loop {
                    asked.notified().await;
                    handle.load(load.clone()).await;
                }
            });
            loop {
                tokio::select! {
                    () = &mut reloading => {}
                    signal = signals.arrive() => match signal {
                        Signal::Reload => asked.notify_one(),
                        // What is being loaded may hang.
                        Signal::Stop => break,
                    },
                }
            }
            handle.drain_until(&mut signals).await;
            Ok(())
        }
    }

    fn reload_now(&self, server: Server) -> Result<Reload, StartError> {
        let counts = &self.0.live.counts;
        let reloaded = self.0.settings.lock().unwrap_or_else(PoisonError::into_inner).reload(server, &self.0.live);
        match &reloaded {
            Ok(Reload { needs_restart }) => {
                counts.reloads.up();
                tracing::info!(target: "rikki::server", "the settings have been reloaded");
                for what in needs_restart {
                    tracing::warn!(target: "rikki::server", "this takes a restart: {what}");
                }
            }
            Err(error) => self.refuse_reload(error),
        }
        reloaded
    }

    /// Reloads what is loaded, by a thread that may wait for files.
    async fn load<E: fmt::Display + Send + 'static>(
        &self,
        load: Arc<Mutex<impl FnMut() -> Result<Server, E> + Send + 'static>>,
    ) {
        let handle = self.clone();
        let loading = spawn_blocking(move || {
            let loaded = load.lock().unwrap_or_else(PoisonError::into_inner)();
            match loaded {
                // It has said so itself.
                Ok(server) => drop(handle.reload_now(server)),
                Err(error) => handle.refuse_reload(&error),
            }
        });
        if loading.await.is_err() {
            self.refuse_reload(&"reading them has panicked");
        }
    }

    /// Says that everything stays as it is, in one line.
    fn refuse_reload(&self, why: &dyn fmt::Display) {
        self.0.live.counts.refused_reloads.up();
        tracing::error!(target: "rikki::server", "the settings stay as they are: {why}");
    }
}

impl Settings {
    fn reload(&mut self, mut server: Server, live: &Arc<Live>) -> Result<Reload, StartError> {
        if self.draining.has_begun() {
            return Err(StartError::Draining);
        }
        let own = std::mem::replace(&mut server.live, live.clone());
        let planned = server.prepare()?;
        #[cfg(feature = "tls")]
        if let Some(tls) = &server.tls {
            let may_replace = tls.may_replace(self.tls.borrow().as_ref(), SystemTime::now());
            may_replace.map_err(StartError::Certificate)?;
        }
        let of_old = server.plans_of(&self.sites, &planned)?;
        // What is mounted takes over budgets that are in use, so it is tried before.
        server.arrange(&Mounts::default()).map(drop)?;
        let (router, mounts) = server.arrange(&self.mounts)?;
        // From here on nothing fails.
        let sites: Vec<_> = self.sites.iter().map(|listener| listener.current.upgrade()).collect();
        let known = sites.iter().flatten().map(|current| current.now().serving.shared().clone()).collect();
        let mut common = Common::new(&server, &self.draining, known);
        for ((listener, planned), current) in self.sites.iter().zip(&of_old).zip(&sites) {
            let Some(current) = current else { continue };
            let router = if listener.is_redirect { current.now().router.clone() } else { router.clone() };
            current.swap(common.site(planned, listener.kind, router));
        }
        self.plans.set(server.drain_plan());
        self.admission.set_max_per_address(server.limits.max_connections_per_address);
        #[cfg(feature = "tls")]
        self.tls.send_replace(server.tls.clone());
        // It may be that it is the same: a server that was made from this one's monitor.
        if !Arc::ptr_eq(&own, live) {
            let _ = own.instead.set(live.clone());
        }
        let needs_restart = self.differences(&server, &planned);
        std::mem::take(&mut server.in_force).call();
        // Behind that, since it may have told topics how much they have.
        server.share_memory(&mounts);
        self.mounts = mounts;
        Ok(Reload { needs_restart })
    }

    /// What a restart would change.
    fn differences(&self, server: &Server, planned: &[Planned]) -> Vec<String> {
        let mut differences = Vec::new();
        let listening = || self.sites.iter().filter(|listener| !listener.is_redirect).map(|listener| &listener.asked);
        for Planned { url, .. } in planned {
            if !listening().any(|asked| asked == url) {
                differences.push(format!("to listen on {url}"));
            }
        }
        let mut gone: Vec<&ListenUrl> =
            listening().filter(|asked| !planned.iter().any(|planned| planned.url == **asked)).collect();
        gone.dedup();
        differences.extend(gone.into_iter().map(|asked| format!("not to listen on {asked} any more")));
        #[cfg(feature = "tls")]
        if self.redirect_http != server.redirect_http {
            differences.push("to redirect from another port, or from none".to_owned());
        }
        if self.workers != server.workers {
            let workers = server.workers.map_or_else(|| "one for each core".to_owned(), |count| count.to_string());
            differences.push(format!("another number of workers: {workers}"));
        }
        differences
    }
}

impl Server {
    /// What each listener that runs will be like: as it is asked for, or as any other if it is not.
    fn plans_of(&self, running: &[Listener], planned: &[Planned]) -> Result<Vec<Planned>, StartError> {
        let plan = |listener: &Listener| {
            let asked = planned.iter().find(|planned| planned.url == listener.asked && !listener.is_redirect);
            asked.cloned().map_or_else(|| self.plan(&listener.asked.to_string().into()), Ok)
        };
        running.iter().map(plan).collect()
    }
}
