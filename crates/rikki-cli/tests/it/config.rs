//! Settings of a file and of variables, and `rikki check`.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use testkit::Certificate;

use crate::process::{Folder, Process};
use crate::running::{address, ask, stubborn_at};

/// What a command that ends by itself says.
fn run(args: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let ended = Process::start_with_variables(args, variables).end();
    (ended.code, ended.stdout, ended.stderr)
}

#[cfg(unix)]
#[test]
fn a_server_has_what_its_file_and_its_variables_say() {
    let folder = Folder::new();
    folder.write("a.txt", "of the root");
    folder.write("b.txt", "mounted");
    let text = format!(
        "root = {0:?}\nlisten = [\"http://127.0.0.1:0\"]\nmax-message = 16\nmax-head = \"64KiB\"\nheader = [\"x-a: 1\"]\n\
         [[mount]]\npath = \"/more\"\nfolder = {0:?}\nmax-open = 2\n[[topic]]\npath = \"/chat\"\npublish = true\n\
         [[endpoint]]\npath = \"/small\"\nmax-message = 4\n[[endpoint]]\npath = \"/other\"\nmax-fragments = 9\n",
        folder.path("")
    );
    let file = folder.write("rikki.toml", text);
    let variables = [("RIKKI_HEADER", "x-b: 2"), ("RIKKI_PORT", "tcp://10.0.0.1:8000"), ("RIKKI_WORKER", "2")];
    let server = Process::start_with_variables(&["--config", &file, "--max-head=1KiB"], &variables);
    let address = address(&server);
    assert_eq!(server.report(), "rikki: unknown variable RIKKI_WORKER, did you mean RIKKI_WORKERS?");
    let get = |target: &str, field: &str| {
        ask(&address, &format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{field}\r\n"))
    };
    let answer = get("/a.txt", "");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("of the root"), "{answer}");
    assert!(answer.contains("\r\nx-b: 2\r\n") && !answer.contains("x-a"), "a variable replaces a list: {answer}");
    assert!(get("/more/b.txt", "").ends_with("mounted"));
    assert!(get("/chat", "").starts_with("HTTP/1.1 200 "));
    let long = format!("x-long: {}\r\n", "x".repeat(2048));
    assert!(get("/a.txt", &long).starts_with("HTTP/1.1 431 "), "a flag counts before the file");
    // A binary message, masked with zeros, and the first bytes of the answer.
    let send = |path: &str, length: u8| {
        let mut socket = stubborn_at(&address, path);
        socket.write_all(&[&[0x82, 0x80 | length, 0, 0, 0, 0], vec![b'x'; length.into()].as_slice()].concat()).unwrap();
        let mut answer = [0; 4];
        socket.read_exact(&mut answer).unwrap();
        answer
    };
    let [high, low] = 1009_u16.to_be_bytes();
    let refused = |answer: [u8; 4]| answer[0] == 0x88 && answer[2..] == [high, low];
    assert!(refused(send("/websocket", 17)) && send("/websocket", 16) == [0x82, 16, b'x', b'x']);
    // Its own limit, and that of all which it has not set.
    assert!(refused(send("/small", 5)) && send("/small", 4) == [0x82, 4, b'x', b'x']);
    assert!(refused(send("/other", 17)) && send("/other", 16) == [0x82, 16, b'x', b'x']);
}

#[test]
fn a_file_in_the_folder_is_not_read_by_itself() {
    let folder = Folder::new();
    folder.write("rikki.toml", "nonsense");
    let (code, stdout, stderr) = run(&["check", &folder.path("")], &[]);
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), "the settings are good\n", ""));
}

#[test]
fn wrong_files_are_usage_errors_with_a_line_for_each_fault() {
    let folder = Folder::new();
    let file = folder.write("rikki.toml", "max-mesage = 1\n\nworkers = 0\n");
    let expected = format!(
        "rikki: RIKKI_SPA: expected true or false\n\
         rikki: {file}:1:1: unknown key \"max-mesage\", did you mean \"max-message\"?\n\
         rikki: {file}:3:11: workers: it must be above zero\n"
    );
    let spa = ("RIKKI_SPA", "yes");
    for command in [&["--config", &file][..], &["check", "--config", &file], &["check", "--print", "--config", &file]] {
        assert_eq!(run(command, &[spa]), (Some(2), String::new(), expected.clone()), "{command:?}");
    }
    assert_eq!(run(&["check"], &[spa, ("RIKKI_CONFIG", &file)]), (Some(2), String::new(), expected));
    for path in [folder.path("none.toml"), folder.path("")] {
        let (code, stdout, stderr) = run(&["--config", &path], &[]);
        let begin = format!("rikki: cannot read the settings in {path}: ");
        assert!(code == Some(2) && stdout.is_empty() && stderr.starts_with(&begin), "{stderr}");
    }
}

#[test]
fn a_check_opens_what_is_named_and_takes_no_port() {
    let folder = Folder::new();
    let Certificate { certificate, key } = Certificate::new(["localhost"]);
    let certificate = folder.write("server.crt", certificate);
    let key = folder.write("server.key", key);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", taken.local_addr().unwrap());
    let root = folder.path("");
    let good = ["check", "--listen", &url, "--cert", &certificate, "--key", &key, &root];
    assert_eq!(run(&good, &[]), (Some(0), "the settings are good\n".to_owned(), String::new()));

    let check = |args: &[&str], expected: &[&str]| {
        let (code, stdout, stderr) = run(&[&["check"], args].concat(), &[]);
        assert_eq!(
            (code, stdout.as_str(), stderr.lines().count()),
            (Some(2), "", expected.len()),
            "{args:?}: {stderr}"
        );
        for (line, part) in stderr.lines().zip(expected) {
            assert!(line.starts_with("rikki: ") && line.contains(part), "{part}: {line}");
        }
    };
    check(&["/no\u{1b}[2J"], &["/no\\u{1b}[2J: no such file or directory"]);
    check(&["--nonsense"], &["unexpected argument '--nonsense' found"]);
    check(&["--listen", "https://localhost"], &["needs --cert FILE and --key FILE"]);
    check(&["--listen", &url, "--cert", &certificate, "--key", &certificate, &root], &["server.crt"]);
    check(&["--topic", "/a", "--publish-key", &folder.path("no.key"), &root], &["no.key"]);
    let (no_url, missing) = ("a certificate needs an https or wss URL", folder.path("no.key"));
    check(
        &[
            "--tls-self-signed",
            "--listen=http://a",
            "--mount=/rest=.",
            "--topic=/a",
            "--topic=/a",
            "--publish-key",
            &missing,
            &root,
        ],
        &[no_url, "nothing can be mounted at /rest", "two topics cannot have the same path: /a", "no.key"],
    );
    check(&["--mount", "docs=.", &root], &["cannot serve files at docs: it must begin with a slash"]);
    let several =
        ["--listen=ftp://a", "--listen=http://a:b", "--mount=/a=/no/a", "--mount=/b=/no/b", "--allow-origin="];
    let more = ["--allow-host=a b", "--header=Content-Length: 1", "--subprotocol=a b", "/no/root"];
    check(
        &[&several[..], &more].concat(),
        &[
            "cannot listen on ftp://a: ",
            "cannot listen on http://a:b: ",
            "/no/root: ",
            "/no/a: ",
            "/no/b: ",
            "\"\" is no origin",
            "\"a b\" is not a host",
            "cannot add the header content-length: ",
            "\"a b\" is not a subprotocol name",
        ],
    );
}

#[test]
fn printed_settings_are_a_file_and_show_no_key() {
    let folder = Folder::new();
    let key = folder.write("topics.key", "a secret that is 32 bytes or more\n");
    let root = folder.path("");
    let args = ["check", "--print", "--topic=/chat", "--topic-jwt-key", &key, "--log=debug", &root];
    let (code, printed, stderr) = run(&args, &[("RIKKI_MAX_MESSAGE", "2MiB")]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{printed}");
    for line in [
        format!("root = {root:?}  # flag"),
        format!("topic-jwt-key = {key:?}  # flag"),
        "max-message = \"2MiB\"  # RIKKI_MAX_MESSAGE".to_owned(),
        "# max-head = \"16KiB\"  # default".to_owned(),
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line}\n{printed}");
    }
    assert!(!printed.contains("a secret"), "{printed}");
    let file = folder.write("rikki.toml", &printed);
    let (code, again, stderr) = run(&["check", "--print", "--config", &file], &[]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{again}");
    let settings = |text: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.rsplit_once("  # ")).map(|(setting, _)| setting.to_owned()).collect()
    };
    assert_eq!(settings(&again), settings(&printed));
    assert!(again.contains(&format!("root = {root:?}  # {file}:1\n")), "{again}");
}
