//! What is added to every answer: headers of the operator's, and leave for other origins to read.

use super::*;

#[tokio::test]
async fn headers_are_added_to_every_answer_but_101() {
    let site = Site::new();
    let server = server(&site.0)
        .route("/own", get(|| async { [("x-frame-options", "DENY")] }))
        .route("/panics", get(|| async { panic!("on purpose") as &str }))
        .websocket("/socket", |socket: &mut Socket, message: Message<'_>| socket.send(message))
        .header("X-Frame-Options", "SAMEORIGIN")
        .header("link", "</a>")
        .header("link", "</b>");
    let server = Running::start(server).await;
    for via in BOTH {
        for (path, status) in [("/rest", 200), ("/ok.txt", 200), ("/sub", 301), ("/none", 404), ("/panics", 500)] {
            let answer = get_path(&server, via, path).await;
            assert_eq!((answer.status.as_u16(), answer.header("x-frame-options")), (status, "SAMEORIGIN"), "{path}");
            let links: Vec<_> = answer.headers.get_all("link").iter().collect();
            assert_eq!(links, ["</a>", "</b>"], "{path}");
        }
        let own: Vec<_> =
            get_path(&server, via, "/own").await.headers.get_all("x-frame-options").iter().cloned().collect();
        assert_eq!(own, ["DENY"], "what an answer says itself stays");
        let mut foreign = request(Method::GET, "/rest");
        foreign.headers_mut().insert("host", "evil.test".parse().unwrap());
        let refused = ask(&server, via, foreign).await;
        assert_eq!((refused.status.as_u16(), refused.header("x-frame-options")), (403, "SAMEORIGIN"));
        let mut talk = Talk::connect(&server, via).await;
        talk.send(upgrade("/socket", "")).await;
        let head = talk.head().await.to_lowercase();
        assert!(head.starts_with("http/1.1 101 ") && !head.contains("link") && !head.contains("x-frame"), "{head}");
    }
}

#[tokio::test]
async fn headers_that_cannot_be_added() {
    let check = async |name: &str, value: &str, expected: &str| {
        let error = Server::new().header(name, value).listen("http://127.0.0.1:0").start().await.unwrap_err();
        assert_eq!(error.to_string(), format!("cannot add the header {expected}"));
    };
    for name in ["Content-Length", "transfer-encoding", "connection", "upgrade", "keep-alive", "trailer", "te"] {
        let why = "it says how an answer is sent, which the server alone knows";
        check(name, "1", &format!("{}: {why}", name.to_lowercase())).await;
    }
    check("two words", "1", ": the name is not a token").await;
    check("x", "a\r\nb: c", "x: the value has bytes that no header can have").await;
    let many = (0..101).fold(Server::new(), |server, _| server.header("x", "1")).start().await.unwrap_err();
    assert_eq!(many.to_string(), "cannot add the header x: there are 100 already");
}

#[tokio::test]
async fn pages_of_other_origins_may_read() {
    let site = Site::new();
    let strict = site.serve().await;
    let open = server(&site.0).route("/own", get(|| async { [("access-control-allow-origin", "https://a")] }));
    let open = Running::start(open.cors(true)).await;
    let (allowed, exposing) = ("access-control-allow-origin", "access-control-expose-headers");
    for via in BOTH {
        for path in ["/rest", "/ok.txt", "/sub", "/none"] {
            for method in [Method::GET, Method::HEAD] {
                assert_eq!(
                    ask(&open, via, request(method.clone(), path)).await.header(allowed),
                    "*",
                    "{method} {path}"
                );
                let exposed = ask(&open, via, request(method.clone(), path)).await;
                assert_eq!(exposed.header(exposing), "content-range, accept-ranges, etag, content-length");
                assert!(!ask(&strict, via, request(method, path)).await.headers.contains_key(allowed), "{path}");
            }
            let post = ask(&open, via, request(Method::POST, path)).await;
            assert!(!post.headers.contains_key(allowed) && !post.headers.contains_key(exposing), "{path}");
        }
        assert_eq!(get_path(&open, via, "/own").await.header(allowed), "https://a");
        let preflight = |method: &str| {
            let mut request = request(Method::OPTIONS, "/ok.txt");
            request.headers_mut().insert("origin", "https://a.test".parse().unwrap());
            request.headers_mut().insert("access-control-request-method", method.parse().unwrap());
            request
        };
        let answer = ask(&open, via, preflight("GET")).await;
        assert_eq!((answer.status.as_u16(), &*answer.body, answer.header(allowed)), (204, "", "*"));
        assert_eq!(answer.header("access-control-allow-headers"), "*, authorization");
        // A browser that asks for another method finds that it is not among them.
        let answer = ask(&open, via, preflight("PUT")).await;
        assert_eq!(answer.header("access-control-allow-methods"), "GET, HEAD");
        for (server, request) in [(&strict, preflight("GET")), (&open, request(Method::OPTIONS, "/ok.txt"))] {
            let answer = ask(server, via, request).await;
            assert_eq!((answer.status.as_u16(), answer.header("allow")), (204, "GET, HEAD, OPTIONS"), "no preflight");
            assert!(!answer.headers.contains_key(allowed));
        }
        let mut foreign = preflight("GET");
        foreign.headers_mut().insert("host", "evil.test".parse().unwrap());
        assert_eq!(ask(&open, via, foreign).await.status, 403);
    }
}
