//! Any header fields into both sides of the opening handshake, and our offers through our own answers: what is taken
//! keeps RFC 6455 section 4 and RFC 7692 sections 5 and 7.
//!
//! Input: five bytes of settings, the URI of the client, the fields of a request, an empty line and the fields of a
//! response. The first letter of a line names its field: see `field`.
#![no_main]

use std::collections::BTreeMap;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode, Uri, Version};
use libfuzzer_sys::fuzz_target;
use rikki_proto::deflate::{self, Agreed, ClientOptions, Compression, ServerOptions};
use rikki_proto::handshake::{ClientHandshake, Subprotocol, accept};

const NONCE: [u8; 16] = *b"the sample nonce";

/// The parameters of one extension, read without the code under test.
type Parameters = BTreeMap<String, Option<u8>>;

fn field(letter: u8) -> HeaderName {
    match letter {
        b'a' => header::SEC_WEBSOCKET_ACCEPT,
        b'c' => header::CONNECTION,
        b'e' => header::SEC_WEBSOCKET_EXTENSIONS,
        b'h' => header::HOST,
        b'k' => header::SEC_WEBSOCKET_KEY,
        b'l' => header::CONTENT_LENGTH,
        b'p' => header::SEC_WEBSOCKET_PROTOCOL,
        b't' => header::TRANSFER_ENCODING,
        b'u' => header::UPGRADE,
        b'v' => header::SEC_WEBSOCKET_VERSION,
        _ => header::ORIGIN,
    }
}

fn fields(lines: &[&[u8]]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (letter, value) in lines.iter().filter_map(|line| line.split_first()) {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(field(*letter), value);
        }
    }
    headers
}

/// The extensions in a header that was taken, which is why it needs no grammar; values that are no numbers are `None`.
fn extensions(headers: &HeaderMap) -> Vec<(String, Parameters)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let lines = headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS).iter().map(text).collect::<Vec<_>>().join(",");
    let elements = lines.split(',').map(str::trim).filter(|element| !element.is_empty());
    elements
        .map(|element| {
            let mut parts = element.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_owned();
            let parameters = parts.map(|part| match part.split_once('=') {
                Some((name, value)) => {
                    let value = value.trim().trim_matches('"').replace('\\', "");
                    (name.trim().to_owned(), value.parse().ok())
                }
                None => (part.to_owned(), None),
            });
            (name, parameters.collect())
        })
        .collect()
}

/// Whether the response answers the offer as RFC 7692 section 7.1 wants it.
fn is_answer(offer: &Parameters, response: &Parameters) -> bool {
    let number = |parameters: &Parameters, name: &str| parameters.get(name).copied().flatten();
    let no_takeover = "server_no_context_takeover"; // section 7.1.1.1
    let server_window = match (number(offer, "server_max_window_bits"), number(response, "server_max_window_bits")) {
        (Some(offered), Some(answered)) => (8..=offered).contains(&answered), // section 7.1.2.1
        (Some(_), None) => false,
        (None, answered) => answered.is_none_or(|bits| (8..=15).contains(&bits)),
    };
    let client_window = match (offer.get("client_max_window_bits"), response.get("client_max_window_bits")) {
        (_, None) => true, // section 7.1.2.2
        (Some(offered), Some(Some(answered))) => (8..=offered.unwrap_or(15)).contains(answered),
        _ => false,
    };
    (response.contains_key(no_takeover) || !offer.contains_key(no_takeover)) && server_window && client_window
}

/// What the server's side makes of any request.
fn check_request(method: &Method, version: Version, request: &HeaderMap, spoken: &[Subprotocol]) {
    let Ok(accepted) = accept(method, version, request, spoken) else { return };
    // RFC 6455 section 4.2.1
    assert_eq!((method, version), (&Method::GET, Version::HTTP_11));
    for name in [header::HOST, header::SEC_WEBSOCKET_KEY, header::SEC_WEBSOCKET_VERSION] {
        assert_eq!(request.get_all(&name).iter().count(), 1, "{name}");
    }
    assert_eq!(request[header::SEC_WEBSOCKET_VERSION], "13");
    assert_eq!(request[header::SEC_WEBSOCKET_KEY].len(), 24, "16 bytes in base64");
    let offered = request
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii).collect::<Vec<_>>());
    let offered: Vec<&[u8]> = offered.collect();
    let chosen = accepted.subprotocol().cloned();
    assert!(chosen.is_none_or(|chosen| spoken.contains(&chosen) && offered.contains(&chosen.as_str().as_bytes())));
    assert_eq!(accepted.into_response().headers()[header::SEC_WEBSOCKET_ACCEPT].len(), 28);
}

/// What the server's side makes of any offers.
fn check_offers(request: &HeaderMap, options: &ServerOptions) {
    let Ok(Some(accepted)) = deflate::negotiate(request, options) else { return };
    let (response, agreed) = (answer(&accepted.response), accepted.agreed);
    let answers = |(name, offer): &(_, _)| name == "permessage-deflate" && is_answer(offer, &response);
    assert!(extensions(request).iter().any(answers), "{response:?} answers one of {:?}", extensions(request));
    check_agreed(agreed, &response);
    assert!((9..=15).contains(&agreed.server_max_window_bits), "zlib has no window of 8: {agreed:?}");
}

/// The one extension of a response.
fn answer(response: &HeaderValue) -> Parameters {
    let headers = HeaderMap::from_iter([(header::SEC_WEBSOCKET_EXTENSIONS, response.clone())]);
    let [(name, parameters)] = &extensions(&headers)[..] else { panic!("{response:?} is one extension") };
    assert_eq!(name, "permessage-deflate");
    parameters.clone()
}

fn check_agreed(agreed: Agreed, response: &Parameters) {
    for name in response.keys() {
        let known = ["server_no_context_takeover", "client_no_context_takeover"].contains(&&name[..]);
        assert!(known || ["server_max_window_bits", "client_max_window_bits"].contains(&&name[..]), "{response:?}");
    }
    assert_eq!(agreed.server_no_context_takeover, response.contains_key("server_no_context_takeover"));
    assert!(agreed.client_no_context_takeover || !response.contains_key("client_no_context_takeover"));
    let window = |name: &str| response.get(name).copied().flatten().unwrap_or(15);
    assert!((8..=window("server_max_window_bits")).contains(&agreed.server_max_window_bits), "{agreed:?}");
    assert!((8..=window("client_max_window_bits")).contains(&agreed.client_max_window_bits), "{agreed:?}");
}

/// What the client's side makes of any answer to its offer.
fn check_answer(response: &HeaderMap, options: &ClientOptions) {
    match deflate::confirm(response, options) {
        Ok(Some(agreed)) => {
            let [(name, parameters)] = &extensions(response)[..] else { panic!("one extension was offered") };
            assert_eq!(name, "permessage-deflate");
            assert!(is_answer(&answer(&deflate::offer(options)), parameters), "{parameters:?}");
            check_agreed(agreed, parameters);
        }
        Ok(None) => assert!(extensions(response).is_empty()),
        Err(_) => {}
    }
}

/// Our client's request to our server, and its answer: both are taken, and both sides agree on the same.
fn check_own(client: &ClientHandshake, uri: &Uri, more: HeaderMap, spoken: &[Subprotocol], server: &ServerOptions) {
    let Ok(request) = client.request(uri, more) else { return };
    let accepted = accept(request.method(), request.version(), request.headers(), spoken).expect("our own request");
    let subprotocol = accepted.subprotocol().cloned();
    let mut response = accepted.into_response();
    let answer = deflate::negotiate(request.headers(), server).expect("our own offer");
    let offered = extensions(request.headers());
    // The one offer of ours that our server cannot keep to.
    let is_too_small = offered.iter().any(|(_, offer)| offer.get("server_max_window_bits") == Some(&Some(8)));
    assert_eq!(answer.is_none(), offered.is_empty() || is_too_small, "{offered:?}");
    if let Some(answer) = &answer {
        response.headers_mut().insert(header::SEC_WEBSOCKET_EXTENSIONS, answer.response.clone());
    }
    let established = client.verify(&response).expect("our own answer");
    assert_eq!(established.subprotocol(), subprotocol.as_ref());
    assert_eq!(established.agreed().is_some(), answer.is_some());
    if let (Some(by_client), Some(by_server)) = (established.agreed(), answer.map(|answer| answer.agreed)) {
        // Each side keeps to no more than the other expects of it.
        assert_eq!(by_client.server_no_context_takeover, by_server.server_no_context_takeover);
        assert!(by_client.client_no_context_takeover || !by_server.client_no_context_takeover);
        assert!(by_server.server_max_window_bits <= by_client.server_max_window_bits);
        assert!(by_client.client_max_window_bits <= by_server.client_max_window_bits);
    }
}

/// What the client makes of any response.
fn check_response(client: &ClientHandshake, status: StatusCode, mut headers: HeaderMap, offered: &[Subprotocol]) {
    // Nothing but luck would find the right answer to the key: `=` stands for it.
    let request = client.request(&Uri::from_static("ws://h/"), HeaderMap::new()).expect("a plain request");
    let accepted = accept(request.method(), request.version(), request.headers(), &[]).expect("our own request");
    let right = accepted.into_response().headers()[header::SEC_WEBSOCKET_ACCEPT].clone();
    if let Some(value) = headers.get_mut(header::SEC_WEBSOCKET_ACCEPT).filter(|value| *value == "=") {
        *value = right.clone();
    }
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    let Ok(established) = client.verify(&response) else { return };
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert!(response.headers().get_all(header::SEC_WEBSOCKET_ACCEPT).iter().eq([&right]));
    assert!(established.subprotocol().is_none_or(|chosen| offered.contains(chosen)));
    assert_eq!(established.subprotocol().is_some(), response.headers().contains_key(header::SEC_WEBSOCKET_PROTOCOL));
}

fuzz_target!(|data: &[u8]| {
    let Some((&[kind, server, client, windows, status], text)) = data.split_first_chunk() else { return };
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let [uri, lines @ ..] = &lines[..] else { return };
    let end = lines.iter().position(|line| line.is_empty()).unwrap_or(lines.len());
    let (request, response) = (fields(&lines[..end]), fields(&lines[end..]));

    let method = if kind & 7 == 7 { Method::POST } else { Method::GET };
    let version = [Version::HTTP_11, Version::HTTP_11, Version::HTTP_10, Version::HTTP_2][usize::from(kind >> 3 & 3)];
    let spoken: Vec<Subprotocol> = ["chat", "superchat"].map(|name| name.parse().expect("a token")).into();
    let window = |bits: u8| Compression::default().window_bits(9 + bits % 7).expect("a window in its range");
    let server = if server & 1 == 0 { ServerOptions::shared } else { ServerOptions::dedicated }(window(server >> 1));
    let mut options = ClientOptions::default()
        .compression(window(client >> 2))
        .server_no_context_takeover(client & 1 != 0)
        .client_no_context_takeover(client & 2 != 0);
    if windows & 1 != 0 {
        options = options.server_max_window_bits(8 + (windows >> 1) % 8).expect("bits in their range");
    }
    let mut handshake = ClientHandshake::new(NONCE, &spoken[..usize::from(kind >> 5) % 3]);
    if kind & 0x80 == 0 {
        handshake = handshake.offer_deflate(options);
    }

    check_request(&method, version, &request, &spoken);
    check_offers(&request, &server);
    check_answer(&response, &options);
    if let Ok(uri) = Uri::try_from(*uri) {
        check_own(&handshake, &uri, request, &spoken, &server);
    }
    let status = StatusCode::from_u16(101 + u16::from(status)).unwrap_or_default();
    check_response(&handshake, status, response, &spoken);
});
