//! The cases, in the order in which they are measured.

use super::super::counts::Counted;
use super::super::goals::{Goal, Rivals};
use super::super::samples::{BYTES, INSTRUCTIONS, MILLISECONDS};
use super::{BROADCAST_PATH, Case, HYPER, Mode, PUBSUB, SENDERS, SENDERS_EACH, UNCHANGED};

const ECHO: Case = Case {
    name: "",
    title: "",
    mode: Mode::Echo,
    load: &[],
    tls: false,
    deflate: false,
    counted: Counted::NOTHING,
    beside: None,
    goals: &[],
};

pub(in super::super) const CASES: &[Case] = &[
    Case {
        name: "echo-20",
        title: "Echo, 20 B, 100 connections, 1 in flight",
        load: &["--size", "20", "--connections", "100"],
        counted: Counted::both(2_000),
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
        counted: Counted::both(4_000),
        goals: &[Goal::Faster(1.0, Rivals::Uws), Goal::Faster(1.0, Rivals::Libraries), Goal::OfTcp(1.05)],
        ..ECHO
    },
    Case {
        name: "echo-20-pipelined",
        title: "Echo, 20 B, 100 connections, 16 in flight",
        load: &["--size", "20", "--connections", "100", "--inflight", "16"],
        counted: Counted::both(16_000),
        goals: &[Goal::Faster(1.1, Rivals::Uws), Goal::Faster(2.0, Rivals::Libraries)],
        ..ECHO
    },
    Case {
        name: "echo-16k",
        title: "Echo, 16 KiB, 20 connections, 1 in flight",
        load: &["--size", "16384", "--connections", "20"],
        counted: Counted::both(400),
        goals: &[Goal::Faster(1.05, Rivals::All)],
        ..ECHO
    },
    Case {
        name: "echo-1m",
        title: "Echo, 1 MiB, 4 connections, 1 in flight",
        load: &["--size", "1048576", "--connections", "4"],
        counted: Counted::instructions(40),
        goals: &[Goal::Faster(1.1, Rivals::All)],
        ..ECHO
    },
    Case {
        name: "tls-echo-20",
        title: "Echo over TLS, 20 B, 100 connections, 1 in flight",
        load: &["--size", "20", "--connections", "100"],
        tls: true,
        counted: Counted::both(2_000),
        goals: &[Goal::Faster(1.2, Rivals::All)],
        ..ECHO
    },
    Case {
        name: "tls-echo-20-many",
        title: "Echo over TLS, 20 B, 1,000 connections, 1 in flight",
        load: &["--size", "20", "--connections", "1000"],
        tls: true,
        counted: Counted::both(4_000),
        goals: &[Goal::Faster(1.2, Rivals::All)],
        ..ECHO
    },
    Case {
        name: "tls-echo-20-pipelined",
        title: "Echo over TLS, 20 B, 100 connections, 16 in flight",
        load: &["--size", "20", "--connections", "100", "--inflight", "16"],
        tls: true,
        counted: Counted::both(16_000),
        goals: &[Goal::Faster(1.2, Rivals::All)],
        ..ECHO
    },
    Case {
        name: "tls-echo-16k",
        title: "Echo over TLS, 16 KiB, 20 connections, 1 in flight",
        load: &["--size", "16384", "--connections", "20"],
        tls: true,
        counted: Counted::both(200),
        goals: &[Goal::Faster(1.2, Rivals::All)],
        ..ECHO
    },
    Case {
        name: "tls-echo-1m",
        title: "Echo over TLS, 1 MiB, 4 connections, 1 in flight",
        load: &["--size", "1048576", "--connections", "4"],
        tls: true,
        counted: Counted::instructions(8),
        goals: &[Goal::Faster(1.2, Rivals::All)],
        ..ECHO
    },
    Case {
        name: "connect",
        title: "Connections opened: TCP, upgrade, reset, 50 at a time",
        mode: Mode::Connect,
        load: &["--connections", "50"],
        counted: Counted::both(600),
        goals: &[Goal::Faster(1.0, Rivals::All)],
        ..ECHO
    },
    Case {
        name: "tls-handshake",
        title: "Handshakes of TLS 1.3, ECDSA on P-256, with a request behind each, 50 at a time",
        mode: Mode::Handshake,
        load: &["--path", "/rest", "--connections", "50"],
        tls: true,
        counted: Counted::instructions(50),
        ..ECHO
    },
    Case {
        name: "tls-resumed",
        title: "Handshakes of TLS 1.3 that resume a session, with a request behind each, 50 at a time",
        mode: Mode::Handshake,
        load: &["--path", "/rest", "--connections", "50", "--resume"],
        tls: true,
        counted: Counted::instructions(50),
        ..ECHO
    },
    Case {
        name: "echo-20-workers-1",
        title: "Echo, 20 B, 100 connections, 1 worker, the load beside it on the same cores",
        load: &["--size", "20", "--connections", "100"],
        beside: Some("1"),
        ..ECHO
    },
    Case {
        name: "echo-20-workers-2",
        title: "Echo, 20 B, 100 connections, 2 workers, the load beside them on the same cores",
        load: &["--size", "20", "--connections", "100"],
        beside: Some("2"),
        ..ECHO
    },
    Case {
        name: "connect-workers-1",
        title: "Connections opened, 1 worker, the load beside it on the same cores",
        mode: Mode::Connect,
        load: &["--connections", "50"],
        beside: Some("1"),
        ..ECHO
    },
    Case {
        name: "connect-workers-2",
        title: "Connections opened, 2 workers, the load beside them on the same cores",
        mode: Mode::Connect,
        load: &["--connections", "50"],
        beside: Some("2"),
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
        counted: Counted::both(16_000),
        goals: &[Goal::Faster(1.2, Rivals::All)],
        ..ECHO
    },
    Case {
        name: "push-pipelined",
        title: "From one to 1,000, 64 B, 16 in flight",
        mode: Mode::Push,
        load: &["--size", "64", "--connections", "1000", "--inflight", "16"],
        counted: Counted::both(64_000),
        goals: &[Goal::Faster(1.2, Rivals::All)],
        ..ECHO
    },
    Case {
        name: "topic",
        title: "From one to 1,000 through a topic, 64 B, 1 in flight",
        mode: Mode::Topic,
        load: &["--size", "64", "--connections", "1000"],
        counted: Counted::both(16_000),
        goals: &[Goal::Faster(1.0, Rivals::One(SENDERS))],
        ..ECHO
    },
    Case {
        name: "topic-pipelined",
        title: "From one to 1,000 through a topic, 64 B, 16 in flight",
        mode: Mode::Topic,
        load: &["--size", "64", "--connections", "1000", "--inflight", "16"],
        counted: Counted::both(64_000),
        goals: &[Goal::Faster(1.0, Rivals::One(SENDERS)), Goal::Faster(1.2, Rivals::One(PUBSUB))],
        ..ECHO
    },
    Case {
        name: "topic-deflate",
        title: "From one to 1,000 through a topic, compressed, 1 KiB of JSON, 16 in flight",
        mode: Mode::Topic,
        load: &["--size", "1024", "--connections", "1000", "--inflight", "16"],
        deflate: true,
        counted: Counted::both(64_000),
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
        counted: Counted::both(200),
        goals: &[Goal::Faster(1.2, Rivals::All)],
        ..ECHO
    },
    Case {
        name: "http-rest",
        title: "GET /rest, 64 connections",
        mode: Mode::Http,
        load: &["--path", "/rest", "--connections", "64"],
        counted: Counted::both(1_280),
        goals: &[Goal::Faster(0.95, Rivals::One(HYPER))],
        ..ECHO
    },
    Case {
        name: "http-file-1k",
        title: "GET of a file, 1 KiB, 64 connections",
        mode: Mode::Http,
        load: &["--path", "/1k.txt", "--connections", "64"],
        counted: Counted::calls(1_280),
        goals: &[Goal::Faster(1.0, Rivals::Nginx)],
        ..ECHO
    },
    Case {
        name: "http-file-10m",
        title: "GET of a file, 10 MiB, 8 connections",
        mode: Mode::Http,
        load: &["--path", "/10m.txt", "--connections", "8"],
        goals: &[Goal::Thriftier(1.0, Rivals::Nginx)],
        ..ECHO
    },
    Case {
        name: "http-file-304",
        title: "GET of a file that has not changed, 64 connections",
        mode: Mode::Http,
        load: &["--path", "/1k.txt", "--connections", "64", "--header", UNCHANGED, "--status", "304"],
        counted: Counted::calls(1_280),
        goals: &[Goal::Faster(0.9, Rivals::Nginx), Goal::AsFastAs("http-file-1k")],
        ..ECHO
    },
    Case {
        name: "http-file-404",
        title: "GET of a file that is not there, 64 connections",
        mode: Mode::Http,
        load: &["--path", "/none.txt", "--connections", "64", "--status", "404"],
        counted: Counted::calls(1_280),
        goals: &[Goal::Faster(1.0, Rivals::Nginx), Goal::AsFastAs("http-file-1k")],
        ..ECHO
    },
    Case {
        name: "http-file-range",
        title: "GET of 100 B of a file, 64 connections",
        mode: Mode::Http,
        load: &["--path", "/1k.txt", "--connections", "64", "--header", "range: bytes=100-199", "--status", "206"],
        counted: Counted::calls(1_280),
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

/// What is counted of the command alone, and not timed: a topic of it, which tells all. The path is the topic's.
pub(in super::super) const BROADCAST: Case = Case {
    name: "broadcast",
    title: "From one to 100 through a topic of the command, 64 B, 1 in flight",
    mode: Mode::Broadcast,
    load: &["--size", "64", "--connections", "100", "--path", BROADCAST_PATH],
    counted: Counted::both(8_000),
    ..ECHO
};

/// What an admin listener costs: with 16 in flight, so that what it does ten times a second is little beside that.
pub(in super::super) const WATCHED: Case = Case {
    name: "echo-20-watched",
    title: "Echo, 20 B, 100 connections, 16 in flight, with an admin listener",
    mode: Mode::Watched,
    load: &["--size", "20", "--connections", "100", "--inflight", "16"],
    counted: Counted::instructions(16_000),
    ..ECHO
};
