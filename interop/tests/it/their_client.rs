//! Python's client against the release build of the command, in each mode of its compression.

use std::ffi::OsString;
use std::process::Stdio;

use crate::python::{Certificate, script, within};
use crate::server::Server;

/// The command with this mode of compression.
async fn start(mode: &str, certificate: Option<&Certificate>) -> Server {
    let mut arguments: Vec<OsString> =
        [env!("CARGO_TARGET_TMPDIR"), "--compression", mode, "--deflate-above", "1B"].map(Into::into).into();
    // However slow the machine, a client that still writes sees why it was refused.
    arguments.extend(["--linger-timeout", "30s"].map(Into::into));
    if let Some(certificate) = certificate {
        let [certificate, key] = certificate.files();
        arguments.extend(["--cert".into(), certificate.into(), "--key".into(), key.into()]);
        arguments.extend(["--listen", "wss://127.0.0.1:0"].map(Into::into));
    } else {
        arguments.extend(["--listen", "ws://127.0.0.1:0"].map(Into::into));
    }
    Server::start(&arguments).await
}

async fn check(mode: &str) {
    let certificate = Certificate::new(mode);
    for certificate in [None, Some(&certificate)] {
        let server = start(mode, certificate).await;
        let ca = certificate.map(|certificate| certificate.files()[0].to_str().unwrap().to_owned());
        let arguments = [server.url.clone(), mode.to_owned()].into_iter().chain(ca);
        let output = within(600, "the client", script("echo_client.py", arguments).stderr(Stdio::inherit()).output())
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}: {said}", server.url);
        // Twelve variants and two runs of the limits: what is left out does not pass.
        assert_eq!(said.lines().filter(|line| line.contains(": ok, ")).count(), 14, "{said}");
    }
}

#[tokio::test]
async fn without_compression() {
    check("off").await;
}

#[tokio::test]
async fn without_context_takeover() {
    check("shared").await;
}

#[tokio::test]
async fn with_context_takeover() {
    check("dedicated").await;
}
