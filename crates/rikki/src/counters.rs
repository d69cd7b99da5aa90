//! What a server counts: how much there is of everything, and what was refused for which reason.

use std::sync::Arc;

use rikki_limits::Count;

/// What a server has counted since it started, at one moment.
///
/// Each is exact; two of them may have been read at slightly different moments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Counters {
    /// Connections accepted, those that were refused then included.
    pub accepted: u64,
    /// Connections open now, WebSockets included.
    pub connections: u64,
    /// WebSockets open now.
    pub websockets: u64,
    /// Connections answered with 503, or cut, beyond [`max_connections`](crate::Server::max_connections).
    pub refused_connections: u64,
    /// Connections answered with 429, or cut, beyond
    /// [`max_connections_per_address`](crate::Server::max_connections_per_address).
    pub refused_addresses: u64,
    /// Connections closed since they did not begin with a good header of the PROXY protocol, or came from somebody who is
    /// not [trusted](crate::Server::trust) to send one.
    pub refused_proxy_headers: u64,
    /// Connections cut since they came from other networks than those that are [answered](crate::Server::allow_peer).
    pub refused_peers: u64,
    /// Requests over HTTP/2 answered with 503 since the memory for its streams was used up.
    pub refused_streams: u64,
    /// Connections that idled between requests and gave their place to others, where there were
    /// [`max_connections`](crate::Server::max_connections).
    pub replaced_idle: u64,
    /// Requests answered with 429, beyond [`max_request_rate`](crate::Server::max_request_rate).
    pub refused_requests: u64,
    /// Requests answered with 400, 414 or 431 since their head cannot be read, is too large, or may be read differently
    /// by others.
    pub refused_heads: u64,
    /// Requests refused for their Host.
    pub refused_hosts: u64,
    /// Changes of the files of a certificate, or of the authorities of clients, that were not taken over since what is
    /// in the files cannot be used.
    pub refused_certificates: u64,
    /// Changes of such files that were taken over.
    pub swapped_certificates: u64,
    /// Settings that were [taken over](crate::Handle::reload) while the server ran.
    pub reloads: u64,
    /// Settings that were not, since something in them is wrong.
    pub refused_reloads: u64,
    /// Certificates that were issued by ACME and taken into use.
    pub issued_certificates: u64,
    /// Orders of certificates by ACME that failed; each is tried again.
    pub failed_orders: u64,
    /// Upgrades refused for their Origin.
    pub refused_origins: u64,
    /// Upgrades refused since they broke a rule of the opening handshake.
    pub refused_handshakes: u64,
    /// HTTP connections, streams and bodies given up since they moved too slowly.
    pub closed_slow: u64,
    /// WebSockets closed with 1002 or 1007 since their peer broke a rule.
    pub closed_violations: u64,
    /// WebSockets closed with 1008 or 1009 since a message went past a limit.
    pub closed_limits: u64,
    /// WebSockets closed with 1008 for sending faster than they may.
    pub closed_rates: u64,
    /// WebSockets closed with 1013 since there was no memory left to decompress or to hold a message.
    pub closed_memory: u64,
    /// WebSockets closed or cut since a deadline had passed.
    pub closed_timeouts: u64,
    /// WebSockets cut for not reading, by [`Overflow::Close`](crate::ws::Overflow::Close).
    pub closed_overflows: u64,
    /// WebSockets closed with 1011 since their handler, or the task that served them, panicked.
    pub closed_panics: u64,
    /// Tasks that served a WebSocket and ended with an error; it is closed with 1011, or 1013 where too much waited for
    /// its peer, if it is still open.
    pub closed_errors: u64,
    /// Messages dropped since their receiver did not read.
    pub dropped_messages: u64,
    /// Messages that had been accepted and were not written when their WebSocket ended: it broke, ran into a deadline
    /// or was cut, or its peer closed first.
    pub lost_messages: u64,
    /// Bytes that wait now to be written to WebSockets.
    pub queued_bytes: u64,
}

/// What a server counts of its connections and requests; of its WebSockets that is with them.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) accepted: Count,
    pub(crate) refused_connections: Count,
    pub(crate) refused_addresses: Count,
    pub(crate) refused_proxy_headers: Count,
    pub(crate) refused_peers: Count,
    pub(crate) refused_streams: Count,
    pub(crate) replaced_idle: Count,
    pub(crate) refused_requests: Count,
    pub(crate) refused_heads: Count,
    pub(crate) refused_hosts: Count,
    pub(crate) refused_certificates: Count,
    pub(crate) swapped_certificates: Count,
    pub(crate) reloads: Count,
    pub(crate) refused_reloads: Count,
    pub(crate) issued_certificates: Count,
    pub(crate) failed_orders: Count,
    pub(crate) closed_slow: Arc<Count>,
    /// Connections open now, by transport.
    pub(crate) open: ByTransport,
    #[cfg(feature = "tls")]
    pub(crate) handshakes: TlsCounts,
}

/// What a connection comes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Tls,
    Unix,
}

#[cfg(feature = "admin")]
impl Transport {
    pub(crate) const ALL: [(Self, &'static str); 3] = [(Self::Tcp, "tcp"), (Self::Tls, "tls"), (Self::Unix, "unix")];
}

/// A number for each transport.
#[derive(Debug, Default)]
pub(crate) struct ByTransport {
    tcp: Count,
    tls: Count,
    unix: Count,
}

impl ByTransport {
    pub(crate) fn of(&self, transport: Transport) -> &Count {
        match transport {
            Transport::Tcp => &self.tcp,
            Transport::Tls => &self.tls,
            Transport::Unix => &self.unix,
        }
    }
}

/// How handshakes of TLS have ended.
#[cfg(feature = "tls")]
#[derive(Debug, Default)]
pub(crate) struct TlsCounts {
    pub(crate) tls12: Count,
    pub(crate) tls13: Count,
    /// The client took too long.
    pub(crate) timeout: Count,
    /// It went away, or the connection broke.
    pub(crate) gone: Count,
    /// It does not speak TLS, or not the one that is spoken here.
    pub(crate) no_tls: Count,
    pub(crate) incompatible: Count,
    /// It has shown no certificate, or one that is not good.
    pub(crate) client_certificate: Count,
    /// It has said why it goes away, such as for a certificate that it does not trust.
    pub(crate) alert: Count,
    pub(crate) other: Count,
}

#[cfg(feature = "tls")]
impl TlsCounts {
    /// Those that failed, by reason.
    #[cfg(feature = "admin")]
    pub(crate) fn failed(&self) -> [(&'static str, &Count); 7] {
        [
            ("timeout", &self.timeout),
            ("gone", &self.gone),
            ("no-tls", &self.no_tls),
            ("incompatible", &self.incompatible),
            ("client-certificate", &self.client_certificate),
            ("alert", &self.alert),
            ("other", &self.other),
        ]
    }
}
