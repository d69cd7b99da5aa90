//! The flags checked against each other: plain data that the library's builder is filled from.
//!
//! What the library reads itself (listen URLs, origins, host names, subprotocols) stays text here.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use rikki::Memory;

use crate::args::{
    AcmeArgs, Args, Deflate, EndpointArg, FileArgs, Limits, ListenArg, ProxyArgs, SelfSigned, TlsArgs, TopicArgs,
    UsageError,
};
use crate::json_lines::LogFormat;
use crate::routes;
use crate::topics::{CENTRIFUGO, TopicSettings};

/// What the server is to do.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Folder to serve.
    pub(crate) root: PathBuf,
    /// URLs to listen on, at least one.
    pub(crate) listen: Vec<String>,
    /// The same, where it is not the command line that says so.
    pub(crate) listen_elsewhere: Vec<String>,
    /// Those of them that have limits of their own.
    pub(crate) listeners: Vec<ListenArg>,
    /// How to serve `https` and `wss`; there is such a URL in `listen` if and only if this is `Some`.
    pub(crate) tls: Option<TlsSettings>,
    /// The port from which requests are sent on to TLS; there is a URL with TLS if this is `Some`.
    pub(crate) redirect_http: Option<u16>,
    /// Number of worker threads; `None` for one per core.
    pub(crate) workers: Option<usize>,
    /// Where to look inside, as a URL.
    pub(crate) admin: Option<String>,
    /// Whether nobody is answered but the networks of this machine.
    pub(crate) lan: bool,
    /// Whether pages of localhost may do what they like, and what happens is shown.
    pub(crate) dev: bool,
    /// Where the echo is, if it is anywhere.
    pub(crate) websocket: Option<String>,
    /// Whether there are a JSON answer and a test page.
    pub(crate) has_demo: bool,
    /// Host names to accept besides those of loopback.
    pub(crate) allow_hosts: Vec<String>,
    /// Who is believed what they say of others.
    pub(crate) proxies: ProxyArgs,
    /// Origins to accept besides the server's own.
    pub(crate) allow_origins: Vec<String>,
    /// Subprotocols to offer, best first.
    pub(crate) subprotocols: Vec<String>,
    /// Which topics there are; none has a path that the command answers itself.
    pub(crate) topics: TopicSettings,
    /// Where topics are the same on several nodes.
    #[cfg(feature = "nats")]
    pub(crate) broker: crate::broker::BrokerSettings,
    /// More WebSockets; none has a path that something else has.
    pub(crate) endpoints: Vec<EndpointArg>,
    /// Which files are served; no mount has a path that the command answers itself.
    pub(crate) files: FileArgs,
    /// How messages are compressed, if at all.
    pub(crate) deflate: Deflate,
    /// Whether every echo is text.
    pub(crate) compat_echo: bool,
    /// Sizes, counts and times.
    pub(crate) limits: Limits,
    /// A valid filter of `tracing_subscriber`.
    pub(crate) log: String,
    /// How its lines are written.
    pub(crate) log_format: LogFormat,
    /// What is shown of requests.
    pub(crate) requests: Requests,
    /// Whether each message of WebSockets is shown.
    pub(crate) show_messages: bool,
}

/// What is shown of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Requests {
    Nothing,
    /// A short line, for people.
    Lines,
    /// All that is known, for programs.
    Fields,
}

/// How to serve TLS.
#[derive(Debug, PartialEq)]
pub(crate) struct TlsSettings {
    /// `None` if there are only names that an authority issues certificates for.
    pub(crate) certificate: Option<Certificate>,
    /// These names, if there are any.
    pub(crate) acme: AcmeArgs,
    /// The authorities whose certificates clients must show, as a PEM file.
    pub(crate) client_ca: Option<PathBuf>,
}

/// Where the server's certificate comes from.
#[derive(Debug, PartialEq)]
pub(crate) enum Certificate {
    /// PEM files: certificates with their keys, the default one first.
    Files((PathBuf, PathBuf), Vec<(PathBuf, PathBuf)>),
    /// Made for the names of this machine.
    SelfSigned(SelfSigned),
}

impl Settings {
    /// How memory is split: by the flags where there are such, or else by `--memory`; for each folder, as far as it is
    /// for files.
    pub(crate) fn memory(&self) -> Memory {
        let (limits, files) = (&self.limits.given, &self.files.limits);
        let mut memory = limits.number("memory").map_or_else(Memory::of_this_process, Memory::of);
        let folders = 1 + self.files.mounts.len();
        memory.messages = limits.number("message-memory").unwrap_or(memory.messages);
        memory.queues = limits.number("queue-memory").unwrap_or(memory.queues);
        memory.compression = self.deflate.limits.number("deflate-memory").unwrap_or(memory.compression);
        memory.http2 = limits.number("http2-memory").unwrap_or(memory.http2);
        memory.reading = files.number("read-memory").unwrap_or(memory.reading / folders);
        memory.cache = files.number("file-cache").unwrap_or(memory.cache / folders);
        memory.compressions = files.number("max-compressions").unwrap_or((memory.compressions / folders).max(1));
        memory.connections = limits.number("max-connections").unwrap_or(memory.connections);
        memory
    }

    /// Checks what clap cannot: that a certificate is there exactly when it is needed, and what is mounted where.
    ///
    /// # Errors
    ///
    /// All that is wrong, with where what it names was set.
    pub(crate) fn from_args(mut args: Args) -> Result<Settings, Vec<UsageError>> {
        let origins = std::mem::take(&mut args.origins);
        let explained = |faults: Vec<_>| faults.into_iter().map(|fault| origins.explain(fault)).collect::<Vec<_>>();
        let mut settings = Self::checked(args).map_err(explained)?;
        if origins.has_elsewhere("listen") {
            settings.listen_elsewhere.clone_from(&settings.listen);
        }
        Ok(settings)
    }

    fn checked(args: Args) -> Result<Settings, Vec<UsageError>> {
        let mut faults = Vec::new();
        let redirect_http = args.tls.redirect_http;
        let tls = tls_settings(args.tls, &args.listen, &mut faults);
        let websocket = (!args.no_demo).then(|| args.websocket.unwrap_or_else(|| routes::WEBSOCKET.to_owned()));
        let own = routes::paths(websocket.as_deref(), !args.no_demo);
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        let has_topics = !(args.topics.topics.is_empty() && args.topics.broadcasts.is_empty());
        let is_taken =
            |path: &str| routes::paths(None, true).iter().any(|own| own == path) || has_topics && path == CENTRIFUGO;
        if let Some(path) = websocket.as_deref().filter(|path| is_taken(path)) {
            faults.push(UsageError(format!("--websocket cannot be {path}, which has its answer: take another path")));
        }
        let show_messages = args.show_messages || (args.dev && !args.quiet);
        judge_paths(&own, &args.topics, &args.endpoints, &args.files, &mut faults);
        #[cfg(feature = "nats")]
        let broker = crate::broker::BrokerSettings::judged(args.broker, &mut faults);
        let topics = match TopicSettings::from_args(args.topics, &own) {
            Ok(topics) if faults.is_empty() => topics,
            Ok(_) => return Err(faults),
            Err(more) => {
                faults.extend(more);
                return Err(faults);
            }
        };
        Ok(Settings {
            root: args.root,
            topics,
            #[cfg(feature = "nats")]
            broker,
            endpoints: args.endpoints,
            files: args.files,
            tls,
            listen: args.listen,
            listen_elsewhere: Vec::new(),
            listeners: args.listeners,
            redirect_http,
            admin: args.admin,
            lan: args.lan,
            dev: args.dev,
            has_demo: !args.no_demo,
            websocket,
            workers: args.workers,
            allow_hosts: args.allow_hosts,
            proxies: args.proxies,
            allow_origins: args.allow_origins,
            subprotocols: args.subprotocols,
            deflate: args.deflate,
            compat_echo: args.compat_echo,
            limits: args.limits,
            // What is asked for is shown, whatever else is logged.
            log: if show_messages { format!("{},rikki::messages=info", args.log) } else { args.log },
            log_format: args.log_format,
            requests: match () {
                () if args.access_log => Requests::Fields,
                () if !args.quiet && (args.dev || std::io::stderr().is_terminal()) => Requests::Lines,
                () => Requests::Nothing,
            },
            show_messages,
        })
    }
}

/// How TLS is served, and what of that is at odds with where is listened.
fn tls_settings(tls: TlsArgs, listen: &[String], faults: &mut Vec<UsageError>) -> Option<TlsSettings> {
    let (certificates, keys) = (tls.cert.len(), tls.key.len());
    if certificates != keys {
        faults.push(UsageError(format!(
            "each certificate needs its key: --cert is given {certificates} times, --key {keys} times"
        )));
    }
    let mut pairs = tls.cert.into_iter().zip(tls.key);
    let certificate = match pairs.next() {
        Some(first) => Some(Certificate::Files(first, pairs.collect())),
        None => tls.self_signed.map(Certificate::SelfSigned),
    };
    let secure = listen.iter().find(|url| is_secure(url));
    if secure.is_none() && tls.redirect_http.is_some() {
        let why = "--redirect-http needs an https or wss URL, as in --listen https://0.0.0.0";
        faults.push(UsageError(why.to_owned()));
    }
    let has_certificate = certificate.is_some() || !tls.acme.names.is_empty();
    match (secure, has_certificate) {
        (Some(url), false) => faults
            .push(UsageError(format!("{url} needs --cert FILE and --key FILE, or --acme NAME, or --tls-self-signed"))),
        // Refused, for whoever gives a certificate takes the server to be encrypted.
        (None, true) => faults
            .push(UsageError("a certificate needs an https or wss URL, as in --listen https://localhost:8443".into())),
        _ => {}
    }
    has_certificate.then_some(TlsSettings { certificate, acme: tls.acme, client_ca: tls.ca })
}

/// Endpoints and mounts that are where something else is: the command's `own`, or each other.
fn judge_paths(
    own: &[&str],
    topics: &TopicArgs,
    endpoints: &[EndpointArg],
    files: &FileArgs,
    faults: &mut Vec<UsageError>,
) {
    let paths = topics.topics.iter().chain(&topics.broadcasts).map(|topic| topic.path.as_str());
    let mut paths: Vec<&str> = paths.map(|path| path.trim_end_matches("/*")).collect();
    if !paths.is_empty() {
        paths.push(CENTRIFUGO);
    }
    for EndpointArg { path, .. } in endpoints {
        if own.contains(&path.as_str()) || paths.contains(&path.as_str()) {
            faults.push(UsageError(format!("no endpoint can be at {path}, which has its answer: take another path")));
        }
        paths.push(path);
    }
    for mount in &files.mounts {
        let path = mount.path.trim_end_matches('/');
        if path.is_empty() || own.contains(&path) || paths.contains(&path) {
            let shown = if path.is_empty() { "/" } else { path };
            faults.push(UsageError(format!(
                "nothing can be mounted at {shown}, which has its answer: take another path"
            )));
        }
    }
}

/// Schemes are compared without case ([RFC 3986](https://www.rfc-editor.org/rfc/rfc3986#section-3.1)).
pub(crate) fn is_secure(url: &str) -> bool {
    if let Some(passed) = url.strip_prefix("fd:") {
        return passed.ends_with(",tls");
    }
    url.split_once("://").is_some_and(|(scheme, _)| ["https", "wss"].iter().any(|tls| scheme.eq_ignore_ascii_case(tls)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{self, Request};

    #[test]
    fn one_number_for_memory_and_flags_beside_it() {
        let memory = |flags: &[&str]| match args::parse(["rikki"].iter().chain(flags).map(Into::into)) {
            Ok(Request::Run(args)) => Settings::from_args(*args).unwrap().memory(),
            other => panic!("{flags:?}: {other:?}"),
        };
        let split = Memory::of(256 << 20);
        assert_eq!(memory(&["--memory", "256MiB"]), split);
        let some = memory(&["--memory", "256MiB", "--queue-memory=1MiB", "--mount=/a=a", "--file-cache=0"]);
        assert_eq!((some.queues, some.messages, some.cache), (1 << 20, split.messages, 0));
        assert_eq!((some.reading, some.compressions), (split.reading / 2, split.compressions / 2));
        assert_eq!(memory(&["--max-connections", "5"]).connections, 5);
    }

    #[test]
    fn keys_of_topics_are_not_shown() {
        let file = std::env::temp_dir().join(format!("rikki-settings-{}.key", std::process::id()));
        std::fs::write(&file, "a secret that is 32 bytes or more\n").unwrap();
        let flag = |name: &str| [name.into(), file.clone().into_os_string()];
        let line = [["rikki".into(), "--topic=/chat".into()], flag("--topic-jwt-key")].concat();
        let settings = match args::parse(line) {
            Ok(Request::Run(args)) => Settings::from_args(*args).unwrap(),
            other => panic!("{other:?}"),
        };
        let _ = std::fs::remove_file(&file);
        let shown = format!("{settings:?}");
        assert!(shown.contains("jwt_key: Some(Secret") && !shown.contains("a secret"), "{shown}");
        // Neither as numbers.
        assert!(!shown.contains("97, 32, 115"), "{shown}");
    }

    #[test]
    fn mounts_leave_the_commands_own_paths_alone() {
        let check = |mount: &str, refused: Option<&str>| {
            let args = match args::parse(["rikki", "--topic=/chat", "--mount", mount].map(Into::into)) {
                Ok(Request::Run(args)) => *args,
                other => panic!("{mount}: {other:?}"),
            };
            let expected = refused
                .map(|path| format!("nothing can be mounted at {path}, which has its answer: take another path"));
            let actual = Settings::from_args(args).err();
            assert_eq!(actual, expected.map(|text| vec![UsageError(text)]), "{mount}");
        };
        check("/docs=a", None);
        check("/rest/more=a", None);
        check("/=a", Some("/"));
        check("/rest=a", Some("/rest"));
        check("/rest/=a", Some("/rest"));
        check("/websocket=a", Some("/websocket"));
        check("/test.html=a", Some("/test.html"));
        check("/chat/=a", Some("/chat"));
    }

    #[test]
    fn the_echo_is_where_nothing_else_is() {
        let check = |line: &str, refused: Option<&str>| {
            let args = match args::parse(line.split(' ').map(Into::into)) {
                Ok(Request::Run(args)) => *args,
                other => panic!("{line}: {other:?}"),
            };
            let actual = Settings::from_args(args).err().map(|faults| faults[0].0.clone());
            assert_eq!(actual.as_deref(), refused, "{line}");
        };
        check("rikki --websocket /", None);
        check("rikki --websocket /connection/websocket", None);
        let taken = "--websocket cannot be /connection/websocket, which has its answer: take another path";
        check("rikki --websocket /connection/websocket --topic /a", Some(taken));
        check("rikki --websocket /connection/websocket --broadcast /a", Some(taken));
        let taken = "--websocket cannot be /rest, which has its answer: take another path";
        check("rikki --websocket /rest", Some(taken));
        check(
            "rikki --websocket /a --topic /a",
            Some("no topic can be at /a, which has its answer: take another path"),
        );
    }

    #[test]
    fn certificates_go_with_secure_urls() {
        let check = |line: &str, expected: Result<Option<Certificate>, &str>| {
            let args = match args::parse(line.split(' ').map(Into::into)) {
                Ok(Request::Run(args)) => *args,
                other => panic!("{line}: {other:?}"),
            };
            let actual = Settings::from_args(args).map(|settings| settings.tls.and_then(|tls| tls.certificate));
            assert_eq!(actual, expected.map_err(|text| vec![UsageError(text.to_owned())]), "{line}");
        };
        let files = || Certificate::Files(("c".into(), "k".into()), Vec::new());
        let no_url = "a certificate needs an https or wss URL, as in --listen https://localhost:8443";
        let no_certificate = "wss://a needs --cert FILE and --key FILE, or --acme NAME, or --tls-self-signed";

        check("rikki", Ok(None));
        check("rikki --listen ws://a", Ok(None));
        check("rikki --listen wss://a --cert c --key k", Ok(Some(files())));
        check("rikki --listen ws://a --listen HTTPS://a --cert c --key k --ca ca", Ok(Some(files())));
        let two = Certificate::Files(("c".into(), "k".into()), vec![("d".into(), "l".into())]);
        check("rikki --listen wss://a --cert c --cert d --key k --key l", Ok(Some(two)));
        let uneven = "each certificate needs its key: --cert is given 2 times, --key 1 times";
        check("rikki -url wss://a -cert c -key k -cert d", Err(uneven));
        check("rikki -url wss://a --tls-self-signed", Ok(Some(Certificate::SelfSigned(SelfSigned::InMemory))));
        let kept = Certificate::SelfSigned(SelfSigned::Kept("certs".into()));
        check("rikki --tls-self-signed=certs", Ok(Some(kept)));
        check("rikki --listen http://b --listen wss://a", Err(no_certificate));
        check("rikki --redirect-http -url wss://a -cert c -key k", Ok(Some(files())));
        let nowhere = "--redirect-http needs an https or wss URL, as in --listen https://0.0.0.0";
        check("rikki --redirect-http=8080 --listen http://a", Err(nowhere));
        check("rikki -url wss://a --acme a.test", Ok(None));
        check("rikki -url wss://a --acme a.test --acme b.test --cert c --key k --ca ca", Ok(Some(files())));
        check("rikki --listen fd:web,tls --cert c --key k", Ok(Some(files())));
        check("rikki --listen fd:web --cert c --key k", Err(no_url));
        check("rikki --acme a.test", Err(no_url));
        check("rikki --tls-self-signed --listen http://a", Err(no_url));
        check("rikki --listen ws://wss:1 --cert c --key k", Err(no_url));
    }
}
