//! The settings of a server that runs: judged without a lock, since files are read for that, and then swapped.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
#[cfg(feature = "tls")]
use std::time::SystemTime;

use super::admission::Admission;
use super::drain::Plans;
use super::listen::Planned;
use super::mount::Mounts;
use super::reload::Reload;
use super::sites::Common;
use super::{ListenUrl, Server, StartError};
use crate::http::{Current, Draining, Shared};
use crate::live::Live;
#[cfg(feature = "tls")]
use crate::tls::ServerTls;
use crate::ws::internal::ListenerKind;

/// What a reload changes, and what it is compared with.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) sites: Vec<Listener>,
    pub(super) workers: Option<usize>,
    #[cfg(feature = "tls")]
    pub(super) redirect_http: Option<u16>,
    #[cfg(feature = "tls")]
    pub(super) tls: tokio::sync::watch::Sender<Option<ServerTls>>,
    pub(super) admission: Arc<Admission>,
    pub(super) plans: Plans,
    pub(super) draining: Draining,
    pub(super) taken_over: Mutex<TakenOver>,
    /// Lets one reload after another put its layers around what it took over: the application's code, which holds up
    /// nothing else.
    pub(super) turn: Mutex<()>,
}

/// What the next settings take over from these.
#[derive(Debug, Default)]
pub(super) struct TakenOver {
    pub(super) mounts: Mounts,
    /// Of the listeners that have no rate of requests of their own.
    pub(super) shared: Shared,
}

/// A socket that is listened on.
#[derive(Debug)]
pub(super) struct Listener {
    /// Which of the listeners it belongs to: a name may have several addresses.
    pub(super) number: usize,
    /// With the port that was asked for.
    pub(super) asked: ListenUrl,
    pub(super) kind: ListenerKind,
    pub(super) is_redirect: bool,
    /// Gone when nobody is served here any more: whoever has a handle then holds no routes.
    pub(super) current: Weak<Current>,
}

/// What nothing is wrong with.
pub(super) struct Judged {
    /// What each socket will be like.
    planned: Vec<Planned>,
    mounts: Mounts,
    needs_restart: Vec<String>,
    /// What the monitors of these settings read.
    own: Arc<Live>,
}

impl Settings {
    /// Judges all of it, and changes nothing.
    pub(super) fn judge(&self, server: &mut Server, live: &Arc<Live>) -> Result<Judged, StartError> {
        if self.draining.has_begun() {
            return Err(StartError::Draining);
        }
        let own = std::mem::replace(&mut server.live, live.clone());
        let asked = server.prepare()?;
        #[cfg(feature = "tls")]
        if let Some(tls) = &server.tls {
            let may_replace = tls.may_replace(self.tls.borrow().as_ref(), SystemTime::now());
            may_replace.map_err(StartError::Certificate)?;
        }
        let matched = self.matched(&asked);
        let plan = |(listener, matched): (&Listener, &Option<usize>)| match matched.and_then(|index| asked.get(index)) {
            Some(planned) => Ok(planned.clone()),
            // As any other, if it is not asked for any more.
            None => server.plan(&listener.asked.to_string().into()),
        };
        let planned = self.sites.iter().zip(&matched).map(plan).collect::<Result<_, _>>()?;
        let (_, mounts) = server.arrange()?;
        Ok(Judged { planned, mounts, needs_restart: self.differences(server, &asked, &matched), own })
    }

    /// Goes by what was judged from now on.
    pub(super) fn apply(&self, server: &Server, judged: Judged) -> Result<Reload, StartError> {
        let Judged { planned, mut mounts, needs_restart, own } = judged;
        let mut replaced = Vec::new();
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.taken_over().mounts.clone();
        if self.draining.has_begun() {
            return Err(StartError::Draining);
        }
        mounts.succeed(&before);
        // The same was judged a moment ago.
        let router = server.assemble(&mounts)?;
        let mut taken_over = self.taken_over();
        if self.draining.has_begun() {
            return Err(StartError::Draining);
        }
        let before = std::mem::take(&mut taken_over.shared);
        let mut common = Common::new(server, &self.draining, &before);
        for (listener, planned) in self.sites.iter().zip(&planned) {
            let Some(current) = listener.current.upgrade() else { continue };
            let now = current.now();
            let router = if listener.is_redirect { now.router.clone() } else { router.clone() };
            let site = common.site(planned, listener.kind, router, now.serving.shared().unlike(&before));
            replaced.push(current.swap(site));
        }
        taken_over.shared = common.shared();
        self.plans.set(server.drain_plan());
        self.admission.set_max_per_address(server.limits.max_connections_per_address);
        #[cfg(feature = "tls")]
        self.tls.send_replace(server.tls.clone());
        // It is the same where a server was made from this one's monitor.
        if !Arc::ptr_eq(&own, &server.live) {
            let _ = own.instead.set(server.live.clone());
        }
        server.share_memory(&mounts);
        let before = std::mem::replace(&mut taken_over.mounts, mounts);
        drop(taken_over);
        drop(turn);
        // Without a lock: it has what the application has put into its routes.
        drop((replaced, before));
        Ok(Reload { needs_restart })
    }

    /// Keeps nothing of files any more.
    pub(super) fn forget_mounts(&self) {
        // Without the lock, which is given back before.
        let _forgotten = std::mem::take(&mut self.taken_over().mounts);
    }

    /// Never held while files are read, or while what an application has given is called or dropped.
    fn taken_over(&self) -> MutexGuard<'_, TakenOver> {
        self.taken_over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For each socket, which of those that are asked for it belongs to: of several with one URL each has its own.
    fn matched(&self, asked: &[Planned]) -> Vec<Option<usize>> {
        let mut by_number: Vec<(usize, Option<usize>)> = Vec::new();
        for listener in self.sites.iter().filter(|listener| !listener.is_redirect) {
            if by_number.iter().any(|(number, _)| *number == listener.number) {
                continue;
            }
            let is_free = |index: &usize| by_number.iter().all(|(_, taken)| *taken != Some(*index));
            let fits = |(index, planned): (usize, &Planned)| (planned.url == listener.asked).then_some(index);
            let index = asked.iter().enumerate().filter_map(fits).find(is_free);
            by_number.push((listener.number, index));
        }
        let of = |listener: &Listener| {
            let found = by_number.iter().find(|(number, _)| *number == listener.number && !listener.is_redirect);
            found.and_then(|(_, index)| *index)
        };
        self.sites.iter().map(of).collect()
    }

    /// What a restart would change.
    fn differences(&self, server: &Server, asked: &[Planned], matched: &[Option<usize>]) -> Vec<String> {
        let mut differences = Vec::new();
        for (index, Planned { url, .. }) in asked.iter().enumerate() {
            if !matched.contains(&Some(index)) {
                differences.push(format!("to listen on {url}"));
            }
        }
        let gone = |(listener, matched): &(&Listener, &Option<usize>)| !listener.is_redirect && matched.is_none();
        let mut gone: Vec<&Listener> =
            self.sites.iter().zip(matched).filter(gone).map(|(listener, _)| listener).collect();
        gone.dedup_by_key(|listener| listener.number);
        differences.extend(gone.iter().map(|listener| format!("not to listen on {} any more", listener.asked)));
        #[cfg(feature = "tls")]
        if self.redirect_http != server.redirect_http {
            let port = server.redirect_http.map_or_else(|| "none".to_owned(), |port| port.to_string());
            differences.push(format!("another port from which requests are redirected to TLS: {port}"));
        }
        if self.workers != server.workers {
            let workers = server.workers.map_or_else(|| "one for each core".to_owned(), |count| count.to_string());
            differences.push(format!("another number of workers: {workers}"));
        }
        differences
    }
}
