//! From checked settings to a running server.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rikki::topics::Topics;
use rikki::ws::Endpoint;
use rikki::{BadLimit, Bound, Listen, Server, ServerTls, StartError, TlsError, ws};

use crate::args::{CompressionMode, Deflate, EndpointArg, ListenArg, OverflowPolicy, UsageError};
use crate::settings::{Certificate, Settings, TlsSettings};
use crate::{Failure, folders, hints, log, print, reload, routes, topics};

/// What goes on where settings are read again.
pub(crate) struct Kept {
    topics: Topics,
    log: log::Filter,
    self_signed: SelfSigned,
}

/// A certificate that was made, and for which names.
type SelfSigned = Arc<Mutex<Option<(Vec<String>, ServerTls)>>>;

impl Kept {
    /// What there is before anything is started.
    pub(crate) fn new(settings: &Settings, log: log::Filter) -> Result<Self, Failure> {
        let topics = Topics::new(topics::config(&settings.topics)?);
        Ok(Self { topics, log, self_signed: SelfSigned::default() })
    }
}

/// Serves until SIGINT or SIGTERM; SIGHUP has the settings read again.
pub(crate) fn serve(settings: &Settings) -> Result<(), Failure> {
    let log = log::start(&settings.log).map_err(StartError::Runtime)?;
    let kept = Kept::new(settings, log.filter())?;
    let server = configure(settings, &kept)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Runtime)?;
    let served = runtime.block_on(async {
        let handle = server.start().await.map_err(|error| not_started(error, settings))?;
        let greeting = greeting(handle.bound(), settings);
        // Whoever has read the greeting may send a signal.
        let running = handle.run_reloading(move || reload::read_again(&kept));
        // On a thread of its own, since stdout may be a terminal that is stopped.
        let printing = thread::Builder::new().name("rikki-print".to_owned()).spawn(move || print(&greeting));
        drop(printing.map_err(StartError::Runtime)?);
        running.await.map_err(|error| Failure::Runtime(format!("cannot wait for signals: {error}")))
    });
    // Settings that are being read may hang.
    runtime.shutdown_background();
    served
}

/// Each reason that the server would have not to start, as far as that can be told without a socket: those of the
/// library one by one, since it stops at the first.
pub(crate) fn faults(settings: &Settings, kept: &Kept) -> Vec<String> {
    let mut faults: Vec<Failure> = Vec::new();
    let urls = settings.listen.iter().filter_map(|url| url.parse::<rikki::ListenUrl>().err());
    faults.extend(urls.map(Failure::from));
    let tls = settings.tls.as_ref().and_then(|tls| load(tls, &settings.listen, &kept.self_signed).err());
    faults.extend(tls);
    faults.extend(folders::root(settings).err());
    faults.extend(settings.files.mounts.iter().filter_map(|mount| folders::mounted(mount, settings).err()));
    let new = Server::new;
    let origins = settings.allow_origins.iter().map(|origin| new().allow_origin(origin));
    let hosts = settings.allow_hosts.iter().map(|host| new().allow_host(host));
    let headers = settings.files.headers.iter().map(|(name, value)| new().header(name, value));
    let protocols = settings.subprotocols.iter().map(|protocol| new().protocols([protocol]));
    let each = origins.chain(hosts).chain(headers).chain(protocols).filter_map(|server| server.check().err());
    faults.extend(each.map(Failure::from));
    // Where one of these is wrong, the whole would say so again.
    let whole = if faults.is_empty() { configure(settings, kept) } else { base(settings) };
    faults.extend(whole.and_then(|server| server.check().map_err(Failure::from)).err());
    let mut lines: Vec<String> = Vec::new();
    for fault in faults {
        let texts = match fault {
            Failure::Usage(UsageError(text)) | Failure::Runtime(text) => vec![text],
            Failure::Settings(texts) => texts,
        };
        lines.extend(texts);
    }
    lines.dedup();
    lines
}

/// A port that is taken may be that of either flag.
fn not_started(error: StartError, settings: &Settings) -> Failure {
    match &error {
        StartError::Bind { address, source }
            if source.kind() == ErrorKind::AddrInUse && settings.redirect_http == Some(address.port()) =>
        {
            Failure::Runtime(format!("{error} with --redirect-http=PORT"))
        }
        _ => error.into(),
    }
}

/// The server, with what goes on.
pub(crate) fn configure(settings: &Settings, kept: &Kept) -> Result<Server, Failure> {
    let root = folders::root(settings)?;
    // A page that is not found there is the built-in one.
    let mut test_page = root.clone().spa(false);
    let mut server = settings.proxies.apply(base(settings)?);
    for url in &settings.listen {
        let own = settings.listeners.iter().find(|listener| listener.url == *url);
        let listen = Listen::new(url);
        server = server.listen(match own {
            Some(ListenArg { limits, .. }) => limits.apply_to(listen)?,
            None => listen,
        });
    }
    if let Some(port) = settings.redirect_http {
        server = server.redirect_http(port);
    }
    if let Some(tls) = &settings.tls {
        let tls = load(tls, &settings.listen, &kept.self_signed)?;
        for secret in tls.secrets() {
            test_page = test_page.deny(secret)?;
        }
        server = server.tls(tls);
    }
    server = topics::add_to(server, &settings.topics, &kept.topics)?;
    let (filter, set_filter) = (settings.log.clone(), kept.log.clone());
    server = server.when_in_force(move || set_filter(&filter));
    folders::mount(server.mount("/", root).merge(routes::http(test_page, &settings.topics.all)), settings)
}

/// What there is without listeners, certificates, topics and files.
fn base(settings: &Settings) -> Result<Server, Failure> {
    let mut server = Server::new()
        .websocket_config(websockets(settings)?)
        .drain_code(ws::CloseCode(settings.limits.drain_code))
        .access_log(settings.access_log)
        .hints(hints::flag)
        .cors(settings.files.cors)
        .protocols(settings.subprotocols.iter().map(String::as_str));
    server = settings.deflate.limits.apply(settings.limits.given.apply(server));
    server = echo(server, routes::WEBSOCKET, settings);
    for EndpointArg { path, limits } in &settings.endpoints {
        // Then they have what their listener has.
        if limits.is_empty() {
            server = echo(server, path, settings);
            continue;
        }
        let config = limits.apply_to(limited(websockets(settings)?, settings)?)?;
        server = match settings.compat_echo {
            false => server.endpoint(path, Endpoint::new(routes::echo()).config(config)),
            true => server.endpoint(path, Endpoint::new(routes::compat_echo()).config(config)),
        };
    }
    for (name, value) in &settings.files.headers {
        server = server.header(name, value);
    }
    for origin in &settings.allow_origins {
        server = server.allow_origin(origin);
    }
    for host in &settings.allow_hosts {
        server = server.allow_host(host);
    }
    Ok(match settings.workers {
        Some(workers) => server.workers(workers),
        None => server,
    })
}

fn echo(server: Server, path: &str, settings: &Settings) -> Server {
    match settings.compat_echo {
        false => server.websocket(path, routes::echo()),
        true => server.websocket(path, routes::compat_echo()),
    }
}

fn websockets(settings: &Settings) -> Result<ws::Config, Failure> {
    let compression = compression(&settings.deflate).map_err(|error| UsageError(error.to_string()))?;
    Ok(ws::Config::default().compression(compression).overflow(overflow(settings.limits.overflow)))
}

/// With the limits of all WebSockets, which the server gives those that have no configuration of their own.
fn limited(config: ws::Config, settings: &Settings) -> Result<ws::Config, BadLimit> {
    let given = settings.limits.given.texts().chain(settings.deflate.limits.texts());
    let mut given = given.filter(|(limit, _)| ws::Config::limits().any(|of_websockets| of_websockets == *limit));
    given.try_fold(config, |config, (limit, text)| config.set(limit.name, text))
}

fn overflow(policy: OverflowPolicy) -> ws::Overflow {
    match policy {
        OverflowPolicy::Pause => ws::Overflow::Pause,
        OverflowPolicy::Close => ws::Overflow::Close,
        OverflowPolicy::DropNewest => ws::Overflow::DropNewest,
        OverflowPolicy::DropOldest => ws::Overflow::DropOldest,
    }
}

fn compression(deflate: &Deflate) -> Result<Option<ws::Compression>, ws::OutOfRange> {
    let base = match deflate.compression {
        CompressionMode::Shared => ws::Compression::shared(),
        CompressionMode::Dedicated => ws::Compression::dedicated(),
        CompressionMode::Off => return Ok(None),
    };
    base.level(deflate.level)?.window_bits(deflate.window)?.memory_level(deflate.memory_level).map(Some)
}

fn load(tls: &TlsSettings, listen: &[String], made: &SelfSigned) -> Result<ServerTls, Failure> {
    let acme = tls.acme.settings(|name| std::env::var_os(name))?;
    let loaded = match &tls.certificate {
        Some(Certificate::Files((certificate, key), others)) => {
            let first = ServerTls::pem_files(certificate, key)?;
            Some(others.iter().try_fold(first, |loaded, (certificate, key)| loaded.and_pem_files(certificate, key))?)
        }
        Some(Certificate::SelfSigned) => Some(self_signed(certificate_names(listen), made)?),
        None => None,
    };
    let loaded = match (loaded, acme) {
        (Some(loaded), Some(acme)) => loaded.and_acme(acme)?,
        (None, Some(acme)) => ServerTls::acme(acme)?,
        (Some(loaded), None) => loaded,
        (None, None) => return Err(UsageError("there is no certificate".to_owned()).into()),
    };
    Ok(match &tls.client_ca {
        Some(ca) => loaded.client_ca(ca)?,
        None => loaded,
    })
}

/// One that was made before stays, since browsers have been told to trust it.
fn self_signed(names: Vec<String>, made: &SelfSigned) -> Result<ServerTls, TlsError> {
    let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, tls)) = made.as_ref().filter(|(known, _)| *known == names) {
        return Ok(tls.clone());
    }
    let tls = ServerTls::self_signed(&names)?;
    *made = Some((names, tls.clone()));
    Ok(tls)
}

/// The names of this machine that a development certificate is for: loopback's, and the hosts that are listened on.
fn certificate_names(listen: &[String]) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let hosts = listen.iter().filter_map(|url| url.parse::<rikki::ListenUrl>().ok()?.host());
    for host in hosts {
        if !names.contains(&host) {
            names.push(host);
        }
    }
    names
}

/// What is printed when the server listens: the tutorial's line, and the URLs to open.
fn greeting(bound: &[Bound], settings: &Settings) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for bound in bound {
        let (websocket, http) = if bound.is_tls() { ("wss", "https") } else { ("ws", "http") };
        let root = ("/", &settings.root);
        let mounts = settings.files.mounts.iter().map(|mount| (mount.path.as_str(), &mount.folder));
        if bound.is_redirect() {
            let _ = writeln!(text, "Redirecting http://{bound} to https");
            continue;
        }
        if let Some(path) = bound.path() {
            // No browser opens it.
            let _ = writeln!(text, "Starting WS listener on unix:{}", path.display());
            continue;
        }
        let _ = writeln!(text, "Starting WS listener on {websocket}://{bound}/websocket");
        let _ = writeln!(text, "  {http}://{bound}/test.html  try the WebSocket");
        let _ = writeln!(text, "  {http}://{bound}/rest       a JSON answer");
        for EndpointArg { path, .. } in &settings.endpoints {
            let _ = writeln!(text, "  {websocket}://{bound}{path:<10}  a WebSocket too");
        }
        for topic in &settings.topics.all {
            let kind = if topic.path.ends_with('*') { "topics" } else { "topic" };
            let post = if settings.topics.can_publish(topic) { ", POST" } else { "" };
            let _ = writeln!(text, "  {http}://{bound}{:<10}  {kind}: WebSocket, SSE{post}", topic.path);
        }
        if !settings.topics.all.is_empty() {
            let _ = writeln!(text, "  {websocket}://{bound}{}  topics, for clients of Centrifugo", topics::CENTRIFUGO);
        }
        for (path, folder) in mounts.chain([root]) {
            let path = format!("{}/", path.trim_end_matches('/'));
            let _ = writeln!(text, "  {http}://{bound}{path:<10}  files in {}", folder.display());
        }
    }
    text
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::BadUrl { .. }
            | StartError::NoCertificate { .. }
            | StartError::Limit(_)
            | StartError::DrainCode(_)
            | StartError::Mount { .. }
            | StartError::Route { .. }
            | StartError::Header { .. }
            | StartError::Origin(_)
            | StartError::Host(_)
            | StartError::Subprotocol(_) => Self::Usage(UsageError(error.to_string())),
            _ => Self::Runtime(hints::start_error(&error)),
        }
    }
}

impl From<BadLimit> for Failure {
    fn from(error: BadLimit) -> Self {
        Self::Usage(UsageError(error.to_string()))
    }
}

impl From<TlsError> for Failure {
    fn from(error: TlsError) -> Self {
        match error {
            TlsError::Acme { .. } => Self::Usage(UsageError(error.to_string())),
            _ => Self::Runtime(error.to_string()),
        }
    }
}
