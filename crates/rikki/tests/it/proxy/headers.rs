//! The PROXY protocol, versions 1 and 2, on TCP, TLS and Unix sockets.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rikki::{Server, StartError};
use tokio::io::AsyncWriteExt;

use super::{counted, server};
use crate::files::fixture::Fixture;
use crate::recorder::Recorder;
use crate::talk::{Talk, close, upgrade};
use crate::wire::{BOTH, Running, Via, WORKERS, soon};

const WHO: &str = "GET /who HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// A header of version 2 for a client of IPv4, with something behind its addresses.
fn binary(client: SocketAddr) -> Vec<u8> {
    let SocketAddr::V4(client) = client else { panic!("not IPv4") };
    let behind = b"\x01\x00\x08http/1.1";
    let length = (12 + behind.len() as u16).to_be_bytes();
    let start = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11"[..], &length, &client.ip().octets(), &[127, 0, 0, 1]].concat();
    [&start[..], &client.port().to_be_bytes(), &[0, 80], behind].concat()
}

fn line(client: SocketAddr) -> Vec<u8> {
    format!("PROXY TCP4 {} 127.0.0.1 {} 80\r\n", client.ip(), client.port()).into()
}

fn client(last: u8) -> SocketAddr {
    ([192, 0, 2, last], 4711).into()
}

fn proxied() -> Server {
    server().trust("127.0.0.0/8").proxy_protocol(true)
}

async fn ask(server: &Running, via: Via, header: &[u8]) -> String {
    let mut talk = Talk::connect_proxied(server, via, header).await;
    talk.send(WHO).await;
    talk.text().await
}

#[tokio::test]
async fn the_client_is_the_one_that_the_header_names() {
    for workers in WORKERS {
        let server = Running::start_on(workers, proxied()).await;
        for via in BOTH {
            for header in [line(client(1)), binary(client(1))] {
                let answer = ask(&server, via, &header).await;
                assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("192.0.2.1:4711"), "{answer}");
            }
            let six = ask(&server, via, b"PROXY TCP6 2001:db8::7 ::1 99 80\r\n").await;
            assert!(six.ends_with("[2001:db8::7]:99"), "{six}");
            // Health checks: nobody else than who connects.
            for own in
                [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0", b"\r\n\r\n\0\r\nQUIT\n\x21\x00\0\0"]
            {
                let answer = ask(&server, via, own).await;
                assert!(answer.contains("127.0.0.1:") && answer.starts_with("HTTP/1.1 200 "), "{answer}");
            }
        }
        assert_eq!(server.handle.counters().refused_proxy_headers, 0);
    }
}

/// Header and request in one piece, and cut anywhere.
#[tokio::test]
async fn cut_at_every_byte() {
    let server = Running::start(proxied()).await;
    for header in [line(client(1)), binary(client(1))] {
        let all = [&header[..], WHO.as_bytes()].concat();
        for cut in 0..=header.len() + 1 {
            let mut talk = Talk::connect_to(server.address(Via::Tcp)).await;
            talk.send(&all[..cut]).await;
            tokio::task::yield_now().await;
            talk.send(&all[cut..]).await;
            let answer = talk.text().await;
            assert!(answer.ends_with("192.0.2.1:4711"), "cut at {cut}: {answer}");
        }
    }
}

#[tokio::test]
async fn what_is_no_header_closes_the_connection() {
    let server = Running::start(proxied()).await;
    let mut refused = 0;
    for via in [Via::Tcp, Via::Tls] {
        for bytes in [
            WHO.as_bytes(),
            b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
            b"PROXY TCP4 192.0.2.1 127.0.0.1 4711 080\r\n",
            b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
            &[b'P'; 300],
        ] {
            let mut talk = Talk::connect_to(server.address(via)).await;
            talk.send(bytes).await;
            talk.gone().await;
            refused += 1;
        }
        // What ends before the header does.
        for header in [line(client(1)), binary(client(1))] {
            for end in [0, 1, 6, 15, header.len() - 1] {
                let mut talk = Talk::connect_to(server.address(via)).await;
                talk.send(&header[..end]).await;
                talk.stream.shutdown().await.unwrap();
                talk.gone().await;
                refused += 1;
            }
        }
    }
    counted(&server, |counters| counters.connections == 0).await;
    assert_eq!(server.handle.counters().refused_proxy_headers, refused);
}

#[tokio::test]
async fn a_header_that_does_not_come_is_not_waited_for() {
    let server = Running::start(proxied().head_timeout(Duration::from_millis(300))).await;
    for (via, start) in [(Via::Tcp, &b""[..]), (Via::Tls, b""), (Via::Tcp, b"PROXY TCP4 "), (Via::Tcp, b"\r\n\r\n\0")] {
        let started = Instant::now();
        let mut talk = Talk::connect_to(server.address(via)).await;
        talk.send(start).await;
        talk.gone().await;
        assert!(started.elapsed() >= Duration::from_millis(300), "{:?}", started.elapsed());
    }
    assert_eq!(server.handle.counters().refused_proxy_headers, 4);
    // A drain does not wait for it either.
    let server = Running::start(proxied()).await;
    let mut silent = Talk::connect_to(server.address(Via::Tcp)).await;
    counted(&server, |counters| counters.connections == 1).await;
    soon("the end", server.handle.shutdown()).await;
    silent.gone().await;
}

#[tokio::test]
async fn strangers_are_not_believed() {
    let server = Running::start(server().trust("192.0.2.0/24").proxy_protocol(true)).await;
    for header in [line(client(1)), b"PROXY UNKNOWN\r\n".to_vec(), binary(client(1)), Vec::new()] {
        let mut talk = Talk::connect_to(server.address(Via::Tcp)).await;
        // It may be closed by now.
        let _ = talk.stream.write_all(&header).await;
        talk.gone().await;
    }
    // Whatever they send, nobody answers: good headers with a request behind them, and bytes at random.
    let mut random: u32 = 0x2545_f491;
    for round in 0..50_u8 {
        let mut next = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 24) as u8
        };
        let mut bytes = if round % 2 == 0 { line(client(round)) } else { binary(client(round)) };
        for _ in 0..round % 5 {
            let at = usize::from(next()) % bytes.len();
            bytes[at] = next();
        }
        let mut talk = Talk::connect_to(server.address(BOTH[usize::from(round / 2 % 2)])).await;
        // It may be closed by now.
        let _ = talk.stream.write_all(&[&bytes, WHO.as_bytes()].concat()).await;
        talk.gone().await;
    }
    let counters = server.handle.counters();
    assert_eq!((counters.accepted, counters.connections, counters.refused_proxy_headers), (54, 0, 54));
}

#[tokio::test]
async fn limits_for_each_address_are_those_of_clients() {
    let server = Running::start(proxied().max_connections_per_address(2).max_connections(5)).await;
    let open = async |last: u8, via: Via| {
        let mut talk = Talk::connect_proxied(&server, via, &line(client(last))).await;
        talk.send(upgrade("/echo", "")).await;
        let head = talk.head().await;
        (talk, head[9..12].to_owned())
    };
    for via in BOTH {
        let mut inside = Vec::new();
        for (last, expected) in [(1, "101"), (1, "101"), (1, "429"), (2, "101"), (1, "429"), (2, "101"), (2, "429")] {
            let (talk, status) = open(last, via).await;
            assert_eq!(status, expected, "192.0.2.{last}");
            if status == "101" {
                inside.push(talk);
            }
        }
        counted(&server, |counters| counters.connections == 4).await;
        // One that has said nothing yet has a place too; beyond the last they are told so.
        let silent = Talk::connect_to(server.address(Via::Tcp)).await;
        counted(&server, |counters| counters.connections == 5).await;
        assert_eq!(open(3, via).await.1, "503");
        drop(silent);
        counted(&server, |counters| counters.connections == 4).await;
        inside[0].send(close(1000, "")).await;
        assert_eq!(inside[0].rest().await, "close(1000)");
        counted(&server, |counters| counters.connections == 3).await;
        let (third, status) = open(1, via).await;
        assert_eq!(status, "101");
        drop((inside, third));
        counted(&server, |counters| counters.connections == 0).await;
    }
}

#[tokio::test]
async fn requests_are_counted_for_the_address_of_the_client() {
    let server = Running::start(proxied().max_request_rate(1)).await;
    let mut statuses = Vec::new();
    for last in [1, 2, 3, 1, 1, 1] {
        statuses.push(ask(&server, Via::Tcp, &binary(client(last))).await[9..12].to_owned());
    }
    assert_eq!(statuses[..3], ["200", "200", "200"]);
    assert!(statuses[3..].contains(&"429".to_owned()), "{statuses:?}");
}

#[tokio::test]
async fn a_handler_of_websockets_is_told_the_client() {
    let (recorder, mut calls) = Recorder::new();
    let server = Running::start(proxied().websocket("/record", recorder)).await;
    for via in BOTH {
        for header in [line(client(9)), binary(client(9))] {
            let mut talk = Talk::connect_proxied(&server, via, &header).await;
            talk.upgrade("/record").await;
            talk.echo("hello").await;
            assert_eq!(calls.opened().await.0, "/record none 192.0.2.9:4711");
            talk.send(close(1000, "")).await;
            assert_eq!(talk.rest().await, "close(1000)");
            assert!(calls.closed().await.1.starts_with("1000"));
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn on_a_unix_socket() {
    let folder = Fixture::empty();
    for (trusted, is_served) in [("unix", true), ("127.0.0.1", false)] {
        let path = folder.root().join(format!("{is_served}.sock"));
        let server = server().trust(trusted).proxy_protocol(true).max_connections_per_address(1);
        let handle = server.listen(format!("unix:{}", path.display())).start().await.unwrap();
        for (header, expected) in [(line(client(1)), "192.0.2.1:4711"), (b"PROXY UNKNOWN\r\n".to_vec(), "unix")] {
            let mut talk = Talk::connect_at(&path).await;
            // It may be closed by now.
            let _ = talk.stream.write_all(&[&header[..], WHO.as_bytes()].concat()).await;
            if is_served {
                let answer = talk.text().await;
                assert!(answer.ends_with(expected), "{answer}");
            } else {
                talk.gone().await;
            }
        }
        assert_eq!(handle.counters().refused_proxy_headers, if is_served { 0 } else { 2 });
        soon("the end", handle.shutdown()).await;
    }
}

#[tokio::test]
async fn somebody_has_to_be_trusted() {
    let started = Server::new().proxy_protocol(true).listen("http://127.0.0.1:0").start().await;
    let error = started.unwrap_err();
    assert!(matches!(&error, StartError::Trust { given, .. } if given.is_empty()), "{error:?}");
    assert!(error.to_string().contains("Server::trust"), "{error}");
    let error = Server::new().trust("10.0.0.1/8").listen("http://127.0.0.1:0").start().await.unwrap_err();
    assert!(error.to_string().starts_with("cannot trust 10.0.0.1/8: "), "{error}");
}
