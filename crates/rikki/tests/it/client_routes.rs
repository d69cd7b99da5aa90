//! How the client reaches a server: over streams of one's own, Unix sockets and proxies, and what these do wrong.

use std::time::Duration;

use rikki::Server;
use rikki::client::{Builder, ConnectError, ProxyError};
use rikki::ws::{Message, Socket, WebSocket};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::client::url;
#[cfg(unix)]
use crate::files::fixture::Fixture;
use crate::wire::{BOTH, Running, soon};

async fn echoes(socket: &mut WebSocket) {
    socket.send("hello").await.unwrap();
    assert_eq!(soon("the echo", socket.recv()).await.unwrap().unwrap(), Message::from("hello"));
}

#[tokio::test]
async fn a_stream_of_ones_own() {
    let server = Running::echo(Server::new()).await;
    for via in BOTH {
        let stream = TcpStream::connect(server.address(via)).await.unwrap();
        // The URL says whether TLS is spoken, and whom it means.
        let builder = Builder::new(url(&server, via, "/echo")).tls(server.trust()).proxy("http://127.0.0.1:1");
        let (mut socket, _) = soon("connecting", builder.connect_over(stream)).await.unwrap();
        echoes(&mut socket).await;
    }
    // In memory, in time.
    let (ours, _theirs) = tokio::io::duplex(1024);
    let brief = Builder::new("ws://host").connect_timeout(Duration::from_millis(20));
    assert!(matches!(soon("the deadline", brief.connect_over(ours)).await, Err(ConnectError::TimedOut)));
    // Giving up drops the stream.
    let (ours, mut theirs) = tokio::io::duplex(1024);
    let builder = Builder::new("ws://host");
    let mut head = Vec::new();
    tokio::select! {
        _ = builder.connect_over(ours) => panic!("nobody has answered"),
        _ = theirs.read_buf(&mut head) => {}
    }
    soon("the end", theirs.read_to_end(&mut head)).await.unwrap();
    assert!(head.starts_with(b"GET / HTTP/1.1\r\n") && head.ends_with(b"\r\n\r\n"), "{}", head.escape_ascii());
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket() {
    let folder = Fixture::empty();
    let path = folder.root().join("rikki.sock");
    let builder = Builder::new("ws://localhost/echo").proxy("http://127.0.0.1:1").unix_socket(&path);
    let error = soon("connecting", builder.connect()).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("rikki.sock: "), "{error}");
    let server = Server::new().websocket("/echo", |socket: &mut Socket<'_>, message: Message<'_>| socket.send(message));
    let _handle = server.listen(format!("unix:{}", path.display())).start().await.unwrap();
    let (mut socket, _) = soon("connecting", builder.connect()).await.unwrap();
    echoes(&mut socket).await;
}

/// An HTTP proxy that tells what it is asked.
async fn http_proxy() -> (String, UnboundedReceiver<String>) {
    http_proxy_that_answers("HTTP/1.1 200 Connection established\r\nContent-Length: 9\r\n\r\n").await
}

async fn http_proxy_that_answers(granted: &'static str) -> (String, UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, receiver) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let mut target = TcpStream::connect(head.split(' ').nth(1).unwrap()).await.unwrap();
            sender.send(head).unwrap();
            stream.write_all(granted.as_bytes()).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut stream, &mut target).await });
        }
    });
    (address, receiver)
}

#[tokio::test]
async fn through_an_http_proxy() {
    let server = Running::echo(Server::new()).await;
    let (address, mut asked) = http_proxy().await;
    for via in BOTH {
        let builder = Builder::new(url(&server, via, "/echo")).tls(server.trust());
        let (mut socket, _) = soon("connecting", builder.clone().proxy(&address).connect()).await.unwrap();
        echoes(&mut socket).await;
        let host = format!("localhost:{}", server.address(via).port());
        let head = asked.recv().await.unwrap();
        assert_eq!(head.to_lowercase(), format!("connect {host} http/1.1\r\nhost: {host}\r\n\r\n"));
        let builder = builder.proxy(&format!("http://Aladdin:open%20sesame@{address}"));
        assert!(!format!("{builder:?}").contains("sesame"), "{builder:?}");
        let (mut socket, _) = soon("connecting", builder.connect()).await.unwrap();
        echoes(&mut socket).await;
        let head = asked.recv().await.unwrap();
        // The example of RFC 7617 section 2.
        assert!(head.contains(": Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"), "{head}");
    }
}

/// <https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6>.
#[tokio::test]
async fn a_tunnel_is_one_whatever_its_head_says() {
    let server = Running::echo(Server::new()).await;
    for granted in [
        "HTTP/1.0 200 Connection established\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n\r\n",
    ] {
        let (address, _asked) = http_proxy_that_answers(granted).await;
        for via in BOTH {
            let builder = Builder::new(url(&server, via, "/echo")).tls(server.trust()).proxy(&address);
            let connected = soon("connecting", builder.connect()).await;
            let (mut socket, _) = connected.unwrap_or_else(|error| panic!("{granted:?}: {error}"));
            echoes(&mut socket).await;
        }
    }
}

/// A SOCKS proxy that wants the password `secret` and takes names alone.
async fn socks_proxy() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut greeting = [0; 4];
            stream.read_exact(&mut greeting).await.unwrap();
            assert_eq!(greeting, [5, 2, 0, 2]);
            stream.write_all(&[5, 2]).await.unwrap();
            let mut password = [0; 13];
            stream.read_exact(&mut password).await.unwrap();
            let is_right = &password == b"\x01\x04user\x06secret";
            stream.write_all(&[1, u8::from(!is_right)]).await.unwrap();
            let mut request = [0; 16];
            if stream.read_exact(&mut request).await.is_err() {
                continue;
            }
            assert_eq!(&request[..14], b"\x05\x01\x00\x03\x09localhost");
            let port = u16::from_be_bytes([request[14], request[15]]);
            let mut target = TcpStream::connect(("localhost", port)).await.unwrap();
            stream.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0]).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut stream, &mut target).await });
        }
    });
    address
}

#[tokio::test]
async fn through_a_socks_proxy() {
    let server = Running::echo(Server::new()).await;
    let address = socks_proxy().await;
    for via in BOTH {
        let builder = Builder::new(url(&server, via, "/echo")).tls(server.trust());
        let right = builder.clone().proxy(&format!("socks5://user:secret@{address}"));
        let (mut socket, _) = soon("connecting", right.connect()).await.unwrap();
        echoes(&mut socket).await;
        let wrong = builder.proxy(&format!("socks5h://user:secreT@{address}"));
        let error = soon("connecting", wrong.connect()).await.unwrap_err();
        let expected = format!("the proxy socks5h://{address} wants a user and a password, or others than these");
        assert_eq!((error.to_string(), error.is_transient()), (expected, false));
    }
}

/// A proxy that answers what it is asked with this, and then ends, or sends the last piece for ever.
async fn scripted(answer: &'static [u8], for_ever: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 1024];
        let _ = stream.read(&mut head).await.unwrap();
        stream.write_all(answer).await.unwrap();
        while !for_ever.is_empty() && stream.write_all(for_ever).await.is_ok() {}
    });
    address
}

#[tokio::test]
async fn what_proxies_do_wrong_is_said_in_time() {
    async fn check(answer: &'static [u8], for_ever: &'static [u8], expected: &str, transient: bool) {
        let address = scripted(answer, for_ever).await;
        for url in ["ws://example.org/", "wss://example.org/"] {
            let address = if url == "ws://example.org/" { address.clone() } else { scripted(answer, for_ever).await };
            let builder = Builder::new(url).proxy(&format!("http://user:secret@{address}"));
            let error = soon("connecting", builder.connect()).await.unwrap_err();
            assert_eq!(error.to_string(), format!("the proxy http://{address} {expected}"));
            assert_eq!(error.is_transient(), transient, "{error}");
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
    }
    let unauthorized = "wants a user and a password, or others than these";
    check(b"HTTP/1.0 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", b"", unauthorized, false).await;
    check(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", b"", unauthorized, false).await;
    check(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", b"", "answered 403 Forbidden: \"no\"", false).await;
    check(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", b"", "answered 502 Bad Gateway", true).await;
    check(b"HTTP/1.1 204 No Content\r\n\r\n", b"", "answered 204 No Content", false).await;
    check(b"HTTP/1.1 302 Found\r\nLocation: http://x/\r\n\r\n", b"", "answered with a redirect", false).await;
    check(b"HTTP/1.1 200 OK\r\n\r\nSSH-2.0", b"", "sent more than an answer", false).await;
    check(b"SSH-2.0-OpenSSH_9.2\r\n", b"", "broke off: invalid HTTP version parsed", false).await;
    check(b"HTTP/1.1 200 OK\r\nA", b"", "broke off: connection closed before message completed", true).await;
    check(b"HTTP/1.1 200 OK\r\nA: ", &[b'a'; 4096], "broke off: message head is too large", false).await;
    check(b"\x15\x03\x01\x00\x02\x02\x46", b"", "speaks TLS, or is no proxy", false).await;

    // Silence, of a proxy and of the server behind one.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for scheme in ["http", "socks5"] {
        let proxy = format!("{scheme}://{}", listener.local_addr().unwrap());
        let brief = Builder::new("ws://example.org").proxy(&proxy).connect_timeout(Duration::from_millis(20));
        assert!(matches!(soon("the deadline", brief.connect()).await, Err(ConnectError::TimedOut)));
    }
    let (proxy, _asked) = http_proxy().await;
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let brief = Builder::new(url).proxy(&proxy).connect_timeout(Duration::from_millis(100));
    assert!(matches!(soon("the deadline", brief.connect()).await, Err(ConnectError::TimedOut)));

    // Nobody there.
    let proxy = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = soon("connecting", Builder::new("ws://example.org").proxy(&proxy).connect()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Proxy { source: ProxyError::Unreachable(_), .. }), "{error}");
    assert!(error.is_transient());
    let error = soon("connecting", Builder::new("ws://h").proxy("ftp://user:secret@h").connect()).await.unwrap_err();
    assert!(matches!(&error, ConnectError::BadProxy { why } if !why.contains("secret")), "{error}");
}
