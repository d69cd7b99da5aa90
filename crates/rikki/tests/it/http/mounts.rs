//! Several folders at paths of their own.

use rikki::{Files, StartError};

use super::*;

#[tokio::test]
async fn the_longest_path_counts() {
    let (site, docs, api) = (Site::new(), Site::new(), Site::new());
    docs.write("ok.txt", "docs");
    docs.write("api/ok.txt", "below docs");
    docs.write("api/only-docs.txt", "below docs");
    api.write("ok.txt", "api");
    site.write("docs/ok.txt", "below the root");
    site.write("docsy/ok.txt", "docsy");
    let folder = |site: &Site| Files::new(&site.0).unwrap();
    let server = server(&site.0).mount("/docs/", folder(&docs).listing(false)).mount("/docs/api", folder(&api));
    let server = Running::start(server).await;
    for via in BOTH {
        for (path, expected) in [
            ("/ok.txt", "ok"),
            ("/docs/ok.txt", "docs"),
            ("/docs/api/ok.txt", "api"),
            ("/docsy/ok.txt", "docsy"),
            ("/docs/sub/", "<h1>index</h1>"),
        ] {
            let answer = get_path(&server, via, path).await;
            assert_eq!((answer.status.as_u16(), &*answer.body), (200, expected), "{path}");
        }
        for path in [
            "/docs/api/only-docs.txt",
            "/docs/",
            "/docs/.env",
            "/docs//ok.txt",
            "/docs//",
            "/docs//api/",
            "/docs///",
            "/docs%2Fok.txt",
        ] {
            assert_eq!(get_path(&server, via, path).await.status, 404, "{path}");
        }
        assert_eq!(get_path(&server, via, "/docs/../ok.txt").await.status, 400);
        for path in ["/docs", "/docs/api", "/docs/sub"] {
            let answer = get_path(&server, via, path).await;
            assert_eq!((answer.status.as_u16(), answer.header("location")), (301, &*format!("{path}/")), "{path}");
        }
        let listing = get_path(&server, via, "/docs/api/").await;
        assert!(listing.body.contains("<title>Index of /docs/api/</title>"), "{}", listing.body);
    }
}

#[tokio::test]
async fn the_key_is_served_from_no_folder() {
    let (site, docs) = (Site::new(), Site::new());
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let key_file = docs.write("server.key", &key.serialize_pem());
    let certificate_file = site.write("server.crt", &certificate.pem());
    fs::hard_link(&key_file, site.0.join("copy.key")).unwrap();
    let tls = Tls::pem_files(certificate_file, key_file).unwrap();
    let server =
        server(&site.0).mount("/docs", Files::new(&docs.0).unwrap()).mount("/again", Files::new(&site.0).unwrap());
    let server = Running::start_with(server, tls, &certificate.pem()).await;
    for path in ["/docs/server.key", "/server.crt", "/copy.key", "/again/server.crt", "/again/copy.key"] {
        assert_eq!(get_path(&server, Via::Tls, path).await.status, 404, "{path}");
    }
    assert_eq!(get_path(&server, Via::Tls, "/docs/ok.txt").await.status, 200);
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
