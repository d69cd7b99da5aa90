//! What a flood needs of a server and of the folder that it serves.

use std::fs;
use std::io::PipeReader;
use std::path::PathBuf;

use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};

use super::Addresses;
use crate::Result;
use crate::case::{Bench, Trouble};
use crate::folders::{self, Hung};
use crate::server::{Server, command};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// The folder `/many/`.
    Many,
    /// The folder `/hostile/`.
    Hostile,
    /// `/remote/hung/`, on a disk that hangs.
    Hung,
    /// A key that takes long to sign with.
    SlowKey,
    /// A line for each request, into a pipe that nobody reads.
    UnreadLog,
    /// A hundred requests on each connection.
    FewRequests,
}

/// A server, and what it needs.
pub(crate) struct Stage {
    // Dropped in this order: what waits for the disk lets the server end.
    _hung: Option<Hung>,
    pub(crate) server: Server,
    _log: Option<PipeReader>,
    pub(crate) addresses: Addresses,
}

impl Stage {
    /// A server with `flags`, and all that is needed.
    pub(crate) fn set(bench: &Bench, needs: &[Need], flags: &[&str]) -> Result<Self, Trouble> {
        let needed = |need| needs.contains(&need);
        if needed(Need::Many) {
            folders::many(bench)?;
        }
        if needed(Need::Hostile) {
            folders::hostile(bench)?;
        }
        let hung = if needed(Need::Hung) { Some(Hung::mount(bench)?) } else { None };
        let mut all: Vec<String> =
            ["--listen", "https://127.0.0.1:0"].iter().chain(flags).map(ToString::to_string).collect();
        all.extend(hung.as_ref().map(Hung::flag));
        if needed(Need::SlowKey) {
            all.extend(slow_key(bench)?);
        } else {
            all.push("--tls-self-signed".to_owned());
        }
        if needed(Need::FewRequests) {
            all.extend(["--max-requests", "100"].map(str::to_owned));
        }
        let unread = needed(Need::UnreadLog);
        all.extend(if unread { vec!["--access-log"] } else { vec!["--log", "error"] }.into_iter().map(str::to_owned));
        let command = command(bench, "http://127.0.0.1:0", &all.iter().map(String::as_str).collect::<Vec<_>>());
        let (server, log) = if unread {
            let (reader, writer) = std::io::pipe().map_err(|error| format!("a pipe: {error}"))?;
            (Server::spawn_logging(command, writer, PathBuf::new())?, Some(reader))
        } else {
            (Server::spawn(bench, command)?, None)
        };
        let addresses = Addresses { http: server.address, https: server.next_address()? };
        Ok(Self { _hung: hung, server, _log: log, addresses })
    }
}

/// The flags of a certificate with an RSA key of 4,096 bits.
fn slow_key(bench: &Bench) -> Result<[String; 4]> {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096).map_err(|error| error.to_string())?;
    let params = CertificateParams::new(["localhost".to_owned()]).map_err(|error| error.to_string())?;
    let certificate = params.self_signed(&key).map_err(|error| error.to_string())?;
    let file = |name: &str, text: String| {
        let path = bench.scratch.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok::<_, String>(path.display().to_string())
    };
    let (certificate, key) = (file("rsa.crt", certificate.pem())?, file("rsa.key", key.serialize_pem())?);
    Ok(["--cert".to_owned(), certificate, "--key".to_owned(), key])
}
