//! What is compared, and which servers can take part.

use std::time::Duration;

use super::goals::{Goal, Rivals};
use super::samples::{BYTES, INSTRUCTIONS, MILLISECONDS};
use super::server::Peer;

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
    /// Whether instructions and system calls are counted too.
    pub(super) counted: bool,
    pub(super) goals: &'static [Goal],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Echo,
    Push,
    /// The same through a topic.
    Topic,
    Http,
    /// The example of a chat, beside the same on axum.
    Chat,
    /// That of a ticker.
    Ticker,
    Connect,
    Idle,
    /// From the start of the process to its first answer. There is no load.
    Start,
    /// The size of the program.
    Size,
}

const ECHO: Case =
    Case { name: "", title: "", mode: Mode::Echo, load: &[], tls: false, deflate: false, counted: false, goals: &[] };

pub(super) const CASES: &[Case] = &[
    Case {
        name: "echo-20",
        title: "Echo, 20 B, 100 connections, 1 in flight",
        load: &["--size", "20", "--connections", "100"],
        counted: true,
        goals: &[
            Goal::Faster(1.0, Rivals::Uws),
            Goal::Faster(1.0, Rivals::Libraries),
            Goal::OfTcp(1.05),
            Goal::AtMost(INSTRUCTIONS, 1000.0),
        ],
        ..ECHO
    },
    Case {
        name: "echo-20-many",
        title: "Echo, 20 B, 1,000 connections, 1 in flight",
        load: &["--size", "20", "--connections", "1000"],
        goals: &[Goal::Faster(1.0, Rivals::Uws), Goal::Faster(1.0, Rivals::Libraries), Goal::OfTcp(1.05)],
        ..ECHO
    },
    Case {
        name: "echo-20-pipelined",
        title: "Echo, 20 B, 100 connections, 16 in flight",
        load: &["--size", "20", "--connections", "100", "--inflight", "16"],
        counted: true,
        goals: &[Goal::Faster(1.1, Rivals::Uws), Goal::Faster(2.0, Rivals::Libraries)],
        ..ECHO
    },
    Case {
        name: "echo-16k",
        title: "Echo, 16 KiB, 20 connections, 1 in flight",
        load: &["--size", "16384", "--connections", "20"],
        goals: &[Goal::Faster(1.05, Rivals::All)],
        ..ECHO
    },
    Case {
        name: "echo-1m",
        title: "Echo, 1 MiB, 4 connections, 1 in flight",
        load: &["--size", "1048576", "--connections", "4"],
        goals: &[Goal::Faster(1.1, Rivals::All)],
        ..ECHO
    },
    Case {
        name: "tls-echo-20",
        title: "Echo over TLS, 20 B, 100 connections, 1 in flight",
        load: &["--size", "20", "--connections", "100"],
        tls: true,
        goals: &[Goal::Faster(1.2, Rivals::All)],
        ..ECHO
    },
    Case {
        name: "tls-echo-20-many",
        title: "Echo over TLS, 20 B, 1,000 connections, 1 in flight",
        load: &["--size", "20", "--connections", "1000"],
        tls: true,
        goals: &[Goal::Faster(1.2, Rivals::All)],
        ..ECHO
    },
    Case {
        name: "tls-echo-20-pipelined",
        title: "Echo over TLS, 20 B, 100 connections, 16 in flight",
        load: &["--size", "20", "--connections", "100", "--inflight", "16"],
        tls: true,
        goals: &[Goal::Faster(1.2, Rivals::All)],
        ..ECHO
    },
    Case {
        name: "tls-echo-16k",
        title: "Echo over TLS, 16 KiB, 20 connections, 1 in flight",
        load: &["--size", "16384", "--connections", "20"],
        tls: true,
        goals: &[Goal::Faster(1.2, Rivals::All)],
        ..ECHO
    },
    Case {
        name: "tls-echo-1m",
        title: "Echo over TLS, 1 MiB, 4 connections, 1 in flight",
        load: &["--size", "1048576", "--connections", "4"],
        tls: true,
        goals: &[Goal::Faster(1.2, Rivals::All)],
        ..ECHO
    },
    Case {
        name: "connect",
        title: "Connections opened: TCP, upgrade, reset, 50 at a time",
        mode: Mode::Connect,
        load: &["--connections", "50"],
        goals: &[Goal::Faster(1.2, Rivals::Libraries)],
        ..ECHO
    },
    Case {
        name: "idle",
        title: "Memory of 9,000 idle connections",
        mode: Mode::Idle,
        load: &["--connections", "9000"],
        goals: &[Goal::AtMost(BYTES, 900.0)],
        ..ECHO
    },
    Case {
        name: "tls-idle",
        title: "Memory of 9,000 idle connections with TLS",
        mode: Mode::Idle,
        load: &["--connections", "9000"],
        tls: true,
        goals: &[Goal::AtMost(BYTES, 16.0 * 1024.0)],
        ..ECHO
    },
    Case {
        name: "idle-deflate",
        title: "Memory of 9,000 idle connections that may compress",
        mode: Mode::Idle,
        load: &["--connections", "9000", "--size", "1024"],
        deflate: true,
        goals: &[Goal::AtMost(BYTES, 900.0)],
        ..ECHO
    },
    Case {
        name: "push",
        title: "From one to 1,000, 64 B, 1 in flight",
        mode: Mode::Push,
        load: &["--size", "64", "--connections", "1000"],
        goals: &[Goal::Faster(1.2, Rivals::All)],
        ..ECHO
    },
    Case {
        name: "push-pipelined",
        title: "From one to 1,000, 64 B, 16 in flight",
        mode: Mode::Push,
        load: &["--size", "64", "--connections", "1000", "--inflight", "16"],
        goals: &[Goal::Faster(1.2, Rivals::All)],
        ..ECHO
    },
    Case {
        name: "topic",
        title: "From one to 1,000 through a topic, 64 B, 1 in flight",
        mode: Mode::Topic,
        load: &["--size", "64", "--connections", "1000"],
        counted: true,
        goals: &[Goal::Faster(1.0, Rivals::One(SENDERS))],
        ..ECHO
    },
    Case {
        name: "topic-pipelined",
        title: "From one to 1,000 through a topic, 64 B, 16 in flight",
        mode: Mode::Topic,
        load: &["--size", "64", "--connections", "1000", "--inflight", "16"],
        counted: true,
        goals: &[Goal::Faster(1.0, Rivals::One(SENDERS)), Goal::Faster(1.2, Rivals::One(PUBSUB))],
        ..ECHO
    },
    Case {
        name: "topic-deflate",
        title: "From one to 1,000 through a topic, compressed, 1 KiB of JSON, 16 in flight",
        mode: Mode::Topic,
        load: &["--size", "1024", "--connections", "1000", "--inflight", "16"],
        deflate: true,
        counted: true,
        goals: &[Goal::Faster(5.0, Rivals::One(SENDERS_EACH))],
        ..ECHO
    },
    Case {
        name: "chat",
        title: "Chat: 20 rooms of 50, 100 B of text, 1 in flight in each room",
        mode: Mode::Chat,
        load: &["--connections", "1000", "--rooms", "20", "--size", "100"],
        ..ECHO
    },
    Case {
        name: "chat-pipelined",
        title: "Chat: 20 rooms of 50, 100 B of text, 16 in flight in each room",
        mode: Mode::Chat,
        load: &["--connections", "1000", "--rooms", "20", "--size", "100", "--inflight", "16"],
        ..ECHO
    },
    Case {
        name: "ticker",
        title: "Ticker: 5 symbols to 500, 100 prices a second",
        mode: Mode::Ticker,
        load: &["--connections", "500"],
        ..ECHO
    },
    Case {
        name: "deflate",
        title: "Echo, compressed, 1 KiB of JSON, 100 connections",
        load: &["--size", "1024", "--connections", "100"],
        deflate: true,
        goals: &[Goal::Faster(1.2, Rivals::All)],
        ..ECHO
    },
    Case {
        name: "http-rest",
        title: "GET /rest, 64 connections",
        mode: Mode::Http,
        load: &["--path", "/rest", "--connections", "64"],
        goals: &[Goal::Faster(1.0, Rivals::Nginx)],
        ..ECHO
    },
    Case {
        name: "http-file-1k",
        title: "GET of a file, 1 KiB, 64 connections",
        mode: Mode::Http,
        load: &["--path", "/1k.txt", "--connections", "64"],
        goals: &[Goal::Faster(1.0, Rivals::Nginx)],
        ..ECHO
    },
    Case {
        name: "http-file-10m",
        title: "GET of a file, 10 MiB, 8 connections",
        mode: Mode::Http,
        load: &["--path", "/10m.txt", "--connections", "8"],
        goals: &[Goal::Faster(1.0, Rivals::Nginx)],
        ..ECHO
    },
    Case {
        name: "http-file-304",
        title: "GET of a file that has not changed, 64 connections",
        mode: Mode::Http,
        load: &["--path", "/1k.txt", "--connections", "64", "--header", UNCHANGED, "--status", "304"],
        goals: &[Goal::Faster(1.0, Rivals::Nginx), Goal::AsFastAs("http-file-1k")],
        ..ECHO
    },
    Case {
        name: "http-file-404",
        title: "GET of a file that is not there, 64 connections",
        mode: Mode::Http,
        load: &["--path", "/none.txt", "--connections", "64", "--status", "404"],
        goals: &[Goal::Faster(1.0, Rivals::Nginx), Goal::AsFastAs("http-file-1k")],
        ..ECHO
    },
    Case {
        name: "http-file-range",
        title: "GET of 100 B of a file, 64 connections",
        mode: Mode::Http,
        load: &["--path", "/1k.txt", "--connections", "64", "--header", "range: bytes=100-199", "--status", "206"],
        goals: &[Goal::Faster(1.0, Rivals::Nginx), Goal::AsFastAs("http-file-1k")],
        ..ECHO
    },
    Case {
        name: "start",
        title: "From the start to the first answer",
        mode: Mode::Start,
        goals: &[Goal::AtMost(MILLISECONDS, 20.0)],
        ..ECHO
    },
    Case {
        name: "size",
        title: "Size of the program, stripped",
        mode: Mode::Size,
        goals: &[Goal::AtMost(BYTES, 12_000_000.0)],
        ..ECHO
    },
];

/// When the files were changed last: a billion seconds after 1970.
pub(super) const CHANGED: Duration = Duration::from_secs(1_000_000_000);
const UNCHANGED: &str = "if-modified-since: Sun, 09 Sep 2001 01:46:40 GMT";

/// The server that has files and no WebSockets.
pub(super) const FILE_SERVER: &str = "tower-http";

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
            Self::Echo => Some("echo"),
            Self::Push | Self::Topic => Some("push"),
            Self::Http => Some("http"),
            Self::Chat => Some("chat"),
            Self::Ticker => Some("ticker"),
            Self::Connect => Some("connect"),
            Self::Idle => Some("idle"),
            Self::Start | Self::Size => None,
        }
    }

    /// Whether what one sends comes to all.
    pub(super) fn is_to_all(self) -> bool {
        matches!(self, Self::Push | Self::Topic)
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
            (Mode::Http, _) => matches!(peer, Peer::Nginx | Peer::Library(FILE_SERVER)),
            // Applications: what others would look like nobody has written.
            (Mode::Chat | Mode::Ticker, _) => peer == Peer::Library("axum"),
            (Mode::Start | Mode::Size, _) | (_, Peer::Nginx | Peer::Library(FILE_SERVER)) => false,
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
        check("http-rest", Peer::Nginx, true);
        check("http-rest", Peer::Node, false);
        check("http-rest", Peer::Library(FILE_SERVER), true);
        check("http-rest", Peer::Library("axum"), false);
        check("echo-20", Peer::Nginx, false);
        check("echo-20", Peer::Library(FILE_SERVER), false);
        check("size", Peer::Rikki, true);
        check("size", Peer::Library("axum"), false);
    }
}
