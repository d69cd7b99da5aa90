//! A URL for each topic: a WebSocket and a stream of events subscribe, POST publishes, and GET reads what there is.
//!
//! The name of the topic is the path. What is judged before anything is done, in this order: method, origin, name,
//! whether a topic may have it, what is asked for, and who asks. HTTP around it (Host, pace, how many come in) is the
//! server's.

mod asked;
mod event;
mod events;
mod lines;
mod piece;
mod publishing;
mod reading;
mod refusal;
#[cfg(test)]
mod tests;
mod visitor;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{OriginalUri, Request};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, any};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use rikki_ws::internal::foreign;
use rikki_ws::{Endpoint, Upgrade};

use crate::position::Position;
use crate::presence::Identity;
use crate::shared::Rules;
use crate::topics::Topics;

use asked::{Face, Wanted};
use refusal::Refusal;
pub use refusal::{Action, Denied};
use visitor::{Visit, Visitors};

/// Where a topic is, in answers: `EPOCH:OFFSET`, as [`Position`] is written.
static TOPIC_POSITION: HeaderName = HeaderName::from_static("topic-position");

/// What a topic's URL takes: <https://www.rfc-editor.org/rfc/rfc9110#section-10.2.1>.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS, POST");

type Rule = dyn Fn(&Parts, &str, Action) -> Result<Identity, Denied> + Send + Sync;

/// Topics under a URL each, of which the path without its first slash is the name.
///
/// | request | what it does |
/// |---|---|
/// | GET, as a WebSocket | subscribes; what the client sends is published, if it may |
/// | GET with `Accept: text/event-stream` | subscribes: [server-sent events](https://html.spec.whatwg.org/multipage/server-sent-events.html), which resume by themselves |
/// | GET, HEAD | what there is, as JSON; where the topic is, in `Topic-Position` |
/// | POST | publishes the body, or each line of `application/x-ndjson` |
///
/// A name is written plainly: a percent-encoding of a letter, a digit, `-`, `.`, `_`, `~` or `/` is refused with 400, so
/// that one route is not got round by the spelling of another. Where a path of a route has another character, such as a
/// colon, its encoding is not that route's, but the same name: who may do what belongs into the
/// [rule](Self::authorize), which gets the name.
///
/// `?last=10`, `?since=30s` and `?since=EPOCH:OFFSET` say where to begin: by default with what comes next, and reading with
/// all that newcomers may have. `?envelope=json` puts each message into an envelope of JSON that says where it is.
/// `?presence=true` tells who is there, and a subscriber then who comes and goes, as far as the
/// [topic](crate::TopicConfig::presence) knows. Each may be there
/// once; what else the query has is for the [rule](Self::authorize).
///
/// Pages of another origin are refused, whatever they ask for, unless the server or the [endpoint](Self::endpoint)
/// allows them; that their pages may read an answer (CORS) is for the server to say. Without a
/// [rule](Self::authorize) everybody may subscribe and read, and publish where
/// [`TopicConfig::publish`](crate::TopicConfig::publish) says so.
///
/// # WebSockets
///
/// Messages come as they were published. With an envelope they are preceded by `{"subscribed":…}`, which says where the
/// client begins and, if it resumes, whether everything was still there; gaps and who comes and goes are told in between.
/// Closed with 1008: the client has sent something and may not publish, or there is no such topic
/// [any more](Topics::reconfigure). With 1009: what it has sent is longer than the
/// topic takes. With 1013: it was too slow, by the topic's [policy](crate::Policy); there is no room for one more
/// subscription; or what it has sent could not be published.
///
/// # Events
///
/// A message is an event without a type, or `binary` and in base64. Its id is its position, with which a browser that
/// comes back resumes by itself (`Last-Event-ID`, which goes before what the query says). Line ends within a message all
/// become a line feed, as the format has it; in an envelope they stay. `subscribed` is the first event, `gap` says
/// how many messages are missing, as far as that is known, and `presence` who is there, behind `subscribed`, and then who has come and
/// gone. A stream ends when the
/// server drains, and by [`Policy::Close`](crate::Policy::Close); then the browser comes back and resumes.
///
/// # Reading
///
/// `{"topic":…,"epoch":…,"offset":…,"messages":[…]}`: where the topic is, and messages in their envelopes. With
/// `?since=EPOCH:OFFSET` there is `recovered`, with `?presence=true` `presence`, and `gap` where the topic has gone on
/// without a reader who was too slow. A topic that nobody has used has `null` for an epoch; it does not come to be by
/// being read, unless a broker may have a history of it, which is waited for: 503 after 5 seconds, or where that is away.
///
/// # Publishing
///
/// The body is a text if its `Content-Type` is `text/*`, JSON or that of a form, or if there is none and it is UTF-8;
/// anything else is binary. The answer is its position, `{"epoch":…,"offset":…}`. `Idempotency-Key` is the
/// [key](crate::Publish::idempotency_key) by which it is known when it is sent again, `Topic-Key` that of which it is the
/// [latest](crate::Publish::key).
///
/// Of `application/x-ndjson` each line is a message, any JSON, and so has the answer a line for each: its position, or
/// `{"error":…}`. What is published stays, whatever becomes of the lines behind it. At most 10,000 lines are taken; the
/// idempotency key of a line is that of the request, of at most 250 bytes, with `/` and its number from 0, and a topic
/// knows its last 1,024 keys.
///
/// # Refusals
///
/// Each is a line of text. 400: what is asked for is malformed. 401, 403: who asks may not. 404: no topic can have this
/// name. 405: another method. 413: longer than the topic takes. 415: a body with a coding. 503, to be tried again: a limit
/// is reached, or the broker away. 504: the broker has not answered, and it is published or not.
///
/// Memory: a subscriber costs a place in the topic, and one by a stream of events at most about 16 KiB of it on their way,
/// beside what the server keeps of an answer, and the message of which that is a part, which it shares with the topic and
/// all who have not had it; so does a reader. The body of a POST and the answer to lines count in the
/// [memory of all topics](crate::TopicsConfig::memory).
///
/// ```
/// use axum::Router;
/// use rikki_topics::{TopicConfig, TopicUrl, Topics, TopicsConfig};
///
/// let config = TopicsConfig::default().topic("rooms/*", TopicConfig::default().publish(true))?.others(None);
/// let url = TopicUrl::new(&Topics::new(config));
/// let app: Router = Router::new().route("/rooms/{*name}", url.route());
/// # Ok::<(), rikki_topics::BadName>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct TopicUrl {
    topics: Topics,
    rule: Option<Arc<Rule>>,
    heartbeat: Duration,
    retry: Duration,
    endpoint: Option<Endpoint>,
}

impl TopicUrl {
    /// URLs for these topics.
    pub fn new(topics: &Topics) -> Self {
        let (heartbeat, retry) = (Duration::from_secs(15), Duration::from_secs(2));
        Self { topics: topics.clone(), rule: None, heartbeat, retry, endpoint: None }
    }

    /// Sets who may do what: `rule` gets the request, the name of the topic and what is asked for, and says who it is
    /// or why not. It alone decides then, also on publishing.
    ///
    /// It is asked once for each action of a request: for a WebSocket for [`Subscribe`](Action::Subscribe), for
    /// [`History`](Action::History) and [`Presence`](Action::Presence) if it asks for that, and for
    /// [`Publish`](Action::Publish); the answers hold as long as it lasts, as does that of
    /// [`TopicConfig::publish`](crate::TopicConfig::publish) without a rule. It runs on the thread that serves the
    /// connection, so it must not block. What must wait belongs into a layer in front, which leaves what it has
    /// learned in the extensions of the request.
    ///
    /// ```
    /// use rikki_topics::{Action, Denied, Identity, TopicUrl, Topics, TopicsConfig};
    ///
    /// let url = TopicUrl::new(&Topics::new(TopicsConfig::default())).authorize(|request, topic, action| {
    ///     let Some(token) = request.headers.get("authorization") else {
    ///         return Err(Denied::unauthorized("a token is needed"));
    ///     };
    ///     match action {
    ///         Action::Publish if token != "Bearer editor" => Err(Denied::forbidden("editors alone may publish")),
    ///         _ => Ok(Identity::user("ada")),
    ///     }
    /// });
    /// ```
    pub fn authorize(
        self,
        rule: impl Fn(&Parts, &str, Action) -> Result<Identity, Denied> + Send + Sync + 'static,
    ) -> Self {
        Self { rule: Some(Arc::new(rule)), ..self }
    }

    /// Sets after how long without any event a stream of them shows that it is alive, and says where it is; default 15
    /// seconds, at least a quarter of one.
    pub fn heartbeat(self, heartbeat: Duration) -> Self {
        Self { heartbeat, ..self }
    }

    /// Sets how long a browser waits until it opens a stream of events again that has ended; default 2 seconds.
    pub fn retry(self, retry: Duration) -> Self {
        Self { retry, ..self }
    }

    /// Sets the configuration, subprotocols and origins of the WebSockets; the origins hold for all other requests too.
    /// Default those of the server in front.
    pub fn endpoint(self, endpoint: Endpoint) -> Self {
        Self { endpoint: Some(endpoint), ..self }
    }

    /// The route, for the path of one topic, such as `/chat`, or of many, such as `/rooms/{*name}`.
    ///
    /// The name is the whole path also where the route is nested.
    pub fn route<S: Clone + Send + Sync + 'static>(&self) -> MethodRouter<S> {
        let visitors = Arc::new(Visitors(self.topics.clone()));
        let served = Arc::new(Served { url: self.clone(), visitors });
        any(move |request: Request| {
            let served = served.clone();
            async move { served.answer(request).await }
        })
    }

    /// Whether a request may do this, and who it is.
    fn may(&self, request: &Parts, topic: &Asked<'_>, action: Action) -> Result<Identity, Refusal> {
        match &self.rule {
            Some(rule) => rule(request, topic.name, action).map_err(Refusal::from),
            None if action == Action::Publish && !topic.rules.config.publish => {
                Err(Refusal::new(StatusCode::FORBIDDEN, "publishing is not allowed here: clients may only subscribe"))
            }
            None => Ok(Identity::default()),
        }
    }
}

impl fmt::Debug for TopicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topics, heartbeat, retry, .. } = self;
        f.debug_struct("TopicUrl")
            .field("topics", topics)
            .field("heartbeat", heartbeat)
            .field("retry", retry)
            .finish_non_exhaustive()
    }
}

/// The topic that is asked for.
#[derive(Clone, Copy)]
struct Asked<'a> {
    name: &'a str,
    rules: &'a Rules,
}

/// What a route serves.
struct Served {
    url: TopicUrl,
    visitors: Arc<Visitors>,
}

impl Served {
    async fn answer(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        if parts.method == Method::OPTIONS {
            return (StatusCode::NO_CONTENT, [(header::ALLOW, METHODS)]).into_response();
        }
        let Some(face) = Face::of(&parts) else {
            return Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "a topic takes GET, HEAD, OPTIONS and POST").into();
        };
        // A form of another site can publish, and a page of one can read where the address of the client lets it.
        if let Some(foreign) = foreign(&parts, self.url.endpoint.as_ref()) {
            return foreign;
        }
        self.answer_as(face, parts, body).await.unwrap_or_else(Response::from)
    }

    async fn answer_as(&self, face: Face, parts: Parts, body: Body) -> Result<Response, Refusal> {
        let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |OriginalUri(uri)| uri);
        let name = asked::name_of(uri.path())?;
        // What it is like when the request comes; what is published is judged again when it is.
        let rules = self.url.topics.rules(&name).ok_or(Refusal::UNKNOWN)?;
        let (topic, query) = (Asked { name: &name, rules: &rules }, parts.uri.query());
        match face {
            Face::WebSocket => self.upgrade(&topic, &Wanted::of(query)?, parts, body),
            Face::Events => events::answer(&self.url, &topic, &Wanted::of(query)?, &parts),
            Face::Reading => reading::answer(&self.url, &topic, &Wanted::of(query)?, &parts).await,
            Face::Publishing => publishing::answer(&self.url, &topic, &parts, body).await,
        }
    }

    fn upgrade(&self, topic: &Asked<'_>, wanted: &Wanted, parts: Parts, body: Body) -> Result<Response, Refusal> {
        let options = wanted.subscribe(&self.url, topic, &parts)?;
        let publishes = self.url.may(&parts, topic, Action::Publish).is_ok();
        let upgrade = Upgrade::new(Request::from_parts(parts, body));
        let upgrade = match &self.url.endpoint {
            Some(endpoint) => upgrade.at(endpoint),
            None => upgrade,
        };
        Ok(upgrade.on_accepted_with(self.visitors.clone(), |extensions| {
            extensions.insert(Visit::new(&self.url.topics, topic.name, options, publishes));
        }))
    }
}

/// A response that nobody keeps: it is another one in a moment.
fn response(media: &'static str, position: Option<Position>, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(position) = position.and_then(|position| HeaderValue::try_from(position.to_string()).ok()) {
        headers.insert(&TOPIC_POSITION, position);
    }
    response
}
