//! What goes over the wire: requests that are signed, answers with a nonce, and times.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use instant_acme::BytesResponse;
use serde_json::{Value, json};

pub(super) fn number(path: &str) -> usize {
    path.rsplit('/').next().unwrap().parse().unwrap()
}

/// The header and the payload of what was signed, which nobody else can have changed here.
pub(super) fn opened(body: &[u8]) -> (Value, Value) {
    let signed: Value = serde_json::from_slice(body).unwrap();
    let part = |name: &str| URL_SAFE_NO_PAD.decode(signed[name].as_str().unwrap()).unwrap();
    let payload = part("payload");
    let payload = if payload.is_empty() { Value::Null } else { serde_json::from_slice(&payload).unwrap() };
    (serde_json::from_slice(&part("protected")).unwrap(), payload)
}

pub(super) fn answer(status: u16, text: impl Into<Bytes>) -> BytesResponse {
    with_nonce(Response::builder().status(StatusCode::from_u16(status).unwrap()), text)
}

pub(super) fn problem(kind: &str, again: Option<&str>) -> BytesResponse {
    let text = json!({"type": format!("urn:ietf:params:acme:error:{kind}"), "detail": "no"}).to_string();
    let response = Response::builder().status(400);
    with_nonce(again.into_iter().fold(response, |made, again| made.header("Retry-After", again)), text)
}

pub(super) fn with_nonce(response: http::response::Builder, text: impl Into<Bytes>) -> BytesResponse {
    BytesResponse::from(response.header("Replay-Nonce", "bm9uY2U").body(Full::new(text.into())).unwrap())
}

/// As RFC 3339 has it.
pub(super) fn written(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap();
    let time = rcgen::date_time_ymd(1970, 1, 1) + seconds;
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}
