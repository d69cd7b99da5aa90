//! Who is let in: by which address, by which name, and from which pages.

use std::sync::Arc;

use super::{Server, StartError};
use crate::http::Readers;
use crate::net::Networks;

impl Server {
    /// Lets pages of another origin open WebSockets: `https://app.example:8443`, `null`, or `*` for all.
    ///
    /// What devices and applications send, such as `file://` or a URL with a path, is any other text: it is compared
    /// byte for byte. One that no header field can have is an error of [`start`](Self::start).
    ///
    /// Without it a page has to come from the host and port that it connects to; clients that send no origin are let
    /// in.
    pub fn allow_origin(mut self, origin: &str) -> Self {
        if let Err(error) = self.origins.allow_origin(origin) {
            self.note(error.into());
        }
        self
    }

    /// Lets pages of those origins open WebSockets that `judge` takes: it is given the field `Origin` as it was sent, such
    /// as `https://app.example:8443` or `null`. May be repeated, and beside [`allow_origin`](Self::allow_origin).
    ///
    /// It runs in each handshake that has such a field, on the thread that serves the connection. Compare whole origins:
    /// `https://app.example.evil.test` begins as `https://app.example` does.
    pub fn allow_origin_if(mut self, judge: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.origins.allow_origin_if(judge);
        self
    }

    /// Lets a loopback listener be asked for by another name, such as that of a reverse proxy; `*` for all.
    ///
    /// Without it only `localhost`, names below it and loopback addresses are answered, whatever the port: a foreign
    /// name that resolves to 127.0.0.1 would let a web page reach the server (DNS rebinding). Other listeners answer to
    /// every name, unless [`check_hosts`](Self::check_hosts) says otherwise.
    pub fn allow_host(mut self, name: &str) -> Self {
        if let Err(error) = self.guard.allow_host(name) {
            self.note(error.into());
        }
        self
    }

    /// Judges what a request is asked by, its Host, on every listener that has an address, and not on those of loopback
    /// alone; default not. For a network whose machines a web page of elsewhere must not reach, by a name that resolves to
    /// an address of it (DNS rebinding): name what the server is called there with [`allow_host`](Self::allow_host).
    pub fn check_hosts(mut self, everywhere: bool) -> Self {
        self.guard.is_everywhere = everywhere;
        self
    }

    /// Answers nobody but whoever connects from these networks, such as `192.168.1.0/24` or `fe80::/64`, or addresses;
    /// repeatable, default everybody. Whoever connects to a Unix socket is answered.
    ///
    /// Others are cut when they have connected, before TLS and HTTP, and counted in
    /// [`refused_peers`](crate::Counters::refused_peers). Addresses of loopback are like any others: name them too. Behind
    /// a proxy it is the proxy's address. What is no network is an error of [`start`](Self::start).
    pub fn allow_peer(mut self, network: &str) -> Self {
        let mut peers: Networks = self.http.peers.take().map(Arc::unwrap_or_clone).unwrap_or_default();
        if let Err(why) = peers.add(network) {
            self.note(StartError::Network { given: network.to_owned(), why });
        }
        self.http.peers = Some(Arc::new(peers));
        self
    }

    /// Lets pages of every origin read the answers to GET and HEAD, and ask for them with any header; default not.
    ///
    /// Answers have `Access-Control-Allow-Origin: *`, with which browsers send no cookies, and let pages see what tells
    /// of ranges and entity tags (`Access-Control-Expose-Headers`), unless they say that themselves; preflight requests
    /// are answered. WebSockets have [`allow_origin`](Self::allow_origin).
    pub fn cors(mut self, enabled: bool) -> Self {
        Arc::make_mut(&mut self.http.added).cors = enabled;
        self
    }

    /// Lets pages of those origins read all answers that `judge` takes, and send requests of any method with any header:
    /// it is given the field `Origin` as it was sent. Default none; beside [`cors`](Self::cors), which comes first for GET
    /// and HEAD.
    ///
    /// Answers name the origin in `Access-Control-Allow-Origin`, and say that they depend on it (`Vary`); browsers send
    /// no cookies with it. It runs for each request that has such a field, on the thread that serves the connection.
    pub fn cors_if(mut self, judge: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.http.added).readers = Some(Readers(Arc::new(judge)));
        self
    }
}
