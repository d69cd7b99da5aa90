//! Certificates that an authority issues by ACME ([RFC 8555](https://www.rfc-editor.org/rfc/rfc8555)), for which a name
//! is proven on the TLS listeners themselves ([RFC 8737](https://www.rfc-editor.org/rfc/rfc8737)).
//!
//! Here is what is set, what is kept in files, the challenge, one order and when the next is due. Who waits for that, logs
//! and counts is `server/acme`.

mod challenge;
mod client;
mod order;
mod settings;
mod state;
#[cfg(test)]
pub(crate) mod tests;
mod timing;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

pub(crate) use challenge::{Challenges, PROTOCOL};
pub(crate) use client::{Connect, Told};
pub(crate) use order::{Failure, Order};
pub use settings::Acme;
pub(crate) use state::State;
/// What time it is.
pub(crate) type Now = Arc<dyn Fn() -> SystemTime + Send + Sync>;

pub(crate) use timing::{Window, backoff, fraction, planned, rests, soonest};

use super::certificate::Certificate;
use crate::ws::TlsError;
use crate::ws::client::ClientTls;

/// What a set of names is kept by, whoever has a clone of it.
pub(crate) struct Managed {
    pub(crate) settings: Acme,
    pub(crate) state: State,
    pub(crate) challenges: Challenges,
    pub(crate) connect: Connect,
    pub(crate) now: Now,
    /// Had by the one who renews: two servers may have clones of one `ServerTls`.
    pub(crate) lease: tokio::sync::Mutex<()>,
}

impl Managed {
    /// Judges what is set, and makes the folder for the state.
    pub(super) fn new(settings: Acme) -> Result<Arc<Self>, TlsError> {
        let settings = settings.checked()?;
        let tls = match settings.authority() {
            Some(file) => ClientTls::ca(file)?,
            None => ClientTls::system()?,
        };
        Self::with(settings, client::connect(&tls), Arc::new(SystemTime::now))
    }

    pub(super) fn with(settings: Acme, connect: Connect, now: Now) -> Result<Arc<Self>, TlsError> {
        let state = State::open(settings.state_folder()?, settings.url())?;
        let (challenges, lease) = Default::default();
        Ok(Arc::new(Self { settings, state, challenges, connect, now, lease }))
    }

    /// The certificate of the last time, if it can be used now.
    pub(crate) fn load(&self, name: &str) -> Result<Option<Certificate>, TlsError> {
        let path = self.state.certificate(name);
        let Some(text) = self.state.read(&path)? else { return Ok(None) };
        Certificate::for_name(&text, &path, name, (self.now)()).map(Some)
    }

    /// All names, with what can be used of the last time.
    pub(super) fn load_all(&self) -> Vec<(String, Option<Certificate>)> {
        let load = |name: &String| match self.load(name) {
            Ok(found) => (name.clone(), found),
            Err(error) => {
                tracing::warn!(target: "rikki::tls", "a certificate for {name} will be ordered: {error}");
                (name.clone(), None)
            }
        };
        self.settings.names().iter().map(load).collect()
    }

    /// What no mount may serve.
    pub(super) fn secret(&self) -> PathBuf {
        self.state.folder().to_owned()
    }
}

/// What errors call text that is in no file yet.
fn issued() -> &'static Path {
    Path::new("what the authority has issued")
}
