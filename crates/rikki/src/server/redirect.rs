//! Listeners without TLS that send everybody to the one with it.

use std::future::ready;

use axum::Router;
use axum::extract::Request;
use axum::http::header::LOCATION;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::handle::Opened;
use super::listen::Listen;
use super::url::{ListenHost, Place};
use super::{ListenUrl, Server, StartError};
use crate::ws::internal::{closing, host_field, target_authority};

/// Opens a listener on this port for each host that TLS listens on; to the first of several on one host.
pub(super) fn bind(port: u16, listeners: &[Opened], server: &Server) -> Result<Vec<Opened>, StartError> {
    let mut redirects: Vec<Opened> = Vec::new();
    for Opened { planned, sockets, .. } in listeners {
        let bound = sockets.iter().find_map(|socket| socket.local_addr().ok().flatten());
        let (host, asked) = match (&planned.url.0, bound) {
            (Place::Port { tls: true, host, port }, _) => (*host, *port),
            (Place::Passed { tls: true, .. }, Some(address)) => (ListenHost::Address(address.ip()), address.port()),
            _ => continue,
        };
        let url = ListenUrl(Place::Port { tls: false, host, port });
        if redirects.iter().any(|other| other.planned.url == url) {
            continue;
        }
        let router = router(bound.map_or(asked, |address| address.port()));
        let planned = server.plan(&Listen::new(url.to_string()))?;
        redirects.push(Opened { sockets: url.bind(&mut Vec::new())?, planned, router, is_redirect: true });
    }
    Ok(redirects)
}

fn router(port: u16) -> Router {
    Router::new().fallback(move |request: Request| ready(answer(&request.into_parts().0, port)))
}

/// The method stays what it is ([RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-15.4.9)).
fn answer(request: &Parts, port: u16) -> Response {
    match location(request, port) {
        Some(location) => (StatusCode::PERMANENT_REDIRECT, [(LOCATION, location)]).into_response(),
        None => closing(StatusCode::BAD_REQUEST, "the header Host is missing or no host\n"),
    }
}

/// `None` without a host, as from HTTP/1.0, or with one that is none.
fn location(request: &Parts, port: u16) -> Option<HeaderValue> {
    // https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2
    let host = target_authority(request).ok()?.or(host_field(&request.headers).ok()?)?.host;
    let path = request.uri.path_and_query().map_or("/", |path| path.as_str());
    // The target of OPTIONS may be a star, and that of CONNECT has no path.
    let path = if path.starts_with('/') { path } else { "/" };
    let path = utf8_percent_encode(path, ESCAPED);
    HeaderValue::try_from(match port {
        443 => format!("https://{host}{path}"),
        _ => format!("https://{host}:{port}{path}"),
    })
    .ok()
}

/// What no URL has as it is; `%` stands before what is escaped already.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_to() {
        let check = |target: &str, host: Option<&str>, port: u16, expected: Option<&str>| {
            let mut request = Request::builder().uri(target);
            if let Some(host) = host {
                request = request.header("host", host);
            }
            let request = request.body(()).unwrap().into_parts().0;
            let location = location(&request, port);
            assert_eq!(location.as_ref().map(|to| to.to_str().unwrap()), expected, "{target} {host:?}");
        };
        let to = |target: &str, expected: &str| check(target, Some("a.test"), 443, Some(expected));
        to("/", "https://a.test/");
        to("/a/b?c=d&e=%0d%0a", "https://a.test/a/b?c=d&e=%0d%0a");
        to("//evil.test/x", "https://a.test//evil.test/x");
        to("/\\evil.test", "https://a.test/%5Cevil.test");
        to("/?to=https://evil.test/", "https://a.test/?to=https://evil.test/");
        to("/a\"b", "https://a.test/a%22b");
        to("*", "https://a.test/");
        // The target names the host, if it names one.
        to("http://b.test:80/x?y", "https://b.test/x?y");
        to("http://b.test", "https://b.test/");

        let from = |host: &str, port: u16, expected: &str| check("/x", Some(host), port, Some(expected));
        from("a.test:80", 443, "https://a.test/x");
        from("a.test:80", 8443, "https://a.test:8443/x");
        from("127.0.0.1:8080", 443, "https://127.0.0.1/x");
        from("[::1]:80", 8443, "https://[::1]:8443/x");
        from("[0:0::1]", 443, "https://[::1]/x");
        from("A_b.test", 443, "https://A_b.test/x");

        let refuse = |host: Option<&str>| check("/x", host, 443, None);
        refuse(None);
        refuse(Some(""));
        refuse(Some(":80"));
        refuse(Some("a.test@evil.test"));
        refuse(Some("a.test/evil"));
        refuse(Some("a.test\\evil"));
        refuse(Some("a.test#"));
        refuse(Some("a.test?x"));
        refuse(Some("a.test evil.test"));
        refuse(Some("a.test,evil.test"));
        refuse(Some("a.test:99999"));
        refuse(Some("a%0d%0aset-cookie:x"));
        refuse(Some("\"><script>"));
        refuse(Some("[::1"));
        refuse(Some("::1"));
    }
}
