//! What the command serves: the echo, the JSON endpoint, the test page and files.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get};
use rikki::topics::{browser_module, browser_types};
use rikki::ws::{Handler, Message, Socket, Upgrade};
use rikki::{Files, Server};
use tower_service::Service as _;

use crate::args::TopicArg;

/// The page that tries the WebSocket out, and topics, and what belongs into it.
const TEST_PAGE: &str = include_str!("../assets/test/page.html");
const STYLE: &str = include_str!("../assets/test/style.css");
const SCRIPT: &str = concat!(
    include_str!("../assets/test/log.js"),
    include_str!("../assets/test/connection.js"),
    include_str!("../assets/test/compose.js"),
);

/// Where it is told of topics.
const TOPICS: &str = "<datalist id=\"topics\">";

const TEST_PATH: &str = "/test.html";

/// The icon that browsers ask for by themselves.
const ICON: &[u8] = include_bytes!("../assets/favicon.png");
const ICON_PATH: &str = "/favicon.ico";

/// The client of topics for pages, and its types.
const MODULE_PATH: &str = "/rikki.js";
const TYPES_PATH: &str = "/rikki.d.ts";

/// Where the echo is, unless it is moved, and how the test page has that.
pub(crate) const WEBSOCKET: &str = "/websocket";
const OF_PAGE: &str = "data-websocket=\"/websocket\"";

const REST: &str = "/rest";

/// What is no file, whatever lies in the folder; the root is both.
pub(crate) fn paths(websocket: Option<&str>, has_demo: bool) -> Vec<String> {
    let demo = [REST, TEST_PATH].into_iter().filter(|_| has_demo);
    let paths = demo.chain([ICON_PATH, MODULE_PATH, TYPES_PATH]).chain(websocket.filter(|path| *path != ROOT));
    paths.map(str::to_owned).collect()
}

const ROOT: &str = "/";

/// Answers every message with itself.
pub(crate) fn echo() -> impl Handler {
    |socket: &mut Socket<'_>, message: Message<'_>| socket.send(message)
}

/// Answers every message as text, as the server of Mongoose's tutorial does. Bytes that are not UTF-8 are replaced:
/// a text message must not hold them, and a browser would end the connection.
pub(crate) fn compat_echo() -> impl Handler {
    |socket: &mut Socket<'_>, message: Message<'_>| match &message {
        Message::Text(_) => socket.send(message),
        Message::Binary(bytes) => socket.send(&*String::from_utf8_lossy(bytes)),
    }
}

/// Serves a WebSocket at a path. At the root other requests are for the files there.
pub(crate) fn websocket<H: Handler>(server: Server, path: &str, handler: H, files: &Files) -> Server {
    if path != ROOT {
        return server.websocket(path, handler);
    }
    let (handler, files) = (Arc::new(handler), files.clone());
    let serve = move |request: Request| {
        let (handler, mut files) = (handler.clone(), files.clone());
        async move {
            if wants_websocket(&request) {
                return Upgrade::new(request).on_upgrade_with(handler);
            }
            let Ok(response) = files.call(request).await;
            response
        }
    };
    server.route(path, any(serve))
}

/// Whether a WebSocket is asked for; some clients ask for HTTP/2 in the same field, and take a page as well.
fn wants_websocket(request: &Request) -> bool {
    let fields = request.headers().get_all(header::UPGRADE).iter().filter_map(|field| field.to_str().ok());
    fields.flat_map(|field| field.split(',')).any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"))
}

/// What is neither a WebSocket nor a file: `/rest`, and what `files` may have too. The test page begins with the path of
/// a WebSocket.
pub(crate) fn http(files: Files, topics: &[TopicArg], websocket: Option<&str>, has_demo: bool) -> Router {
    let built_in = |media_type: &'static str, content: Bytes| {
        let files = files.clone();
        get(move |request: Request| built_in(files.clone(), request, media_type, content.clone()))
    };
    let mut router = Router::new();
    if has_demo {
        let page = test_page(topics, websocket.unwrap_or(WEBSOCKET));
        router = router.route(REST, get(rest)).route(TEST_PATH, built_in("text/html; charset=utf-8", page));
    }
    router = router.route(ICON_PATH, built_in("image/png", Bytes::from_static(ICON)));
    if topics.is_empty() {
        return router;
    }
    let for_pages = |module: MethodRouter| {
        let files = files.clone();
        get(move |request: Request| for_pages(files, request, module))
    };
    router.route(MODULE_PATH, for_pages(browser_module())).route(TYPES_PATH, for_pages(browser_types()))
}

/// The page with the paths of the topics, none of which has a letter that HTML would have to escape; below one that
/// ends in a star any name can be written.
fn test_page(topics: &[TopicArg], websocket: &str) -> Bytes {
    let option = |topic: &TopicArg| format!("<option value=\"{}\">", topic.path.trim_end_matches('*'));
    let options: String = topics.iter().map(option).collect();
    let page = TEST_PAGE.replacen(OF_PAGE, &format!("data-websocket=\"{websocket}\""), 1);
    let page = page.replacen(TOPICS, &format!("{TOPICS}{options}"), 1);
    let page = page.replacen("<style></style>", &format!("<style>\n{STYLE}</style>"), 1);
    page.replacen("<script></script>", &format!("<script>\n{SCRIPT}</script>"), 1).into()
}

async fn rest() -> ([(HeaderName, HeaderValue); 1], &'static str) {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], "{\"result\": 123}\n")
}

/// The folder's own file, or what pages need for topics.
async fn for_pages(files: Files, request: Request, mut module: MethodRouter) -> Response {
    let mut again = Request::new(Body::empty());
    again.method_mut().clone_from(request.method());
    again.headers_mut().clone_from(request.headers());
    if let Some(response) = of_folder(files, request).await {
        return response;
    }
    let Ok(response) = module.call(again).await;
    response
}

/// What the folder has under this name.
async fn of_folder(mut files: Files, request: Request) -> Option<Response> {
    let Ok(response) = files.call(request).await;
    (response.status() != StatusCode::NOT_FOUND).then_some(response)
}

/// The folder's own file, or what is built in.
async fn built_in(files: Files, request: Request, media_type: &'static str, content: Bytes) -> Response {
    if let Some(response) = of_folder(files, request).await {
        return response;
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // A page around it could have its reader click, and so connect and send as who is asked for by the server.
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("frame-ancestors 'none'"));
    (headers, content).into_response()
}
