//! Why a port cannot be had, with a whole command line that can be copied.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use rikki::{ListenUrl, StartError};

use crate::Failure;
use crate::args::{PORT, word};
use crate::settings::Settings;

/// How many ports above the one that is taken are tried.
const TRIED: u16 = 100;

/// How flags with a place begin that have it in the same word, the longer first.
const JOINED: [&str; 6] = ["--listen=", "--port=", "-p=", "-p", "-qp=", "-qp"];

/// Why the server does not start, and what to type instead where that helps.
pub(crate) fn not_started(error: StartError, settings: &Settings, line: impl IntoIterator<Item = OsString>) -> Failure {
    let StartError::Bind { address, ref source } = error else { return error.into() };
    let (told, first) = match (source.kind(), address.port()) {
        (ErrorKind::AddrInUse, port) => (error.to_string(), port.saturating_add(1)),
        // What people know them by.
        (ErrorKind::PermissionDenied, 80) => (privileged(&error), 8080),
        (ErrorKind::PermissionDenied, 443) => (privileged(&error), 8443),
        (ErrorKind::PermissionDenied, 1..1024) => (privileged(&error), PORT),
        _ => return error.into(),
    };
    if settings.redirect_http == Some(address.port()) {
        return Failure::Runtime(format!("{told} with --redirect-http=PORT"));
    }
    match free(address, first) {
        Some(port) => {
            let line = with_port(line, &settings.listen_elsewhere, address.port(), port);
            Failure::Advice { told: format!("{told}; this would do:"), line }
        }
        None => Failure::Runtime(told),
    }
}

/// Ports that are not for everybody, and how to have one all the same.
fn privileged(error: &StartError) -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| "rikki".into());
    format!(
        "{error}; ports below 1024 are for root: let this program have them (sudo setcap cap_net_bind_service=+ep {}), \
         let systemd listen there and pass the socket (--listen fd:NAME), or choose a higher one",
        quoted(program.as_os_str())
    )
}

/// A port on the same address that nobody has at the moment.
fn free(address: SocketAddr, first: u16) -> Option<u16> {
    let last = first.saturating_add(TRIED);
    (first..=last).find(|port| TcpListener::bind((address.ip(), *port)).is_ok())
}

/// The command line with another port, as a shell takes it. URLs that are listened on by the word of a variable or a file
/// have to be in it then.
fn with_port(line: impl IntoIterator<Item = OsString>, elsewhere: &[String], taken: u16, port: u16) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut is_said = false;
    let mut line = line.into_iter();
    // Flags end there.
    let mut end = None;
    while let Some(word) = line.next() {
        let text = word.to_string_lossy().into_owned();
        if end.is_none() && text == "--" {
            end = Some(words.len());
        }
        words.push(quoted(&word));
        if end.is_some() {
            continue;
        }
        if ["--listen", "-url", "--port", "-p", "-qp"].contains(&&*text)
            && let Some(value) = line.next()
        {
            let changed = replaced(&value.to_string_lossy(), taken, port).filter(|_| !is_said);
            is_said |= changed.is_some();
            words.push(changed.map_or_else(|| quoted(&value), |changed| quoted(OsStr::new(&changed))));
            continue;
        }
        let joined = JOINED.into_iter().find_map(|flag| Some((flag, text.strip_prefix(flag)?)));
        if let Some((flag, value)) = joined
            && let Some(changed) = replaced(value, taken, port).filter(|_| !is_said)
        {
            is_said = true;
            words.pop();
            words.push(quoted(OsStr::new(&format!("{flag}{changed}"))));
        }
    }
    let more: Vec<_> = match (is_said, elsewhere) {
        (true, _) => Vec::new(),
        (false, []) => vec![format!("--port {port}")],
        (false, urls) => {
            let urls = urls.iter().map(|url| replaced(url, taken, port).unwrap_or_else(|| url.clone()));
            urls.map(|url| format!("--listen {}", quoted(OsStr::new(&url)))).collect()
        }
    };
    let end = end.unwrap_or(words.len());
    words.splice(end..end, more);
    words.join(" ")
}

/// A place with another port, if it has the one that is taken.
fn replaced(place: &str, taken: u16, port: u16) -> Option<String> {
    if let Some((scheme, rest)) = place.split_once("://") {
        let url: ListenUrl = place.parse().ok()?;
        let (authority, path) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len()))?;
        let host = authority.strip_suffix(&format!(":{taken}")).unwrap_or(authority);
        return (url.port() == Some(taken)).then(|| format!("{scheme}://{host}:{port}{path}"));
    }
    let before = place.strip_suffix(&taken.to_string())?;
    (before.is_empty() || before.ends_with(':')).then(|| format!("{before}{port}"))
}

/// A word as a shell takes it.
fn quoted(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/=,+@%".contains(&byte);
    match text.is_empty() || text.starts_with('~') || !text.bytes().all(is_plain) {
        true => format!("'{}'", text.replace('\'', "'\\''")),
        false => text.into_owned(),
    }
}

/// What to type in the place of a folder that is not there.
pub(crate) fn no_folder(root: &str, error: &std::io::Error) -> Option<String> {
    let ours = word(root).filter(|_| error.kind() == ErrorKind::NotFound)?;
    Some(format!("there is no folder {root}: write {ours}"))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::args::{self, Request};

    #[test]
    fn a_line_to_copy() {
        let check = |line: &str, expected: &str| {
            let actual = with_port(line.split(' ').map(Into::into), &[], 8000, 8001);
            assert_eq!(actual, expected, "{line}");
        };
        check("rikki", "rikki --port 8001");
        check("target/debug/rikki www", "target/debug/rikki www --port 8001");
        check("rikki -p 8000 www", "rikki -p 8001 www");
        check("rikki -p8000", "rikki -p8001");
        check("rikki --port=8000 --lan", "rikki --port=8001 --lan");
        check("rikki --listen 8000", "rikki --listen 8001");
        check("rikki --listen :8000", "rikki --listen :8001");
        check("rikki --listen 1 --listen=[::1]:8000", "rikki --listen 1 '--listen=[::1]:8001'");
        check("rikki -url ws://localhost:8000/websocket", "rikki -url ws://localhost:8001/websocket");
        check(
            "rikki --listen http://a:1 --listen http://localhost:1",
            "rikki --listen http://a:1 --listen http://localhost:1 --port 8001",
        );
        check("rikki --listen 18000", "rikki --listen 18000 --port 8001");
        check("rikki --listen 0.0.0.0", "rikki --listen 0.0.0.0 --port 8001");
        check("rikki --mount /a=it's;x", "rikki --mount '/a=it'\\''s;x' --port 8001");
        check("rikki *", "rikki '*' --port 8001");
        check("rikki ~", "rikki '~' --port 8001");
        check("rikki -- -a", "rikki --port 8001 -- -a");
        check("rikki -p 8000 -- --port", "rikki -p 8001 -- --port");
        check("rikki -qp 8000", "rikki -qp 8001");
        check("rikki -qp8000 www", "rikki -qp8001 www");
        check("rikki -p=8000", "rikki -p=8001");
        let elsewhere = ["http://localhost:1".to_owned(), "http://0.0.0.0:8000".to_owned()];
        let actual = with_port(["rikki".into(), "--config=f".into()], &elsewhere, 8000, 8001);
        assert_eq!(actual, "rikki --config=f --listen http://localhost:1 --listen http://0.0.0.0:8001");
        assert_eq!(replaced("http://0.0.0.0", 80, 8080).as_deref(), Some("http://0.0.0.0:8080"));
        assert_eq!(replaced("https://[::]", 443, 8443).as_deref(), Some("https://[::]:8443"));
    }

    #[test]
    fn ports_that_cannot_be_had() {
        let check = |flags: &[&str], port: u16, kind: ErrorKind, told: &[&str], expected: Option<&str>| {
            let settings = match args::parse(["rikki"].iter().chain(flags).map(Into::into)) {
                Ok(Request::Run(args)) => Settings::from_args(*args).unwrap(),
                other => panic!("{other:?}"),
            };
            let error = StartError::Bind { address: ([127, 0, 0, 1], port).into(), source: io::Error::from(kind) };
            let line = ["rikki".into()].into_iter().chain(flags.iter().map(OsString::from));
            let failure = not_started(error, &settings, line);
            // The port above may be somebody's.
            let begins = failure.line().map(|line| line.rsplit_once(' ').unwrap().0.to_owned());
            assert_eq!(begins.as_deref(), expected, "{flags:?}");
            let (code, lines) = failure.lines();
            assert!(code == 1 && told.iter().all(|told| lines[0].contains(told)), "{lines:?}");
        };
        let how = ["setcap cap_net_bind_service=+ep ", "systemd", "or choose a higher one; this would do:"];
        check(&["-p", "80"], 80, ErrorKind::PermissionDenied, &how, Some("rikki -p"));
        check(&["--lan", "--port", "81"], 81, ErrorKind::PermissionDenied, &how, Some("rikki --lan --port"));
        check(&[], 8000, ErrorKind::AddrInUse, &["the port is taken", "; this would do:"], Some("rikki --port"));
        check(&[], 8000, ErrorKind::AddrNotAvailable, &["cannot listen on 127.0.0.1:8000: "], None);
        // That of the other flag.
        let redirect = ["--tls-self-signed", "--redirect-http"];
        let with = "or choose a higher one with --redirect-http=PORT";
        check(&redirect, 80, ErrorKind::PermissionDenied, &["setcap", with], None);
        check(&redirect, 80, ErrorKind::AddrInUse, &["choose another one with --redirect-http=PORT"], None);
    }
}
