//! TLS-ALPN-01 ([RFC 8737](https://www.rfc-editor.org/rfc/rfc8737)): while a name is being proven, a certificate that says
//! so is shown to whoever asks for that by ALPN, and nothing is served to them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::ServerConfig;
use rustls::server::ClientHello;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::ws::TlsError;
use crate::ws::tls::provider;

/// [RFC 8737 section 6.2](https://www.rfc-editor.org/rfc/rfc8737#section-6.2)
pub(crate) const PROTOCOL: &[u8] = b"acme-tls/1";

/// What is shown at the moment, one for each name that is being proven. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Challenges(Arc<Mutex<BTreeMap<String, Arc<ServerConfig>>>>);

/// A challenge can be met until this goes.
pub(crate) struct Offered {
    challenges: Challenges,
    name: String,
    config: Arc<ServerConfig>,
}

impl Challenges {
    /// Shows what proves a name, in place of what was shown for it before.
    pub(crate) fn offer(&self, name: &str, digest: &[u8]) -> Result<Offered, TlsError> {
        let config = config(name, digest)?;
        self.all().insert(name.to_owned(), config.clone());
        Ok(Offered { challenges: self.clone(), name: name.to_owned(), config })
    }

    /// Whether somebody may ask, which is seldom so.
    pub(crate) fn are_any(&self) -> bool {
        !self.all().is_empty()
    }

    /// What a client goes by that offers this protocol and no other
    /// ([RFC 8737 section 3](https://www.rfc-editor.org/rfc/rfc8737#section-3)).
    pub(crate) fn find(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        let mut offered = hello.alpn()?;
        if offered.next() != Some(PROTOCOL) || offered.next().is_some() {
            return None;
        }
        self.all().get(&hello.server_name()?.to_ascii_lowercase()).cloned()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Arc<ServerConfig>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Offered {
    fn drop(&mut self) {
        let mut all = self.challenges.all();
        if all.get(&self.name).is_some_and(|shown| Arc::ptr_eq(shown, &self.config)) {
            all.remove(&self.name);
        }
    }
}

/// No client certificate is demanded, and no session resumed: the connection ends with the handshake.
fn config(name: &str, digest: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(TlsError::rejected)?;
    let mut params = CertificateParams::new([name.to_owned()]).map_err(TlsError::rejected)?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let made = params.self_signed(&key).map_err(TlsError::rejected)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = provider().key_provider.load_private_key(key).map_err(TlsError::rejected)?;
    let shown = SingleCertAndKey::from(CertifiedKey::new(vec![made.into()], key));
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::rejected)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shown));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
