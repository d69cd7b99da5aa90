//! TLS with rustls: PEM files, whom a client trusts and what it shows, and the stream of a WebSocket.
//!
//! The cryptography is that of aws-lc or of ring, by a feature, whatever provider the embedding program has made its
//! process default. Features add up over all who depend on this crate, so both may be on: then it is aws-lc.

mod chain;
#[cfg(feature = "client")]
pub(crate) mod client;
#[cfg(any(feature = "axum", feature = "client"))]
mod copying;
mod error;
pub mod pem;
#[cfg(any(feature = "axum", feature = "client"))]
mod stream;

use std::path::Path;
use std::sync::Arc;

use rustls::InconsistentKeys;
use rustls::crypto::CryptoProvider;
#[cfg(feature = "aws-lc-rs")]
use rustls::crypto::aws_lc_rs::default_provider;
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
use rustls::crypto::ring::default_provider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

pub use chain::Bounded;
pub use error::TlsError;

#[cfg(any(feature = "axum", feature = "client"))]
pub use stream::TlsStream;

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
compile_error!("TLS needs somebody's cryptography: turn on the feature `aws-lc-rs`, the default of rikki, or `ring`");

/// The bare builders of rustls panic where an embedder's tree enables two providers, so ours is always named.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(default_provider())
}

/// Joins chain and key, and sees that they belong together.
pub fn certified_key(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    certificate_file: &Path,
    key_file: &Path,
) -> Result<CertifiedKey, TlsError> {
    let key = provider().key_provider.load_private_key(key).map_err(|source| TlsError::bad_key(key_file, source))?;
    let certified = CertifiedKey::new(chain, key);
    // rustls's own `with_single_cert` lets a key pass whose public half it cannot tell; here that is an error too.
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(TlsError::KeyMismatch { certificate: certificate_file.to_owned(), key: key_file.to_owned() })
        }
        Err(unknown @ rustls::Error::InconsistentKeys(_)) => Err(TlsError::bad_key(key_file, unknown)),
        Err(source) => Err(TlsError::bad_certificate(certificate_file, source)),
    }
}
