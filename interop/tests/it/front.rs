//! What docs/proxies.md says: nginx, Caddy and haproxy in front of the command, and the command with TLS by itself.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

use futures_util::StreamExt as _;
use rikki::client::{Builder, ClientTls, ConnectError};
use rikki::ws::WebSocket;
use testkit::Certificate;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::file_clients::Folder;
use crate::python::within;
use crate::server::{Server, binary};

/// How long proxies wait here for somebody who is silent, in place of 75 s.
const PATIENCE: Duration = Duration::from_secs(2);

const PAGE: &str = include_str!("../../../docs/proxies.md");

/// One that is free, as the system says.
pub(crate) fn free() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A snippet, with what is another here.
fn snippet(name: &str, others: &[(&str, String)]) -> String {
    let snippets = testkit::snippets(PAGE);
    let mut text = snippets.iter().find(|snippet| snippet.name == name).expect(name).text.to_owned();
    for (theirs, ours) in others {
        assert!(text.contains(theirs), "{name} has no {theirs}");
        text = text.replace(theirs, ours);
    }
    text
}

/// What stands before a proxy: the command, as the page starts it, with the shorter times of these tests.
struct Behind {
    folder: Folder,
    server: Server,
    secure: u16,
}

impl Behind {
    async fn start() -> Self {
        let folder = Folder::new();
        folder.write("public/index.html", "the page");
        let line = snippet("rikki", &[("127.0.0.1:8000", "127.0.0.1:0".to_owned())]);
        let mut words = line.split_whitespace();
        assert_eq!(words.next(), Some("rikki"));
        let mut command = Command::new(binary().await);
        command.args(words).args(["--ping-interval", "1s", "--access-log", "--log", "rikki::access=info"]);
        command.current_dir(folder.path("")).stderr(std::fs::File::create(folder.path("log")).unwrap());
        let server = Server::run(command).await;
        let certificate = Certificate::new(["app.example"]);
        folder.write("app.pem", &certificate.certificate);
        folder.write("app.key", &certificate.key);
        folder.write("both.pem", certificate.certificate + &certificate.key);
        Self { folder, server, secure: free() }
    }

    /// A snippet with what is another here: where the command is, files, and how long a proxy waits.
    fn snippet(&self, name: &str, others: &[(&str, String)]) -> String {
        let server = ("127.0.0.1:8000", self.server.address().to_owned());
        snippet(name, &[&[server], others].concat())
    }

    fn path(&self, name: &str) -> String {
        self.folder.path(name).display().to_string()
    }

    /// Starts a proxy that does not say when it is ready.
    async fn proxy(&self, mut command: Command) -> Child {
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        command.env("PATH", path).current_dir(self.folder.path(""));
        let child = command.stdin(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        within(20, "the start of a proxy", async {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, self.secure)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        child
    }

    /// What a proxy has to do, whichever it is.
    async fn check(&self) {
        let curl = async |arguments: &[&str]| {
            let mut command = Command::new("curl");
            let to = format!("app.example:{}:127.0.0.1", self.secure);
            command.args(["-sS", "--noproxy", "*", "--resolve", &to, "--cacert"]).arg(self.folder.path("app.pem"));
            command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
            let output = within(20, "curl", command.output()).await.unwrap();
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat()
        };
        let url = |path: &str| format!("https://app.example:{}{path}", self.secure);
        // What the client says of itself is not believed.
        let lies = ["X-Forwarded-For: 198.51.100.1", "Forwarded: for=198.51.100.2", "X-Forwarded-Host: evil.test"];
        let lies: Vec<_> = lies.iter().flat_map(|lie| ["-H", *lie]).collect();
        let page = curl(&[&lies[..], &[&url("/index.html")]].concat()).await;
        assert!(page.contains("the page"), "{page}");
        self.logged("target=/index.html", "peer=127.0.0.1:").await;

        let own = format!("https://app.example:{}", self.secure);
        for origin in ["https://evil.test", &own.replace("https", "http")] {
            let refused = self.open(origin).await.expect_err(origin);
            assert!(refused.to_string().contains("403"), "{origin}: {refused}");
        }
        let mut socket = self.open(&own).await.unwrap();
        // Silent for longer than the proxy waits, but for the pings of the server.
        assert!(tokio::time::timeout(PATIENCE + PATIENCE / 2, socket.next()).await.is_err(), "it is open");
        socket.send("hello").await.unwrap();
        let echo = within(20, "what was published", socket.next()).await.unwrap().unwrap();
        assert_eq!(echo.as_text(), Some("hello"));
    }

    /// A WebSocket of a page of this origin.
    async fn open(&self, origin: &str) -> Result<WebSocket, ConnectError> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.secure)).await.unwrap();
        let trusted = ClientTls::ca(self.folder.path("app.pem")).unwrap();
        let builder = Builder::new(format!("wss://app.example:{}/chat", self.secure));
        let opened = builder.header("Origin", origin).tls(trusted).connect_over(stream).await;
        opened.map(|(socket, _)| socket)
    }

    async fn logged(&self, what: &str, expected: &str) {
        within(20, what, async {
            loop {
                let log = std::fs::read_to_string(self.folder.path("log")).unwrap();
                if let Some(line) = log.lines().find(|line| line.contains(what)) {
                    assert!(line.contains(expected) && !line.contains("198.51.100"), "{line}");
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn nginx() {
    let behind = Behind::start().await;
    let own = [
        ("443 ssl", format!("127.0.0.1:{} ssl", behind.secure)),
        ("/etc/ssl/app.pem", behind.path("app.pem")),
        ("/etc/ssl/private/app.key", behind.path("app.key")),
        ("75s", format!("{}s", PATIENCE.as_secs())),
    ];
    let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let folders = folders.map(|kind| format!("{kind}_temp_path {};\n", behind.path(kind))).concat();
    let text = format!(
        "daemon off;\nmaster_process off;\npid {};\nerror_log stderr crit;\nevents {{}}\nhttp {{\n{folders}access_log off;\n{}\n}}\n",
        behind.path("nginx.pid"),
        behind.snippet("nginx.conf", &own)
    );
    behind.folder.write("nginx.conf", text);
    let mut command = Command::new("nginx");
    command.args(["-e", "stderr", "-p", ".", "-c"]).arg(behind.folder.path("nginx.conf"));
    let _proxy = behind.proxy(command).await;
    behind.check().await;
}

#[tokio::test]
async fn caddy() {
    let behind = Behind::start().await;
    let site = format!(
        "https://app.example:{} {{\n    bind 127.0.0.1\n    tls {} {}\n",
        behind.secure,
        behind.path("app.pem"),
        behind.path("app.key")
    );
    let text = behind.snippet("Caddyfile", &[("app.example {\n", site)]);
    behind.folder.write("Caddyfile", format!("{{\n    admin off\n    auto_https disable_redirects\n}}\n{text}"));
    let mut command = Command::new("caddy");
    // It would keep its state there.
    for name in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
        command.env(name, behind.folder.path(""));
    }
    command.args(["run", "--adapter", "caddyfile", "--config", "Caddyfile"]).stderr(Stdio::null());
    let _proxy = behind.proxy(command).await;
    behind.check().await;
}

#[tokio::test]
async fn haproxy() {
    let behind = Behind::start().await;
    let own = [
        (":443", format!("127.0.0.1:{}", behind.secure)),
        ("/etc/haproxy/app.pem", behind.path("both.pem")),
        ("75s", format!("{}s", PATIENCE.as_secs())),
    ];
    behind.folder.write("haproxy.cfg", behind.snippet("haproxy.cfg", &own));
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(behind.folder.path("haproxy.cfg"));
    let _proxy = behind.proxy(command).await;
    behind.check().await;
}

#[tokio::test]
async fn tls_by_itself() {
    let folder = Folder::new();
    folder.write("public/index.html", "the page");
    let certificate = Certificate::new(["localhost"]);
    folder.write("app.pem", &certificate.certificate);
    folder.write("app.key", &certificate.key);
    let plain = free();
    let path = |name: &str| folder.path(name).display().to_string();
    let own = [
        ("*:443", "127.0.0.1:0".to_owned()),
        ("=80 ", format!("={plain} ")),
        ("/etc/ssl/app.pem", path("app.pem")),
        ("/etc/ssl/private/app.key", path("app.key")),
    ];
    let line = snippet("tls", &own);
    let mut command = Command::new(binary().await);
    command.args(line.split_whitespace().skip(1)).args(["--log", "warn"]).current_dir(folder.path(""));
    let server = Server::run(command).await;
    let mut curl = Command::new("curl");
    curl.args(["-sSL", "-w", " by %{scheme} %{http_version}", "--noproxy", "*", "--cacert"]).arg(path("app.pem"));
    curl.arg(format!("http://localhost:{plain}/index.html")).stdin(Stdio::null()).kill_on_drop(true);
    let output = within(20, "curl", curl.output()).await.unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(said.to_lowercase().ends_with("the page by https 2"), "{said}");
    assert!(server.url.starts_with("wss://"), "{}", server.url);
}
