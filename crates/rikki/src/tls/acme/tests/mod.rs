//! The state in files, requests over the wire, and an authority in memory for the tests of `server/acme`.

mod fake;
mod wire;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::SystemTime;

use http::Request;
use instant_acme::{BodyWrapper, Error};
use rustls::SignatureScheme;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::ServerName;
use rustls_pki_types::pem::PemObject as _;
use testkit::credulous;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

pub(crate) use self::fake::{DAY, Directory, Manner, Renewal};
use super::*;
use crate::ServerTls;

/// A folder of its own, removed at the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("rikki-acme-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn acme(&self, names: &[&str]) -> Acme {
        Acme::new(names.iter().copied()).directory(Directory::url()).state(&self.0)
    }

    /// What is there for the fake directory.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let folder = self.state().folder().to_owned();
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    fn state(&self) -> State {
        State::open(&self.0, &Directory::url()).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Names that are issued by a fake.
pub(crate) fn managed(acme: Acme, directory: &Directory) -> ServerTls {
    let managed = Managed::with(acme.checked().unwrap(), directory.connect(), directory.now()).unwrap();
    directory.watch(&managed.challenges);
    ServerTls::acme_of(managed).unwrap()
}

/// Looks as an authority does ([RFC 8737 section 3](https://www.rfc-editor.org/rfc/rfc8737#section-3)), by both versions
/// of TLS: the name has to be proven, and nothing else to be had.
async fn is_proven(address: SocketAddr, is_proxied: bool, name: &str) -> bool {
    for version in [&TLS12, &TLS13] {
        let schemes = [SignatureScheme::ECDSA_NISTP256_SHA256];
        let mut config = credulous(&schemes, &[version]).with_no_client_auth();
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        let mut stream = TcpStream::connect(address).await.unwrap();
        if is_proxied {
            stream.write_all(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n").await.unwrap();
        }
        let server = ServerName::try_from(name.to_owned()).unwrap();
        let Ok(mut stream) = TlsConnector::from(Arc::new(config)).connect(server, stream).await else { return false };
        let session = stream.get_ref().1;
        assert_eq!(session.alpn_protocol(), Some(PROTOCOL));
        let shown = session.peer_certificates().unwrap()[0].clone();
        let (_, certificate) = X509Certificate::from_der(&shown).unwrap();
        let names = &certificate.subject_alternative_name().unwrap().unwrap().value.general_names;
        assert_eq!(format!("{names:?}"), format!("[DNSName({name:?})]"));
        let identifier = certificate.extensions().iter().find(|one| one.oid.to_id_string() == "1.3.6.1.5.5.7.1.31");
        // An octet string of SHA-256.
        assert!(identifier.is_some_and(|one| one.critical && one.value.len() == 34 && one.value[..2] == [4, 32]));
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert_eq!(answer, b"");
    }
    true
}

#[cfg(unix)]
#[test]
fn nobody_else_reads_the_state() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let folder = Folder::new();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    let state = folder.state();
    assert_eq!(mode(state.folder()), 0o700);
    assert_eq!(mode(state.folder().parent().unwrap()), 0o700);
    let path = state.certificate("a.test");
    for text in ["one", "another"] {
        state.write(&path, text.as_bytes()).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(state.read(&path).unwrap().unwrap(), text.as_bytes());
    }
    // What others were let in to is closed again.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(state.folder(), fs::Permissions::from_mode(0o755)).unwrap();
    let state = folder.state();
    state.read(&path).unwrap();
    assert_eq!((mode(state.folder()), mode(&path)), (0o700, 0o600));
    // What was being written when its process was killed goes, if it is old.
    let left = state.folder().join(".new-0");
    fs::write(&left, "").unwrap();
    folder.state();
    assert!(left.exists());
    let old = SystemTime::now() - std::time::Duration::from_secs(7200);
    fs::File::open(&left).unwrap().set_modified(old).unwrap();
    folder.state();
    assert!(!left.exists());
    assert_eq!(folder.files(), [path]);
    // Another directory is another folder.
    let staging = State::open(&folder.0, "https://ca.test/staging").unwrap();
    assert_ne!(staging.folder(), state.folder());
    let error = State::open(&state.certificate("a.test"), "https://ca.test").unwrap_err().to_string();
    assert!(error.starts_with("cannot keep certificates in "), "{error}");
}

/// What an authority may send, and what not; it is also asked at nothing but https.
#[tokio::test]
async fn answers_are_bounded() {
    let made = testkit::Certificate::new(["localhost"]);
    let chain = vec![rustls_pki_types::CertificateDer::from_pem_slice(made.certificate.as_bytes()).unwrap()];
    let key = rustls_pki_types::PrivateKeyDer::from_pem_slice(made.key.as_bytes()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(crate::ws::tls::provider());
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()));
    let connect = client::connect(&ClientTls::ca_pem(&made.certificate).unwrap());
    let check = async |answer: String, expected: Result<&str, &str>| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                assert!(stream.read_buf(&mut request).await.unwrap() > 0);
            }
            let request = String::from_utf8(request).unwrap().to_ascii_lowercase();
            assert!(request.starts_with("get /dir?x http/1.1\r\n"), "{request}");
            assert!(request.contains(&format!("\r\nhost: localhost:{port}\r\n")), "{request}");
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        };
        let request = Request::get(format!("https://localhost:{port}/dir?x")).body(BodyWrapper::default()).unwrap();
        let (answered, ()) = tokio::join!(connect().request(request), serve);
        let body = match answered {
            Ok(mut answered) => Ok(answered.body.into_bytes().await.unwrap()),
            Err(error) => Err(error.to_string()),
        };
        match expected {
            Ok(text) => assert_eq!(body.unwrap(), text),
            Err(text) => assert!(body.as_ref().unwrap_err().contains(text), "{body:?}"),
        }
    };
    let large = "x".repeat(2 << 20);
    check("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_owned(), Ok("{}")).await;
    check("HTTP/1.1 200 OK\r\n\r\n{}".to_owned(), Ok("{}")).await;
    check("HTTP/1.1 500 Oh\r\ncontent-length: 2\r\n\r\n{}".to_owned(), Ok("{}")).await;
    check("HTTP/1.1 502 Oh\r\ncontent-length: 2\r\n\r\n<>".to_owned(), Err("the answer is 502")).await;
    check(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{large}", large.len()), Err("length limit")).await;
    check(format!("HTTP/1.1 200 OK\r\n\r\n{large}"), Err("length limit")).await;
    check(format!("HTTP/1.1 200 OK\r\nx: {large}\r\n\r\n"), Err("")).await;
    check("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}".to_owned(), Err("")).await;
    check("what is this".to_owned(), Err("invalid HTTP")).await;
    check(String::new(), Err("")).await;

    let refused = async |url: &str, expected: &str| {
        let request = Request::get(url).body(BodyWrapper::default()).unwrap();
        let Err(Error::Other(error)) = connect().request(request).await else { panic!("{url}") };
        assert!(error.to_string().contains(expected), "{error}");
    };
    refused("http://localhost/", "not https").await;
    refused("/dir", "without a host").await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    refused(&format!("https://localhost:{free}/"), "cannot connect to localhost port").await;
}
