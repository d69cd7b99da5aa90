//! Several folders at paths of their own.

use axum::Router;
use rikki::{Files, StartError};
use testkit::Certificate;

use super::*;

/// Folders within folders, and beside the ones of the same names in the root.
async fn nested_folders(site: &Site, docs: &Site, api: &Site) -> Running {
    docs.write("ok.txt", "docs");
    docs.write("api/ok.txt", "below docs");
    docs.write("api/only-docs.txt", "below docs");
    api.write("ok.txt", "api");
    docs.write(".well-known/x", "docs");
    site.write(".well-known/x", "well known");
    site.write("docs/ok.txt", "below the root");
    site.write("docsy/ok.txt", "docsy");
    let folder = |site: &Site| Files::new(&site.0).unwrap();
    Running::start(server(&site.0).mount("/docs/", folder(docs).listing(false)).mount("/docs/api", folder(api))).await
}

#[tokio::test]
async fn the_longest_path_counts() {
    let (site, docs, api) = (Site::new(), Site::new(), Site::new());
    let server = nested_folders(&site, &docs, &api).await;
    for via in BOTH {
        for (path, expected) in [
            ("/ok.txt", "ok"),
            ("/docs/ok.txt", "docs"),
            ("/docs/api/ok.txt", "api"),
            ("/docsy/ok.txt", "docsy"),
            ("/.well-known/x", "well known"),
            ("/docs/sub/", "<h1>index</h1>"),
        ] {
            let answer = get_path(&server, via, path).await;
            assert_eq!((answer.status.as_u16(), &*answer.body), (200, expected), "{path}");
        }
        for path in [
            "/docs/api/only-docs.txt",
            "/docs/",
            "/docs/.env",
            "/docs/.well-known/x",
            "/docs//ok.txt",
            "/docs//",
            "/docs//api/",
            "/docs///",
            "/docs%2Fok.txt",
        ] {
            assert_eq!(get_path(&server, via, path).await.status, 404, "{path}");
        }
        for (path, location) in [("/docs", "./docs/"), ("/docs/api", "./api/"), ("/docs/sub", "./sub/")] {
            let answer = get_path(&server, via, path).await;
            assert_eq!((answer.status.as_u16(), answer.header("location")), (301, location), "{path}");
        }
        let listing = get_path(&server, via, "/docs/api/").await;
        assert!(listing.body.contains("<title>Index of /docs/api/</title>"), "{}", listing.body);
    }
}

#[tokio::test]
async fn dot_segments_are_resolved_before_the_folder_is_chosen() {
    let (site, docs, api) = (Site::new(), Site::new(), Site::new());
    let server = nested_folders(&site, &docs, &api).await;
    for via in BOTH {
        for (path, expected) in [
            ("/docs/../ok.txt", "ok"),
            ("/docs/./ok.txt", "docs"),
            ("/sub/../docs/ok.txt", "docs"),
            ("/docs/sub/%2e%2e/api/ok.txt", "api"),
            ("/docs/api/../ok.txt", "docs"),
            ("/docs/api/../../ok.txt", "ok"),
            ("/%2e/docs/api/ok.txt", "api"),
            // Nor does it matter how a name is written.
            ("/%64ocs/ok.txt", "docs"),
            ("/docs/%61pi/ok.txt", "api"),
            ("/doc%73/api/ok.txt", "api"),
        ] {
            let answer = get_path(&server, via, path).await;
            assert_eq!((answer.status.as_u16(), &*answer.body), (200, expected), "{path}");
        }
        for (path, status) in [
            ("/docs/../../ok.txt", 400),
            ("/docs/../.env", 404),
            ("/sub/../docs/.env", 404),
            ("/docs//../ok.txt", 404),
            ("/docs%2f../ok.txt", 404),
            ("/docs/api/../api/only-docs.txt", 404),
            // No path at all.
            ("*", 400),
        ] {
            assert_eq!(get_path(&server, via, path).await.status, status, "{path}");
        }
        let answer = get_path(&server, via, "/sub/../docs").await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (301, "./docs/"));
    }
}

/// A route goes before every folder, and by the path as it was sent; without a folder at `/` nothing is there.
#[tokio::test]
async fn routes_see_the_path_as_it_was_sent() {
    let docs = Site::new();
    let server = Server::new()
        .route("/docs/own", get(|| async { "a route" }))
        .route("/echo/{*path}", get(|uri: http::Uri| async move { uri.path().to_owned() }))
        .mount("/docs", Files::new(&docs.0).unwrap());
    let server = Running::start(server).await;
    for (path, status, body) in [
        ("/docs/own", 200, "a route"),
        ("/echo/a/../%2e/b", 200, "/echo/a/../%2e/b"),
        ("/docs/ok.txt", 200, "ok"),
        ("/docs/./ok.txt", 200, "ok"),
        ("/docs/../docs/ok.txt", 200, "ok"),
        ("/docs/./own", 404, "404 Not Found\n"),
        ("/docs/../ok.txt", 404, "404 Not Found\n"),
        ("/docs/../../ok.txt", 400, "400 Bad Request\n"),
    ] {
        let answer = get_path(&server, Via::Tcp, path).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (status, body), "{path}");
    }
}

#[tokio::test]
async fn each_folder_may_be_replaced() {
    let (site, docs) = (Site::new(), Site::new());
    let server = Running::start(server(&site.0).mount("/docs", Files::new(&docs.0).unwrap())).await;
    let check =
        async |path: &str, status: u16| assert_eq!(get_path(&server, Via::Tcp, path).await.status, status, "{path}");
    check("/docs/ok.txt", 200).await;
    fs::remove_dir_all(&docs.0).unwrap();
    for (path, status) in [("/docs/", 503), ("/docs/missing", 503), ("/ok.txt", 200), ("/missing", 404)] {
        check(path, status).await;
    }
    docs.write("new.txt", "new");
    for (path, status) in [("/docs/new.txt", 200), ("/docs/ok.txt", 404), ("/docs/", 200)] {
        check(path, status).await;
    }
}

#[tokio::test]
async fn the_key_is_served_from_no_folder() {
    let (site, docs) = (Site::new(), Site::new());
    let Certificate { certificate, key } = Certificate::new(["localhost"]);
    let key_file = docs.write("server.key", &key);
    let certificate_file = site.write("server.crt", &certificate);
    fs::hard_link(&key_file, site.0.join("copy.key")).unwrap();
    let tls = ServerTls::pem_files(certificate_file, key_file).unwrap();
    let server =
        server(&site.0).mount("/docs", Files::new(&docs.0).unwrap()).mount("/again", Files::new(&site.0).unwrap());
    let server = Running::start_with(server, tls, &certificate).await;
    for path in ["/docs/server.key", "/copy.key", "/again/copy.key"] {
        assert_eq!(get_path(&server, Via::Tls, path).await.status, 404, "{path}");
    }
    assert_eq!(get_path(&server, Via::Tls, "/docs/ok.txt").await.status, 200);
    assert_eq!(get_path(&server, Via::Tls, "/again/server.crt").await.status, 200);
}

#[tokio::test]
async fn paths_that_cannot_be() {
    let folder = || Files::new(".").unwrap();
    let check = async |server: Server, expected: &str| {
        let error = server.listen("http://127.0.0.1:0").start().await.unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check(Server::new().mount("docs", folder()), "cannot serve files at docs: it must begin with a slash").await;
    let twice = Server::new().mount("/docs", folder()).mount("/docs/", folder());
    check(twice, "cannot serve files at /docs: two folders cannot have the same path").await;
    check(
        Server::new().files(".").mount("/", folder()),
        "cannot serve files at /: two folders cannot have the same path",
    )
    .await;
    let missing = Server::new().files("/no/such/folder").start().await.unwrap_err();
    assert!(matches!(missing, StartError::Files { .. }), "{missing}");
}

/// An application's own answer to what it does not know is not taken away from it in silence.
#[tokio::test]
async fn files_do_not_replace_the_fallback_of_an_application() {
    let application = || Router::new().route("/known", get(|| async { "known" })).fallback(|| async { "its own" });
    for server in [Server::new().merge(application()).files("."), Server::new().files(".").merge(application())] {
        let error = server.listen("http://127.0.0.1:0").start().await.unwrap_err();
        assert!(
            error.to_string().starts_with("cannot serve files at /: the application that was merged has a fallback")
        );
    }
    // Elsewhere than at the root the two do not meet.
    let site = Site::new();
    let server = Server::new().merge(application()).mount("/files", Files::new(&site.0).unwrap());
    let server = Running::start(server).await;
    for (path, expected) in [("/known", "known"), ("/other", "its own"), ("/files/ok.txt", "ok")] {
        assert_eq!(get_path(&server, Via::Tcp, path).await.body, expected);
    }
    // An application without one leaves the rest to the files.
    let routes = Router::new().route("/known", get(|| async { "known" }));
    let server = Running::start(Server::new().merge(routes).files(&site.0)).await;
    for (path, expected) in [("/known", "known"), ("/ok.txt", "ok")] {
        assert_eq!(get_path(&server, Via::Tcp, path).await.body, expected);
    }
}
