//! What is printed when the server listens: the tutorial's line, what to open, and who else can.

use std::fmt::Write as _;

use rikki::Bound;

use crate::args::EndpointArg;
use crate::network::{Network, shown};
use crate::qr;
use crate::settings::Settings;
use crate::topics;

/// How many addresses are told of.
const MOST: usize = 8;

/// What there is to tell beside the settings.
pub(crate) struct Facts<'a> {
    pub(crate) bound: &'a [Bound],
    pub(crate) network: &'a Network,
    /// That of the certificate for development.
    pub(crate) fingerprint: Option<&'a str>,
    /// Whether a code is shown, and in colours.
    pub(crate) code: Option<bool>,
}

/// All of it.
pub(crate) fn greeting(facts: &Facts<'_>, settings: &Settings) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for bound in facts.bound {
        match bound.path() {
            // No browser opens it.
            Some(path) => _ = writeln!(text, "Starting WS listener on unix:{}", path.display()),
            None if bound.host().is_none() => _ = writeln!(text, "Starting WS listener on {bound}"),
            None if bound.is_redirect() => _ = writeln!(text, "Redirecting http://{} to https", authority(bound)),
            None => of_listener(&mut text, bound, settings),
        }
    }
    text + &others(facts, settings)
}

/// Host and port as this machine finds them.
fn authority(bound: &Bound) -> String {
    match (bound.host().as_deref(), bound.port()) {
        (Some("*"), Some(port)) => format!("localhost:{port}"),
        _ => bound.to_string(),
    }
}

fn schemes(bound: &Bound) -> (&'static str, &'static str) {
    if bound.is_tls() { ("wss", "https") } else { ("ws", "http") }
}

fn of_listener(text: &mut String, bound: &Bound, settings: &Settings) {
    let ((websocket, http), here) = (schemes(bound), authority(bound));
    let _ = match &settings.websocket {
        Some(path) => writeln!(text, "Starting WS listener on {websocket}://{here}{path}"),
        None => writeln!(text, "Starting listener on {http}://{here}"),
    };
    if settings.has_demo {
        let _ = writeln!(text, "  {http}://{here}/test.html  try the WebSocket");
        let _ = writeln!(text, "  {http}://{here}/rest       a JSON answer");
    }
    for EndpointArg { path, .. } in &settings.endpoints {
        let _ = writeln!(text, "  {websocket}://{here}{path:<10}  a WebSocket too");
    }
    for topic in &settings.topics.all {
        let kind = if topic.path.ends_with('*') { "topics" } else { "topic" };
        let post = if settings.topics.can_publish(topic) { ", POST" } else { "" };
        let _ = writeln!(text, "  {http}://{here}{:<10}  {kind}: WebSocket, SSE{post}", topic.path);
    }
    if !settings.topics.all.is_empty() {
        let _ = writeln!(text, "  {websocket}://{here}{}  topics, for clients of Centrifugo", topics::CENTRIFUGO);
    }
    let mounts = settings.files.mounts.iter().map(|mount| (mount.path.as_str(), &mount.folder));
    for (path, folder) in mounts.chain([("/", &settings.root)]) {
        let path = format!("{}/", path.trim_end_matches('/'));
        let _ = writeln!(text, "  {http}://{here}{path:<10}  files in {}", folder.display());
    }
}

/// Whoever else can connect, and how, with the fingerprint of what they are shown.
pub(crate) fn others(facts: &Facts<'_>, settings: &Settings) -> String {
    let mut text = String::new();
    of_others(&mut text, facts, settings);
    if let Some(fingerprint) = facts.fingerprint {
        let _ = writeln!(text, "  the certificate is self-signed; its SHA-256 is\n  {fingerprint}");
    }
    text
}

fn of_others(text: &mut String, facts: &Facts<'_>, settings: &Settings) {
    let Facts { bound, network, code, .. } = facts;
    let mut listeners = bound.iter().filter(|bound| !bound.is_redirect());
    if listeners.clone().all(is_loopback) {
        let how = if settings.lan { "--listen names no other address" } else { "--lan lets phones in" };
        let _ = writeln!(text, "  only this computer can connect: {how}");
        return;
    }
    let Some(open) = listeners.find(|bound| is_open(bound)) else { return };
    let ((websocket, http), port) = (schemes(open), open.port().unwrap_or_default());
    let whom = if settings.lan { "on the same network" } else { "who can reach this computer" };
    let path = settings.websocket.as_deref();
    let line = |host: &str| match path {
        Some(path) => format!("  {http}://{host}:{port}/  {websocket}://{host}:{port}{path}"),
        None => format!("  {http}://{host}:{port}/"),
    };
    let addresses: Vec<_> = network.reachable().filter(|address| is_served(open, address.ip.is_ipv6())).collect();
    if addresses.is_empty() {
        let _ = writeln!(text, "for others {whom}: this computer has no address in a network now");
        return;
    }
    let _ = writeln!(text, "for others {whom}:");
    for address in addresses.iter().take(MOST) {
        let _ = writeln!(text, "{}  {}", line(&shown(address.ip)), address.interface);
    }
    if addresses.len() > MOST {
        let _ = writeln!(text, "  and {} more addresses", addresses.len() - MOST);
    }
    if let Some(name) = network.names.iter().find(|name| name.ends_with(".local")) {
        let _ = writeln!(text, "{}  where names of mDNS are known", line(name));
    }
    let first = addresses.first().filter(|_| settings.lan);
    if let (Some(address), Some(with_colours)) = (first, code) {
        *text += &qr::render(&format!("{http}://{}:{port}/", shown(address.ip)), *with_colours).unwrap_or_default();
    }
}

/// Whether nobody but this computer can connect to it.
fn is_loopback(bound: &Bound) -> bool {
    let host = bound.host().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host.is_empty() || host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Whether it has all addresses.
pub(crate) fn is_open(bound: &Bound) -> bool {
    bound.host().is_some_and(|host| is_every_address(&host))
}

/// Whether a host stands for all addresses, as it is listened on.
pub(crate) fn is_every_address(host: &str) -> bool {
    ["*", "0.0.0.0", "[::]", "::"].contains(&host)
}

/// One of IPv4 alone has no addresses of IPv6.
fn is_served(bound: &Bound, is_v6: bool) -> bool {
    !is_v6 || bound.host().as_deref() != Some("0.0.0.0")
}
