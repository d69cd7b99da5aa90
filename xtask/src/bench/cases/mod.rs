//! What is compared, and which servers can take part.

mod table;

use std::time::Duration;

use super::counts::Counted;
use super::goals::Goal;
use super::server::Peer;

pub(super) use table::{BROADCAST, CASES, WATCHED};

#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) mode: Mode,
    /// The load generator's options.
    pub(super) load: &'static [&'static str],
    pub(super) tls: bool,
    /// With permessage-deflate.
    pub(super) deflate: bool,
    /// Whether instructions and system calls are counted too, and over how many messages.
    pub(super) counted: Counted,
    /// rikki's workers, if it is to share all cores with the load; otherwise it has one, on a core of its own.
    pub(super) beside: Option<&'static str>,
    pub(super) goals: &'static [Goal],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Echo,
    /// The same of the command with an admin listener.
    Watched,
    Push,
    /// The same through a topic.
    Topic,
    /// The same through a topic of the command.
    Broadcast,
    Http,
    /// The example of a chat, beside the same on axum.
    Chat,
    /// That of a ticker.
    Ticker,
    Connect,
    /// Handshakes of TLS, each with a request behind it.
    Handshake,
    Idle,
    /// From the start of the process to its first answer. There is no load.
    Start,
    /// The size of the program.
    Size,
}

/// When the files were changed last: a billion seconds after 1970.
pub(super) const CHANGED: Duration = Duration::from_secs(1_000_000_000);
const UNCHANGED: &str = "if-modified-since: Sun, 09 Sep 2001 01:46:40 GMT";

/// Where the topic of the command is.
pub(super) const BROADCAST_PATH: &str = "/topic";

/// The server that has files and no WebSockets.
pub(super) const FILE_SERVER: &str = "tower-http";

/// The one that has `/rest` and nothing else: the limit of what is built on hyper.
pub(super) const HYPER: &str = "hyper";

/// rikki without topics: a list of `Sender`s that are given what was prepared once.
pub(super) const SENDERS: &str = "rikki-push";

/// The same list, with a message for each of them.
pub(super) const SENDERS_EACH: &str = "rikki-push --each";

/// The library that has subscriptions, and the only one that compresses.
const PUBSUB: &str = "sockudo-ws";

/// The files that are served, and their sizes.
pub(super) const FILES: [(&str, usize); 2] = [("1k.txt", 1024), ("10m.txt", 10 * 1024 * 1024)];

impl Mode {
    /// As the load generator calls it, if there is a load.
    pub(super) fn word(self) -> Option<&'static str> {
        match self {
            Self::Echo | Self::Watched => Some("echo"),
            Self::Push | Self::Topic | Self::Broadcast => Some("push"),
            Self::Http => Some("http"),
            Self::Chat => Some("chat"),
            Self::Ticker => Some("ticker"),
            Self::Connect => Some("connect"),
            Self::Handshake => Some("handshake"),
            Self::Idle => Some("idle"),
            Self::Start | Self::Size => None,
        }
    }

    /// Whether what one sends comes to all.
    pub(super) fn is_to_all(self) -> bool {
        matches!(self, Self::Push | Self::Topic | Self::Broadcast)
    }

    /// Whether it is about messages on connections that are open, and not about opening them.
    pub(super) fn is_talk(self) -> bool {
        !matches!(self, Self::Connect | Self::Handshake)
    }

    /// Whether the rounds differ by noise, so that one of them is not enough.
    pub(super) fn is_timed(self) -> bool {
        !matches!(self, Self::Idle | Self::Size)
    }
}

impl Case {
    /// Whether `peer` can take part.
    pub(super) fn takes(&self, peer: Peer) -> bool {
        match (self.mode, peer) {
            (_, Peer::Rikki) => true,
            // How many workers others have is their own affair.
            _ if self.beside.is_some() => false,
            (Mode::Http, Peer::Library(HYPER)) => self.load.contains(&"/rest"),
            (Mode::Http, Peer::Nginx { keeps_files }) => keeps_files || !self.load.contains(&"/rest"),
            (Mode::Http, _) => peer == Peer::Library(FILE_SERVER),
            (Mode::Handshake, _) => matches!(peer, Peer::Nginx { keeps_files: true } | Peer::Library(HYPER)),
            // Applications: what others would look like nobody has written.
            (Mode::Chat | Mode::Ticker, _) => peer == Peer::Library("axum"),
            (Mode::Start | Mode::Size | Mode::Broadcast | Mode::Watched, _) => false,
            (_, Peer::Nginx { .. } | Peer::Library(FILE_SERVER | HYPER)) => false,
            (Mode::Topic, Peer::Library(name)) => name == PUBSUB && !self.deflate,
            (Mode::Topic, Peer::Senders { each }) => !each || self.deflate,
            (_, Peer::Senders { .. }) => false,
            (Mode::Topic, _) => peer == Peer::Uws,
            // It answers no upgrade, and the others' echoes are given without TLS.
            (_, Peer::Tcp) => self.mode == Mode::Echo && !self.tls && !self.deflate,
            (_, Peer::Lws) => self.mode != Mode::Push && !self.tls && !self.deflate,
            (_, Peer::Uws) => self.mode != Mode::Push && !self.tls,
            (_, Peer::Node) => matches!(self.mode, Mode::Echo | Mode::Push) && !self.tls,
            (_, Peer::Library(name)) => !self.deflate || name == PUBSUB,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own() {
        let mut names: Vec<_> = CASES.iter().map(|case| case.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CASES.len());
    }

    #[test]
    fn who_is_to_be_as_fast_as_another_case_comes_after_it() {
        for (index, case) in CASES.iter().enumerate() {
            for goal in case.goals {
                if let Goal::AsFastAs(other) = goal {
                    assert!(CASES[..index].iter().any(|case| case.name == *other), "{}: {other}", case.name);
                }
            }
        }
    }

    #[test]
    fn knows_who_can_take_part() {
        let check = |name: &str, peer, expected| {
            let case = CASES.iter().find(|case| case.name == name).unwrap();
            assert_eq!(case.takes(peer), expected, "{name}: {peer:?}");
        };
        check("echo-20", Peer::Tcp, true);
        check("tls-echo-20", Peer::Tcp, false);
        check("tls-echo-20", Peer::Node, false);
        check("deflate", Peer::Library("axum"), false);
        check("deflate", Peer::Library("sockudo-ws"), true);
        check("deflate", Peer::Tcp, false);
        check("push", Peer::Library("axum"), true);
        check("push", Peer::Uws, false);
        check("push", Peer::Senders { each: false }, false);
        check("topic", Peer::Uws, true);
        check("topic", Peer::Node, false);
        check("topic", Peer::Library("axum"), false);
        check("topic", Peer::Library("sockudo-ws"), true);
        check("topic", Peer::Senders { each: false }, true);
        check("topic", Peer::Senders { each: true }, false);
        check("topic-deflate", Peer::Senders { each: true }, true);
        check("topic-deflate", Peer::Library("sockudo-ws"), false);
        check("chat", Peer::Library("axum"), true);
        check("ticker", Peer::Library("tokio-tungstenite"), false);
        check("echo-1m", Peer::Lws, true);
        check("deflate", Peer::Lws, false);
        check("http-rest", Peer::Nginx { keeps_files: true }, true);
        check("http-rest", Peer::Nginx { keeps_files: false }, false);
        check("http-file-1k", Peer::Nginx { keeps_files: false }, true);
        check("http-rest", Peer::Library(HYPER), true);
        check("http-file-1k", Peer::Library(HYPER), false);
        check("tls-handshake", Peer::Library(HYPER), true);
        check("tls-handshake", Peer::Nginx { keeps_files: true }, true);
        check("tls-handshake", Peer::Library("axum"), false);
        check("echo-20-workers-2", Peer::Rikki, true);
        check("echo-20-workers-2", Peer::Uws, false);
        check("http-rest", Peer::Node, false);
        check("http-rest", Peer::Library(FILE_SERVER), true);
        check("http-rest", Peer::Library("axum"), false);
        check("echo-20", Peer::Nginx { keeps_files: true }, false);
        check("echo-20", Peer::Library(FILE_SERVER), false);
        check("size", Peer::Rikki, true);
        check("size", Peer::Library("axum"), false);
    }
}
