//! Topics: who hears whom, who may publish, and what is no topic.

use crate::process::{Folder, Process};
use crate::running::{ask, serve};

const USAGE: i32 = 2;

/// A server with these flags in front of a folder of its own.
pub(crate) fn with(folder: &Folder, flags: &[&str]) -> (Process, String) {
    serve(&[flags, &[&folder.path("")]].concat())
}

/// The status of the answer to a request, and its body without the last line end.
pub(crate) fn answer(address: &str, request: &str) -> (String, String) {
    let answer = ask(address, request);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].to_owned(), body.trim_end().to_owned())
}

/// Publishes by POST, with further header fields.
pub(crate) fn publish(address: &str, path: &str, fields: &str, body: &str) -> (String, String) {
    let length = body.len();
    answer(
        address,
        &format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {length}\r\nConnection: close\r\n\r\n\
             {body}"
        ),
    )
}

/// Reads what a topic has.
pub(crate) fn read(address: &str, path: &str, fields: &str) -> (String, String) {
    answer(address, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}Connection: close\r\n\r\n"))
}

/// A client that is connected, with further flags.
fn join(address: &str, path: &str, flags: &[&str]) -> Process {
    let client = Process::start(&[&["connect", &format!("ws://{address}{path}")], flags].concat());
    let line = client.report();
    assert!(line.contains(": connected to "), "{line}");
    client
}

/// What one says all hear, itself too, and nobody else.
fn talk(address: &str, path: &str, elsewhere: &str) {
    let (mut one, mut other, stranger) =
        (join(address, path, &[]), join(address, path, &[]), join(address, elsewhere, &[]));
    one.write("hello\n", false);
    assert_eq!((one.line(), other.line()), ("hello".to_owned(), "hello".to_owned()));
    other.write("hello back\n", false);
    assert_eq!((one.line(), other.line()), ("hello back".to_owned(), "hello back".to_owned()));
    assert_eq!(stranger.end().stdout, "");
}

#[test]
fn two_clients_talk() {
    let folder = Folder::new();
    let flags = ["--topic", "/chat,publish", "--topic", "/rooms/*,publish", "--broadcast", "/class"];
    let (_server, address) = with(&folder, &flags);
    talk(&address, "/chat", "/class");
    talk(&address, "/class", "/chat");
    talk(&address, "/rooms/a", "/rooms/b");
    talk(&address, "/rooms/a/b/%C3%BC", "/rooms/a/b");
    // By whatever face.
    let listener = join(&address, "/chat", &[]);
    assert_eq!(publish(&address, "/chat", "", "by POST").0, "200");
    assert_eq!(listener.line(), "by POST");
    assert!(read(&address, "/chat", "").1.contains("\"data\":\"hello back\""));
    // Nothing is kept of a class.
    let (_, empty) = read(&address, "/class", "");
    assert!(empty.contains("\"messages\":[]}"), "{empty}");
    for path in ["/rooms", "/rooms/", "/other", "/chat/", "/chat/a"] {
        assert_eq!(read(&address, path, "").0, "404", "{path}");
        assert!(matches!(&*publish(&address, path, "", "x").0, "404" | "405"), "{path}");
    }
}

#[test]
fn publishing_is_for_those_who_may() {
    let folder = Folder::new();
    let (_server, address) = with(&folder, &["--topic", "/news", "--topic=/rooms/*,publish", "--topic=/rooms/quiet"]);
    let refused = ("403".to_owned(), "publishing is not allowed here: clients may only subscribe".to_owned());
    assert_eq!(publish(&address, "/news", "", "x"), refused);
    let mut client = join(&address, "/news", &[]);
    client.write("x\n", false);
    let line = client.report();
    assert!(line.contains("1008") && line.contains("publishing is not allowed here"), "{line}");
    // The nearest counts, and is not got round by another spelling.
    assert_eq!(publish(&address, "/rooms/a", "", "x").0, "200");
    assert_eq!(publish(&address, "/rooms/quiet", "", "x"), refused);
    assert_eq!(publish(&address, "/rooms/%71uiet", "", "x").0, "400");
}

/// A page of another origin could publish by a form, which needs no leave of a browser's.
#[test]
fn pages_of_other_origins_may_neither_publish_nor_read() {
    let folder = Folder::new();
    let (_server, address) = with(&folder, &["--topic=/chat,publish", "--allow-origin=https://app.example"]);
    let foreign = "Origin: https://evil.test\r\nContent-Type: text/plain\r\n";
    for (status, text) in [
        publish(&address, "/chat", foreign, "x"),
        read(&address, "/chat", foreign),
        read(&address, "/chat", &format!("{foreign}Accept: text/event-stream\r\n")),
    ] {
        assert!(status == "403" && text.contains("--allow-origin https://evil.test would allow it"), "{status} {text}");
    }
    for allowed in ["", "Origin: https://app.example\r\n", "Origin: http://localhost\r\n"] {
        assert_eq!(publish(&address, "/chat", allowed, "x").0, "200", "{allowed}");
    }
}

#[test]
fn topics_are_told() {
    let folder = Folder::new();
    let root = folder.path("");
    let greeting = |flags: &[&str], count: usize| {
        let server = Process::start(&[&["--listen", "http://127.0.0.1:0"], flags, &[&root]].concat());
        let lines: Vec<_> = (0..count).map(|_| server.line()).collect();
        let address =
            lines[0].trim_start_matches("Starting WS listener on ws://").trim_end_matches("/websocket").to_owned();
        let lines = lines.join("\n").replace(&address, "HOST");
        (lines, read(&address, "/test.html", "").1)
    };
    let flags = ["--topic=/chat,publish", "--topic=/news", "--topic=/rooms/*", "--broadcast=/class"];
    let (lines, page) = greeting(&flags, 9);
    let expected = format!(
        "Starting WS listener on ws://HOST/websocket\n  \
           http://HOST/test.html  try the WebSocket\n  \
           http://HOST/rest       a JSON answer\n  \
           http://HOST/chat       topic: WebSocket, SSE, POST\n  \
           http://HOST/news       topic: WebSocket, SSE\n  \
           http://HOST/rooms/*    topics: WebSocket, SSE\n  \
           http://HOST/class      topic: WebSocket, SSE, POST\n  \
           ws://HOST/connection/websocket  topics, for clients of Centrifugo\n  \
           http://HOST/           files in {root}"
    );
    assert_eq!(lines, expected);
    let offered = "<datalist id=\"topics\"><option value=\"/chat\"><option value=\"/news\"><option value=\"/rooms/\">\
                   <option value=\"/class\"></datalist>";
    assert!(page.contains(offered), "{page}");
    let key = folder.write("key", "abc");
    assert!(
        greeting(&["--topic=/news", "--publish-key", &key], 5).0.contains("/news       topic: WebSocket, SSE, POST")
    );
    assert!(greeting(&[], 4).1.contains("<datalist id=\"topics\"></datalist>"));
}

/// The command ends with one line on stderr, which is this.
fn check_refused(args: &[&str], expected: &str) {
    let ended = Process::start(&[&["--listen", "http://127.0.0.1:0"], args].concat()).end();
    assert_eq!((ended.code, &*ended.stdout), (Some(USAGE), ""), "{args:?}: {ended:?}");
    assert_eq!(ended.stderr, format!("rikki: {expected} (try --help)\n"), "{args:?}");
}

#[test]
fn what_is_no_topic() {
    let check = |text: &str, expected: &str| {
        let shown = format!("invalid value '{text}' for '--topic <PATH[,OPTION]>': {expected}");
        check_refused(&["--topic", text], &shown);
    };
    let slash = "the path must begin with a slash, as in /chat";
    check(",publish", slash);
    check("chat", slash);
    check("*", slash);
    check("ws://localhost/chat", slash);
    let empty = "the path has an empty name, as before or behind a slash";
    check("/", empty);
    check("/chat/", empty);
    check("//chat", empty);
    check("/a//*", empty);
    check("/./a", "the path has ., which clients leave out");
    check("/a/../b", "the path has .., which clients leave out");
    check("/*", "/* would leave nothing to others: take a path below, as in /rooms/*");
    check("/rooms*", "a star stands for all names below a path, as in /rooms/*");
    check("/a/**", "a star stands for all names below a path, as in /rooms/*");
    check("/*/a", "a star stands at the end alone, as in /rooms/*");
    for (text, letter) in [
        ("/{a}", "'{'"),
        ("/{*a}", "'{'"),
        ("/a%20b", "'%'"),
        ("/:a", "':'"),
        ("/a b", "' '"),
        ("/a?b", "'?'"),
        ("/a\"b", "'\"'"),
        ("/ü", "'ü'"),
    ] {
        let expected = "and may have ASCII letters, digits and - . _ ~ + = @ / alone; names below a path may have \
                        others, as in /rooms/*";
        match text {
            "/{*a}" => check(text, "a star stands at the end alone, as in /rooms/*"),
            _ => check(text, &format!("the path has {letter}, {expected}")),
        }
    }
    check(&format!("/{}", "x".repeat(256)), "the name of a topic has 256 bytes, at most 255 may be");
    let options = "expected history=N, bytes=SIZE, age=DUR, policy=gap|latest|close, presence, presence=counts, last, \
                   keys or publish";
    check("/a,", &format!("there is no option \"\": {options}"));
    check("/a,histroy=5", &format!("there is no option \"histroy\": {options}"));
    check("/a,Publish", &format!("there is no option \"Publish\": {options}"));
    check("/a, publish", &format!("there is no option \" publish\": {options}"));
    check("/a,max-topics=5", &format!("there is no option \"max-topics\": {options}"));
    check("/a,history", "expected history=N");
    check("/a,age", "expected age=DUR");
    check("/a,history=many", "history: expected a whole number such as 100");
    check("/a,history=-1", "history: expected a whole number such as 100");
    check("/a,age=10", "age: expected a whole number with a unit, such as 500ms, 30s, 2m or 1h");
    check("/a,bytes=0", "bytes: it must be above zero");
    check("/a,bytes=1XB", "bytes: expected a whole number of bytes such as 65536, 64KiB, 4MiB or 1GB");
    check("/a,policy", "expected policy=gap, policy=latest or policy=close");
    check("/a,policy=drop", "expected policy=gap, policy=latest or policy=close");
    check("/a,presence=names", "expected presence, for members, or presence=counts");
    check("/a,publish=yes", "publish has no value");
    check("/a,last=5", "last has no value");
    check("/a,publish,publish", "publish is there twice");
    check("/a,history=1,history=2", "history is there twice");
    let path = "invalid value '/a,last' for '--broadcast <PATH>': expected a path alone: options are for --topic";
    check_refused(&["--broadcast", "/a,last"], path);
    check_refused(&["--broadcast", "a"], &format!("invalid value 'a' for '--broadcast <PATH>': {slash}"));
}

#[test]
fn paths_that_are_taken() {
    for path in ["/websocket", "/rest", "/test.html", "/favicon.ico", "/rikki.js", "/rikki.d.ts"] {
        let expected = format!("no topic can be at {path}, which has its answer: take another path");
        check_refused(&["--topic", path], &expected);
        check_refused(&["--broadcast", path], &expected);
    }
    check_refused(&["--topic=/a", "--topic=/a,last"], "two topics cannot have the same path: /a");
    check_refused(&["--broadcast=/a", "--topic=/a"], "two topics cannot have the same path: /a");
    check_refused(&["--topic=/a/*", "--topic=/a/*"], "two topics cannot have the same path: /a/*");
    // That of clients of Centrifugo is taken where there are topics.
    let path = "/connection/websocket";
    let taken = |what: &str| format!("{what} at {path}, which has its answer: take another path");
    check_refused(&["--topic", path], &taken("no topic can be"));
    check_refused(&["--topic=/a", &format!("--mount={path}=.")], &taken("nothing can be mounted"));
    let no_echo = format!("--websocket cannot be {path}, which has its answer: take another path");
    check_refused(&["--topic=/a", "--websocket", path], &no_echo);
    let mounted = "nothing can be mounted at /a, which has its answer: take another path";
    check_refused(&["--topic=/a", "--mount=/a=."], mounted);
    check_refused(&["--topic=/a/*", "--mount=/a/=."], mounted);
    check_refused(&["--publish-key=none"], "--publish-key is for topics: add one, as in --topic /chat");
    check_refused(&["--topic-jwt-key=none"], "--topic-jwt-key is for topics: add one, as in --topic /chat");
    // What is no clash: a path beside all below it, and a folder below those.
    let folder = Folder::new();
    let mount = format!("--mount=/a/files={}", folder.path(""));
    let (_server, address) = with(&folder, &["--topic=/a,publish", "--topic=/a/*", "--topic=/a/b/*,publish", &mount]);
    for (path, status) in [("/a", "200"), ("/a/b", "403"), ("/a/b/c", "200"), ("/a/files/c", "405")] {
        assert_eq!(publish(&address, path, "", "x").0, status, "{path}");
    }
}

/// Where there are topics there is their client for pages, which a browser has to fetch once, unless the folder has
/// another.
#[test]
fn the_module_for_pages() {
    let folder = Folder::new();
    let (server, address) = with(&folder, &["--topic=/chat"]);
    let ask = |method: &str, path: &str, fields: &str| {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}Connection: close\r\n\r\n");
        let answer = ask(&address, &request);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_ascii_lowercase(), body.to_owned())
    };
    for (path, media, part) in [
        ("/rikki.js", "text/javascript; charset=utf-8", "export class Topic extends EventTarget {"),
        ("/rikki.d.ts", "text/plain; charset=utf-8", "export class Topic extends EventTarget {"),
    ] {
        let (head, body) = ask("GET", path, "");
        assert!(head.starts_with("http/1.1 200 ") && body.contains(part), "{head}");
        for field in [
            &*format!("content-type: {media}\r\n"),
            "x-content-type-options: nosniff",
            "cache-control: no-cache",
            &format!("content-length: {}", body.len()),
        ] {
            assert!(head.contains(field), "{field}: {head}");
        }
        let tag = head.split_once("\r\netag: ").unwrap().1.split("\r\n").next().unwrap();
        let (without_body, nothing) = ask("HEAD", path, "");
        assert!(without_body.contains(tag) && without_body.contains("content-length: "), "{without_body}");
        assert_eq!(nothing, "");
        for (known, status) in [(tag, "304"), (&*format!("\"x\", W/{tag}"), "304"), ("*", "304"), ("\"x\"", "200")] {
            let (head, again) = ask("GET", path, &format!("If-None-Match: {known}\r\n"));
            assert!(head.starts_with(&format!("http/1.1 {status} ")) && head.contains(tag), "{known}: {head}");
            assert_eq!(again.is_empty(), status == "304", "{known}");
        }
        assert!(ask("POST", path, "").0.starts_with("http/1.1 405 "));
        assert!(ask("GET", &format!("{path}/"), "").0.starts_with("http/1.1 404 "));
    }
    folder.write("rikki.js", "mine");
    assert_eq!(read(&address, "/rikki.js", ""), ("200".to_owned(), "mine".to_owned()));
    drop(server);
    // Without topics it is a file like others, if there is one.
    let (_server, address) = with(&folder, &[]);
    assert_eq!(read(&address, "/rikki.js", ""), ("200".to_owned(), "mine".to_owned()));
    assert_eq!(read(&address, "/rikki.d.ts", "").0, "404");
}

#[test]
fn limits_over_all_topics() {
    let folder = Folder::new();
    let (_server, address) = with(&folder, &["--topic=/rooms/*,publish", "--max-topics=2", "--max-subscriptions=1"]);
    assert_eq!([1, 2, 3].map(|name| publish(&address, &format!("/rooms/{name}"), "", "x").0), ["200", "200", "503"]);
    let one = join(&address, "/rooms/1", &[]);
    let other = join(&address, "/rooms/1", &[]);
    let line = other.report();
    assert!(line.contains("1013") && line.contains("as many subscriptions as there may be"), "{line}");
    drop(one);
}
