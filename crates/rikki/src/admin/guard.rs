//! Who may ask: no page of another site, by whatever name it reaches the listener.
//!
//! A name that somebody else has in the DNS makes any page "same origin" with what listens here.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::PoisonError;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use rikki_limits::Excerpt;
use tower_layer::{Layer, layer_fn};
use tower_service::Service;

use super::{Admin, faces};
use crate::ws::internal::{Authority, Field, Host, host_field, only};

/// What judges each request, and completes each answer.
#[derive(Clone)]
pub(super) struct Guard {
    admin: Admin,
    names: Names,
}

/// By what names it may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// Any: a listener judges them, or no page can reach this one.
    Any,
    /// Those that are allowed, where `*` stands for all.
    Allowed,
    /// The same, but for `*`: a server may let anybody in by any name, which is no reason to show every page who is there.
    Told,
}

/// The fields of each answer: nothing is kept, nothing is guessed, and no other site has it in a frame.
const FIELDS: [(header::HeaderName, HeaderValue); 4] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

impl Guard {
    pub(super) fn new(admin: &Admin, names: Names) -> Self {
        Self { admin: admin.clone(), names }
    }

    pub(super) fn layer<S>(self) -> impl Layer<S, Service = Guarded<S>> + Clone {
        layer_fn(move |inner| Guarded { guard: self.clone(), inner })
    }

    fn refuse(&self, headers: &HeaderMap) -> Option<String> {
        let host = host_field(headers).ok().flatten();
        if let Some(Authority { host: Host::Name(name), .. }) = &host
            && self.names != Names::Any
            && !self.knows(name)
        {
            let name = Excerpt::of(&**name);
            return Some(format!(
                "the name {name} is not known here: ask by address, or allow it (--allow-host, Admin::allow_hosts)\n"
            ));
        }
        match only(headers, &header::ORIGIN) {
            Field::Absent => {}
            Field::Once(origin) if is_same(origin, host.as_ref()) => {}
            _ => return Some("pages of other origins have no business here\n".to_owned()),
        }
        // What no page of another site is shown it cannot ask for without a look at the answer either.
        let site = headers.get("sec-fetch-site").map_or(&b"none"[..], HeaderValue::as_bytes);
        let is_visit = headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate");
        let is_foreign = !matches!(site, b"none" | b"same-origin") && !is_visit;
        is_foreign.then(|| "pages of other sites have no business here\n".to_owned())
    }

    fn knows(&self, name: &str) -> bool {
        let hosts = self.admin.0.hosts.read().unwrap_or_else(PoisonError::into_inner);
        Host::parse(name).is_some_and(|host| host.is_loopback() || host.is_below_localhost())
            || hosts.iter().any(|host| match &**host {
                "*" => self.names == Names::Allowed,
                host => host.eq_ignore_ascii_case(name),
            })
    }
}

/// Whether an origin is that of the host that was asked.
fn is_same(origin: &HeaderValue, host: Option<&Authority<'_>>) -> bool {
    let Some((scheme, origin)) = origin.to_str().ok().and_then(|origin| origin.split_once("://")) else { return false };
    let (Some(origin), Some(host)) = (Authority::parse(origin), host) else { return false };
    ["http", "https"].contains(&scheme)
        && origin.host == host.host
        && origin.port_or_default(scheme) == host.port_or_default(scheme)
}

/// A service behind the guard.
#[derive(Clone)]
pub(super) struct Guarded<S> {
    guard: Guard,
    inner: S,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

impl<S> Service<Request> for Guarded<S>
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send + 'static>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Answer {
        let refused = self.guard.refuse(request.headers());
        let answer = refused.is_none().then(|| self.inner.call(request));
        Box::pin(async move {
            let mut response = match answer {
                Some(answer) => answer.await?,
                None => faces::told(StatusCode::FORBIDDEN, refused.unwrap_or_default()),
            };
            for (name, value) in FIELDS {
                response.headers_mut().entry(name).or_insert(value);
            }
            Ok(response)
        })
    }
}
