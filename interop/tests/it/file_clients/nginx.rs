//! nginx beside the command, over the same folder, and in front of it at another path.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::{Folder, run, serve};
use crate::python::within;

/// A running nginx; killed on drop.
pub(crate) struct Nginx {
    pub(crate) address: String,
    _child: Child,
}

impl Nginx {
    /// With this inside of its `server`.
    pub(crate) async fn start(folder: &Folder, server: &str) -> Self {
        // Of which the system says that it is free.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let scratch = folder.0.display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {scratch}/nginx-{kind};\n"))
            .concat();
        let text = format!(
            "daemon off;\nmaster_process off;\npid {scratch}/nginx.pid;\nerror_log stderr crit;\nevents {{}}\n\
             http {{\n{temporary}access_log off;\ninclude /etc/nginx/mime.types;\n\
             default_type application/octet-stream;\nserver {{\nlisten 127.0.0.1:{port};\n{server}\n}}\n}}\n"
        );
        folder.write("nginx.conf", text);
        // Its folder is not in the search path of everybody.
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("nginx");
        command.env("PATH", path).args(["-e", "stderr", "-p"]).arg(&folder.0).arg("-c").arg(folder.path("nginx.conf"));
        let child = command.stdin(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        let nginx = Self { address: format!("127.0.0.1:{port}"), _child: child };
        within(20, "the start of nginx", async {
            while TcpStream::connect(&nginx.address).await.is_err() {
                // It does not say when it is ready.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        nginx
    }
}

/// What a GET of exactly this path is answered with.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    async fn of(address: &str, path: &str) -> Self {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let mut answer = Vec::new();
        within(20, path, async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            stream.read_to_end(&mut answer).await.unwrap();
        })
        .await;
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
        let body = answer.split_off(end + 4);
        let head = String::from_utf8(answer).unwrap().to_ascii_lowercase();
        Self { status: head.split(' ').nth(1).unwrap().parse().unwrap(), head, body }
    }

    /// Without its parameters.
    fn media_type(&self) -> &str {
        let field = self.head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default();
        field.split(';').next().unwrap_or_default()
    }
}

/// With the status that both answer with. Slashes in a row and encoded ones are left out: nginx merges and decodes
/// them, and here they are names that no file has.
const PATHS: [(&str, u16); 34] = [
    ("/./ok.txt", 200),
    ("/sub/./inner.txt", 200),
    ("/sub/../ok.txt", 200),
    ("/sub/%2e%2E/ok.txt", 200),
    ("/sub/%2e/inner.txt", 200),
    ("/sub/.%2e/./ok.txt", 200),
    ("/a/b/c/../../../ok.txt", 200),
    ("/missing/../ok.txt", 200),
    ("/ok.txt/../ok.txt", 200),
    ("/sub/../sub/../sub/inner.txt", 200),
    ("/sub/%252e%252e/ok.txt", 404),
    ("/.../ok.txt", 404),
    ("/sub/..;/ok.txt", 404),
    ("/..", 400),
    ("/../secret", 400),
    ("/%2e%2e/secret", 400),
    ("/sub/../../secret", 400),
    ("/sub/%2e%2e/%2e%2e/secret", 400),
    ("/a%00/../ok.txt", 400),
    ("/%zz/../ok.txt", 400),
    ("/odd/10:30", 200),
    ("/odd/10%3A30", 200),
    ("/odd/did:plc:x", 200),
    ("/odd/back%5cslash", 200),
    ("/odd/dot.", 200),
    ("/odd/dot", 404),
    ("/odd/blank%20", 200),
    ("/odd/blank", 404),
    ("/odd/foo_1%253a2.deb", 200),
    ("/odd/foo_1%3a2.deb", 404),
    ("/odd/nul.txt", 200),
    ("/odd/12:45", 301),
    ("/odd/12:45/x", 200),
    ("/odd/C:/x", 200),
];

#[tokio::test]
async fn paths_and_names_mean_the_same() {
    let folder = Folder::new();
    folder.write("secret", "secret");
    for name in [
        "ok.txt",
        "sub/inner.txt",
        "odd/10:30",
        "odd/did:plc:x",
        "odd/back\\slash",
        "odd/dot.",
        "odd/blank ",
        "odd/foo_1%3a2.deb",
        "odd/nul.txt",
        "odd/12:45/x",
        "odd/C:/x",
    ] {
        folder.write(&format!("site/{name}"), name);
    }
    let server = serve(&folder.path("site")).await;
    let nginx = Nginx::start(&folder, &format!("root {};", folder.path("site").display())).await;
    for (path, status) in PATHS {
        let (ours, theirs) = (Answer::of(server.address(), path).await, Answer::of(&nginx.address, path).await);
        assert_eq!((ours.status, theirs.status), (status, status), "{path}");
        if status == 200 {
            assert_eq!(ours.body, theirs.body, "{path}");
        }
    }
}

/// As far as nginx knows them; and where it says something else, why not the same is said here.
#[tokio::test]
async fn media_types_are_the_same() {
    let folder = Folder::new();
    let same = "html css json svg svgz png jpg gif webp avif ico xml rss atom txt wasm woff2 zip pdf mp4 webm mp3 jar";
    let others = [
        ("js", "text/javascript"),    // RFC 9239
        ("rpm", "application/x-rpm"), // as most of the world says
        ("ts", "text/plain"),         // looked into
        ("md", "text/markdown"),      // what nginx does not know, from here on
        ("jsonl", "text/plain"),
        ("go", "text/plain"),
        ("stl", "model/stl"),
    ];
    for name in same.split(' ').chain(others.iter().map(|(name, _)| *name)) {
        folder.write(&format!("site/a.{name}"), "x");
    }
    let server = serve(&folder.path("site")).await;
    let nginx = Nginx::start(&folder, &format!("root {};", folder.path("site").display())).await;
    for name in same.split(' ') {
        let path = format!("/a.{name}");
        let (ours, theirs) = (Answer::of(server.address(), &path).await, Answer::of(&nginx.address, &path).await);
        assert_eq!(ours.media_type(), theirs.media_type(), "{path}");
    }
    for (name, expected) in others {
        let path = format!("/a.{name}");
        let (ours, theirs) = (Answer::of(server.address(), &path).await, Answer::of(&nginx.address, &path).await);
        assert_eq!(ours.media_type(), expected, "{path}");
        assert_ne!(ours.media_type(), theirs.media_type(), "{path} has no reason to stand here");
    }
}

/// The command does not know at which path it is served.
#[tokio::test]
async fn redirects_and_links_hold_behind_a_proxy_that_strips_a_prefix() {
    let folder = Folder::new();
    for name in ["sub/inner.txt", "12:45/x"] {
        folder.write(&format!("site/{name}"), name);
    }
    let server = serve(&folder.path("site")).await;
    let proxy = format!("location /below/here/ {{ proxy_pass http://{}/; }}", server.address());
    let nginx = Nginx::start(&folder, &proxy).await;
    for (path, file) in [("/below/here/sub", "sub/inner.txt"), ("/below/here/12:45", "12:45/x")] {
        let download = folder.path(&format!("download/{}", file.len()));
        std::fs::create_dir_all(&download).unwrap();
        // By way of the redirect and the link of the listing.
        let url = format!("http://{}{path}", nginx.address);
        run(
            &download,
            "wget",
            &["-r", "-np", "-nH", "--cut-dirs=2", "--trust-server-names", "--reject-regex", "[?]sort=", &url],
        )
        .await;
        assert_eq!(std::fs::read_to_string(download.join(file)).unwrap(), file);
    }
}
