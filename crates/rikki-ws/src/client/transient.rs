//! Whether it is worth while to try again, and when.

use std::io::ErrorKind;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header};

use super::{ConnectError, ProxyError};

/// Longer than this nobody is told to wait.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

impl ConnectError {
    /// Whether trying again later may help without anything being changed.
    ///
    /// It may where the server or the proxy was not reached, did not answer in time, broke off, or refused with one of
    /// 408, 425, 429, 500, 502, 503 and 504. Nothing is to be hoped for from a URL, header, limit or certificate that
    /// is wrong, from other answers such as 401, 403 and 404, or from a 101 that breaks the rules.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::TimedOut => true,
            Self::Unreachable { source, .. } => may_be_reached(source),
            #[cfg(unix)]
            Self::UnixSocket { source, .. } => may_be_reached(source),
            Self::Proxy { source, .. } => match source {
                ProxyError::Unreachable(source) => may_be_reached(source),
                ProxyError::Refused(response) => is_passing(response.status()),
                ProxyError::Reply(code) => matches!(code, 1 | 3..=6),
                ProxyError::Broken(error) => has_broken(error.as_ref()),
                ProxyError::Unauthorized | ProxyError::NameTooLong | ProxyError::Protocol(_) => false,
            },
            Self::Refused(response) => is_passing(response.status()),
            Self::Http(error) => has_broken(error.as_ref()),
            #[cfg(feature = "tls")]
            Self::TlsHandshake { source, .. } => is_loss(source),
            #[cfg(feature = "tls")]
            Self::Tls(_) | Self::SpeaksNoTls => false,
            Self::BadUrl { .. }
            | Self::BadHeader { .. }
            | Self::BadProxy { .. }
            | Self::Limit(_)
            | Self::SpeaksTls
            | Self::Redirected { .. }
            | Self::Handshake(_)
            | Self::NoRandom(_) => false,
        }
    }

    /// How long a server that refused asks to be left alone, by the field Retry-After
    /// ([RFC 9110 section 10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)): seconds, or a date, which is
    /// compared with that of the answer if there is one, and else with the system's clock. At most 24 hours; `None`
    /// where nothing was said, or nothing that can be understood. A proxy that refused is a server here.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(response) | Self::Proxy { source: ProxyError::Refused(response), .. } => {
                retry_after(response.headers(), SystemTime::now())
            }
            _ => None,
        }
    }
}

/// Nobody listens yet, or the network is away; not where the system forbids it.
fn may_be_reached(error: &std::io::Error) -> bool {
    !matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidInput)
}

/// Who says so expects it to pass.
fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// Whether the connection was lost, where what came was no nonsense.
fn has_broken(error: &(dyn std::error::Error + 'static)) -> bool {
    match (error.downcast_ref::<hyper::Error>(), error.downcast_ref()) {
        (Some(error), _) => !error.is_parse() && !error.is_user(),
        (None, Some(error)) => is_loss(error),
        (None, None) => false,
    }
}

fn is_loss(error: &std::io::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, TimedOut, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | TimedOut | UnexpectedEof)
}

fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let after = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More than there is room for is more than is waited for.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let date = httpdate::parse_http_date(value).ok()?;
        let said_at = headers.get(header::DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
        date.duration_since(said_at.unwrap_or(now)).unwrap_or_default()
    };
    Some(after.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Response;

    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
        let now = httpdate::parse_http_date(DATE).unwrap();
        let check = |fields: &[(header::HeaderName, &'static str)], expected: Option<u64>| {
            let headers = fields.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
            assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs), "{fields:?}");
        };
        let after = |value: &'static str, expected| check(&[(header::RETRY_AFTER, value)], expected);
        check(&[], None);
        after("0", Some(0));
        after("120", Some(120));
        after("86401", Some(86_400));
        after("99999999999999999999999", Some(86_400));
        for wrong in ["", "-1", "+5", "1.5", "soon", "12 s"] {
            after(wrong, None);
        }
        after("Sun, 06 Nov 1994 08:50:07 GMT", Some(30));
        after("Sun, 06 Nov 1994 08:49:07 GMT", Some(0));
        after("Sunday, 06-Nov-94 08:50:07 GMT", Some(30));
        after("Fri, 31 Dec 9999 23:59:59 GMT", Some(86_400));
        // The clock of whoever has written it.
        let later = (header::DATE, "Sun, 06 Nov 1994 08:50:00 GMT");
        check(&[(header::RETRY_AFTER, "Sun, 06 Nov 1994 08:50:07 GMT"), later], Some(7));
    }

    #[test]
    fn what_may_pass() {
        let answer = |status: u16| {
            let response = Response::builder().status(status).body(Bytes::new()).unwrap();
            Box::new(response)
        };
        let refused = |status| ConnectError::Refused(answer(status)).is_transient();
        let passing: Vec<u16> = (200..600).filter(|status| refused(*status)).collect();
        assert_eq!(passing, [408, 425, 429, 500, 502, 503, 504]);

        let by_proxy = |source| ConnectError::Proxy { proxy: String::new(), source }.is_transient();
        assert!(by_proxy(ProxyError::Refused(answer(502))) && !by_proxy(ProxyError::Refused(answer(403))));
        assert!(!by_proxy(ProxyError::Unauthorized));
        let codes: Vec<u8> = (0..=255).filter(|code| by_proxy(ProxyError::Reply(*code))).collect();
        assert_eq!(codes, [1, 3, 4, 5, 6]);

        let lost = |kind: ErrorKind| ConnectError::Http(Box::new(std::io::Error::from(kind))).is_transient();
        assert!(lost(ErrorKind::ConnectionReset) && lost(ErrorKind::UnexpectedEof) && !lost(ErrorKind::InvalidData));
        let unreachable = |kind: ErrorKind| {
            let host = String::new();
            ConnectError::Unreachable { host, port: 80, source: kind.into() }.is_transient()
        };
        assert!(unreachable(ErrorKind::ConnectionRefused) && !unreachable(ErrorKind::PermissionDenied));
    }
}
