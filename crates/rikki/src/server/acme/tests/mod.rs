//! Orders on a clock that runs by itself, from an authority in memory; and handshakes with a server.

mod listening;
mod renewals;
mod troubles;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::*;
use crate::tls::Now;
use crate::tls::fake::{DAY, Directory, Folder, Manner, Renewal, managed};

const HOUR: Duration = Duration::from_secs(60 * 60);
const MINUTE: Duration = Duration::from_secs(60);

/// What time it is by the clock of the runtime.
fn clock() -> Now {
    let (began, time) = (Instant::now(), SystemTime::now());
    Arc::new(move || time + began.elapsed())
}

/// Somebody who renews, an authority and what they have.
struct Stage {
    folder: Folder,
    directory: Directory,
    tls: ServerTls,
    live: Arc<Live>,
    now: Now,
    running: JoinHandle<()>,
    /// Where it is given others.
    others: watch::Sender<Option<ServerTls>>,
}

impl Stage {
    fn new(names: &[&str]) -> Self {
        Self::set(names, |_, _| {})
    }

    fn set(names: &[&str], prepare: impl FnOnce(&Directory, &Now)) -> Self {
        let (folder, now) = (Folder::new(), clock());
        let directory = Directory::new(now.clone());
        prepare(&directory, &now);
        Self::start(folder, directory, now, names)
    }

    fn start(folder: Folder, directory: Directory, now: Now, names: &[&str]) -> Self {
        let tls = managed(folder.acme(names), &directory);
        let live = Arc::<Live>::default();
        let (others, given) = watch::channel(Some(tls.clone()));
        let running = tokio::spawn(follow(given, live.clone()));
        Self { folder, directory, tls, live, now, running, others }
    }

    /// As after the end of the process.
    async fn restart(self, names: &[&str]) -> Self {
        self.running.abort();
        let _ = self.running.await;
        Self::start(self.folder, self.directory, self.now, names)
    }

    /// How many orders have succeeded and failed.
    fn counts(&self) -> (u64, u64) {
        (self.live.counts.issued_certificates.get(), self.live.counts.failed_orders.get())
    }

    /// The end of what is shown for each name, in whole hours from now.
    fn shown(&self) -> Vec<Option<u64>> {
        let now = (self.now)();
        let hours = |one: Certificate| one.ends().duration_since(now).unwrap_or_default().as_secs().div_ceil(3600);
        self.tls.issued().into_iter().map(|(_, issued)| issued.map(hours)).collect()
    }

    /// Passes time until somebody orders something, and says what was asked then.
    async fn next_order(&self, most: Duration) -> (Duration, String) {
        let began = Instant::now();
        loop {
            if let Some(order) = self.directory.asked().into_iter().find(|line| line.starts_with("new-order")) {
                return (began.elapsed(), order);
            }
            assert!(began.elapsed() < most, "nothing was ordered");
            sleep(MINUTE / 4).await;
        }
    }
}
