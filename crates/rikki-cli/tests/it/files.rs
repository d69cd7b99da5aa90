//! The flags that say which files are served, and how.

use std::fs;
use std::io::Write as _;

use crate::process::{Folder, Process};
use crate::running::{ask, serve};

/// The answer to a GET, with further header fields of the request.
fn get(address: &str, path: &str, headers: &str) -> String {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n"))
}

/// Starts with these flags in front of the folder, and looks for a part of the answer to each path. A `!` in front
/// means that there is none.
fn check(folder: &Folder, flags: &[&str], cases: &[(&str, &str, &str)]) {
    let (_server, address) = serve(&[flags, &[&folder.path("")]].concat());
    for (path, headers, part) in cases {
        let answer = get(&address, path, headers);
        match part.strip_prefix('!') {
            None => assert!(answer.contains(part), "{flags:?} {path}: expected {part:?} in {answer}"),
            Some(part) => assert!(!answer.contains(part), "{flags:?} {path}: {part:?} is in {answer}"),
        }
    }
}

const PAGE: &str = "Accept: text/html\r\n";

fn site() -> Folder {
    let folder = Folder::new();
    for name in ["sub", "docs"] {
        fs::create_dir(folder.path(name)).unwrap();
    }
    folder.write("index.html", "the index");
    folder.write("404.html", "nothing here");
    folder.write(".env", "hidden");
    folder.write("sub/a.txt", "a");
    folder.write("docs/ok.txt", "docs");
    folder
}

#[test]
fn what_is_served() {
    let folder = site();
    check(&folder, &[], &[("/sub/", "", "Index of"), ("/.env", "", " 404 "), ("/rest", "", "!access-control")]);
    check(&folder, &["--no-listing"], &[("/sub/", "", " 404 "), ("/sub/a.txt", "", " 200 ")]);
    check(&folder, &["--hidden"], &[("/.env", "", "\r\n\r\nhidden"), ("/..", "", " 400 ")]);
    check(
        &folder,
        &[],
        &[("/sub/a.txt", "", "cache-control: no-cache\r\n"), ("/sub", "", "cache-control: no-cache\r\n")],
    );
    check(&folder, &["--cache-control", "max-age=60"], &[("/sub/a.txt", "", "cache-control: max-age=60\r\n")]);
    check(
        &folder,
        &[],
        &[("/none", "", "\r\n\r\nnothing here"), ("/404", "", " 200 "), ("/sub", "", "location: ./sub/\r\n")],
    );
    folder.write("a.foo", "foo");
    folder.write("a.xml", "<a/>");
    let types = ["--type", "foo=text/x-foo", "--type=.txt=text/markdown", "--charset", "koi8-r"];
    let type_of = |path, part| (path, "", part);
    check(
        &folder,
        &types,
        &[
            type_of("/a.foo", "content-type: text/x-foo; charset=koi8-r\r\n"),
            type_of("/sub/a.txt", "content-type: text/markdown; charset=koi8-r\r\n"),
            type_of("/a.xml", "content-type: text/xml\r\n"),
        ],
    );
    check(&folder, &["--charset", "none"], &[type_of("/sub/a.txt", "content-type: text/plain\r\n")]);
    let added = ["--header", "Cache-Control: no-store"];
    check(&folder, &added, &[("/sub/a.txt", "", "cache-control: no-store\r\n"), ("/sub/a.txt", "", "!no-cache")]);
    check(
        &folder,
        &["--error-page", "404.html"],
        &[("/none", "", " 404 "), ("/none", "", "\r\n\r\nnothing here"), ("/test.html", "", "<title>")],
    );
    check(
        &folder,
        &["--spa"],
        &[
            ("/users/7", PAGE, " 200 "),
            ("/users/7", PAGE, "\r\n\r\nthe index"),
            ("/users/7", "", " 404 "),
            ("/app.js", "Accept: */*\r\n", " 404 "),
            ("/time/10:30", PAGE, "\r\n\r\nthe index"),
            ("/search/100%", PAGE, "\r\n\r\nthe index"),
            ("/org/acme.org", PAGE, "\r\n\r\nthe index"),
            ("/../x", PAGE, " 400 "),
            ("/test.html", PAGE, "<title>"),
            ("/rest", PAGE, "{\"result\": 123}"),
        ],
    );
}

#[test]
fn an_application_without_its_page() {
    let folder = Folder::new();
    let (server, address) = serve(&["--spa", &folder.path("")]);
    let line = server.report();
    assert!(
        line.contains("WARN") && line.contains("there is no index.html") && line.contains(&folder.path("")),
        "{line}"
    );
    folder.write("index.html", "the index");
    assert!(get(&address, "/users/7", PAGE).ends_with("\r\n\r\nthe index"));
}

/// One line for each change, however many ask meanwhile.
#[cfg(unix)]
#[test]
fn a_folder_that_is_gone_for_a_while() {
    let folder = site();
    let root = folder.path("docs");
    let (server, address) = serve(&[&root]);
    fs::remove_dir_all(&root).unwrap();
    for path in ["/", "/ok.txt", "/", "/none"] {
        assert!(get(&address, path, "").starts_with("HTTP/1.1 503 "), "{path}");
    }
    fs::create_dir(&root).unwrap();
    folder.write("docs/new.txt", "new");
    assert!(get(&address, "/new.txt", "").ends_with("\r\n\r\nnew"));
    for part in ["the folder cannot be opened: the answer is 503 until it can", "another folder has taken the place"] {
        let line = server.report();
        assert!(line.contains(part) && line.contains(&root), "{line}");
    }
}

/// Nobody may open what is in the first, and nobody may list the second. The rules hold for root too, without the
/// capabilities that lift them.
#[cfg(target_os = "linux")]
#[test]
fn folders_that_cannot_be_read() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = site();
    let set_mode = |mode| fs::set_permissions(folder.path("docs"), fs::Permissions::from_mode(mode)).unwrap();
    let line = |mode| {
        set_mode(mode);
        let program = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];
        // The command ends at once: the one that can start finds no such certificate.
        let flags = ["--listen", "https://127.0.0.1:0", "--cert", "none", "--key", "none"];
        let mut command = std::process::Command::new(program[0]);
        let is_root = std::process::Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
        if is_root {
            command.arg(program[1]).arg(env!("CARGO_BIN_EXE_rikki"));
        } else {
            command = std::process::Command::new(env!("CARGO_BIN_EXE_rikki"));
        }
        let output = command.args(flags).arg(folder.path("docs")).output().unwrap();
        set_mode(0o755);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, report) = line(0o000);
    assert_eq!((code, report.contains("docs: ") && report.contains("ermission denied")), (Some(1), true), "{report}");
    let (_, report) = line(0o311);
    assert!(report.contains("the folder cannot be listed"), "{report}");
    let (_, report) = line(0o755);
    assert!(!report.contains("folder") && !report.contains("docs"), "{report}");
}

#[cfg(unix)]
#[test]
fn links_may_lead_out() {
    let (folder, outside) = (site(), Folder::new());
    let target = outside.write("target.txt", "outside");
    std::os::unix::fs::symlink(target, folder.path("link")).unwrap();
    check(&folder, &[], &[("/link", "", " 404 ")]);
    check(&folder, &["--follow-symlinks"], &[("/link", "", "\r\n\r\noutside")]);
}

#[test]
fn what_is_added_to_answers() {
    let folder = site();
    let header = ["--header", "X-Robots-Tag: noindex", "--header=x-second:2"];
    check(
        &folder,
        &header,
        &[
            ("/rest", "", "x-robots-tag: noindex\r\n"),
            ("/sub/a.txt", "", "x-second: 2\r\n"),
            ("/none", "", "x-second: 2\r\n"),
            ("/websocket", "", "x-second: 2\r\n"),
        ],
    );
    let any = "access-control-allow-origin: *\r\n";
    let exposed = "access-control-expose-headers: content-range, accept-ranges, etag, content-length\r\n";
    check(
        &folder,
        &["--cors"],
        &[("/sub/a.txt", "", exposed), ("/rest", "", any), ("/sub/a.txt", "", any), ("/test.html", "", any)],
    );
    let (_server, address) = serve(&["--cors", &folder.path("")]);
    let preflight = "OPTIONS /rest HTTP/1.1\r\nHost: localhost\r\nOrigin: https://a.test\r\n\
                     Access-Control-Request-Method: GET\r\nConnection: close\r\n\r\n";
    let answer = ask(&address, preflight);
    assert!(answer.starts_with("HTTP/1.1 204 ") && answer.contains(any), "{answer}");
}

#[test]
fn errors_are_pages_for_people() {
    let folder = Folder::new();
    fs::create_dir(folder.path("sub")).unwrap();
    check(
        &folder,
        &[],
        &[
            ("/none", PAGE, " 404 "),
            ("/none", PAGE, "content-type: text/html; charset=utf-8\r\n"),
            ("/none", PAGE, "<a href=\"./\">Back to the folder</a>"),
            ("/sub/none/", PAGE, "<a href=\"../\">Back to the folder</a>"),
            ("/..", PAGE, "<h1>400 Bad Request</h1>"),
            ("/<script>none", PAGE, "!<script>"),
            ("/none", "", "\r\n\r\n404 Not Found\n"),
            ("/none", "", "vary: accept\r\n"),
        ],
    );
    // The folder's own goes before it.
    check(&site(), &[], &[("/none", PAGE, "\r\n\r\nnothing here")]);
}

#[test]
fn the_icon_is_the_folder_s_or_its_own() {
    let folder = site();
    let icon = |address: &str| {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /favicon.ico HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        std::io::Read::read_to_end(&mut stream, &mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    let (_server, address) = serve(&[&folder.path("")]);
    let answer = icon(&address);
    assert!(answer.contains(" 200 ") && answer.contains("image/png") && answer.contains("IHDR"), "{answer}");
    folder.write("favicon.ico", "own icon");
    assert!(icon(&address).ends_with("own icon"));
}

#[test]
fn folders_at_paths_of_their_own() {
    let folder = site();
    let mount = format!("/books/={}", folder.path("docs"));
    let below = format!("/books/more={}", folder.path("sub"));
    let flags = ["--mount", &mount, "--mount", &below, "--spa", "--error-page", "404.html"];
    check(
        &folder,
        &flags,
        &[
            ("/books/ok.txt", "", "\r\n\r\ndocs"),
            ("/books/more/a.txt", "", "\r\n\r\na"),
            ("/books", "", "location: ./books/\r\n"),
            ("/books/", "", "Index of"),
            ("/books/", "", "<a href=\"./more/\">"),
            // What is not found there is not the application's.
            ("/books/none", PAGE, "<h1>404 Not Found</h1>"),
            ("/none", PAGE, "\r\n\r\nthe index"),
        ],
    );
    // Where another folder is mounted, that of the root is out of reach, however the path is spelt.
    check(
        &folder,
        &["--mount", &format!("/docs={}", folder.path("sub"))],
        &[
            ("/docs/a.txt", "", " 200 "),
            ("/docs/ok.txt", "", " 404 "),
            ("/%64ocs/ok.txt", "", " 404 "),
            ("/sub/../docs/a.txt", "", " 200 "),
        ],
    );
    let server = Process::start(&[&["--listen", "http://127.0.0.1:0"], &flags[..], &[&folder.path("")]].concat());
    let lines: Vec<_> = (0..6).map(|_| server.line()).collect();
    assert!(lines[3].ends_with(&format!("/books/     files in {}", folder.path("docs"))), "{lines:?}");
    assert!(lines[4].ends_with(&format!("/books/more/  files in {}", folder.path("sub"))), "{lines:?}");
    assert!(lines[5].ends_with(&format!("/           files in {}", folder.path(""))), "{lines:?}");
}

#[test]
fn the_key_is_in_none_of_the_folders() {
    let folder = site();
    let testkit::Certificate { certificate, key } = testkit::Certificate::new(["localhost"]);
    let certificate = folder.write("docs/server.crt", certificate);
    let key = folder.write("docs/server.key", key);
    fs::hard_link(&key, folder.path("test.html")).unwrap();
    let tls = ["--listen", "https://127.0.0.1:0", "--cert", &certificate, "--key", &key];
    let mount = format!("/books={}", folder.path("docs"));
    check(
        &folder,
        &[&tls[..], &["--mount", &mount]].concat(),
        &[
            ("/books/ok.txt", "", " 200 "),
            ("/books/server.key", "", " 404 "),
            ("/docs/server.crt", "", "BEGIN CERTIFICATE"),
            ("/docs/server.key", "", " 404 "),
            ("/test.html", "", "!PRIVATE KEY"),
        ],
    );
}

#[test]
fn memory_and_compression() {
    let folder = site();
    folder.write("empty.bin", "");
    // What brotli makes of nothing.
    folder.write("empty.bin.br", [0x3b]);
    let brotli = "Accept-Encoding: br\r\n";
    check(&folder, &[], &[("/empty.bin", brotli, "content-encoding: br\r\n")]);
    check(&folder, &["--no-precompressed"], &[("/empty.bin", brotli, "!content-encoding")]);
    // More than a block.
    let mut large = fs::File::create(folder.path("large.txt")).unwrap();
    large.write_all(&b"0123456789abcdef".repeat(64 * 1024)).unwrap();
    for (above, coded) in [("2MiB", false), ("512KiB", true)] {
        let (_server, address) = serve(&["--compress-files-above", above, &folder.path("")]);
        let request =
            "HEAD /large.txt HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n";
        assert_eq!(ask(&address, request).contains("content-encoding: gzip\r\n"), coded, "{above}");
    }
    let flags = ["--file-cache", "0", "--read-memory", "0", "--no-file-compression"];
    let (_server, address) = serve(&[&flags[..], &[&folder.path("")]].concat());
    for _ in 0..2 {
        let answer = get(&address, "/large.txt", "Accept-Encoding: gzip\r\n");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("content-length: 1048576") && !head.contains("content-encoding"), "{head}");
        assert_eq!(body.len(), 1 << 20);
    }
}
