//! How other servers spell what is asked for: answered with our spelling.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

use super::UsageError;
use crate::config::meant;

/// Flags of other servers, and what to write here.
const OURS: &[(&[&str], &str)] = &[
    (&["--ssl", "--tls", "--https", "-S"], "--tls-self-signed, or --cert FILE with --key FILE"),
    (&["--ssl-cert", "--sslcert", "--tls-cert", "-C"], "--cert FILE"),
    (&["--ssl-key", "--sslkey", "--tls-key", "-K"], "--key FILE"),
    (
        &["--host", "--bind", "--address", "--addr", "--interfaces", "-a", "-b", "-i", "-H"],
        "--listen HOST:PORT, or --lan for phones",
    ),
    (&["-l"], "--listen PLACE, or --port N"),
    (
        &["--directory", "--dir", "--root", "--staticdir", "--folder", "-d", "-r"],
        "the folder alone, as in rikki FOLDER",
    ),
    (&["--verbose", "--debug", "-v"], "--log debug, or --show-messages"),
    (&["--silent", "--no-request-logging", "--log-none", "-s", "-L"], "--quiet"),
    (&["--open", "--browser", "-o"], "nothing: no browser is opened, the first lines say what to open"),
    (&["--qrcode", "--qr"], "--lan, which shows a QR code"),
    (&["--enable-cors", "--allow-cors"], "--cors, or --dev for pages of localhost"),
    (&["--single", "--render-spa"], "--spa"),
    (
        &["--browse", "--listing", "--render-index", "--index"],
        "nothing: folders are listed, unless --no-listing is given",
    ),
    (&["--no-index", "--disable-indexing", "--no-dir-list"], "--no-listing"),
    (&["--dotfiles", "--show-hidden"], "--hidden"),
    (&["--symlinks", "--follow-links"], "--follow-symlinks"),
    (
        &["--gzip", "--compress", "--brotli", "-g"],
        "nothing: files are compressed, unless --no-file-compression is given",
    ),
    (&["--cache", "--max-age-seconds", "-c"], "--cache-control VALUE, as in max-age=60"),
    (&["--404", "--not-found"], "--error-page FILE"),
    (&["--origin", "--allowed-origins", "--sameorigin"], "--allow-origin URL"),
    (&["--ws", "--ws-path", "--path", "--endpoint", "-w"], "--websocket PATH"),
    (&["--proxy", "-P"], "--trust CIDR, for a proxy in front; nothing is passed on to other servers"),
    (
        &["--watch", "--reload", "--livereload"],
        "--dev, with which files are asked for anew each time; no page is reloaded",
    ),
    (
        &["--auth", "--username", "--password", "--basic-auth"],
        "nothing of the kind for files; --topic-jwt-key FILE for topics",
    ),
    (&["--upload", "--allow-upload", "-u"], "nothing: files are only read here"),
    (&["--threads", "--jobs", "-t", "-j"], "--workers N"),
    (&["--log-file", "--access-log-file"], "--access-log, and send stderr to a file"),
    (&["--metrics", "--prometheus", "--status", "--health", "--healthz", "--stats"], "--admin PLACE"),
    (&["--domain", "--letsencrypt", "--lets-encrypt", "--auto-tls"], "--acme NAME"),
];

/// Commands that other programs have, and what to write here.
const COMMANDS: &[(&[&str], &str)] = &[
    (&["serve", "server", "start", "run", "file-server", "http"], "rikki [OPTIONS] [ROOT]"),
    (&["help"], "rikki --help"),
    (&["version"], "rikki --version"),
    (&["ws", "client", "wscat", "open"], "rikki connect URL"),
    (&["status", "stats", "metrics"], "rikki admin COMMAND"),
    (&["ping", "healthcheck", "ready"], "rikki health URL"),
];

/// What clap says of a command line, with what may have been meant.
pub(super) fn explain(args: &[OsString], error: &Error, UsageError(told): UsageError) -> UsageError {
    let Some(ContextValue::String(found)) = error.get(ContextKind::InvalidArg) else { return UsageError(told) };
    if error.kind() != ErrorKind::UnknownArgument {
        return UsageError(told);
    }
    if let Some(ours) = flag(found) {
        return UsageError(format!("there is no {found} here: write {ours}"));
    }
    // Where a command or a URL stands for a folder, what follows is one too many.
    let first = args.get(1).and_then(|arg| arg.to_str()).filter(|first| !first.starts_with('-'));
    match first.and_then(word) {
        Some(ours) => UsageError(format!("{told}; write {ours}")),
        None => UsageError(told),
    }
}

/// What to write for a flag of another server.
fn flag(found: &str) -> Option<&'static str> {
    let found = found.split('=').next().unwrap_or_default();
    OURS.iter().find(|(theirs, _)| theirs.contains(&found)).map(|(_, ours)| *ours)
}

/// What to write for a word in the place of the folder, if no folder is likely to be meant.
pub(crate) fn word(root: &str) -> Option<String> {
    if let Some((scheme, rest)) = root.split_once("://") {
        return match scheme.to_ascii_lowercase().as_str() {
            "ws" | "wss" if !rest.is_empty() => {
                Some(format!("rikki connect {root} for a client, or rikki --listen {root}"))
            }
            "http" | "https" => Some(format!("rikki --listen {root}")),
            _ => None,
        };
    }
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok();
    if is_port(root) {
        return Some(format!("rikki --port {root}"));
    }
    if root.rsplit_once(':').is_some_and(|(host, port)| is_port(port) && !host.contains('/')) {
        return Some(format!("rikki --listen {root}"));
    }
    if let Some((_, ours)) = COMMANDS.iter().find(|(theirs, _)| theirs.contains(&root)) {
        return Some((*ours).to_owned());
    }
    match meant(root, ["connect", "check", "health", "admin"].into_iter())? {
        "health" => Some("rikki health URL".to_owned()),
        "admin" => Some("rikki admin COMMAND".to_owned()),
        "connect" => Some("rikki connect URL".to_owned()),
        other => Some(format!("rikki {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{command, parse};
    use super::*;

    /// What is answered is ours, and never something that we have ourselves.
    #[test]
    fn every_spelling_is_answered() {
        let command = command();
        let has = |flag: &str| {
            command.get_arguments().any(|arg| match flag.strip_prefix("--") {
                Some(name) => arg.get_long() == Some(name),
                None => arg.get_short() == flag.chars().nth(1),
            })
        };
        let mut count = 0;
        for (theirs, ours) in OURS {
            for word in ours.split([' ', ',']).filter(|word| word.starts_with("--")) {
                assert!(has(word), "{word}");
            }
            for flag in *theirs {
                count += 1;
                assert!(!has(flag), "{flag} is ours");
                for line in [&["rikki", flag][..], &["rikki", flag, "value"], &["rikki", "www", "-p", "1", flag]] {
                    let error = parse(line.iter().map(Into::into)).expect_err(flag).to_string();
                    assert_eq!(error, format!("there is no {flag} here: write {ours} (try --help)"), "{line:?}");
                }
            }
        }
        assert!(count > 60, "{count}");
    }

    #[test]
    fn what_follows_a_word_that_is_no_folder() {
        let check = |line: &str, expected: &str| {
            let error = parse(line.split(' ').map(Into::into)).expect_err(line).to_string();
            assert!(error.contains(expected) && !error.contains("as a value"), "{line}: {error}");
        };
        check("rikki conect ws://a", "unexpected argument 'ws://a' found; write rikki connect URL");
        check("rikki ws://a ws://b", "; write rikki connect ws://a for a client");
        check("rikki serve www", "; write rikki [OPTIONS] [ROOT]");
        check("rikki --nonsense", "unexpected argument '--nonsense' found (try --help)");
        check("rikki www more", "unexpected argument 'more' found (try --help)");
        check("rikki --ssl=yes", "there is no --ssl here: write --tls-self-signed");
    }

    #[test]
    fn words() {
        let check = |root: &str, expected: Option<&str>| assert_eq!(word(root).as_deref(), expected, "{root}");
        check("9000", Some("rikki --port 9000"));
        check("70000", None);
        check(":9000", Some("rikki --listen :9000"));
        check("0.0.0.0:80", Some("rikki --listen 0.0.0.0:80"));
        check("http://localhost:80", Some("rikki --listen http://localhost:80"));
        check("WS://a/b", Some("rikki connect WS://a/b for a client, or rikki --listen WS://a/b"));
        check("ftp://a", None);
        check("conect", Some("rikki connect URL"));
        check("chek", Some("rikki check"));
        check("help", Some("rikki --help"));
        check("www", None);
        check("./a:80", None);
        check("", None);
    }
}
