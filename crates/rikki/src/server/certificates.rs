//! Certificates that are renewed while the server runs: their files are looked at now and then, and when a handle says
//! so. What is in them is judged by `tls`; here is when, and what is logged and counted.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::live::Live;
use crate::tls::{Look, ServerTls};
use crate::ws::TlsError;

/// How long files are left alone, and how long where they may be in the middle of a change.
const PAUSE: Duration = Duration::from_secs(10);
const UNSETTLED: Duration = Duration::from_secs(1);

/// After what time it is said that files are still being read.
const LONG: Duration = Duration::from_secs(30);

/// The certificates that expire soon, and when.
type Expiring = Vec<(PathBuf, SystemTime)>;

/// When a certificate is about to expire, and how often that is said.
const SOON: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const REMIND: Duration = Duration::from_secs(24 * 60 * 60);

/// What came of a look at the files of certificates: see
/// [`Handle::reload_certificates`](crate::Handle::reload_certificates).
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Reloaded {
    /// The files whose content has been taken over: of a certificate with its key, that with the certificate.
    pub swapped: Vec<PathBuf>,
    /// Why files that have changed are not used: what was loaded before is still.
    pub refused: Vec<TlsError>,
}

/// Where a look at the files is asked for.
pub(super) type Ask = mpsc::Sender<oneshot::Sender<Reloaded>>;

/// Looks at the files of a server's certificates.
pub(super) struct Certificates {
    tls: watch::Receiver<Option<ServerTls>>,
    live: Arc<Live>,
    asked: mpsc::Receiver<oneshot::Sender<Reloaded>>,
}

impl Certificates {
    pub(super) fn new(tls: watch::Receiver<Option<ServerTls>>, live: Arc<Live>) -> (Ask, Self) {
        let (ask, asked) = mpsc::channel(1);
        (ask, Self { tls, live, asked })
    }

    /// Has certificates issued by ACME, if any are to be.
    #[cfg(feature = "acme")]
    pub(super) fn renew(&self) -> impl Future<Output = ()> + Send + use<> {
        super::acme::follow(self.tls.clone(), self.live.clone())
    }

    /// Until no handle is left. Files are read by a thread for blocking work: a file system that hangs holds up the
    /// looks and nothing else, and certificates that are others by then are looked at all the same.
    pub(super) async fn watch(mut self) {
        let mut reminded: Option<Instant> = None;
        let mut pause = PAUSE;
        loop {
            let asker = tokio::select! {
                asked = self.asked.recv() => match asked {
                    Some(asker) => Some(asker),
                    None => return,
                },
                // They are others from now on, which were read a moment ago.
                Ok(()) = self.tls.changed() => {
                    (reminded, pause) = (None, PAUSE);
                    continue;
                }
                () = sleep(pause) => None,
            };
            let tls = self.tls.borrow_and_update().clone().filter(ServerTls::has_files);
            let Some((look, expiring)) = self.look(tls, asker.is_none()).await else { continue };
            if !expiring.is_empty() && reminded.is_none_or(|last| last.elapsed() >= REMIND) {
                reminded = Some(Instant::now());
                expiring.iter().for_each(|(file, ends)| remind(file, *ends, SystemTime::now()));
            }
            pause = if look.is_unsettled { UNSETTLED } else { PAUSE };
            let reloaded = self.report(look);
            if let Some(asker) = asker {
                // Whoever has asked may have gone.
                let _ = asker.send(reloaded);
            }
        }
    }

    /// What there is in the files; `None` if there are none, or others before it is known.
    async fn look(&mut self, tls: Option<ServerTls>, is_patient: bool) -> Option<(Look, Expiring)> {
        let (files, now) = (tls?, SystemTime::now());
        let mut looking = spawn_blocking(move || (files.look(now, is_patient), files.expiring(now, SOON)));
        // No second one begins while it lasts, or threads that hang would become more and more.
        let mut is_told = false;
        loop {
            tokio::select! {
                looked = &mut looking => return looked.ok(),
                Ok(()) = self.tls.changed() => {
                    self.tls.mark_changed();
                    return None;
                }
                () = sleep(LONG), if !is_told => {
                    is_told = true;
                    self.live.counts.refused_certificates.up();
                    let why = "what was loaded before stays in use: reading the files takes longer than 30 s";
                    tracing::error!(target: "rikki::tls", "{why}");
                }
            }
        }
    }

    fn report(&self, look: Look) -> Reloaded {
        let counts = &self.live.counts;
        for file in &look.swapped {
            counts.swapped_certificates.up();
            tracing::info!(target: "rikki::tls", "{} has been replaced: new connections use it", file.display());
        }
        let mut refused = Vec::new();
        for (error, is_new) in look.refused {
            if is_new {
                counts.refused_certificates.up();
                tracing::error!(target: "rikki::tls", "what was loaded before stays in use: {error}");
            }
            refused.push(error);
        }
        Reloaded { swapped: look.swapped, refused }
    }
}

fn remind(file: &Path, ends: SystemTime, now: SystemTime) {
    let file = file.display();
    match ends.duration_since(now) {
        Ok(left) => {
            let hours = left.as_secs() / 3600;
            tracing::warn!(target: "rikki::tls", "the certificate in {file} expires in {hours} hours: renew it");
        }
        Err(_) => tracing::warn!(target: "rikki::tls", "the certificate in {file} has expired: renew it"),
    }
}

#[cfg(all(test, feature = "self-signed"))]
mod tests {
    use std::fs;

    use super::*;

    /// Time passes by itself, and not while files are read.
    #[tokio::test(start_paused = true)]
    async fn files_are_looked_at_now_and_then() {
        let folder = std::env::temp_dir().join(format!("rikki-watch-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (certificate, key) = (folder.join("a.crt"), folder.join("a.key"));
        let made = || testkit::Certificate::new(["localhost"]);
        let first = made();
        let write = |path: &Path, text: &str| fs::write(path, text).unwrap();
        write(&certificate, &first.certificate);
        write(&key, &first.key);
        let live = Arc::<Live>::default();
        let (_others, tls) = watch::channel(Some(ServerTls::pem_files(&certificate, &key).unwrap()));
        let (ask, certificates) = Certificates::new(tls, live.clone());
        let watching = tokio::spawn(certificates.watch());
        let check = |swapped: u64, refused: u64| {
            let counts = &live.counts;
            assert_eq!((counts.swapped_certificates.get(), counts.refused_certificates.get()), (swapped, refused));
        };
        let pass = sleep;
        let margin = Duration::from_millis(100);
        pass(PAUSE + margin).await;
        check(0, 0);
        // The certificate comes first: that is looked at again before anything is said.
        let second = made();
        write(&certificate, &second.certificate);
        pass(PAUSE).await;
        check(0, 0);
        write(&key, &second.key);
        pass(UNSETTLED).await;
        check(1, 0);
        // What stays bad is said once.
        write(&key, &first.key);
        pass(PAUSE + UNSETTLED + margin).await;
        check(1, 1);
        pass(PAUSE * 5).await;
        check(1, 1);
        write(&certificate, "");
        pass(PAUSE + UNSETTLED + margin).await;
        check(1, 2);
        write(&certificate, &first.certificate);
        pass(PAUSE + margin).await;
        check(2, 2);
        drop(ask);
        watching.await.unwrap();
        let _ = fs::remove_dir_all(folder);
    }
}
