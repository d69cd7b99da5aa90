use http::header::{AUTHORIZATION, ORIGIN};
use http::{Method, Version};

use super::super::server::accept;
use super::*;

/// The nonce of RFC 6455 section 1.3.
const NONCE: [u8; 16] = *b"the sample nonce";

fn names(list: &str) -> Vec<Subprotocol> {
    list.split_whitespace().map(|name| name.parse().unwrap()).collect()
}

/// Verifies the valid response with these lines instead of its own of that name.
#[track_caller]
fn check(changes: &[(&'static str, &[&str])], expected: Result<Option<&str>, HandshakeError>) {
    let handshake = ClientHandshake::new(NONCE, &names("chat superchat"));
    let mut response = Response::builder()
        .status(101)
        .header("upgrade", "websocket")
        .header("connection", "Upgrade")
        .header("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        .body(())
        .unwrap();
    for (name, lines) in changes {
        response.headers_mut().remove(*name);
        for line in *lines {
            response.headers_mut().append(*name, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
    }
    let established = handshake.verify(&response);
    let chosen = established.as_ref().map(|established| established.subprotocol().map(Subprotocol::as_str));
    assert_eq!(chosen.map_err(Clone::clone), expected);
}

#[test]
fn responses() {
    use HandshakeError::{Accept, Connection, Extensions, Subprotocol, Upgrade};

    check(&[], Ok(None));
    check(&[("upgrade", &["WebSocket"]), ("connection", &["keep-alive, upgrade"])], Ok(None));
    check(&[("upgrade", &[])], Err(Upgrade));
    check(&[("upgrade", &["h2c"])], Err(Upgrade));
    check(&[("upgrade", &["websocket, h2c"])], Err(Upgrade));
    check(&[("upgrade", &["websocket", "websocket"])], Err(Upgrade));
    check(&[("connection", &[])], Err(Connection));
    check(&[("connection", &["close"])], Err(Connection));
    check(&[("sec-websocket-accept", &[])], Err(Accept));
    check(&[("sec-websocket-accept", &["dGhlIHNhbXBsZSBub25jZQ=="])], Err(Accept));
    check(&[("sec-websocket-accept", &["S3PPLMBITXAQ9KYGZZHZRBK+XOO="])], Err(Accept));
    let repeated = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    check(&[("sec-websocket-accept", &[repeated, repeated])], Err(Accept));
    check(&[("sec-websocket-extensions", &["permessage-deflate"])], Err(Extensions(ExtensionError::NotOffered)));
    check(&[("sec-websocket-protocol", &["superchat"])], Ok(Some("superchat")));
    check(&[("sec-websocket-protocol", &["other"])], Err(Subprotocol));
    check(&[("sec-websocket-protocol", &["Chat"])], Err(Subprotocol));
    check(&[("sec-websocket-protocol", &["chat, superchat"])], Err(Subprotocol));
    check(&[("sec-websocket-protocol", &["chat", "chat"])], Err(Subprotocol));
    check(&[("sec-websocket-protocol", &["ä"])], Err(Subprotocol));
    check(&[("sec-websocket-protocol", &[""])], Err(Subprotocol));
}

#[test]
fn compression_is_agreed_on_as_offered() {
    let handshake =
        ClientHandshake::new(NONCE, &[]).offer_deflate(ClientOptions::default().server_no_context_takeover(true));
    let request = handshake.request(&Uri::from_static("ws://h/"), HeaderMap::new()).unwrap();
    assert_eq!(
        request.headers()["sec-websocket-extensions"],
        "permessage-deflate; server_no_context_takeover; client_max_window_bits"
    );
    let answer = |extensions: Option<&'static str>| {
        let accepted = accept(request.method(), request.version(), request.headers(), &[]).unwrap();
        let mut response = accepted.into_response();
        if let Some(extensions) = extensions {
            response.headers_mut().insert("sec-websocket-extensions", HeaderValue::from_static(extensions));
        }
        handshake.verify(&response).map(|established| established.agreed())
    };
    assert_eq!(answer(None), Ok(None));
    let agreed = answer(Some("permessage-deflate; server_no_context_takeover; client_max_window_bits=10"));
    assert_eq!(agreed.map(|agreed| agreed.map(|agreed| agreed.client_max_window_bits)), Ok(Some(10)));
    let refused = answer(Some("permessage-deflate")).unwrap_err();
    assert_eq!(refused, HandshakeError::Extensions(ExtensionError::Missing("server_no_context_takeover")));
    assert_eq!(
        refused.to_string(),
        "in the server's answer the header Sec-WebSocket-Extensions lacks the parameter server_no_context_takeover, \
         which was demanded"
    );
}

#[test]
fn statuses() {
    let text = |status: u16| {
        let response = Response::builder().status(status).body(()).unwrap();
        ClientHandshake::new(NONCE, &[]).verify(&response).unwrap_err().to_string()
    };
    assert_eq!(text(302), "the server answered 302 Found, a redirect, which a WebSocket does not follow");
    assert_eq!(text(403), "the server answered 403 Forbidden instead of 101 Switching Protocols");
    assert_eq!(text(200), "the server answered 200 OK instead of 101 Switching Protocols");
}

#[test]
fn requests() {
    #[track_caller]
    fn check(uri: &str, expected: Option<(&str, &str)>) {
        let request = ClientHandshake::new(NONCE, &[]).request(&uri.parse().unwrap(), HeaderMap::new());
        let seen = request.as_ref().map(|request| (request.uri().to_string(), &request.headers()["host"]));
        match (seen, expected) {
            (Ok((target, host)), Some(expected)) => assert_eq!((&*target, host.to_str().unwrap()), expected, "{uri}"),
            (outcome, _) => assert_eq!(outcome.err(), expected.is_none().then_some(&HandshakeError::Uri), "{uri}"),
        }
    }
    check("ws://h", Some(("/", "h")));
    check("ws://h:80/", Some(("/", "h")));
    check("ws://h:443/", Some(("/", "h:443")));
    check("wss://h:443/a/b?c=d", Some(("/a/b?c=d", "h")));
    check("wss://h:8443?c", Some(("/?c", "h:8443")));
    check("WSS://h:443/", Some(("/", "h")));
    check("http://[::1]:8000/x", Some(("/x", "[::1]:8000")));
    check("https://[::1]", Some(("/", "[::1]")));
    check("ftp://h/", None);
    check("/path", None);
    check("h:80", None);
    check("ws://user@h/", None);
    check("ws://user:secret@h/", None);
    check("ws://user@h:80/", None);
    check("ws://:80/", None);
    check("ws://h:99999/", None);
}

#[test]
fn headers_of_the_caller() {
    let uri = Uri::from_static("ws://h/");
    let request = |name: HeaderName| {
        let headers = HeaderMap::from_iter([(name, HeaderValue::from_static("x"))]);
        ClientHandshake::new(NONCE, &[]).request(&uri, headers)
    };
    for name in [AUTHORIZATION, ORIGIN] {
        assert_eq!(request(name.clone()).unwrap().headers()[name], "x");
    }
    for name in RESERVED {
        assert_eq!(request(name.clone()).unwrap_err(), HandshakeError::ReservedHeader(name));
    }
}

/// Both roles agree, on the subprotocol too.
#[test]
fn the_server_takes_the_request_and_the_client_the_response() {
    #[track_caller]
    fn check(offered: &str, spoken: &str, expected: Option<&str>) {
        let client = ClientHandshake::new(NONCE, &names(offered));
        let request = client.request(&Uri::from_static("wss://h/chat"), HeaderMap::new()).unwrap();
        assert_eq!(request.method(), Method::GET);
        assert_eq!(request.version(), Version::HTTP_11);
        assert_eq!(request.headers()["sec-websocket-key"], "dGhlIHNhbXBsZSBub25jZQ==");
        let accepted = accept(request.method(), request.version(), request.headers(), &names(spoken)).unwrap();
        let established = client.verify(&accepted.into_response()).unwrap();
        assert_eq!(established.subprotocol().map(Subprotocol::as_str), expected);
    }
    check("", "", None);
    check("", "chat", None);
    check("chat", "", None);
    check("chat", "superchat", None);
    check("chat superchat", "superchat chat", Some("superchat"));
    check("chat chat superchat", "chat", Some("chat"));
}
