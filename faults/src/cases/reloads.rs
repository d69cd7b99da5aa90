//! Settings that are read again under load: connections stay, nobody is refused, and what is wrong changes nothing.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustix::process::Signal;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ALL_VERSIONS, ClientConfig, SignatureScheme};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsConnector;

use super::signals::{DOWNLOADS, GRACE, download, once_http, once_websocket};
use crate::Result;
use crate::case::{Bench, Case, Trouble};
use crate::client::{CLOSE, Client, ECHO, in_time};
use crate::server::{Server, within};

pub(crate) const CASES: &[Case] = &[
    Case { name: "reload", run: reload },
    Case { name: "reload-certificates", run: certificates },
    Case { name: "reload-in-drain", run: in_drain },
];

const RELOADS: usize = 100;

/// Every which of them is wrong.
const WRONG: usize = 10;

/// For one reload, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a hundred reloads may leave behind: the allocator's share of what came and went, and a log line each.
const LEFT: u64 = 12 << 20;

/// A file of settings that is written anew.
struct Settings(PathBuf);

impl Settings {
    fn new(bench: &Bench, name: &str) -> Self {
        Self(bench.scratch.join(name))
    }

    fn write(&self, text: &str) -> Result<()> {
        fs::write(&self.0, text).map_err(|error| format!("{}: {error}", self.0.display()))
    }

    fn start(&self, bench: &Bench, flags: &[&str]) -> Result<Server> {
        let path = self.0.to_str().ok_or("a path that is text")?;
        let mut command = std::process::Command::new(&bench.rikki);
        command.arg(bench.root()).args(["--config", path]).args(flags);
        Server::spawn(bench, command)
    }
}

/// What the log says so far: how often settings were taken over, and how often not.
fn told(server: &Server) -> (usize, usize) {
    let log = server.log_text();
    let count = |what: &str| log.matches(what).count();
    (count("the settings have been reloaded"), count("the settings stay as they are"))
}

/// Has the settings read again, and waits until the log says what came of it.
fn read_again(server: &Server) -> Result<()> {
    let before = told(server);
    server.signal(Signal::HUP)?;
    match within(PATIENCE, || Ok(told(server) != before))? {
        Some(_) => Ok(()),
        None => Err(format!("nothing was read again; {}", server.log_text())),
    }
}

/// Clients that come again and again until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Result<usize>>>,
}

impl Load {
    fn start<F: Future<Output = Result<()>> + Send + 'static>(
        bench: &Bench,
        clients: usize,
        once: impl Fn(usize) -> F + Clone + Send + Sync + 'static,
    ) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let client = |number: usize| {
            let (stop, once) = (stop.clone(), once.clone());
            bench.runtime.spawn(async move {
                let mut times = 0;
                while !stop.load(Relaxed) {
                    once(number).await?;
                    times += 1;
                }
                Ok(times)
            })
        };
        let tasks = (0..clients).map(client).collect();
        Self { stop, tasks }
    }

    /// How often they came, if each time was good.
    fn finish(self, bench: &Bench) -> Result<usize> {
        self.stop.store(true, Relaxed);
        let mut times = 0;
        for task in self.tasks {
            times += bench.runtime.block_on(task).map_err(|error| error.to_string())??;
        }
        Ok(times)
    }
}

/// The settings of a round: every kind of change there is, and now and then one that is wrong.
fn round(bench: &Bench, number: usize) -> String {
    let root = bench.root();
    let kinds = [
        "max-head = \"32KiB\"\nkeep-alive = \"20s\"\nmax-message = \"2MiB\"\n".to_owned(),
        "memory = \"512MiB\"\nmax-requests = 500\n".to_owned(),
        "header = [\"x-a: 1\", \"x-b: 2\"]\ncors = true\n".to_owned(),
        "allow-origin = [\"https://a.test\"]\nallow-host = [\"a.test\"]\n".to_owned(),
        format!("[[mount]]\npath = \"/more\"\nfolder = {root:?}\nmax-open = 100\n"),
        "[[topic]]\npath = \"/chat\"\nhistory = 10\n[[topic]]\npath = \"/rooms/*\"\n".to_owned(),
        "[[endpoint]]\npath = \"/small\"\nmax-message = \"1KiB\"\n".to_owned(),
        "log = \"info,rikki::http=debug\"\ncompression = \"dedicated\"\n".to_owned(),
        "max-per-address = 10000\ndrain-window = \"2s\"\nfile-cache = \"1MiB\"\n".to_owned(),
    ];
    let wrong = ["max-mesage = 1\n", "max-head = \"1XB\"\n", "= \n", "cert = [\"none.crt\"]\nkey = [\"none.key\"]\n"];
    let begin = "listen = [\"http://127.0.0.1:0\"]\n";
    match number % WRONG {
        0 => format!("{begin}{}", wrong[number / WRONG % wrong.len()]),
        kind => format!("{begin}{}", kinds[kind - 1]),
    }
}

/// SIGHUP a hundred times with WebSockets, downloads and clients that come and go.
fn reload(bench: &Bench) -> Result<String, Trouble> {
    let open = bench.pick(5000, 500);
    let settings = Settings::new(bench, "reload.toml");
    settings.write("listen = [\"http://127.0.0.1:0\"]\n")?;
    let server = settings.start(bench, &["--max-connections", "10000"])?;
    let address = server.address;
    let (mut sockets, mut downloads) = (Vec::new(), JoinSet::new());
    bench.runtime.block_on(async {
        for _ in 0..open {
            sockets.push(Client::connect(address, ECHO).await?);
        }
        Ok::<_, String>(())
    })?;
    // Where all of this has been once, before what is left behind is looked at.
    for number in 1..=2 * WRONG {
        settings.write(&round(bench, number))?;
        read_again(&server)?;
    }
    let (memory, descriptors, begun) = (server.memory()?, server.descriptors()?, told(&server));
    bench.runtime.block_on(async {
        let (ready, mut all) = mpsc::channel(1);
        for _ in 0..DOWNLOADS {
            downloads.spawn(download(address, ready.clone()));
        }
        drop(ready);
        while in_time("the downloads", async { Ok(all.recv().await) }).await?.is_some() {}
        Ok::<_, String>(())
    })?;
    let load = Load::start(bench, 8, move |number| once(address, number));
    for number in 1..=RELOADS {
        settings.write(&round(bench, number))?;
        read_again(&server)?;
        // An echo of somebody who was there before all of it.
        let client = &mut sockets[number * 37 % open];
        bench.runtime.block_on(client.echo("still there"))?;
    }
    let came = load.finish(bench)?;
    let whole = bench.runtime.block_on(downloads.join_all()).into_iter().collect::<Result<Vec<()>>>()?.len();
    bench.runtime.block_on(async {
        for client in &mut sockets {
            client.echo("to the end").await?;
        }
        Ok::<_, String>(())
    })?;
    let now = told(&server);
    let (taken, refused) = (now.0 - begun.0, now.1 - begun.1);
    if (taken, refused) != (RELOADS - RELOADS / WRONG, RELOADS / WRONG) {
        return Err(format!("{taken} were taken over and {refused} refused").into());
    }
    let grown = server.memory()?.saturating_sub(memory);
    let left = within(PATIENCE, || Ok(server.descriptors()? <= descriptors + 8))?;
    if left.is_none() || grown > LEFT {
        return Err(format!("{grown} bytes and {} descriptors, of {descriptors}", server.descriptors()?).into());
    }
    Ok(format!(
        "{RELOADS} times SIGHUP, {taken} taken over and {refused} refused: {open} of {open} WebSockets echo, {whole} \
         downloads whole, {came} clients came and went, none refused; {} KiB more",
        grown / 1024
    ))
}

async fn once(server: SocketAddr, number: usize) -> Result<()> {
    if number.is_multiple_of(2) { once_websocket(server).await } else { once_http(server).await }
}

/// The files of a certificate and its key.
struct Pair {
    certificate: PathBuf,
    key: PathBuf,
}

/// A certificate that is valid until a year, and its key.
fn issued(year: i32) -> Result<(String, String)> {
    let wrong = |error: rcgen::Error| error.to_string();
    let key = KeyPair::generate().map_err(wrong)?;
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).map_err(wrong)?;
    (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(year, 1, 1));
    Ok((params.self_signed(&key).map_err(wrong)?.pem(), key.serialize_pem()))
}

impl Pair {
    fn write(&self, certificate: &str, key: &str) -> Result<()> {
        // The key may have been made one that cannot be read.
        let _ = fs::remove_dir(&self.key);
        let written = fs::write(&self.certificate, certificate).and_then(|()| fs::write(&self.key, key));
        written.map_err(|error| error.to_string())
    }

    /// Makes it another one, and says whether it can be used.
    fn change(&self, number: usize, expired: &(String, String)) -> Result<bool> {
        let ((certificate, key), (_, other)) = (issued(4000)?, issued(4000)?);
        match number % 5 {
            1 => self.write(&certificate, &other)?,
            2 => self.write(certificate.split_at(certificate.len() / 2).0, &key)?,
            3 => self.write(&expired.0, &expired.1)?,
            4 => {
                self.write(&certificate, &key)?;
                let unreadable = fs::remove_file(&self.key).and_then(|()| fs::create_dir(&self.key));
                unreadable.map_err(|error| error.to_string())?;
            }
            _ => self.write(&certificate, &key)?,
        }
        Ok(number.is_multiple_of(5))
    }
}

/// Certificates that are replaced a hundred times, by good ones and by all that cannot be used.
fn certificates(bench: &Bench) -> Result<String, Trouble> {
    let pair = Pair { certificate: bench.scratch.join("swap.crt"), key: bench.scratch.join("swap.key") };
    let (first, expired) = (issued(4000)?, issued(2001)?);
    pair.write(&first.0, &first.1)?;
    let settings = Settings::new(bench, "certificates.toml");
    let files = format!("cert = [{:?}]\nkey = [{:?}]\n", pair.certificate, pair.key);
    settings.write(&format!("listen = [\"https://127.0.0.1:0\"]\n{files}"))?;
    let server = settings.start(bench, &[])?;
    let address = server.address;
    let mut config = testkit::credulous(&SCHEMES, ALL_VERSIONS).with_no_client_auth();
    config.resumption = Resumption::disabled();
    let config = Arc::new(config);
    let shown = Arc::new(AtomicUsize::new(0));
    let load = Load::start(bench, 4, {
        let shown = shown.clone();
        move |_| {
            let (config, shown) = (config.clone(), shown.clone());
            async move {
                handshake(address, config).await?;
                shown.fetch_add(1, Relaxed);
                Ok(())
            }
        }
    });
    let mut refused = 0;
    for number in 1..=RELOADS {
        let is_good = pair.change(number, &expired)?;
        let before = told(&server);
        read_again(&server)?;
        let now = told(&server);
        let as_expected = if is_good { now.0 == before.0 + 1 } else { now.1 == before.1 + 1 };
        if !as_expected {
            return Err(format!("round {number}: {before:?}, then {now:?}; {}", server.log_text()).into());
        }
        refused += usize::from(!is_good);
        let seen = shown.load(Relaxed);
        // At least one handshake goes by what holds now.
        within(PATIENCE, || Ok(shown.load(Relaxed) > seen + 4))?.ok_or("no handshake is done any more")?;
    }
    let handshakes = load.finish(bench)?;
    Ok(format!("{RELOADS} pairs, {refused} of them no good: {handshakes} handshakes, none failed"))
}

const SCHEMES: [SignatureScheme; 2] = [SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519];

async fn handshake(
    server: SocketAddr,
    config: Arc<ClientConfig>,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>> {
    in_time("a handshake", async {
        let stream = TcpStream::connect(server).await.map_err(|error| format!("connect: {error}"))?;
        let name = ServerName::try_from("localhost").map_err(|error| error.to_string())?;
        TlsConnector::from(config).connect(name, stream).await.map_err(|error| format!("handshake: {error}"))
    })
    .await
}

/// SIGHUP while the server drains: it ends as it would have.
fn in_drain(bench: &Bench) -> Result<String, Trouble> {
    let settings = Settings::new(bench, "drain.toml");
    settings.write("listen = [\"http://127.0.0.1:0\"]\ndrain-timeout = \"2s\"\n")?;
    let mut server = settings.start(bench, &[])?;
    let mut clients = bench.runtime.block_on(async {
        Ok::<_, String>([Client::connect(server.address, ECHO).await?, Client::connect(server.address, ECHO).await?])
    })?;
    // It is heard before.
    read_again(&server)?;
    settings.write("listen = [\"http://127.0.0.1:0\"]\ndrain-timeout = \"1h\"\n")?;
    server.signal(Signal::TERM)?;
    let code = bench.runtime.block_on(in_time("a Close", clients[0].close_code()))?;
    for _ in 0..10 {
        server.signal(Signal::HUP)?;
        thread::sleep(Duration::from_millis(20));
    }
    // One of them does not answer the Close.
    bench.runtime.block_on(clients[0].send(CLOSE, &code.to_be_bytes()))?;
    let status = server.wait(GRACE)?;
    let (taken, _) = told(&server);
    match (status.success(), code, taken) {
        (true, 1001, 1) => Ok("10 times SIGHUP in a drain, which went as it had begun: 1001, exit 0".to_owned()),
        _ => Err(format!("{code}, {taken} reloads, {status}; {}", server.log_text()).into()),
    }
}
