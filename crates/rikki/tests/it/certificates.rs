//! Several certificates on one port, and certificates that are replaced while the server runs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use futures_util::StreamExt;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_RSA_SHA256, SignatureAlgorithm,
};
use rikki::client::{Builder, ClientTls};
use rikki::ws::{Message, Socket};
use rikki::{Handle, Server, ServerTls, StartError};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, SignatureScheme, SupportedProtocolVersion};
use testkit::{credulous, trusting};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::wire::soon;

/// A folder of its own, with what issues certificates.
struct Office {
    folder: PathBuf,
    authority: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key.
#[derive(Clone)]
struct Issued {
    der: CertificateDer<'static>,
    certificate: String,
    key: String,
    key_der: Vec<u8>,
}

impl Office {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Relaxed);
        let folder = std::env::temp_dir().join(format!("rikki-certificates-{}-{number}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { folder, authority: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    fn issue_as(&self, kind: &'static SignatureAlgorithm, names: &[&str], years: (i32, i32)) -> Issued {
        let key = testkit::key(kind);
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        let made = params.signed_by(&key, &self.authority).unwrap();
        Issued {
            der: made.der().clone(),
            certificate: made.pem(),
            key: key.serialize_pem(),
            key_der: key.serialize_der(),
        }
    }

    fn issue(&self, names: &[&str]) -> Issued {
        self.issue_as(&PKCS_ECDSA_P256_SHA256, names, (2000, 4000))
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn write_pair(&self, name: &str, issued: &Issued) -> [PathBuf; 2] {
        let certificate = self.write(&format!("{name}.crt"), &issued.certificate);
        [certificate, self.write(&format!("{name}.key"), &issued.key)]
    }

    /// A client that believes in this authority alone.
    fn client(&self, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
        Arc::new(trusting(&self.authority.pem(), &[version]).with_no_client_auth())
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

async fn start(tls: ServerTls) -> Handle {
    let echo = |socket: &mut Socket, message: Message<'_>| socket.send(message);
    Server::new().websocket("/", echo).tls(tls).listen("https://127.0.0.1:0").workers(2).start().await.unwrap()
}

/// What the server shows to a client that asks for this name, or for none if it is an address.
async fn shown(server: &Handle, client: &Arc<ClientConfig>, name: &str) -> io::Result<CertificateDer<'static>> {
    let stream = TcpStream::connect(server.local_addrs()[0]).await?;
    let connector = TlsConnector::from(client.clone());
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = soon("shaking hands", connector.connect(name, stream)).await?;
    Ok(stream.get_ref().1.peer_certificates().unwrap()[0].clone())
}

#[tokio::test]
async fn which_certificate_is_shown() {
    let office = Office::new();
    let issued = [
        office.issue(&["a.test", "127.0.0.1"]),
        office.issue_as(&PKCS_RSA_SHA256, &["a.test", "*.wild.test"], (2000, 4000)),
        office.issue(&["b.test"]),
    ];
    let write = |at: usize| office.write_pair(&at.to_string(), &issued[at]);
    let ([a, a_key], [rsa, rsa_key], [b, b_key]) = (write(0), write(1), write(2));
    let tls = ServerTls::pem_files(a, a_key).unwrap();
    let tls = tls.and_pem_files(rsa, rsa_key).unwrap().and_pem_files(b, b_key).unwrap();
    let server = start(tls).await;
    for version in [&TLS12, &TLS13] {
        let (rsa, ecdsa) = (SignatureScheme::RSA_PSS_SHA256, SignatureScheme::ECDSA_NISTP256_SHA256);
        let check = async |name: &str, schemes: &[SignatureScheme], expected: usize| {
            let der =
                shown(&server, &Arc::new(credulous(schemes, &[version]).with_no_client_auth()), name).await.unwrap();
            assert_eq!(issued.iter().position(|one| one.der == der), Some(expected), "{name} {schemes:?}");
        };
        let both = [rsa, ecdsa];
        check("a.test", &both, 0).await;
        check("A.Test", &both, 0).await;
        check("a.test", &[ecdsa], 0).await;
        check("a.test", &[rsa], 1).await;
        check("x.wild.test", &both, 1).await;
        check("b.test", &both, 2).await;
        check("unknown.test", &both, 0).await;
        check("y.x.wild.test", &both, 0).await;
        // Without a name.
        check("127.0.0.1", &both, 0).await;
        check("::1", &[rsa], 1).await;
        // Clients that look closely, one after the other with one memory of sessions.
        let client = office.client(version);
        for (name, expected) in [("a.test", 0), ("b.test", 2), ("a.test", 0), ("x.wild.test", 1), ("b.test", 2)] {
            assert_eq!(shown(&server, &client, name).await.unwrap(), issued[expected].der, "{name}");
        }
        let none =
            shown(&server, &Arc::new(credulous(&[ecdsa], &[version]).with_no_client_auth()), "x.wild.test").await;
        assert!(none.is_err_and(|error| error.to_string().contains("HandshakeFailure")));
    }
}

/// Links are turned, as by those that deploy secrets, while clients come and others stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg(unix)]
async fn swapped_a_hundred_times_under_load() {
    const SWAPS: u64 = 100;
    let office = Arc::new(Office::new());
    let live = office.folder.join("live");
    let deploy = |number: u64| {
        let issued = office.issue(&["localhost", "127.0.0.1"]);
        let folder = office.folder.join(number.to_string());
        fs::create_dir(&folder).unwrap();
        office.write_pair(&format!("{number}/server"), &issued);
        let link = office.folder.join("new");
        std::os::unix::fs::symlink(folder, &link).unwrap();
        fs::rename(link, &live).unwrap();
        issued
    };
    deploy(0);
    let server = start(ServerTls::pem_files(live.join("server.crt"), live.join("server.key")).unwrap()).await;
    let (stop, handshakes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let mut load = tokio::task::JoinSet::new();
    for version in [&TLS12, &TLS13, &TLS13] {
        // With a memory of sessions, and without.
        let (server, client, office) = (server.clone(), office.client(version), office.clone());
        let (stop, handshakes) = (stop.clone(), handshakes.clone());
        load.spawn(async move {
            while !stop.load(Relaxed) {
                shown(&server, &client, "localhost").await.unwrap();
                shown(&server, &office.client(version), "127.0.0.1").await.unwrap();
                handshakes.fetch_add(2, Relaxed);
            }
        });
    }
    let trust = ClientTls::ca_pem(office.authority.pem()).unwrap();
    for _ in 0..4 {
        let builder = Builder::new(format!("wss://{}/", server.local_addrs()[0])).tls(trust.clone());
        let (mut socket, _) = soon("connecting", builder.connect()).await.unwrap();
        let stop = stop.clone();
        load.spawn(async move {
            while !stop.load(Relaxed) {
                socket.send("there?").await.unwrap();
                let message = soon("an echo", socket.next()).await.unwrap().unwrap();
                assert_eq!(message, "there?".into());
            }
        });
    }
    for number in 1..=SWAPS {
        let issued = deploy(number);
        let reloaded = soon("reloading", server.reload_certificates()).await;
        assert!(reloaded.refused.is_empty(), "{:?}", reloaded.refused);
        assert_eq!(server.counters().swapped_certificates, number);
        assert_eq!(shown(&server, &office.client(&TLS13), "localhost").await.unwrap(), issued.der);
    }
    stop.store(true, Relaxed);
    while let Some(ended) = load.join_next().await {
        ended.unwrap();
    }
    let counters = server.counters();
    assert_eq!((counters.refused_certificates, counters.lost_messages), (0, 0));
    assert!(handshakes.load(Relaxed) > 100, "{handshakes:?}");
}

#[tokio::test]
async fn bad_files_change_nothing() {
    let office = Office::new();
    let (first, second) = (office.issue(&["localhost"]), office.issue(&["localhost"]));
    let expired = office.issue_as(&PKCS_ECDSA_P256_SHA256, &["localhost"], (2000, 2020));
    let early = office.issue_as(&PKCS_ECDSA_P256_SHA256, &["localhost"], (3999, 4000));
    let [certificate, key] = office.write_pair("server", &first);
    let [other, other_key] = office.write_pair("other", &office.issue(&["other.test"]));
    let tls = ServerTls::pem_files(&certificate, &key).unwrap().and_pem_files(&other, other_key).unwrap();
    let server = start(tls).await;
    let client = office.client(&TLS13);
    let mut refused = 0;
    let mut check = async |spoil: &dyn Fn(), expected: &str| {
        spoil();
        refused += 1;
        // Looking again finds the same, which is no other change.
        for _ in 0..2 {
            let reloaded = server.reload_certificates().await;
            let [error] = &*reloaded.refused else { panic!("{expected}: {reloaded:?}") };
            assert!(error.to_string().contains(expected) && reloaded.swapped.is_empty(), "{expected}: {error}");
            assert_eq!(server.counters().refused_certificates, refused, "{expected}");
            assert_eq!(shown(&server, &client, "localhost").await.unwrap(), first.der, "{expected}");
        }
    };
    let put = |path: &Path, text: &str| fs::write(path, text).unwrap();
    let put_both = |issued: &Issued| {
        put(&certificate, &issued.certificate);
        put(&key, &issued.key);
    };
    let cut = |text: &str| text[..text.len() / 2].to_owned();
    check(&|| put(&key, &second.key), "does not belong to the first certificate").await;
    check(&|| put(&certificate, &cut(&second.certificate)), "has no END line").await;
    check(&|| put(&certificate, ""), "no certificate in").await;
    check(&|| fs::remove_file(&certificate).unwrap(), "cannot read").await;
    check(&|| fs::create_dir(&certificate).unwrap(), "cannot read").await;
    fs::remove_dir(&certificate).unwrap();
    check(&|| put(&certificate, &"x".repeat(5 << 20)), "it is larger than 4 MiB").await;
    check(&|| put_both(&expired), "has expired or is not valid yet").await;
    check(&|| put_both(&early), "has expired or is not valid yet").await;
    check(&|| put(&key, &cut(&first.key)), "has no END line").await;
    // What is bad holds up no other, and what was there before is no change.
    let another = office.issue(&["other.test"]);
    office.write_pair("other", &another);
    let reloaded = server.reload_certificates().await;
    assert_eq!((reloaded.swapped.len(), reloaded.refused.len()), (1, 1), "{reloaded:?}");
    assert_eq!(reloaded.swapped, [other]);
    assert_eq!(shown(&server, &client, "other.test").await.unwrap(), another.der);
    put_both(&first);
    let reloaded = server.reload_certificates().await;
    assert!(reloaded.swapped.is_empty() && reloaded.refused.is_empty(), "{reloaded:?}");
    put_both(&second);
    assert_eq!(server.reload_certificates().await.swapped, [certificate]);
    assert_eq!(shown(&server, &client, "localhost").await.unwrap(), second.der);
    assert_eq!(server.counters().swapped_certificates, 2);
    server.shutdown().await;
    assert!(server.reload_certificates().await.swapped.is_empty());
}

/// Whoever was let in by authorities that are no longer trusted does not come back with a session from then.
#[tokio::test]
async fn authorities_of_clients_are_replaced() {
    let (office, later) = (Office::new(), Office::new());
    let issued = office.issue(&["localhost"]);
    let [certificate, key] = office.write_pair("server", &issued);
    let ca = office.write("ca.crt", &office.authority.pem());
    let server = start(ServerTls::pem_files(certificate, key).unwrap().client_ca(&ca).unwrap()).await;
    let client = |identity: &Issued| {
        let key = PrivateKeyDer::try_from(identity.key_der.clone()).unwrap();
        let client = trusting(&office.authority.pem(), &[&TLS12, &TLS13]);
        Arc::new(client.with_client_auth_cert(vec![identity.der.clone()], key).unwrap())
    };
    let (old, new) = (client(&office.issue(&["client"])), client(&later.issue(&["client"])));
    let is_let_in = async |client: &Arc<ClientConfig>| {
        let stream = TcpStream::connect(server.local_addrs()[0]).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let Ok(mut stream) = TlsConnector::from(client.clone()).connect(name, stream).await else { return false };
        // The client is told after its own handshake has ended.
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let _ = soon("an answer", stream.read_to_end(&mut answer)).await;
        answer.starts_with(b"HTTP/1.1 ")
    };
    for _ in 0..3 {
        assert!(is_let_in(&old).await && !is_let_in(&new).await);
    }
    fs::write(&ca, "nothing").unwrap();
    assert_eq!(server.reload_certificates().await.refused.len(), 1);
    assert!(is_let_in(&old).await);
    fs::write(&ca, later.authority.pem()).unwrap();
    assert_eq!(server.reload_certificates().await.swapped, [ca]);
    for _ in 0..3 {
        assert!(is_let_in(&new).await && !is_let_in(&old).await);
    }
}

#[tokio::test]
async fn plain_requests_are_sent_on() {
    let tls = ServerTls::self_signed(["localhost"]).unwrap();
    let server = Server::new().tls(tls).listen("https://127.0.0.1:0").redirect_http(0).allow_host("a.test");
    let server = server.start().await.unwrap();
    let [secure, plain] = server.local_addrs() else { panic!("{server:?}") };
    let [https, http] = server.bound() else { panic!("{server:?}") };
    assert!(https.is_tls() && !https.is_redirect() && !http.is_tls() && http.is_redirect());
    let (to, port) = (secure.port(), plain.port());
    let check = async |head: &str, status: u16, location: Option<&str>| {
        let mut stream = TcpStream::connect(plain).await.unwrap();
        stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        soon("an answer", stream.read_to_end(&mut answer)).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let value = answer.lines().find_map(|line| line.strip_prefix("location: "));
        let got = (answer.get(9..12).and_then(|status| status.parse().ok()), value);
        assert_eq!(got, (Some(status), location), "{head:?}: {answer}");
    };
    let sent_on = format!("https://a.test:{to}/x?y=%20z");
    for method in ["GET", "HEAD", "DELETE", "BREW"] {
        check(&format!("{method} /x?y=%20z HTTP/1.1\r\nHost: a.test:{port}\r\n"), 308, Some(&sent_on)).await;
    }
    let at_home = format!("https://127.0.0.1:{to}/");
    check(&format!("GET / HTTP/1.1\r\nHost: {plain}\r\n"), 308, Some(&at_home)).await;
    check("OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\n", 308, Some(&at_home)).await;
    check("GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n", 308, Some(&at_home)).await;
    let upgrade = "Host: a.test\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    check(&format!("GET /x?y=%20z HTTP/1.1\r\n{upgrade}"), 308, Some(&sent_on)).await;
    check("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n", 308, Some(&at_home)).await;
    check(&format!("GET http://a.test:{port}/x?y=%20z HTTP/1.1\r\nHost: a.test:{port}\r\n"), 308, Some(&sent_on)).await;
    let outside = format!("https://a.test:{to}//evil.test/%5C");
    check("GET //evil.test/%5C HTTP/1.1\r\nHost: a.test\r\n", 308, Some(&outside)).await;
    // A page elsewhere whose name resolves to loopback learns nothing.
    check("GET / HTTP/1.1\r\nHost: evil.test\r\n", 403, None).await;
    check("GET / HTTP/1.1\r\n", 400, None).await;
    check("GET / HTTP/1.0\r\n", 400, None).await;
    check("GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n", 400, None).await;
    check("GET http://a.test/ HTTP/1.1\r\nHost: 127.0.0.1\r\n", 400, None).await;
    for host in
        ["", ":80", "a.test@evil.test", "a.test/x", "a.test\\x", "a.test x", "a.test:99999", "a%0d%0ax", "\"<>", "::1"]
    {
        check(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n"), 400, None).await;
    }
    let alone = || Server::new().listen("http://127.0.0.1:0").redirect_http(0);
    assert!(matches!(alone().check(), Err(StartError::NoRedirect)), "without a socket");
    let alone = alone().start().await;
    assert!(matches!(alone, Err(StartError::NoRedirect)), "{alone:?}");
}
