//! The log for programs: lines are JSON whatever clients send, and their fields are those that docs/logs.md has.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::process::{DEADLINE, Folder, Process};
use crate::running::{address, ask, serve, upgraded};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00f067aa0ba902b7";
const JSON: [&str; 2] = ["--access-log", "--log-format=json"];

/// What a line is.
#[track_caller]
fn parsed(line: &str) -> Value {
    assert!(!line.contains(char::is_control), "{line:?}");
    let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let mut members: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(members, ["fields", "level", "message", "target", "timestamp"], "{line}");
    let timestamp = value["timestamp"].as_str().unwrap();
    let digits = timestamp.replace(|letter: char| letter.is_ascii_digit(), "0");
    assert_eq!(digits, "0000-00-00T00:00:00.000000Z", "{line}");
    value
}

/// The next line of this kind, and others before it.
#[track_caller]
fn next(server: &Process, message: &str) -> Value {
    loop {
        let line = parsed(&server.report());
        if line["message"] == message || line["target"] == message {
            return line["fields"].clone();
        }
    }
}

/// The rest of a server's log, when it has ended.
fn rest(server: Process) -> Vec<Value> {
    server.signal("TERM");
    let ended = server.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stderr.lines().map(parsed).collect()
}

/// Sends a frame of a client, masked with nothing.
fn send(stream: &mut TcpStream, opcode: u8, payload: &[u8]) {
    let length = u8::try_from(payload.len()).unwrap();
    stream.write_all(&[&[0x80 | opcode, 0x80 | length, 0, 0, 0, 0], payload].concat()).unwrap();
}

/// Sends a message, and waits for it to come back.
fn echo(stream: &mut TcpStream, opcode: u8, payload: &[u8]) {
    send(stream, opcode, payload);
    let mut answer = vec![0; 2 + payload.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer[2..], payload);
}

/// The rows of a table of docs/logs.md: whether the value is a number, and whether it may be missing.
fn table(title: &str) -> BTreeMap<String, (bool, bool)> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/logs.md")).unwrap();
    let section = page.split_once(&format!("### {title}\n")).unwrap().1;
    let rows = section.lines().skip_while(|line| !line.starts_with("| `")).take_while(|line| line.starts_with("| `"));
    let row = |line: &str| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let (kind, optional) =
            cells[2].split_once(", ").map_or((cells[2], false), |(kind, or)| (kind, or == "or none"));
        assert!(["number", "text"].contains(&kind), "{line}");
        (cells[1].trim_matches('`').to_owned(), (kind == "number", optional))
    };
    rows.map(row).collect()
}

/// Lines have the fields of a table of docs/logs.md, and together all of them.
#[track_caller]
fn check(title: &str, lines: &[&Value]) {
    let table = table(title);
    let mut seen = Vec::new();
    for line in lines {
        let fields = line.as_object().unwrap();
        for (name, value) in fields {
            let (is_number, _) = table.get(name).unwrap_or_else(|| panic!("docs/logs.md has no {name} of {title}"));
            assert!(if *is_number { value.is_u64() } else { value.is_string() }, "{name} of {title}: {value}");
            seen.push(name.clone());
        }
        let missing: Vec<_> = table.iter().filter(|(name, row)| !row.1 && !fields.contains_key(*name)).collect();
        assert!(missing.is_empty(), "{title} has no {missing:?}: {line}");
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen, table.into_keys().collect::<Vec<_>>(), "{title}");
}

#[test]
fn fields_are_those_that_the_documentation_has() {
    let folder = Folder::new();
    let (server, address) = serve(&[&JSON[..], &["--show-messages", &folder.path("")]].concat());
    let traced = format!("traceparent: 00-{TRACE}-{PARENT}-01\r\n");
    let agent = format!("{traced}User-Agent: \"agent\" \\\r\n");
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.write_all(format!("GET /rest?token=secret HTTP/1.1\r\nHost: localhost\r\n{agent}\r\n").as_bytes()).unwrap();
    let first = next(&server, "answered");
    assert_eq!((&first["target"], &first["agent"]), (&"/rest?...".into(), &"\"agent\" \\".into()));
    assert_eq!((&first["trace_id"], &first["parent_id"]), (&TRACE.into(), &PARENT.into()));
    assert_eq!((&first["request"], &first["status"], &first["bytes"]), (&1.into(), &200.into(), &16.into()));

    // Another request on the connection, and a WebSocket by its third: the connection is one.
    stream.write_all(b"GET /none HTTP/1.1\r\nHost: evil.test\r\n\r\n").unwrap();
    let refused = next(&server, "answered");
    assert_eq!(refused["status"], 403);
    drop(stream);
    let mut socket = upgraded(&address, "/websocket", &traced);
    let opened = next(&server, "answered");
    assert_eq!((&opened["status"], &opened["upgrade"]), (&101.into(), &"websocket".into()));
    echo(&mut socket, 1, "\u{202e} \"a\"\n".as_bytes());
    echo(&mut socket, 2, &[0, 255]);
    let messages: Vec<_> = (0..4).map(|_| next(&server, "rikki::messages")).collect();
    send(&mut socket, 8, &[0x0f, 0xa0]);
    let closed = next(&server, "closed");
    assert_eq!((&closed["code"], &closed["by"]), (&4000.into(), &"client".into()));
    for (name, expected) in [("received", 2), ("sent", 2), ("received_bytes", 10), ("sent_bytes", 10)] {
        assert_eq!(closed[name], expected, "{name} of {closed}");
    }
    assert_eq!((&closed["trace_id"], &closed["parent_id"]), (&TRACE.into(), &PARENT.into()));
    for line in messages.iter().chain([&closed]) {
        assert_eq!((&line["id"], &line["peer"]), (&opened["id"], &opened["peer"]), "{line}");
    }
    assert_ne!(opened["id"], refused["id"]);

    // Who is gone without a word, who breaks a rule, and who is sent away.
    drop(upgraded(&address, "/websocket", ""));
    let cut = next(&server, "closed");
    assert_eq!((&cut["code"], cut.get("by"), cut.get("trace_id")), (&1006.into(), None, None));
    assert!(cut["error"].as_str().unwrap().contains("the connection broke"), "{cut}");
    let mut breaks = upgraded(&address, "/websocket", "");
    send(&mut breaks, 3, b"");
    let broke = next(&server, "closed");
    drop(breaks);
    assert_eq!((&broke["code"], &broke["by"]), (&1002.into(), &"server".into()));
    let mut drained = upgraded(&address, "/websocket", "");
    echo(&mut drained, 1, b"hi");
    server.signal("TERM");
    drained.read_exact(&mut [0; 4]).unwrap();
    send(&mut drained, 8, &[0x03, 0xe9]);
    let away = next(&server, "closed");
    assert_eq!((&away["code"], &away["by"]), (&1001.into(), &"server".into()));
    assert_eq!(server.end().code, Some(0));

    check("A request", &[&first, &refused, &opened]);
    check("The end of a WebSocket", &[&closed, &cut, &broke, &away]);
    check("A message", &messages.iter().collect::<Vec<_>>());
}

#[test]
fn warnings_have_the_id_of_their_request() {
    let folder = Folder::new();
    let (server, address) = serve(&[&JSON[..], &[&folder.path("")]].concat());
    let mut stream = TcpStream::connect(&address).unwrap();
    for host in ["localhost", "evil.test"] {
        stream.write_all(format!("GET /rest HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).unwrap();
        stream.read_exact(&mut [0; 12]).unwrap();
    }
    let first = next(&server, "answered");
    let warned = next(&server, "rikki::http");
    let second = next(&server, "answered");
    assert_eq!((&first["id"], &first["request"]), (&second["id"], &1.into()));
    assert_eq!((&warned["id"], &warned["request"]), (&second["id"], &second["request"]));
    assert_eq!((&second["request"], &second["status"]), (&2.into(), &403.into()));
    let foreign = "GET /websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Origin: http://evil.test\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    for request in [foreign, &foreign.replace("Version: 13", "Version: 12")] {
        ask(&address, request);
        let warned = next(&server, "rikki::ws");
        assert_eq!(warned["id"], next(&server, "answered")["id"], "{warned}");
    }
    let lines = rest(server);
    assert!(lines.iter().any(|line| line["message"] == "draining"), "{lines:?}");
}

/// Whatever is in a request: each line is JSON, and nothing of it is there that was refused.
#[test]
fn hostile_requests() {
    let folder = Folder::new();
    let (server, address) = serve(&[&JSON[..], &["--show-messages", "--log=debug", &folder.path("")]].concat());
    let long = "x".repeat(12_000);
    let field = |field: &str| format!("GET /rest HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{field}\r\n\r\n");
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let requests = [
        get("/\u{9b}31m\u{202e}ü"),
        get("/\"},{\"a\":\"\\"),
        get("/%00%1b%5b2J"),
        get(&format!("/{long}")),
        get(&format!("/?{long}")),
        get("*"),
        get("/\u{1b}[2J"),
        format!("{} /rest HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "M".repeat(300)),
        field(&format!("User-Agent: {long}")),
        field("User-Agent: \"\\\t\u{9b}31m\u{85}\u{2028}"),
        field("User-Agent:"),
        field(&format!("traceparent: 00-{TRACE}-{PARENT}-01\"}}")),
        field(&format!("traceparent: ff-{TRACE}-{PARENT}-01")),
        field(&format!("traceparent: 00-{TRACE}-{PARENT}-01\r\ntraceparent: 00-{TRACE}-{PARENT}-01")),
        field(&format!("traceparent: {}", "0".repeat(12_000))),
        "\u{16}\u{3}\u{1}\r\n\r\n".to_owned(),
        "nonsense\r\n\r\n".to_owned(),
        String::new(),
    ];
    let mut bytes: Vec<_> = requests.into_iter().map(String::into_bytes).collect();
    bytes
        .push(b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\nUser-Agent: \xff\x80\r\nConnection: close\r\n\r\n".into());
    for request in &bytes {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(request).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let mut socket = upgraded(&address, "/websocket?a=%22", "traceparent: \r\n");
    echo(&mut socket, 1, "\u{0}\u{7f}\u{9b}\u{2028}\u{feff}\"\\'\u{1f600}".as_bytes());
    echo(&mut socket, 2, &[0xff; 120]);
    send(&mut socket, 8, b"\x03\xe8\"\x1b[2J");
    let _ = socket.read_to_end(&mut Vec::new());
    server.signal("TERM");
    let ended = server.end();
    let lines: Vec<_> = ended.stderr.lines().map(|line| (line, serde_json::from_str::<Value>(line))).collect();
    for (line, value) in &lines {
        let value = value.as_ref().unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(value["fields"].is_object() && value["message"].is_string(), "{line}");
        assert!(!line.contains(char::is_control) && !line.contains('\u{202e}') && line.len() < 2000, "{line:?}");
    }
    let answered = lines.iter().filter(|(line, _)| line.contains("\"message\":\"answered\"")).count();
    assert!(answered >= 10, "{answered} answers\n{}", ended.stderr);
    assert!(!ended.stderr.contains("trace_id"), "{}", ended.stderr);
    // At debug there is a span for each WebSocket.
    let closed = lines.iter().find(|(line, _)| line.contains("\"target\":\"rikki::ws\",\"message\":\"closed\""));
    let closed = closed.and_then(|(_, value)| value.as_ref().ok()).unwrap_or_else(|| panic!("{}", ended.stderr));
    let span = &closed["spans"][0];
    assert_eq!((&span["name"], &span["fields"]["id"]), (&"websocket".into(), &closed["fields"]["id"]));
}

/// Over TLS, where curl speaks HTTP/2 on one connection; and from whom a proxy says that one is.
#[test]
fn requests_that_share_a_connection() {
    let folder = Folder::new();
    let secure = ["--listen", "https://127.0.0.1:0", "--tls-self-signed", "--log=rikki::access=info"];
    let server = Process::start(&[&secure[..], &JSON, &[&folder.path("")]].concat());
    let line = server.line();
    let address = line.split("wss://").nth(1).and_then(|rest| rest.split('/').next()).unwrap();
    let url = format!("https://{address}/rest");
    let mut curl = Command::new("curl");
    let curl = curl.args(["--silent", "--insecure", "--http2", "--noproxy", "*", &url, &url]).stdout(Stdio::null());
    assert!(curl.status().unwrap().success());
    let [first, second] = [0, 1].map(|_| next(&server, "answered"));
    assert_eq!((&first["version"], &second["version"]), (&"HTTP/2.0".into(), &"HTTP/2.0".into()));
    assert_eq!((&first["id"], &first["request"], &second["request"]), (&second["id"], &1.into(), &2.into()));

    let trusted =
        ["--listen", "http://127.0.0.1:0", "--proxy-protocol", "--trust=127.0.0.1", "--log=rikki::access=info"];
    let server = Process::start(&[&trusted[..], &JSON, &[&folder.path("")]].concat());
    let request = "GET /rest HTTP/1.1\r\nHost: localhost\r\n";
    ask(
        &crate::running::address(&server),
        &format!("PROXY TCP4 192.0.2.7 192.0.2.1 9 80\r\n{request}\r\n{request}Connection: close\r\n\r\n"),
    );
    let [first, second] = [0, 1].map(|_| next(&server, "answered"));
    assert_eq!((&first["peer"], &second["peer"]), (&"192.0.2.7:9".into(), &"192.0.2.7:9".into()));
    assert_eq!((&first["id"], &first["request"], &second["request"]), (&second["id"], &1.into(), &2.into()));
}

/// Fields of spans are kept as they were written first.
#[test]
fn a_span_from_before_a_reload() {
    let folder = Folder::new();
    let settings = |format: &str| {
        let root = folder.path("");
        let listen = "listen = [\"http://127.0.0.1:0\"]";
        let text = format!("{listen}\nroot = {root:?}\nlog = \"info,rikki::ws=debug\"\nlog-format = \"{format}\"\n");
        folder.write("rikki.toml", text)
    };
    let file = settings("text");
    let server = Process::start(&["--config", &file]);
    let address = address(&server);
    let reload = |format: &str| {
        settings(format);
        server.signal("HUP");
        while !server.report().contains("the settings have been reloaded") {}
    };
    let end = |mut socket: TcpStream| {
        echo(&mut socket, 1, b"hi");
        send(&mut socket, 8, &[0x03, 0xe8]);
        server.report()
    };
    let mut early = upgraded(&address, "/websocket", "");
    echo(&mut early, 1, b"hi");
    reload("json");
    let line = end(early);
    let value: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let (span, id) = (&value["spans"][0], &value["fields"]["id"]);
    assert_eq!((&value["message"], &span["name"]), (&"closed".into(), &"websocket".into()));
    let fields = span["fields"].as_str().unwrap();
    assert!(fields.starts_with(&format!("id={id} peer=127.0.0.1:")) && fields.ends_with(" path=/websocket"), "{line}");

    let mut early = upgraded(&address, "/websocket", "");
    echo(&mut early, 1, b"hi");
    reload("text");
    let line = end(early);
    assert!(line.contains("websocket{\"id\":") && line.contains("closed id="), "{line}");
}

#[test]
fn the_format_is_that_of_flags_variables_and_a_file_that_is_read_again() {
    let folder = Folder::new();
    let settings = |format: &str| {
        let root = folder.path("");
        let text = format!("listen = [\"http://127.0.0.1:0\"]\nroot = {root:?}\naccess-log = true\n{format}");
        folder.write("rikki.toml", text)
    };
    let file = settings("log-format = \"json\"\n");
    let server = Process::start(&["--config", &file]);
    let address = address(&server);
    ask(&address, "GET /rest HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(next(&server, "answered")["status"], 200);
    settings("");
    server.signal("HUP");
    let line = server.report();
    assert!(line.contains("INFO rikki::server: the settings have been reloaded"), "{line}");
    ask(&address, "GET /rest HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let line = server.report();
    assert!(line.contains("INFO rikki::access: answered id=2 request=1 peer=127.0.0.1:"), "{line}");
    settings("log-format = \"json\"\n");
    server.signal("HUP");
    next(&server, "the settings have been reloaded");
    // One that there is not leaves everything as it is.
    settings("log-format = \"xml\"\n");
    server.signal("HUP");
    let line = parsed(&server.report());
    assert!(line["level"] == "ERROR" && line["message"].as_str().unwrap().contains("log-format"), "{line}");

    // What the command says itself is of the format too.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", taken.local_addr().unwrap());
    let variables = [("RIKKI_LOG_FORMAT", "json"), ("RIKKI_NONE_SUCH", "1")];
    let ended = Process::start_with_variables(&["--listen", &url, &folder.path("")], &variables).end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let lines: Vec<_> = ended.stderr.lines().map(parsed).collect();
    let said = |level: &str, part: &str| {
        let is = |line: &Value| line["level"] == level && line["message"].as_str().unwrap().contains(part);
        assert!(lines.iter().any(is), "{level} {part}: {lines:?}");
    };
    said("WARN", "unknown variable RIKKI_NONE_SUCH");
    said("ERROR", "the port is taken");
}
