//! From checked settings to a running server.

use std::io::{self, IsTerminal as _};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use rikki::admin::{Admin, Warnings};
use rikki::topics::Topics;
use rikki::ws::Endpoint;
use rikki::{BadLimit, Files, Listen, Server, ServerTls, StartError, TlsError, ws};
use tokio::sync::watch;

use crate::args::{CompressionMode, Deflate, EndpointArg, ListenArg, OverflowPolicy, SelfSigned, UsageError};
use crate::banner::Facts;
use crate::inside::Inside;
use crate::lines::Shown;
use crate::network::Network;
use crate::passed::Passed;
use crate::settings::{Certificate, Requests, Settings, TlsSettings};
use crate::topics::CENTRIFUGO;
use crate::{
    Failure, advice, banner, folders, follow, hints, inside, json_lines, log, origin, print, reload, routes, topics,
};

/// What goes on where settings are read again.
pub(crate) struct Kept {
    topics: Topics,
    log: log::Filter,
    shown: Arc<Shown>,
    warnings: Warnings,
    self_signed: Made,
    /// Where one can look inside, and with what.
    inside: OnceLock<(Option<String>, Option<Admin>)>,
    /// The settings that are in force.
    settings: watch::Sender<Option<Arc<Settings>>>,
}

/// A certificate that was made, for which names and where.
type Made = Arc<Mutex<Option<(Vec<String>, SelfSigned, ServerTls)>>>;

impl Kept {
    /// What there is before anything is started.
    pub(crate) fn new(topics: Topics, log: log::Filter, shown: Arc<Shown>, warnings: Warnings) -> Self {
        let (self_signed, inside, settings) = Default::default();
        Self { topics, log, shown, warnings, self_signed, inside, settings }
    }

    /// The server with these settings, which are those in force when it goes by them.
    pub(crate) fn server(self: &Arc<Self>, settings: Arc<Settings>) -> Result<Server, Failure> {
        let (server, kept) = (configure(&settings, self)?, self.clone());
        Ok(server.when_in_force(move || {
            kept.look_by(&settings);
            _ = kept.settings.send_replace(Some(settings));
        }))
    }

    /// One can look inside from now on.
    pub(crate) fn is_looked_at(&self, place: Option<String>, admin: Option<Admin>) {
        let _ = self.inside.set((place, admin));
    }

    /// Lets those look inside whom other settings let.
    fn look_by(&self, settings: &Settings) {
        if let Some((_, Some(admin))) = self.inside.get() {
            admin.allow_hosts(&settings.allow_hosts);
        }
        if let Some(what) = self.needs_restart(settings) {
            tracing::warn!(target: "rikki::settings", "this takes a restart: {what}");
        }
    }

    /// What of the settings is not taken over while the server runs, beside what the library says.
    pub(crate) fn needs_restart(&self, settings: &Settings) -> Option<String> {
        let (place, _) = self.inside.get()?;
        (*place != settings.admin).then(|| match &settings.admin {
            Some(place) => format!("to be looked into at {place}"),
            None => "not to be looked into any more".to_owned(),
        })
    }

    /// The latest warnings of the log.
    pub(crate) fn warnings(&self) -> &Warnings {
        &self.warnings
    }

    /// Lets other lines into the log, until settings are read again.
    pub(crate) fn set_log(&self, filter: &str) {
        (self.log)(filter);
    }

    /// The settings that are in force, as they change.
    pub(crate) fn in_force(&self) -> watch::Receiver<Option<Arc<Settings>>> {
        self.settings.subscribe()
    }

    /// The fingerprint of a certificate that was made.
    pub(crate) fn fingerprint(&self) -> Option<String> {
        let made = self.self_signed.lock().unwrap_or_else(PoisonError::into_inner);
        made.as_ref().and_then(|(_, _, tls)| tls.fingerprint().map(str::to_owned))
    }
}

/// Serves until SIGINT or SIGTERM; SIGHUP has the settings read again.
pub(crate) fn serve(settings: Settings, passed: Passed) -> Result<(), Failure> {
    let settings = Arc::new(settings);
    let log = log::start(&settings.log).map_err(StartError::Runtime)?;
    let config = topics::config(&settings.topics)?;
    #[cfg(feature = "nats")]
    let topics = settings.broker.topics(config)?;
    #[cfg(not(feature = "nats"))]
    let topics = Topics::new(config);
    let kept = Arc::new(Kept::new(topics, log.filter(), log.shown(), log.warnings()));
    // Before the server looks: what changes meanwhile is seen again. What cannot be found out is not told.
    let network = Network::now().unwrap_or_default();
    let server = passed.give_to(kept.server(settings.clone())?, &settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Runtime)?;
    let served = runtime.block_on(async {
        let inside = Inside::start(&settings, &server.monitor(), &kept).await?;
        let handle =
            server.start().await.map_err(|error| advice::not_started(error, &settings, std::env::args_os()))?;
        inside.iter().for_each(|inside| inside.command(&handle, &kept));
        let fingerprint = kept.fingerprint();
        let facts =
            Facts { bound: handle.bound(), network: &network, fingerprint: fingerprint.as_deref(), code: code() };
        let mut greeting = banner::greeting(&facts, &settings);
        for place in inside.iter().flat_map(Inside::places) {
            greeting += &format!("  {place} looks inside\n");
        }
        // Whoever has read the greeting may send a signal.
        let again = kept.clone();
        let running = handle.run_reloading(move || reload::read_again(&again));
        let following = follow::follow(handle.clone(), network, kept);
        tell(greeting).map_err(StartError::Runtime)?;
        let ended = tokio::select! {
            ended = running => ended.map_err(|error| Failure::Runtime(format!("cannot wait for signals: {error}"))),
            never = following => match never {},
        };
        if let Some(inside) = inside {
            inside.end().await;
        }
        ended
    });
    // Settings that are being read may hang.
    runtime.shutdown_background();
    served
}

/// Prints on a thread of its own, since stdout may be a terminal that is stopped.
pub(crate) fn tell(text: String) -> io::Result<()> {
    thread::Builder::new().name("rikki-print".to_owned()).spawn(move || print(&text)).map(drop)
}

/// Whether a QR code can be read from stdout, and has colours there.
pub(crate) fn code() -> Option<bool> {
    io::stdout().is_terminal().then(log::wants_colours)
}

/// Each reason that the server would have not to start, as far as that can be told without a socket: those of the
/// library one by one, since it stops at the first.
pub(crate) fn faults(settings: &Settings, kept: &Kept) -> Vec<String> {
    let mut faults: Vec<Failure> = Vec::new();
    let urls = settings.listen.iter().filter_map(|url| url.parse::<rikki::ListenUrl>().err());
    faults.extend(urls.map(Failure::from));
    let tls = settings.tls.as_ref().and_then(|tls| load(tls, settings, &kept.self_signed).err());
    faults.extend(tls);
    faults.extend(folders::root(settings).err());
    faults.extend(inside::fault(settings, kept));
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
            Failure::Usage(UsageError(text)) | Failure::Runtime(text) | Failure::Advice { told: text, .. } => {
                vec![text]
            }
            Failure::Settings(texts) => texts,
        };
        lines.extend(texts);
    }
    lines.dedup();
    lines
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
        let tls = load(tls, settings, &kept.self_signed)?;
        for secret in tls.secrets() {
            test_page = test_page.deny(secret)?;
        }
        server = server.tls(tls);
    }
    server = topics::add_to(server, &settings.topics, &kept.topics)?;
    if let Some(path) = &settings.websocket {
        server = echo(server, path, &root, settings);
    }
    server = shown(server, settings, kept);
    let http = routes::http(test_page, &settings.topics.all, settings.websocket.as_deref(), settings.has_demo);
    folders::mount(server.mount("/", root).merge(http), settings)
}

/// Who is let in of the networks of this machine, where nobody else is.
fn on_lan(server: Server) -> Result<Server, Failure> {
    let network = Network::now().map_err(|error| {
        Failure::Runtime(format!("cannot find out the networks of this computer for --lan: {error}"))
    })?;
    let server = network.peers().fold(server.check_hosts(true), |server, peers| server.allow_peer(&peers));
    Ok(network.hosts().fold(server, |server, host| server.allow_host(&host)))
}

/// What is logged, and for whom, when these settings are in force.
fn shown(server: Server, settings: &Settings, kept: &Kept) -> Server {
    let (filter, set_filter, shown) = (settings.log.clone(), kept.log.clone(), kept.shown.clone());
    let topics = settings.topics.all.iter().map(|topic| topic.path.clone());
    let centrifugo = (!settings.topics.all.is_empty()).then(|| CENTRIFUGO.to_owned());
    let endpoints = settings.endpoints.iter().map(|endpoint| endpoint.path.clone());
    let websockets: Vec<_> =
        settings.websocket.iter().cloned().chain(endpoints).chain(topics).chain(centrifugo).collect();
    let (for_people, format) = (settings.requests != Requests::Fields, settings.log_format);
    let server = server.access_log(settings.requests != Requests::Nothing).message_log(settings.show_messages);
    server.when_in_force(move || {
        set_filter(&filter);
        json_lines::set_format(format);
        shown.set(for_people, websockets);
    })
}

/// What there is without listeners, certificates, topics and files.
fn base(settings: &Settings) -> Result<Server, Failure> {
    let mut server = Server::new()
        .websocket_config(websockets(settings)?)
        .drain_code(ws::CloseCode(settings.limits.drain_code))
        .hints(hints::flag)
        .cors(settings.files.cors)
        .protocols(settings.subprotocols.iter().map(String::as_str));
    server = settings.deflate.limits.apply(settings.limits.given.apply(server));
    for EndpointArg { path, limits } in &settings.endpoints {
        // Then they have what their listener has.
        if limits.is_empty() {
            server = match settings.compat_echo {
                false => server.websocket(path, routes::echo()),
                true => server.websocket(path, routes::compat_echo()),
            };
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
    if settings.lan {
        server = on_lan(server)?;
    }
    if settings.dev {
        server = server.allow_origin_if(origin::is_loopback).cors_if(origin::is_loopback);
    }
    Ok(match settings.workers {
        Some(workers) => server.workers(workers),
        None => server,
    })
}

fn echo(server: Server, path: &str, root: &Files, settings: &Settings) -> Server {
    match settings.compat_echo {
        false => routes::websocket(server, path, routes::echo(), root),
        true => routes::websocket(server, path, routes::compat_echo(), root),
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

fn load(tls: &TlsSettings, settings: &Settings, made: &Made) -> Result<ServerTls, Failure> {
    let acme = tls.acme.settings(|name| std::env::var_os(name))?;
    let loaded = match &tls.certificate {
        Some(Certificate::Files((certificate, key), others)) => {
            let first = ServerTls::pem_files(certificate, key)?;
            Some(others.iter().try_fold(first, |loaded, (certificate, key)| loaded.and_pem_files(certificate, key))?)
        }
        Some(Certificate::SelfSigned(kept)) => Some(self_signed(certificate_names(settings), kept, made)?),
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

/// One that was made before stays as long as it is for all names, since browsers have been told to trust it: a network
/// may have gone.
fn self_signed(names: Vec<String>, kept: &SelfSigned, made: &Made) -> Result<ServerTls, TlsError> {
    let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
    let is_for_all = |known: &[String]| names.iter().all(|name| known.contains(name));
    if let Some((_, _, tls)) = made.as_ref().filter(|(known, place, _)| place == kept && is_for_all(known)) {
        return Ok(tls.clone());
    }
    let tls = match kept {
        SelfSigned::InMemory => ServerTls::self_signed(&names)?,
        SelfSigned::Kept(folder) => ServerTls::self_signed_in(folder, &names)?,
    };
    *made = Some((names, kept.clone(), tls.clone()));
    Ok(tls)
}

/// The names of this machine that a development certificate is for: loopback's, the hosts that are listened on, and where
/// these are all that there are, what it is called in its networks.
fn certificate_names(settings: &Settings) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let urls: Vec<_> = settings.listen.iter().filter_map(|url| url.parse::<rikki::ListenUrl>().ok()).collect();
    // A star has none.
    let hosts = urls.iter().filter(|url| url.port().is_some()).map(rikki::ListenUrl::host);
    let (open, named): (Vec<_>, Vec<_>) =
        hosts.partition(|host| host.as_ref().is_none_or(|host| banner::is_every_address(host)));
    let network =
        if open.is_empty() && !settings.lan { Network::default() } else { Network::now().unwrap_or_default() };
    for host in named.into_iter().flatten().chain(network.certified()) {
        if !names.contains(&host) {
            names.push(host);
        }
    }
    names
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
            | StartError::Network { .. }
            | StartError::Subprotocol(_) => Self::Usage(UsageError(error.to_string())),
            _ => Self::Runtime(error.to_string()),
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
