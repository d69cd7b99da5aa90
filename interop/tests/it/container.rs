//! What the image of `Dockerfile` runs, as a container would run it: process 1, a user without rights, a root that is
//! read-only. And what docs/containers.md says of Kubernetes, as far as it can be tried without.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};

use crate::file_clients::Folder;
use crate::python::within;
use crate::server::binary;

/// How long Docker waits before it kills.
const PATIENCE: Duration = Duration::from_secs(10);

/// The last stage of the image.
struct Image {
    variables: Vec<(String, String)>,
    user: String,
    entrypoint: Vec<String>,
    arguments: Vec<String>,
    health: Vec<String>,
}

impl Image {
    fn read() -> Self {
        let text = include_str!("../../../Dockerfile");
        let stage = text.rsplit("\nFROM ").next().unwrap();
        let line = |name: &str| {
            let found = stage.lines().find_map(|line| line.strip_prefix(name));
            found.unwrap_or_else(|| panic!("the last stage has no {name}")).trim().to_owned()
        };
        let words =
            |json: &str| serde_json::from_str::<Vec<String>>(json).unwrap_or_else(|error| panic!("{json}: {error}"));
        let variables = line("ENV ");
        let variables = variables.split(' ').filter_map(|pair| pair.split_once('='));
        let health = line("HEALTHCHECK ");
        Self {
            variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            user: line("USER "),
            entrypoint: words(&line("ENTRYPOINT ")),
            arguments: words(&line("CMD ")),
            health: words(health.split_once("CMD ").unwrap().1),
        }
    }
}

/// A container that runs; it is killed when dropped.
struct Container {
    folder: Folder,
    child: Child,
    /// Outside of its namespace.
    id: i32,
    lines: Lines<BufReader<ChildStdout>>,
    address: String,
    /// Of its admin.
    port: u16,
}

impl Container {
    /// With the ports that are free here in place of its own.
    async fn start(flags: &[&str]) -> Self {
        Self::start_with(flags, &[]).await
    }

    /// The same with variables of whoever starts it.
    async fn start_with(flags: &[&str], variables: &[(&str, &str)]) -> Self {
        let (image, folder) = (Image::read(), Folder::new());
        assert_eq!(image.user, "65532:65532", "as container.sh has it");
        folder.write("srv/index.html", "the page");
        fs::create_dir(folder.path("root")).unwrap();
        folder.write("container.sh", include_str!("../../container.sh"));
        let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let mut command = Command::new("sh");
        command.arg(folder.path("container.sh")).arg(folder.path("root")).arg(binary().await).arg(folder.path("srv"));
        command.args(&image.entrypoint).args(flags).args(&image.arguments);
        let given = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        for (name, value) in image.variables.into_iter().chain(given) {
            command.env(name, value.replace("9100", &port.to_string()).replace("*:8000", "127.0.0.1:0"));
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        command.stderr(fs::File::create(folder.path("log")).unwrap());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let outer = child.id().unwrap();
        let mut container = Self { folder, child, id: 0, lines, address: String::new(), port };
        // Where it listens is the first that it says.
        let line = container.line().await;
        container.address = line.split('/').nth(2).unwrap_or_else(|| panic!("{line}")).to_owned();
        let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).unwrap();
        container.id = children.split_whitespace().next().expect("a child").parse().unwrap();
        container
    }

    async fn line(&mut self) -> String {
        let line = within(20, "a line", self.lines.next_line()).await.unwrap();
        line.unwrap_or_else(|| panic!("it has ended: {}", self.log()))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path("log")).unwrap_or_default()
    }

    fn signal(&self, name: &str) {
        let status = std::process::Command::new("kill").args(["-s", name, &self.id.to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// What the health check of the image says.
    async fn health(&self) -> Option<i32> {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.id.to_string(), "--pid", "--mount", "--root"]);
        command.args(["--setuid", "65532", "--setgid", "65532", "--"]);
        command.args(Image::read().health.iter().map(|word| word.replace("9100", &self.port.to_string())));
        within(20, "the health check", command.stdin(Stdio::null()).kill_on_drop(true).status()).await.unwrap().code()
    }

    /// How it ends.
    async fn end(&mut self) -> Option<i32> {
        within(20, "the end", self.child.wait()).await.unwrap().code()
    }

    fn status(&self, name: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Its process 1 has changed its user, and so does not die with whoever has started it: see PR_SET_PDEATHSIG of
        // https://man7.org/linux/man-pages/man2/pr_set_pdeathsig.2const.html. One that was waited for has no id.
        if self.child.id().is_some() && self.id > 0 {
            self.signal("KILL");
        }
    }
}

/// A WebSocket whose client does not answer a Close.
async fn stubborn(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "GET /websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    within(20, "a WebSocket", async {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
    })
    .await;
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    stream
}

async fn get(address: &str, path: &str) -> String {
    within(20, path, async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    })
    .await
}

#[tokio::test]
async fn process_1_without_rights_serves_reloads_and_drains() {
    let mut container = Container::start(&["--drain-timeout", "3s", "--close-timeout", "10s"]).await;
    assert_eq!(container.status("Uid:"), "65532 65532 65532 65532");
    assert_eq!(container.status("Groups:"), "");
    assert_eq!(container.status("CapEff:"), "0000000000000000");
    assert_eq!(container.status("NoNewPrivs:"), "1");
    assert!(container.status("NSpid:").ends_with(" 1"));
    let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", container.id)).unwrap();
    // https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
    let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
    assert!(root.split(' ').nth(5).unwrap().starts_with("ro"), "{root}");
    assert!(get(&container.address, "/").await.ends_with("the page"));
    assert_eq!(container.health().await, Some(0));

    container.signal("HUP");
    within(20, "a reload", async {
        while !container.log().contains("the settings have been reloaded") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    // Nothing that was started in it is left, dead or alive.
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", container.id)).unwrap();
    assert_eq!(children, "");

    let mut open = stubborn(&container.address).await;
    let asked = Instant::now();
    container.signal("TERM");
    let mut close = [0; 4];
    within(20, "a Close", open.read_exact(&mut close)).await.unwrap();
    assert_eq!(close, [0x88, 2, 0x03, 0xe9], "1001");
    assert_eq!(container.health().await, Some(1), "it drains");
    assert_eq!(container.end().await, Some(0), "{}", container.log());
    assert!(asked.elapsed() < PATIENCE, "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_second_signal_ends_process_1_at_once() {
    let mut container = Container::start(&["--drain-timeout", "1h", "--close-timeout", "1h"]).await;
    let mut open = stubborn(&container.address).await;
    container.signal("INT");
    let mut close = [0; 4];
    within(20, "a Close", open.read_exact(&mut close)).await.unwrap();
    container.signal("INT");
    assert_eq!(container.end().await, Some(0), "{}", container.log());
}

/// The manifest's command line, what its probes ask, and that its times fit.
#[tokio::test]
async fn kubernetes() {
    let page = include_str!("../../../docs/containers.md");
    let snippets = testkit::snippets(page);
    let manifest = snippets.iter().find(|snippet| snippet.name == "deployment.yaml").unwrap().text;
    let number = |name: &str| {
        let found = manifest.split(name).nth(1).unwrap_or_else(|| panic!("{name}"));
        found.trim_start().split(|c: char| !c.is_ascii_digit()).next().unwrap().parse::<u64>().unwrap()
    };
    // 8 s of the drain, and half a second for who is stuck.
    assert!(number("preStop:\n              sleep: {seconds:") + 9 < number("terminationGracePeriodSeconds:"));
    let arguments = manifest.lines().find_map(|line| line.trim().strip_prefix("args: ")).unwrap();
    let arguments: Vec<String> = serde_json::from_str(arguments).unwrap();
    assert_eq!(arguments.last().map(String::as_str), Some("/srv"));
    assert!(manifest.contains("{name: RIKKI_ADMIN, value: \"http://*:9100\"}"));
    // The folder comes with the image.
    let flags: Vec<&str> = arguments[..arguments.len() - 1].iter().map(String::as_str).collect();
    let container = Container::start_with(&flags, &[("RIKKI_ADMIN", "http://*:9100")]).await;
    for line in manifest.lines().filter(|line| line.contains("httpGet:")) {
        let path = line.split("path: ").nth(1).unwrap().split(',').next().unwrap();
        let answer = get(&format!("127.0.0.1:{}", container.port), path).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
    }
}
