//! Certificates that are issued while the server runs: when each is ordered, and what is logged and counted. How an
//! authority is asked belongs to `tls/acme`.
//!
//! One order at a time: an authority that hangs holds up the others by its deadline, and nothing else. Whoever has waited
//! the longest is next, so that a name that always fails lets others through.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};

use crate::live::Live;
use crate::tls::{
    Acme, Certificate, Failure, Managed, Order, ServerTls, Window, backoff, fraction, planned, rests, soonest,
};

/// The longest that an order may take, with everything that belongs to it.
const LONGEST_ORDER: Duration = Duration::from_secs(5 * 60);

/// The clock may be set: it is looked at this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(60 * 60);

/// Renews what the server has by then, until nobody can give it others.
pub(super) async fn follow(mut tls: watch::Receiver<Option<ServerTls>>, live: Arc<Live>) {
    let mut attempts = Attempts::default();
    loop {
        let now = tls.borrow_and_update().clone();
        let renewing = async {
            run(now, live.clone(), &mut attempts).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = renewing => {}
            changed = tls.changed() => if changed.is_err() { return },
        }
    }
}

/// What has been tried and has not succeeded, for whoever comes next with the same settings: a reload is no reason to
/// ask an authority again that has just said no.
#[derive(Default)]
struct Attempts {
    /// With which settings that was.
    settings: Option<Acme>,
    of: HashMap<String, Attempt>,
}

#[derive(Clone, Copy)]
struct Attempt {
    failures: u32,
    held_up: Option<SystemTime>,
}

impl Attempts {
    /// Forgets what was tried with other settings, which may be what was wrong.
    fn fit(&mut self, settings: &Acme) {
        if self.settings.as_ref() != Some(settings) {
            *self = Self { settings: Some(settings.clone()), of: HashMap::new() };
        }
    }
}

/// Renews until it is dropped, which may be at any moment. If others have a clone of the same certificates, one of them
/// renews at a time.
async fn run(tls: Option<ServerTls>, live: Arc<Live>, attempts: &mut Attempts) {
    let Some(tls) = tls else { return };
    let Some(managed) = tls.managed().cloned() else { return };
    let _lease = managed.lease.lock().await;
    // What is held while files are read is waited for by a thread for blocking work, here and below.
    let of_all = tls.clone();
    let Ok(issued) = spawn_blocking(move || of_all.issued()).await else { return };
    attempts.fit(&managed.settings);
    let names = issued.into_iter().map(|(name, issued)| {
        let known = attempts.of.get(&name).copied();
        Name {
            held_up: known.and_then(|known| known.held_up),
            failures: known.map_or(0, |known| known.failures),
            ..Name::new(name, issued, (managed.now)())
        }
    });
    let names = names.collect();
    let mut keeper = Keeper { tls, managed: managed.clone(), live, names, attempts };
    loop {
        keeper.step().await;
    }
}

struct Keeper<'a> {
    attempts: &'a mut Attempts,
    tls: ServerTls,
    managed: Arc<Managed>,
    live: Arc<Live>,
    names: Vec<Name>,
}

/// A name, and when something is to be done for it.
struct Name {
    name: String,
    certificate: Option<Certificate>,
    /// When the certificate is to be replaced: by its lifetime, or as is suggested.
    planned: SystemTime,
    /// Not before this, after a failure.
    held_up: Option<SystemTime>,
    failures: u32,
    /// When the authority is asked for its suggestion, how often that has failed, and what it was last.
    ask: Option<SystemTime>,
    unanswered: u32,
    window: Option<Window>,
}

impl Name {
    fn new(name: String, certificate: Option<Certificate>, now: SystemTime) -> Self {
        let (planned, ask) = match &certificate {
            Some(certificate) => (planned(certificate, fraction()), Some(now)),
            None => (now, None),
        };
        Self { name, certificate, planned, held_up: None, failures: 0, ask, unanswered: 0, window: None }
    }

    fn order_at(&self) -> SystemTime {
        self.held_up.map_or(self.planned, |held_up| held_up.max(self.planned))
    }

    /// The moment, and whether it is to ask.
    fn next(&self) -> (SystemTime, bool) {
        match self.ask {
            Some(ask) if ask <= self.order_at() => (ask, true),
            _ => (self.order_at(), false),
        }
    }
}

impl Keeper<'_> {
    /// Waits for what is next, or does it.
    async fn step(&mut self) {
        let next = self.names.iter().enumerate().map(|(at, name)| (name.next(), at)).min();
        let Some(((time, is_to_ask), at)) = next else { return std::future::pending().await };
        match time.duration_since((self.managed.now)()) {
            Ok(wait) if !wait.is_zero() => sleep(wait.min(LONGEST_SLEEP)).await,
            _ if is_to_ask => self.ask(at).await,
            _ => self.order(at).await,
        }
    }

    /// An authority that suggests nothing leaves it at what was planned
    /// ([RFC 9773 section 4.3.3](https://www.rfc-editor.org/rfc/rfc9773#section-4.3.3)).
    async fn ask(&mut self, at: usize) {
        let Some(name) = self.names.get_mut(at) else { return };
        let Some(certificate) = name.certificate.clone() else {
            name.ask = None;
            return;
        };
        let (order, of) = (Order::new(self.managed.clone(), name.name.clone()), certificate.clone());
        let suggested = bounded(async move { order.suggested(&of).await }).await;
        let (now, ends) = ((self.managed.now)(), certificate.ends());
        match suggested {
            Ok((window, again)) => {
                name.unanswered = 0;
                name.ask = now.checked_add(soonest(again));
                if name.window == Some(window) {
                    return;
                }
                name.window = Some(window);
                // What is no window counts as no answer.
                if let Some(moment) = window.moment(ends, fraction()) {
                    name.planned = moment.max(rests(&certificate));
                } else {
                    name.planned = planned(&certificate, fraction());
                    tracing::debug!(target: "rikki::tls", name = name.name, "the window for its renewal is none");
                }
            }
            Err(failure) => {
                name.unanswered = name.unanswered.saturating_add(1);
                name.ask = now.checked_add(backoff(name.unanswered, failure.after, fraction()));
                tracing::debug!(target: "rikki::tls", name = name.name, "no time of renewal: {}", failure.why);
            }
        }
    }

    async fn order(&mut self, at: usize) {
        let Some(name) = self.names.get_mut(at) else { return };
        // As if it had failed, if it does not come to its end.
        let given_up = (self.managed.now)().checked_add(backoff(1, None, fraction()));
        let attempt = Attempt { failures: name.failures, held_up: given_up };
        self.attempts.of.insert(name.name.clone(), attempt);
        let (managed, of, replaced) = (self.managed.clone(), name.name.clone(), name.certificate.clone());
        let (order, tls) = (Order::new(managed.clone(), of.clone()), self.tls.clone());
        let installed = bounded(async move {
            // Somebody else may have it already: another process, or the server before this one.
            let (name, now) = (of.clone(), managed.now.clone());
            let loaded = spawn_blocking(move || managed.load(&name)).await;
            let is_newer = |found: &Certificate| {
                planned(found, 1.0) > now() && replaced.as_ref().is_none_or(|old| old.ends() < found.ends())
            };
            let found = loaded.ok().and_then(Result::ok).flatten().filter(is_newer);
            let (certificate, is_issued) = match found {
                Some(found) => (found, false),
                None => (order.place(replaced).await?, true),
            };
            let failed = |why: String| Failure { why: format!("using the certificate: {why}"), after: None };
            let shown = certificate.clone();
            match spawn_blocking(move || tls.install(&of, &shown)).await {
                Ok(Ok(())) => Ok((certificate, is_issued)),
                Ok(Err(error)) => Err(failed(error.to_string())),
                Err(error) => Err(failed(error.to_string())),
            }
        })
        .await;
        let now = (self.managed.now)();
        match installed {
            Ok((certificate, is_issued)) => {
                let hours = certificate.ends().duration_since(now).unwrap_or_default().as_secs() / 3600;
                if is_issued {
                    self.live.counts.issued_certificates.up();
                    tracing::info!(target: "rikki::tls", "a certificate for {} has been issued, for {hours} hours", name.name);
                } else {
                    tracing::info!(target: "rikki::tls", "a certificate for {} has been found, for {hours} hours", name.name);
                }
                self.attempts.of.remove(&name.name);
                *name = Name::new(std::mem::take(&mut name.name), Some(certificate), now);
            }
            Err(failure) => {
                self.live.counts.failed_orders.up();
                name.failures = name.failures.saturating_add(1);
                let wait = backoff(name.failures, failure.after, fraction());
                name.held_up = now.checked_add(wait);
                let attempt = Attempt { failures: name.failures, held_up: name.held_up };
                self.attempts.of.insert(name.name.clone(), attempt);
                report(name, &failure, wait, now);
            }
        }
    }
}

/// Whatever happens in there is an error here, also a panic: names are renewed as long as the server runs.
async fn bounded<T: Send + 'static>(
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    // Dropped with this, the set ends what is in it.
    let mut tasks = JoinSet::new();
    tasks.spawn(timeout(LONGEST_ORDER, work));
    let failed = |why: String| Failure { why, after: None };
    match tasks.join_next().await {
        Some(Ok(Ok(done))) => done,
        Some(Ok(Err(_))) => Err(failed(format!("it took longer than {} s", LONGEST_ORDER.as_secs()))),
        Some(Err(error)) => Err(failed(format!("it ended unexpectedly: {error}"))),
        None => Err(failed("it was not begun".to_owned())),
    }
}

fn report(name: &Name, failure: &Failure, wait: Duration, now: SystemTime) {
    let (of, why, minutes) = (&name.name, &failure.why, wait.as_secs().div_ceil(60));
    let in_use = match name.certificate.as_ref().map(|certificate| certificate.ends().duration_since(now)) {
        None => "there is none yet".to_owned(),
        Some(Ok(left)) => format!("that in use is valid for {} hours", left.as_secs() / 3600),
        Some(Err(_)) => "that in use has expired".to_owned(),
    };
    tracing::error!(target: "rikki::tls", "no certificate for {of}: {why}; {in_use}; next attempt in {minutes} min");
}

#[cfg(test)]
mod tests;
