//! The command gets its certificates from Debian's pebble, an authority of ACME that is strict and, here, refuses half
//! of all nonces.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::file_clients::Folder;
use crate::python::{Certificate, within};
use crate::server::Server;

const NAMES: [&str; 2] = ["chat.example.org", "www.chat.example.org"];

/// Long enough for a restart, and short enough to wait for a renewal.
const VALIDITY: Duration = Duration::from_secs(21);

/// Seen from outside, nothing says that something has changed.
const PAUSE: Duration = Duration::from_millis(100);

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// The authority, and a DNS server for which every name is here.
struct Pebble {
    folder: Folder,
    certificate: Certificate,
    directory: u16,
    management: u16,
    _children: [Child; 2],
}

impl Pebble {
    /// One that looks for proofs at a port.
    async fn start(port: u16) -> Self {
        let folder = Folder::new();
        let certificate = Certificate::new("pebble");
        let [directory, management, dns] = [free_port(), free_port(), free_port()];
        let [chain, key] = certificate.files();
        let config = json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{directory}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": chain,
            "privateKey": key,
            "httpPort": port,
            "tlsPort": port,
            "certificateValidityPeriod": VALIDITY.as_secs(),
        }});
        folder.write("pebble.json", config.to_string());
        let spawn = |command: &mut Command, log: &str| {
            let log = File::create(folder.path(log)).unwrap();
            command
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .kill_on_drop(true)
                .spawn()
                .unwrap()
        };
        let dns = format!("127.0.0.1:{dns}");
        let mut command = Command::new("pebble-challtestsrv");
        command.args(["-dns01", &dns, "-management", &format!("127.0.0.1:{}", free_port())]);
        command.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""]);
        let names = spawn(&mut command, "dns.log");
        let mut command = Command::new("pebble");
        command.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", "50").args(["-strict", "-dnsserver", &dns]);
        let pebble = spawn(command.arg("-config").arg(folder.path("pebble.json")), "pebble.log");
        let pebble = Self { folder, certificate, directory, management, _children: [names, pebble] };
        let root = within(20, "the start of pebble", async {
            loop {
                match pebble.ask_management("roots/0").await {
                    Some(root) => break root,
                    None => sleep(PAUSE).await,
                }
            }
        });
        pebble.folder.write("root.pem", root.await);
        pebble
    }

    async fn ask_management(&self, path: &str) -> Option<String> {
        let url = format!("https://localhost:{}/{path}", self.management);
        curl(&self.certificate.files()[0], &[&url]).await
    }

    /// How many orders there were.
    fn orders(&self) -> usize {
        self.log().matches("orders in the db").count()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path("pebble.log")).unwrap()
    }
}

/// What curl gets when it trusts one authority; `None` if it gets none.
async fn curl(authority: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("curl");
    command.args(["-q", "-sS", "--noproxy", "*", "--max-time", "20", "--cacert"]).arg(authority).args(arguments);
    let output = within(30, "curl", command.stdin(Stdio::null()).kill_on_drop(true).output()).await.unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

/// The command with files of which some are the state itself.
async fn serve(pebble: &Pebble, port: u16) -> Server {
    let root = pebble.folder.path("site");
    fs::create_dir_all(&root).unwrap();
    let mut arguments: Vec<OsString> = vec![root.clone().into(), "--listen".into()];
    arguments.push(format!("https://127.0.0.1:{port}").into());
    for name in NAMES {
        arguments.extend(["--acme".into(), name.into(), "--allow-host".into(), name.into()]);
    }
    let directory = format!("https://localhost:{}/dir", pebble.directory);
    arguments.extend(["--acme-email".into(), "admin@example.org".into(), "--acme-directory".into(), directory.into()]);
    arguments.extend(["--acme-ca".into(), pebble.certificate.files()[0].clone().into()]);
    arguments.extend(["--acme-state".into(), root.join("state").into()]);
    Server::start(&arguments).await
}

/// What is at a path of the server, and the certificate that it is shown with, for a client that trusts the authority.
async fn get(pebble: &Pebble, port: u16, name: &str, path: &str) -> Option<(String, String)> {
    let (url, address) = (format!("https://{name}:{port}{path}"), format!("{name}:{port}:127.0.0.1"));
    let shown = ["--resolve", &address, "--write-out", "\n%{http_code}\n%{certs}", &url];
    let text = curl(&pebble.folder.path("root.pem"), &shown).await?;
    let (answer, certificates) = text.split_once("-----BEGIN CERTIFICATE-----")?;
    let certificate = certificates.split_once("-----END")?.0;
    let status = answer.trim_end().lines().rfind(|line| line.len() == 3)?;
    Some((status.to_owned(), certificate.to_owned()))
}

/// Waits until a name is shown with another certificate than this one.
async fn renewed(pebble: &Pebble, port: u16, name: &str, old: &str) -> String {
    let began = Instant::now();
    loop {
        if let Some((status, certificate)) = get(pebble, port, name, "/rest").await
            && certificate != old
        {
            assert_eq!(status, "200");
            return certificate;
        }
        assert!(began.elapsed() < VALIDITY * 2, "{name} is not issued: {}", pebble.log());
        sleep(PAUSE).await;
    }
}

#[tokio::test]
async fn pebble_issues_and_renews() {
    let port = free_port();
    let pebble = Pebble::start(port).await;
    let server = serve(&pebble, port).await;
    let first = [renewed(&pebble, port, NAMES[0], "").await, renewed(&pebble, port, NAMES[1], "").await];
    assert_ne!(first[0], first[1]);
    assert_eq!(pebble.orders(), 2, "{}", pebble.log());

    // What is kept is for nobody else, and is not served.
    let state = fs::read_dir(pebble.folder.path("site/state/acme")).unwrap().next().unwrap().unwrap().path();
    let mut files: Vec<_> = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 3, "{files:?}");
    for file in &files {
        use std::os::unix::fs::MetadataExt;
        assert_eq!(fs::metadata(file).unwrap().mode() & 0o777, 0o600, "{}", file.display());
        let path = file.strip_prefix(pebble.folder.path("site")).unwrap();
        let (status, _) = get(&pebble, port, NAMES[0], &format!("/{}", path.display())).await.unwrap();
        assert_eq!(status, "404", "{}", path.display());
    }
    assert_eq!(get(&pebble, port, NAMES[0], "/state/acme/").await.unwrap().0, "200");

    // After the process was killed the same is there at once, and nothing is ordered.
    drop(server);
    let server = serve(&pebble, port).await;
    for (name, first) in NAMES.iter().zip(&first) {
        assert_eq!(get(&pebble, port, name, "/rest").await.unwrap(), ("200".to_owned(), first.clone()), "{name}");
    }
    assert_eq!(pebble.orders(), 2);

    for (name, first) in NAMES.iter().zip(&first) {
        renewed(&pebble, port, name, first).await;
    }
    let log = pebble.log();
    assert_eq!(log.matches("accounts in memory").count(), 1, "{log}");
    drop(server);
}
