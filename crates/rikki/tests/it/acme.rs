//! Certificates by ACME, while there is no authority: everything else goes on.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use rikki::axum::routing::get;
use rikki::{Acme, Files, Handle, Server, ServerTls, TlsError};
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use testkit::trusting;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::wire::soon;

/// A folder of its own.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("rikki-no-authority-{}-{name}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a client is answered that asks for this name.
async fn ask(server: &Handle, authority: &str, name: &str, path: &str) -> std::io::Result<String> {
    let config = Arc::new(trusting(authority, &[&TLS13]).with_no_client_auth());
    let stream = TcpStream::connect(server.local_addrs()[0]).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut stream = soon("shaking hands", TlsConnector::from(config).connect(name, stream)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    soon("an answer", stream.read_to_string(&mut answer)).await?;
    Ok(answer)
}

#[tokio::test]
async fn an_authority_that_is_down_stops_nothing() {
    let folder = Folder::new("down");
    let made = testkit::Certificate::new(["localhost"]);
    let (certificate, key) = (folder.write("a.crt", &made.certificate), folder.write("a.key", &made.key));
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let acme = Acme::new(["new.test"])
        .directory(format!("https://{nobody}/directory"))
        .directory_ca(&certificate)
        .state(folder.0.join("state"));
    assert_eq!(acme, acme.clone());
    let tls = ServerTls::pem_files(&certificate, &key).unwrap().and_acme(acme).unwrap();
    // The folder with the state is among what is served, and secret.
    let state = tls.secrets().last().unwrap().clone();
    let path = format!("/{}", state.strip_prefix(std::path::absolute(&folder.0).unwrap()).unwrap().display());
    std::fs::write(state.join("left.pem"), &made.key).unwrap();
    folder.write("public.txt", "ok");
    let server = Server::new()
        .tls(tls)
        .route("/rest", get(async || "hello"))
        .mount("/", Files::new(&folder.0).unwrap())
        .listen("https://127.0.0.1:0")
        .start()
        .await
        .unwrap();
    soon("a failure", async {
        while server.counters().failed_orders == 0 {
            // It says so nowhere else.
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
    let ask = async |name: &str, path: &str| ask(&server, &made.certificate, name, path).await;
    for _ in 0..3 {
        assert!(ask("localhost", "/rest").await.unwrap().ends_with("\r\n\r\nhello"));
        let error = ask("new.test", "/rest").await.unwrap_err().to_string();
        assert!(error.contains("AccessDenied"), "{error}");
    }
    assert!(ask("localhost", "/public.txt").await.unwrap().starts_with("HTTP/1.1 200 "));
    for secret in [format!("{path}/left.pem"), format!("{path}/"), "/a.key".to_owned()] {
        assert!(ask("localhost", &secret).await.unwrap().starts_with("HTTP/1.1 404 "), "{secret}");
    }
    assert_eq!(server.counters().issued_certificates, 0);
    soon("the end", server.shutdown()).await;
}

#[test]
fn what_cannot_be_asked_for() {
    let folder = Folder::new("wrong");
    let check = |acme: Acme, expected: &str| {
        let error = ServerTls::acme(acme.state(&folder.0)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        error
    };
    let error = check(Acme::new(["*.a.test"]), "no certificate can be had for \"*.a.test\"");
    assert!(matches!(error, TlsError::Acme { .. }));
    check(Acme::new(["a.test"]).directory("http://a.test/"), "is no https URL");
    let error = check(Acme::new(["a.test"]).directory_ca(folder.0.join("none.pem")), "none.pem");
    assert!(matches!(error, TlsError::Read { .. }));
    let file = folder.write("file", "");
    let none = folder.write("a.crt", &testkit::Certificate::new(["localhost"]).certificate);
    let error = ServerTls::acme(Acme::new(["a.test"]).directory_ca(none).state(file)).unwrap_err();
    assert!(matches!(error, TlsError::State { .. }), "{error}");
}
