//! Other settings while the server runs: judged as a whole, then swapped.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use tokio::sync::{Mutex as Turn, Notify};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::handle::Running;
use super::manager::Manager;
use super::signals::{Signal, Signals};
use super::{Handle, Server, StartError};

/// After what time it is said that settings are still being read.
const LONG: Duration = Duration::from_secs(30);

/// What is said of one whose settings, or what an application does with them, have panicked.
const PANICKED: &str = "reading them has panicked";

/// What has come of [`Handle::reload`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reload {
    /// What is different and stays as it is until the server is started anew, in words: listeners and workers.
    pub needs_restart: Vec<String>,
}

impl Handle {
    /// Goes on with the settings of another server, which is never started; connections stay.
    ///
    /// It is judged as a whole first: if anything in it is wrong, everything stays as it is. Otherwise it is in force when
    /// this returns:
    ///
    /// - Routes, layers, folders, headers, hosts, origins, subprotocols, trusted proxies and the access log hold for
    ///   each request that comes from then on, also on connections that are open.
    /// - Certificates, and the limits and deadlines of HTTP connections, hold for connections that come from then on;
    ///   [`max_request_rate`](Server::max_request_rate) holds for each request. A connection whose client was asked for
    ///   no certificate, or for one of other authorities, than it would be now gets 421 for its next request, and ends.
    /// - Whom a header of the PROXY protocol has named stays the client of its connection.
    /// - Handlers and configurations of WebSockets hold for those that are opened from then on; open ones, and answers
    ///   under way, go on as they began, with what their handlers hold.
    /// - Budgets and bounds over all connections, and how a drain goes, hold at once. Where there is less than is held,
    ///   nothing is taken away: nobody is given more until enough has been given back. An address that gets
    ///   its first limit is counted from then on.
    ///
    /// A service manager that [`run`](Self::run) tells is told of it too.
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
        let reloaded = self.0.reloading.tell(|| self.reload_now(server));
        reloaded.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Serves as [`run`](Self::run) does, and [reloads](Self::reload) what `load` gives whenever SIGHUP arrives.
    ///
    /// `load` may read files: it is called on a thread for blocking work, once at a time, and however often the signal
    /// has come meanwhile, once more. One that takes longer than 30 s is an error in the log, and goes on. Its error is treated as one of [`reload`](Self::reload): everything stays as it is,
    /// with one line in the log and one more in [`refused_reloads`](crate::Counters::refused_reloads).
    ///
    /// SIGHUP is also what a process is sent whose terminal goes away. Where there was a controlling terminal and is none
    /// any more it stops the server, as SIGTERM does, unless the process began with SIGHUP ignored, as under `nohup`:
    /// such a one reloads then too.
    ///
    /// A service manager is told as by [`run`](Self::run), and `RELOADING` too, as `Type=notify-reload` asks for.
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
    /// As [`run`](Self::run), but the runtime needs time enabled too; a panic of `load` counts as its error. A `load` that is under way when this is dropped goes
    /// on, and so does the reload.
    pub fn run_reloading<E: fmt::Display + Send + 'static>(
        &self,
        load: impl FnMut() -> Result<Server, E> + Send + 'static,
    ) -> impl Future<Output = io::Result<()>> + Send {
        let (handle, signals) = (self.clone(), Signals::new(true));
        async move {
            let mut signals = handle.catching(signals)?;
            let manager = handle.manager();
            manager.ready();
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
                    // Somebody else has stopped it.
                    () = handle.0.settings.draining.begun() => break,
                    signal = signals.arrive() => match signal {
                        Signal::Reload => asked.notify_one(),
                        // What is being loaded may hang.
                        Signal::Stop => break,
                    },
                }
            }
            handle.drain_until(&mut signals, &manager).await;
            Ok(())
        }
    }

    /// Reloads what `load` gives, or counts and logs why that cannot be; a panic of `load` counts as its error. While
    /// another reads its settings nothing is read: what was read first is not to replace what was read later.
    #[doc(hidden)]
    pub fn reload_from<E: fmt::Display>(&self, load: impl FnOnce() -> Result<Server, E>) -> Result<Reload, String> {
        let Ok(_turn) = self.0.reloading.turn.try_lock() else {
            return Err("another reload is reading them, ask again when it has ended".to_owned());
        };
        self.0.reloading.read(&Arc::downgrade(&self.0), load)
    }

    fn reload_now(&self, mut server: Server) -> Result<Reload, StartError> {
        let counts = &self.0.live.counts;
        let reloaded = self.0.settings.judge(&mut server, &self.0.live).and_then(|judged| {
            // Without a lock, since it is not known what they do.
            std::mem::take(&mut server.in_force).call();
            self.0.settings.apply(&server, judged)
        });
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

    /// Reloads what is loaded, by a thread that may wait for files, and says so if it waits long. What has come of it was
    /// logged.
    async fn load<E: fmt::Display>(&self, load: Arc<Mutex<impl FnMut() -> Result<Server, E> + Send + 'static>>) {
        // One that hangs keeps no server running.
        let (running, reloading) = (Arc::downgrade(&self.0), self.0.reloading.clone());
        let turn = reloading.turn.clone().lock_owned().await;
        let mut loading = spawn_blocking(move || {
            let load = || load.lock().unwrap_or_else(PoisonError::into_inner)();
            let _ = reloading.read(&running, load);
            drop(turn);
        });
        if timeout(LONG, &mut loading).await.is_err() {
            self.refuse_reload(&format_args!("reading them takes longer than {LONG:?}, and nothing is read meanwhile"));
            let _ = loading.await;
        }
    }

    /// Says that everything stays as it is, in one line.
    fn refuse_reload(&self, why: &dyn fmt::Display) {
        self.0.live.counts.refused_reloads.up();
        tracing::error!(target: "rikki::server", "the settings stay as they are: {why}");
    }
}

/// Reloads of one server: one reads its settings at a time, and the service manager is told of them.
#[derive(Debug, Default)]
pub(super) struct Reloading {
    /// Whose turn it is to read. It is waited for by no thread.
    turn: Arc<Turn<()>>,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    /// Who is told, until the server stops.
    manager: Weak<Manager>,
    /// How many reloads are under way: an application may ask for one beside those that read.
    under_way: usize,
}

impl Reloading {
    /// This one is told from now on, as long as it is there.
    pub(super) fn is_told_to(&self, manager: &Arc<Manager>) {
        self.told().manager = Arc::downgrade(manager);
    }

    /// Tells it that the server stops, and of reloads nothing more: they would say that it is ready.
    pub(super) fn stopping(&self, manager: &Manager) {
        let mut told = self.told();
        told.manager = Weak::new();
        manager.stopping();
    }

    /// Reloads, and says so before and behind that.
    fn tell<E: fmt::Display>(&self, reload: impl FnOnce() -> Result<Reload, E>) -> thread::Result<Result<Reload, E>> {
        let mut told = self.told();
        told.under_way += 1;
        if let (1, Some(manager)) = (told.under_way, told.manager.upgrade()) {
            manager.reloading();
        }
        drop(told);
        let reloaded = catch_unwind(AssertUnwindSafe(reload));
        let mut told = self.told();
        told.under_way -= 1;
        if let (0, Some(manager)) = (told.under_way, told.manager.upgrade()) {
            match &reloaded {
                Ok(reloaded) => manager.reloaded(reloaded),
                Err(_) => manager.reloaded(&Err::<Reload, _>(PANICKED)),
            }
        }
        reloaded
    }

    /// Reloads what `load` gives, for whoever has the turn.
    fn read<E: fmt::Display>(
        &self,
        running: &Weak<Running>,
        load: impl FnOnce() -> Result<Server, E>,
    ) -> Result<Reload, String> {
        let handle = || running.upgrade().map(Handle).ok_or_else(|| StartError::Draining.to_string());
        let reloaded = self.tell(|| match load() {
            // It says so itself.
            Ok(server) => handle()?.reload_now(server).map_err(|error| error.to_string()),
            Err(error) => {
                handle()?.refuse_reload(&error);
                Err(error.to_string())
            }
        });
        reloaded.unwrap_or_else(|_| {
            handle()?.refuse_reload(&PANICKED);
            Err(PANICKED.to_owned())
        })
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
