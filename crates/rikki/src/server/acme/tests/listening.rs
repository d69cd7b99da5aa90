//! A name is proven on the listeners of a server, in real time.

use std::net::SocketAddr;

use rustls::SignatureScheme;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::ServerName;
use testkit::credulous;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::*;
use crate::{Handle, Server};

async fn within<F: Future>(what: &str, step: F) -> F::Output {
    timeout(Duration::from_secs(20), step).await.unwrap_or_else(|_| panic!("{what} takes too long"))
}

/// How a client fares that asks for this name with these protocols.
async fn shake_hands(address: SocketAddr, name: &str, alpn: &[&[u8]]) -> Result<Option<Vec<u8>>, String> {
    let mut spoken = Vec::new();
    for version in [&TLS12, &TLS13] {
        let schemes = [SignatureScheme::ECDSA_NISTP256_SHA256];
        let mut config = credulous(&schemes, &[version]).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let shaken = within("a handshake", TlsConnector::from(Arc::new(config)).connect(name, stream)).await;
        let mut stream = shaken.map_err(|error| error.to_string())?;
        // Those of TLS 1.3 are told after it whether they are let in.
        let protocol = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        stream.write_all(b"GET /who HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        within("an answer", stream.read_to_end(&mut answer)).await.map_err(|error| error.to_string())?;
        spoken.push(protocol);
    }
    assert_eq!(spoken[0], spoken[1]);
    Ok(spoken.remove(0))
}

async fn issued(server: &Handle) {
    within("an order", async {
        while server.counters().issued_certificates == 0 {
            // It says so nowhere else.
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn names_are_proven_where_they_are_served() {
    let folder = Folder::new();
    let directory = Directory::new(Arc::new(SystemTime::now));
    directory.behave(Manner::Dawdles);
    let tls = managed(folder.acme(&["a.test"]), &directory);
    let challenges = tls.managed().unwrap().challenges.clone();
    let server = Server::new().tls(tls).listen("https://127.0.0.1:0").workers(2).start().await.unwrap();
    let address = server.local_addrs()[0];
    within("a challenge", async {
        while !challenges.are_any() {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    // Those who ask for it with other protocols, and for others with its own, are none of its business.
    for (name, alpn) in [
        ("a.test", &[&b"http/1.1"[..]][..]),
        ("a.test", &[b"acme-tls/1", b"http/1.1"]),
        ("a.test", &[]),
        ("b.test", &[b"acme-tls/1"]),
        ("127.0.0.1", &[b"acme-tls/1"]),
    ] {
        assert!(shake_hands(address, name, alpn).await.is_err(), "{name} {alpn:?}");
    }
    assert_eq!(shake_hands(address, "a.test", &[b"acme-tls/1"]).await, Ok(Some(b"acme-tls/1".to_vec())));
    assert_eq!(server.counters().failed_orders, 0);
    server.shutdown().await;
}

/// Also where clients have to show a certificate, which no authority has.
#[tokio::test]
async fn what_is_issued_is_served() {
    for (is_known, is_proxied) in [(false, false), (true, false), (false, true)] {
        let folder = Folder::new();
        let directory = Directory::new(Arc::new(SystemTime::now));
        let mut tls = managed(folder.acme(&["a.test"]), &directory);
        if is_known {
            let file = std::env::temp_dir().join(format!("rikki-acme-clients-{}.pem", std::process::id()));
            std::fs::write(&file, directory.pem()).unwrap();
            tls = tls.client_ca(&file).unwrap();
            let _ = std::fs::remove_file(file);
        }
        let mut server = Server::new().tls(tls).listen("https://127.0.0.1:0").workers(1);
        if is_proxied {
            server = server.proxy_protocol(true).trust("127.0.0.1");
        }
        directory.look_outside();
        let server = server.start().await.unwrap();
        let address = server.local_addrs()[0];
        directory.look_at(address, is_proxied);
        issued(&server).await;
        if !is_known && !is_proxied {
            let spoken = shake_hands(address, "a.test", &[b"http/1.1"]).await;
            assert_eq!(spoken, Ok(Some(b"http/1.1".to_vec())));
            // The proof is gone.
            assert!(shake_hands(address, "a.test", &[b"acme-tls/1"]).await.is_err());
        }
        if is_known {
            assert!(shake_hands(address, "a.test", &[b"http/1.1"]).await.is_err());
        }
        server.shutdown().await;
    }
}
