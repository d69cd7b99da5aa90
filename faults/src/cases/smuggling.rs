//! Requests inside of others, sent through a reverse proxy: what proxy and server read differently would let them past
//! whatever the proxy checks.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Result;
use crate::case::{Bench, Case, Trouble};
use crate::server::{Server, within};

pub(crate) const CASES: &[Case] = &[
    Case { name: "smuggling-nginx", run: |bench| smuggling(bench, &NGINX) },
    Case { name: "smuggling-haproxy", run: |bench| smuggling(bench, &HAPROXY) },
];

/// The request that nobody may see as one of its own.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\nX: y\r\n\r\n";

/// How long the proxy may take for what it makes of a request.
const ANSWER: Duration = Duration::from_millis(300);

/// Heads with which the start, the end or the length of what follows could be read in several ways; `LEN` is the length
/// of what follows.
const HEADS: &[&str] = &[
    "POST /rest HTTP/1.1\r\nHost: localhost\r\nContent-Length: LEN\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST /rest HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: LEN\r\n\r\n",
    "POST /rest HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: cow, chunked\r\nContent-Length: LEN\r\n\r\n",
    "POST /rest HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST /rest HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
    "POST /rest HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding : chunked\r\nContent-Length: LEN\r\n\r\n",
    "POST /rest HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding:\x0bchunked\r\nContent-Length: LEN\r\n\r\n",
    "POST /rest HTTP/1.1\r\nHost: localhost\r\nX: y\nTransfer-Encoding: chunked\r\nContent-Length: LEN\r\n\r\n",
    "POST /rest HTTP/1.1\r\nHost: localhost\r\nContent-Length: LEN\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n",
    "POST /rest HTTP/1.1\nHost: localhost\nContent-Length: LEN\n\n",
    "POST /rest HTTP/1.1\nHost: localhost\nTransfer-Encoding: chunked\n\n",
    "POST /rest HTTP/1.1\r\nHost: localhost\r\nContent-Length: LEN\r\n X: folded\r\n\r\n",
    "POST /rest HTTP/1.1\r\nHost: localhost\r\nX: y\rTransfer-Encoding: chunked\r\nContent-Length: LEN\r\n\r\n",
    "POST /rest HTTP/1.1\r\nHost: localhost\r\nContent-Length: +LEN\r\n\r\n",
    "POST /rest HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0LEN\r\n\r\n",
    "POST /rest HTTP/1.1\r\nHost: localhost\r\nContent-Length: LEN, LEN\r\n\r\n",
    "POST /rest HTTP/1.1\r\nHost: localhost\r\nContent-Length: LEN\r\nContent-Length: 0\r\n\r\n",
    "POST /rest HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: LEN\r\n\r\n",
    "GET ftp://localhost/rest HTTP/1.1\r\nHost: localhost\r\nContent-Length: LEN\r\n\r\n",
];

/// What comes before the smuggled request: an end of a chunked body, as it should be and not; `SIZE` is the length of
/// the request as a chunk.
const BODIES: &[&str] =
    &["", "0\r\n\r\n", "0\n\n", "0\n\r\n", "0;\n\r\n\r\n", "1;x=\n\r\na\r\n0\r\n\r\n", "0\r\nX: y\n\r\n", "SIZE\r\n"];

/// Behind `program`, which keeps its connection to the server open for the requests of all clients.
fn smuggling(bench: &Bench, program: &Program) -> Result<String, Trouble> {
    let server = Server::rikki(bench, &["--access-log"])?;
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    let proxy = free.map_err(|error| format!("a free port: {error}"))?;
    let name = program.name;
    let running = Proxy::start(bench, program, proxy, server.address)?;
    within(Duration::from_secs(10), || Ok(std::net::TcpStream::connect(proxy).is_ok()))?
        .ok_or_else(|| format!("{name} does not start"))?;
    let mut sent = 0;
    bench.runtime.block_on(async {
        for head in HEADS {
            for body in BODIES {
                let size = format!("{:x}", SMUGGLED.len());
                let rest = format!("{}{SMUGGLED}", body.replace("SIZE", &size));
                let request = format!("{}{rest}", head.replace("LEN", &rest.len().to_string()));
                let mut attacker = TcpStream::connect(proxy).await.map_err(|error| format!("connect: {error}"))?;
                // The proxy may refuse it before it has come.
                let _ = attacker.write_all(request.as_bytes()).await;
                let mut answer = Vec::new();
                let _ = timeout(ANSWER, attacker.read_to_end(&mut answer)).await;
                honest(proxy).await.map_err(|error| format!("{error} after {request:?}"))?;
                sent += 1;
            }
        }
        Ok::<_, String>(())
    })?;
    // What the proxy has seen as a request of its own is no secret: it has logged it.
    let seen = |log: &str| log.matches("/smuggled ").count();
    let (by_proxy, by_server) = (seen(&running.log()), seen(&server.log_text()));
    let figures = format!("{sent} requests; {name} saw {by_proxy} of those inside as requests, the server {by_server}");
    if by_server > by_proxy || sent == 0 {
        return Err(figures.into());
    }
    Ok(figures)
}

/// Another client of the proxy, who has to get the answer to what it asks for.
async fn honest(proxy: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect(proxy).await.map_err(|error| format!("connect: {error}"))?;
    let request = b"GET /rest HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.map_err(|error| format!("write: {error}"))?;
    let mut answer = String::new();
    let read = timeout(Duration::from_secs(10), stream.read_to_string(&mut answer)).await;
    match read {
        Ok(Ok(_)) if answer.starts_with("HTTP/1.1 200 ") && answer.contains("{\"result\"") => Ok(()),
        _ => Err(format!("another client got {answer:?}")),
    }
}

/// A program that is a reverse proxy.
struct Program {
    name: &'static str,
    /// What comes before the path of its configuration.
    arguments: &'static [&'static str],
    /// Its configuration: from `listen` to `server`, with the requests it has seen in `access` of the folder, or on
    /// stdout.
    configuration: fn(folder: &Path, listen: SocketAddr, server: SocketAddr) -> String,
}

const NGINX: Program = Program {
    name: "nginx",
    arguments: &["-c"],
    configuration: |folder, listen, server| {
        let path = folder.display();
        format!(
            "daemon off; master_process off; pid {path}/pid; error_log {path}/error;\n\
             events {{}}\n\
             http {{\n\
               access_log {path}/access; client_body_temp_path {path}/body; proxy_temp_path {path}/proxy;\n\
               fastcgi_temp_path {path}/fastcgi; uwsgi_temp_path {path}/uwsgi; scgi_temp_path {path}/scgi;\n\
               upstream rikki {{ server {server}; keepalive 1; }}\n\
               server {{ listen {listen}; location / {{ proxy_pass http://rikki; proxy_http_version 1.1;\n\
                 proxy_set_header Connection ''; proxy_set_header Host localhost; proxy_request_buffering off; }} }}\n\
             }}\n"
        )
    },
};

const HAPROXY: Program = Program {
    name: "haproxy",
    arguments: &["-db", "-f"],
    // One thread: each has connections to the server of its own. And `httplog`: it logs requests twice by a format in
    // which there is nothing of the answer.
    configuration: |_, listen, server| {
        format!(
            "global\n nbthread 1\n log stdout format raw local0\n\
             defaults\n mode http\n log global\n option httplog\n\
             \x20option http-keep-alive\n http-reuse always\n\
             \x20timeout connect 10s\n timeout client 10s\n timeout server 10s\n\
             listen proxy\n bind {listen}\n server rikki {server}\n"
        )
    },
};

/// A running proxy; stopped when dropped.
struct Proxy {
    child: Child,
    log: PathBuf,
}

impl Proxy {
    fn start(bench: &Bench, program: &Program, listen: SocketAddr, server: SocketAddr) -> Result<Self, Trouble> {
        let folder = bench.scratch.join(program.name);
        let (configuration, log) = (folder.join("conf"), folder.join("access"));
        let stdout = fs::create_dir_all(&folder)
            .and_then(|()| fs::write(&configuration, (program.configuration)(&folder, listen, server)))
            .and_then(|()| File::create(&log))
            .map_err(|error| format!("{}: {error}", folder.display()))?;
        // Where the path of a user does not lead.
        let sbin = Path::new("/usr/sbin").join(program.name);
        let mut command = Command::new(if sbin.exists() { &sbin } else { Path::new(program.name) });
        command.args(program.arguments).arg(&configuration).stdout(stdout).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| Trouble::NotRun(format!("{}: {error}", program.name)))?;
        Ok(Self { child, log })
    }

    /// The requests it has seen.
    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
