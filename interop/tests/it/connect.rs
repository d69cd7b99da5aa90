//! `rikki connect` by way of proxies of others, tinyproxy and dante, and wscat on the rows of docs/connect.md.

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use rikki::ws::{Message, Socket};
use rikki::{Handle, Server, ServerTls};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;

use crate::file_clients::Folder;
use crate::python::within;
use crate::server;

/// An echo with TLS and one without, and their ports.
async fn start() -> (Handle, [u16; 2]) {
    let echo = |socket: &mut Socket<'_>, message: Message<'_>| socket.send(message);
    let server = Server::new().websocket("/websocket", echo).tls(ServerTls::self_signed(["127.0.0.1"]).unwrap());
    let server = server.workers(1).listen("ws://127.0.0.1:0").listen("wss://127.0.0.1:0");
    let handle = server.start().await.unwrap();
    let ports = [handle.local_addrs()[0].port(), handle.local_addrs()[1].port()];
    (handle, ports)
}

/// The command as its own tests have it built.
async fn binary() -> &'static PathBuf {
    static BINARY: OnceCell<PathBuf> = OnceCell::const_new();
    BINARY.get_or_init(|| within(1800, "the build", server::build(&[]))).await
}

async fn rikki(arguments: &[&str]) -> Output {
    let mut command = Command::new(binary().await);
    command.arg("connect").args(arguments).env_remove("no_proxy").env_remove("NO_PROXY");
    command.stdin(Stdio::null()).kill_on_drop(true);
    within(60, "rikki connect", command.output()).await.unwrap()
}

/// Sends one message by way of a proxy: what came back, or what was said.
async fn through(proxy: &str, url: &str) -> Result<String, String> {
    let output = rikki(&["--proxy", proxy, "-k", "--send", "hello", "--messages", "1", url]).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// A port of which the system says that it is free.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Starts a program that listens at `port`; killed on drop.
async fn run(program: &str, arguments: &[OsString], port: u16) -> Child {
    // Its folder is not in the search path of everybody.
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(program);
    command.env("PATH", path).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    let child = command.spawn().unwrap();
    within(20, program, async {
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
            // It does not say when it is ready.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    child
}

#[tokio::test]
async fn tinyproxy_leads_there() {
    let (_handle, [plain, secure]) = start().await;
    let folder = Folder::new();
    let port = free_port();
    let text = format!(
        "Port {port}\nListen 127.0.0.1\nTimeout 30\nLogLevel Critical\nBasicAuth user pass_word\n\
         ConnectPort {plain}\nConnectPort {secure}\n"
    );
    folder.write("tinyproxy.conf", text);
    let arguments = ["-d".into(), "-c".into(), folder.path("tinyproxy.conf").into_os_string()];
    let _tinyproxy = run("tinyproxy", &arguments, port).await;
    let proxy = format!("http://user:pass%5Fword@127.0.0.1:{port}");
    let url = |scheme: &str, port: u16| format!("{scheme}://127.0.0.1:{port}/websocket");
    for url in [url("ws", plain), url("wss", secure)] {
        assert_eq!(through(&proxy, &url).await.as_deref(), Ok("hello\n"), "{url}");
    }
    let refused = |error: Result<String, String>, expected: &str| {
        let error = error.unwrap_err();
        assert!(error.contains(&format!("the proxy http://127.0.0.1:{port} {expected}")), "{error}");
        assert!(!error.contains("passing") && error.lines().count() == 1, "{error}");
    };
    let wants = "wants a user and a password, or others than these";
    refused(through(&format!("http://127.0.0.1:{port}"), &url("ws", plain)).await, wants);
    refused(through(&format!("http://user:passing@127.0.0.1:{port}"), &url("ws", plain)).await, wants);
    // One that it leads nobody to; it says so by a page.
    refused(through(&proxy, &url("ws", free_port())).await, "answered 403 ");
}

#[tokio::test]
async fn dante_leads_there() {
    let (_handle, [plain, secure]) = start().await;
    let folder = Folder::new();
    let port = free_port();
    let text = format!(
        "logoutput: {0}danted.log\nerrorlog: {0}danted.log\ninternal: 127.0.0.1 port = {port}\nexternal: 127.0.0.1\n\
         socksmethod: none\nclientmethod: none\nuser.privileged: root\nuser.unprivileged: nobody\n\
         client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}\n\
         socks pass {{ from: 127.0.0.0/8 to: 127.0.0.1/32 port = {plain} }}\n\
         socks pass {{ from: 127.0.0.0/8 to: 127.0.0.1/32 port = {secure} }}\n\
         socks block {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}\n",
        folder.path("").display()
    );
    folder.write("danted.conf", text);
    let arguments = ["-f".into(), folder.path("danted.conf").into_os_string(), "-N".into(), "1".into()];
    let _dante = run("danted", &arguments, port).await;
    let proxy = format!("socks5://127.0.0.1:{port}");
    for url in [format!("ws://127.0.0.1:{plain}/websocket"), format!("wss://127.0.0.1:{secure}/websocket")] {
        assert_eq!(through(&proxy, &url).await.as_deref(), Ok("hello\n"), "{url}");
    }
    let error = through(&proxy, &format!("ws://127.0.0.1:{}/", free_port())).await.unwrap_err();
    assert!(error.contains(&format!("the proxy {proxy} answered: its rules do not allow it")), "{error}");
}

/// What wscat is said to do in a row, and what that shows.
fn rows() -> Vec<(String, String)> {
    let page = include_str!("../../../docs/connect.md");
    let table = page.split("## Beside wscat").nth(1).unwrap();
    let cells = table.lines().filter(|line| line.starts_with("| ")).filter_map(|line| line.rsplit(" | ").next());
    let codes = cells.map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>());
    let runs = codes.filter_map(|codes| match &codes[..] {
        [command, shown] if command.starts_with("wscat ") => Some((command.clone(), shown.clone())),
        _ => None,
    });
    runs.collect()
}

#[tokio::test]
async fn wscat_does_what_its_rows_say() {
    let wscat = std::env::var("INTEROP_WSCAT").expect("INTEROP_WSCAT is wscat's folder; run `cargo xtask interop`");
    let flags = ["--listen", "ws://127.0.0.1:0", "--listen", "wss://127.0.0.1:0", "--tls-self-signed"];
    let root = Folder::new();
    let mut command = Command::new(binary().await);
    command.args(flags).arg(root.path("")).args(["--log", "warn"]);
    let mut server = server::Server::run(command).await;
    let secure = server.next_url().await.split('/').nth(2).unwrap().to_owned();
    let plain = server.address().to_owned();
    let rows = rows();
    assert!(rows.len() >= 10, "{}", rows.len());
    let runs = rows.into_iter().map(|(row, shown)| {
        let arguments = row.replace("wscat ", "").replace("localhost:8000", &plain).replace("localhost:8443", &secure);
        let script = format!("exec node '{wscat}/bin/wscat' {arguments}");
        async move {
            let mut command = Command::new("sh");
            command.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.kill_on_drop(true).spawn().unwrap();
            // It ends with stdin, before it has done anything.
            let _stdin = child.stdin.take();
            let output = within(60, &row, child.wait_with_output()).await.unwrap();
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(said.contains(&shown), "{row}: no {shown:?} in {said}");
        }
    });
    futures_util::future::join_all(runs).await;
}
