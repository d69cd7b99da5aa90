//! Flags for encryption: whose certificate is shown, and whose clients must show.

use std::path::PathBuf;

use clap::Args;

use super::{AcmeArgs, TLS};

/// How TLS is served.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct TlsArgs {
    /// Listen on this port too, 80 if none is given, of each host that https listens on, and send every request on to
    /// https
    #[arg(long, value_name = "PORT", num_args = 0..=1, require_equals = true, default_missing_value = "80", help_heading = TLS)]
    pub(crate) redirect_http: Option<u16>,
    /// File with a certificate chain, PEM, the server's own first
    #[arg(long, value_name = "FILE", requires = "key", group = "certificate", help_heading = TLS)]
    pub(crate) cert: Vec<PathBuf>,
    /// File with the private key of the certificate, PEM
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = TLS)]
    pub(crate) key: Vec<PathBuf>,
    /// File with the authorities whose certificates clients have to show, PEM
    #[arg(long, value_name = "FILE", requires = "certificate", help_heading = TLS)]
    pub(crate) ca: Option<PathBuf>,
    /// Make a certificate for development, for this machine's names and addresses: in memory, or in the folder DIR, where
    /// it stays the same. Its fingerprint is printed
    #[arg(
        long = "tls-self-signed", value_name = "DIR", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = self_signed, conflicts_with_all = ["cert", "key", "names"], group = "certificate", help_heading = TLS
    )]
    pub(crate) self_signed: Option<SelfSigned>,
    #[command(flatten)]
    pub(crate) acme: AcmeArgs,
}

impl TlsArgs {
    /// Whether there is a certificate for whatever is listened on.
    pub(super) fn has_certificate(&self) -> bool {
        !self.cert.is_empty() || self.self_signed.is_some()
    }
}

/// Where a certificate for development is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SelfSigned {
    InMemory,
    Kept(PathBuf),
}

/// The flag was a switch before, which variables and files set by `true`.
fn self_signed(text: &str) -> Result<SelfSigned, String> {
    match text {
        "" => Err("it must not be empty".to_owned()),
        "true" => Ok(SelfSigned::InMemory),
        folder => Ok(SelfSigned::Kept(folder.into())),
    }
}
