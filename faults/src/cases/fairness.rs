//! What others notice of clients who keep a worker busy: one that has all the processor's time for itself, but not all of
//! it in one piece.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::Result;
use crate::attack::{self, duration, yielding};
use crate::case::{Bench, Case, LARGE, Trouble};
use crate::good::Good;
use crate::http2::{END_HEADERS, END_STREAM, Http2, Kind, fields, frame};
use crate::server::Server;

pub(crate) const CASES: &[Case] = &[
    Case { name: "fair-window-updates", run: window_updates },
    Case { name: "fair-large-readers", run: large_readers },
    Case { name: "fair-handshakes", run: handshakes },
];

/// What others wait at most, for all but one in a hundred of their echoes; the short form runs beside anything.
fn bound(bench: &Bench) -> Duration {
    attack::unnoticed(bench).max(Duration::from_millis(50))
}

/// Lets `clients` of a flood go on beside a good client, which began before it; `strength` is what they have done in all
/// and `least` how much that has to be in a second, in `unit`s.
fn beside<F: Future<Output = Result<()>> + Send + 'static>(
    bench: &Bench,
    server: &Server,
    clients: usize,
    (least, unit): (usize, &str),
    client: impl Fn(Arc<AtomicUsize>) -> F + Send + Sync,
) -> Result<String, Trouble> {
    let done = Arc::<AtomicUsize>::default();
    let good = Good::start(server.address);
    std::thread::sleep(Duration::from_millis(300));
    let started = Instant::now();
    yielding(|| {
        let runtime =
            Builder::new_current_thread().enable_all().build().map_err(|error| format!("a runtime: {error}"))?;
        runtime.block_on(async {
            let mut all = JoinSet::new();
            for _ in 0..clients {
                all.spawn(timeout(duration(bench), client(done.clone())));
            }
            while let Some(ended) = all.join_next().await {
                // Whoever is still at it when the time is over has done what it should.
                if let Ok(Ok(Err(error))) = ended {
                    return Err(error);
                }
            }
            Ok(())
        })
    })?;
    let rate = (done.load(Relaxed) as f64 / started.elapsed().as_secs_f64()) as usize;
    let good = good.stop()?;
    good.check()?;
    let figures = format!("{clients} clients, {rate} {unit} a second; others: {good}");
    if rate < least {
        return Err(format!("too weak a flood: {figures}").into());
    }
    if good.percentile(99) > bound(bench) {
        return Err(format!("others were held up: {figures}").into());
    }
    Ok(figures)
}

fn tls(bench: &Bench, flags: &[&str]) -> Result<(Server, SocketAddr)> {
    let flags = [&["--workers", "1", "--log", "warn", "--listen", "https://127.0.0.1:0"], flags].concat();
    let server = Server::rikki(bench, &flags)?;
    let address = server.next_address()?;
    Ok((server, address))
}

/// Leave to send one byte more, again and again.
fn window_updates(bench: &Bench) -> Result<String, Trouble> {
    const INITIAL_WINDOW: u16 = 4;
    let (server, address) = tls(bench, &["--tls-self-signed"])?;
    beside(bench, &server, 50, (50_000, "updates"), move |done| async move {
        let connection = Http2::connect_with(address, &[(INITIAL_WINDOW, 0)]).await?;
        let mut request = Vec::new();
        frame(&mut request, Kind::Headers, END_STREAM | END_HEADERS, 1, &fields("GET", "/large"));
        let mut updates = Vec::new();
        for stream in [0, 1].repeat(600) {
            frame(&mut updates, Kind::WindowUpdate, 0, stream, &1_u32.to_be_bytes());
        }
        let chunks = std::iter::once(request).chain(std::iter::repeat_with(move || {
            done.fetch_add(1200, Relaxed);
            updates.clone()
        }));
        let end = connection.flood(chunks).await;
        Err(format!("{end:?}"))
    })
}

/// Large files, read as fast as they come.
fn large_readers(bench: &Bench) -> Result<String, Trouble> {
    let (server, _) = tls(bench, &["--tls-self-signed"])?;
    let address = server.address;
    beside(bench, &server, 100, (100, "MiB"), move |done| async move {
        let mut stream = TcpStream::connect(address).await.map_err(|error| format!("connect: {error}"))?;
        let mut buffer = vec![0; 256 << 10];
        let mut read = 0;
        loop {
            stream
                .write_all(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
                .await
                .map_err(|error| format!("{error}"))?;
            let before = read;
            while read - before < LARGE {
                let length = stream.read(&mut buffer).await.map_err(|error| format!("read: {error}"))?;
                if length == 0 {
                    return Err("the server ended the connection".to_owned());
                }
                done.fetch_add((read % (1 << 20) + length) >> 20, Relaxed);
                read += length;
            }
            // The head of the next answer is not worth more.
            read = before + LARGE;
        }
    })
}

/// The first message of a client, to a server whose key takes long to sign with.
fn handshakes(bench: &Bench) -> Result<String, Trouble> {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096).map_err(|error| error.to_string())?;
    let params = CertificateParams::new(["localhost".to_owned()]).map_err(|error| error.to_string())?;
    let certificate = params.self_signed(&key).map_err(|error| error.to_string())?;
    let file = |name: &str, text: String| {
        let path = bench.scratch.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok::<_, String>(path.display().to_string())
    };
    let (certificate, key) = (file("rsa.crt", certificate.pem())?, file("rsa.key", key.serialize_pem())?);
    let (server, address) = tls(bench, &["--cert", &certificate, "--key", &key])?;
    let hello = Arc::new(hello()?);
    beside(bench, &server, 1000, (20, "handshakes"), move |done| {
        let hello = hello.clone();
        async move {
            loop {
                let mut stream = TcpStream::connect(address).await.map_err(|error| format!("connect: {error}"))?;
                stream.write_all(&hello).await.map_err(|error| format!("write: {error}"))?;
                // The answer is signed; a server that has no time for it cuts the connection in the end.
                if stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {
                    done.fetch_add(1, Relaxed);
                }
            }
        }
    })
}

fn hello() -> Result<Vec<u8>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?.with_root_certificates(RootCertStore::empty());
    let name = ServerName::try_from("localhost").map_err(|error| error.to_string())?;
    let mut client =
        ClientConnection::new(Arc::new(config.with_no_client_auth()), name).map_err(|error| error.to_string())?;
    let mut hello = Vec::new();
    client.write_tls(&mut hello).map_err(|error| error.to_string())?;
    Ok(hello)
}
