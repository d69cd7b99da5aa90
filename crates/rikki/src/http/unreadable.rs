//! Request heads that hyper cannot read. It answers them itself, before anybody is asked, and with a status alone: the
//! stream below it keeps that back, and the client is told in words instead.

use std::time::SystemTime;

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

use super::caller::Caller;
use super::config::{Config, Limits};
use crate::ws::internal::closing;
use rikki_limits::{Hint, Seldom};

/// Tells hyper's own answers from those that it was given. It writes all of an answer before it waits for the next
/// head, so what it writes while it waits is its own.
#[derive(Debug, Default)]
pub(super) struct OwnAnswer {
    /// Whether hyper may hold something of what it was given.
    is_unflushed: bool,
    status: Option<StatusCode>,
}

impl OwnAnswer {
    /// To be told of each write before it is made: whether it is kept back.
    pub(super) fn keeps_back(&mut self, awaits_head: bool, bytes: &[u8]) -> bool {
        // An answer that was given while the body of its request was still coming may not be all written; what is
        // behind it could not be told from it.
        if std::mem::replace(&mut self.is_unflushed, true) || !awaits_head {
            return false;
        }
        // It stands behind `HTTP/1.1 `: https://www.rfc-editor.org/rfc/rfc9112#section-4
        self.status = bytes.get(9..12).and_then(|status| StatusCode::from_bytes(status).ok());
        self.status.is_some()
    }

    /// Everything that hyper had to write is written.
    pub(super) fn flushed(&mut self) {
        self.is_unflushed = false;
    }

    /// What was kept back.
    pub(super) fn status(&self) -> Option<StatusCode> {
        self.status
    }
}

/// The whole answer of this status to a head that was refused with this error, which is logged; `read` begins with it.
pub(super) fn refuse(
    status: StatusCode,
    error: &hyper::Error,
    read: &[u8],
    config: &Config,
    caller: Caller,
) -> Vec<u8> {
    let what = what(status, error, config);
    if read.first() == Some(&TLS_HANDSHAKE) {
        log_tls(caller);
    } else {
        log(status, &what, caller);
    }
    let mut response = closing(status, "");
    // The page that asked may read why, whatever its method was: all are told the same.
    config.added.add_to(&mut response, config.added.reader_of_nothing());
    written(response, &format!("{what}\n"))
}

/// What is wrong, and what would be right.
fn what(status: StatusCode, error: &hyper::Error, config: &Config) -> String {
    let Limits { max_head, max_headers, .. } = &config.limits;
    let [head, headers] = ["max-head", "max-headers"].map(|setting| (config.hints.0)(Hint::new(setting, None)));
    match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => format!(
            "the request's head is larger than {max_head} bytes or has more than {max_headers} fields: send less, such \
             as fewer cookies; {head} and {headers} would allow more"
        ),
        StatusCode::URI_TOO_LONG => {
            "the request's target is too long: send less in it, or send it as a body".to_owned()
        }
        _ => format!(
            "the request cannot be read as HTTP ({error}): send a line such as GET / HTTP/1.1, lines of the form \
             name: value, and an empty one"
        ),
    }
}

/// The bytes of an answer: <https://www.rfc-editor.org/rfc/rfc9112#section-2.1>.
fn written(mut response: Response, text: &str) -> Vec<u8> {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, text.len().into());
    if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(SystemTime::now())) {
        headers.entry(header::DATE).or_insert(date);
    }
    let mut bytes = format!("HTTP/1.1 {}\r\n", response.status()).into_bytes();
    for (name, value) in response.headers() {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// The type of the first record of TLS: <https://www.rfc-editor.org/rfc/rfc8446#section-5.1>.
const TLS_HANDSHAKE: u8 = 22;

fn log_tls(Caller { id, peer, .. }: Caller) {
    static LINES: Seldom = Seldom::new();
    if let Some(left_out) = LINES.turn(()) {
        let (id, hint) = (id.get(), "reach it by http:// or ws://, or let it listen on https://");
        let what = "a client speaks TLS on a port that does not";
        tracing::warn!(target: "rikki::http", id, %peer, left_out, "{what}: {hint}");
    }
}

fn log(status: StatusCode, what: &str, Caller { id, request, peer }: Caller) {
    static LINES: Seldom<StatusCode> = Seldom::new();
    if let Some(left_out) = LINES.turn(status) {
        tracing::warn!(target: "rikki::http", id = id.get(), request, %peer, left_out, "request refused: {what}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &[u8] = b"HTTP/1.1 400 Bad Request\r\n";

    #[test]
    fn only_what_hyper_says_by_itself_is_kept_back() {
        let mut answers = OwnAnswer::default();
        // One that it was given, and which may say the same.
        assert!(!answers.keeps_back(false, OWN));
        // Something of that is left: it goes on.
        assert!(!answers.keeps_back(true, b"the rest of a body"));
        assert!(!answers.keeps_back(true, OWN));
        answers.flushed();
        assert_eq!(answers.status(), None);
        assert!(answers.keeps_back(true, OWN));
        assert_eq!(answers.status(), Some(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn what_has_no_status_is_not_kept_back() {
        for bytes in [&b""[..], b"HTTP/1.1 ", b"HTTP/1.1 4x0 Bad Request\r\n"] {
            let mut answers = OwnAnswer::default();
            assert!(!answers.keeps_back(true, bytes));
            assert_eq!(answers.status(), None);
        }
    }
}
