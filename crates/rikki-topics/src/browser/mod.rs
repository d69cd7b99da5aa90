//! The client of topics for pages: `/rikki.js`, an ES module, and its types. It knows nothing but the URLs of topics.

use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get};
use http::{HeaderMap, HeaderValue, StatusCode, header};

/// The module, and what an editor knows of it. Both are served as they lie here.
const MODULE: &str = include_str!("rikki.js");
const TYPES: &str = include_str!("rikki.d.ts");

/// The route of an ES module for pages, for the path `/rikki.js`: a `Topic` is a WebSocket on a
/// [topic's URL](crate::TopicUrl) that comes back by itself and goes on where it was.
///
/// ```html
/// <script type="module">
///   import { Topic } from "/rikki.js";
///   const topic = new Topic("/rooms/blue?last=10");
///   topic.onmessage = ({ data }) => console.log(data);
///   topic.ongap = () => console.log("some are missing here");
/// </script>
/// ```
///
/// It takes GET and HEAD; a browser that has it already is answered with 304 (Not Modified). What there is in the module
/// is told by its types: [`browser_types`].
///
/// ```
/// use axum::Router;
/// use rikki_topics::{TopicUrl, Topics, TopicsConfig, browser_module, browser_types};
///
/// let url = TopicUrl::new(&Topics::new(TopicsConfig::default()));
/// let app: Router = Router::new()
///     .route("/rooms/{*name}", url.route())
///     .route("/rikki.js", browser_module())
///     .route("/rikki.d.ts", browser_types());
/// ```
pub fn browser_module<S: Clone + Send + Sync + 'static>() -> MethodRouter<S> {
    serve("text/javascript; charset=utf-8", MODULE)
}

/// The route of the types of [`browser_module`], for the path `/rikki.d.ts`: what it has, for TypeScript and for editors.
pub fn browser_types<S: Clone + Send + Sync + 'static>() -> MethodRouter<S> {
    // Browsers have no use for it: it is read as a text.
    serve("text/plain; charset=utf-8", TYPES)
}

fn serve<S: Clone + Send + Sync + 'static>(media: &'static str, content: &'static str) -> MethodRouter<S> {
    let tag = tag(content);
    get(move |headers: HeaderMap| {
        let answer = answer(&headers, &tag, media, content);
        async { answer }
    })
}

fn answer(asked: &HeaderMap, tag: &str, media: &'static str, content: &'static str) -> Response {
    let mut headers = HeaderMap::new();
    // There is another one when the server is another version: it is asked for each time.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(header::ETAG, tag);
    }
    if has_it(asked, tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    (headers, content).into_response()
}

/// Whether the client has what bears this tag: <https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2>.
fn has_it(asked: &HeaderMap, tag: &str) -> bool {
    let lines = asked.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|line| line.to_str().ok());
    let mut known = lines.flat_map(|line| line.split(',')).map(str::trim);
    // Compared weakly: a proxy that compresses makes it a weak one.
    known.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// An entity tag that tells contents apart: their FNV-1a in 64 bits
/// (<http://www.isthe.com/chongo/tech/comp/fnv/>), which is the same on each machine.
fn tag(content: &str) -> String {
    let hash = content
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("\"{hash:016x}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_it() {
        let check = |lines: &[&'static str], expected| {
            let lines = lines.iter().map(|line| (header::IF_NONE_MATCH, HeaderValue::from_static(line)));
            assert_eq!(has_it(&lines.collect(), "\"a1\""), expected);
        };
        check(&[], false);
        check(&["\"a1\""], true);
        check(&["W/\"a1\""], true);
        check(&["*"], true);
        check(&["\"b\", W/\"a1\""], true);
        check(&["\"b\"", "\"a1\""], true);
        check(&["\"b\""], false);
        check(&["a1"], false);
        check(&[""], false);
    }

    #[test]
    fn tags_tell_contents_apart() {
        // From the test vectors of the specification.
        assert_eq!(tag(""), "\"cbf29ce484222325\"");
        assert_eq!(tag("a"), "\"af63dc4c8601ec8c\"");
        assert_eq!(tag("foobar"), "\"85944171f73967e8\"");
        assert_ne!(tag(MODULE), tag(TYPES));
    }
}
