//! Who is let in and believed, and what is secret: as it is now, whoever is connected.

use super::*;

#[tokio::test]
async fn a_host_that_is_not_allowed_any_more_is_refused_on_connections_that_named_it() {
    let server = Running::start(first().allow_host("a.test")).await;
    let mut talk = Talk::connect(&server, Via::Tcp).await;
    let mut status = async |expected: &str| {
        talk.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
        let head = talk.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {expected}")), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        talk.bytes(length.parse().unwrap()).await;
    };
    status("200").await;
    reload(&server, says("two").allow_host("a.test")).await;
    status("200").await;
    reload(&server, says("three")).await;
    status("403").await;
}

#[tokio::test]
async fn connections_that_come_now_are_shown_the_certificate_of_now() {
    let server = Running::start(first()).await;
    let mut before = Talk::connect(&server, Via::Tls).await;
    assert_eq!(ask(&mut before, "/", "").await.1, "one");
    // Nobody knows this one.
    reload(&server, says("two")).await;
    assert_eq!(ask(&mut before, "/", "").await.1, "two");
    let url = format!("wss://localhost:{}/echo", server.address(Via::Tls).port());
    let error = rikki::client::Builder::new(&url).tls(server.trust()).connect().await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[tokio::test]
async fn who_is_trusted_is_judged_for_each_request() {
    let seen = || get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string());
    let made = || settings().route("/peer", seen());
    let server = Running::start(Server::new().route("/peer", seen())).await;
    let mut talk = Talk::connect(&server, Via::Tcp).await;
    let mut is_believed = async |expected: bool| {
        let peer = ask(&mut talk, "/peer", "X-Forwarded-For: 192.0.2.7\r\n").await.1;
        assert_eq!(peer.contains("192.0.2.7"), expected, "{peer}");
    };
    is_believed(false).await;
    reload(&server, made().trust("127.0.0.1")).await;
    is_believed(true).await;
    reload(&server, made()).await;
    is_believed(false).await;
}

/// Whoever has shown no certificate, where one is asked for now, connects anew.
#[tokio::test]
async fn who_may_connect_holds_for_open_connections() {
    let folder = folder("authority");
    let file = folder.join("clients.crt");
    fs::write(&file, testkit::Certificate::new(["clients"]).certificate).unwrap();
    let server = Running::start(first()).await;
    let mut talks = [Talk::connect(&server, Via::Tls).await, Talk::connect(&server, Via::Tcp).await];
    let mut both = async |secure: &str| {
        for (talk, expected) in talks.iter_mut().zip([secure, "200"]) {
            let head = ask(talk, "/", "").await.0;
            assert!(head.starts_with(&format!("HTTP/1.1 {expected}")), "{head}");
        }
    };
    both("200").await;
    reload(&server, says("two")).await;
    both("200").await;
    let tls = ServerTls::self_signed(["localhost"]).unwrap().client_ca(&file).unwrap();
    reload(&server, says("three").tls(tls)).await;
    both("421").await;
    soon("the end of the connection", talks[0].gone()).await;
    let _ = fs::remove_dir_all(folder);
}

/// It stays as secret as it was, whatever its name is now.
#[tokio::test]
async fn a_key_of_before_is_served_under_no_name() {
    let folder = folder("keys");
    let made = testkit::Certificate::new(["localhost"]);
    let write = |name: &str| {
        let files = [folder.join(format!("{name}.crt")), folder.join(format!("{name}.key"))];
        fs::write(&files[0], &made.certificate).unwrap();
        fs::write(&files[1], &made.key).unwrap();
        files
    };
    let made = |name: &str| {
        let [certificate, key] = write(name);
        let tls = ServerTls::pem_files(certificate, key).unwrap();
        Server::new().workers(2).tls(tls).listen("http://127.0.0.1:0").listen("https://127.0.0.1:0").files(&folder)
    };
    let server = made("a").start().await.unwrap();
    fs::rename(folder.join("a.key"), folder.join("old.key")).unwrap();
    fs::write(folder.join("public"), "public").unwrap();
    for name in ["a", "b"] {
        server.reload(made(name)).await.unwrap();
        let mut talk = Talk::connect_to(server.local_addrs()[0]).await;
        for (path, expected) in [("/public", "200"), ("/a.key", "404"), ("/old.key", "404"), ("/b.key", "404")] {
            let head = ask(&mut talk, path, "").await.0;
            assert!(head.starts_with(&format!("HTTP/1.1 {expected}")), "{name} {path}: {head}");
        }
    }
    let _ = fs::remove_dir_all(folder);
}

/// Files that cannot be read to their end: nobody else waits for that.
#[cfg(unix)]
#[tokio::test]
async fn a_look_at_files_that_hangs_holds_up_neither_a_reload_nor_the_end() {
    let folder = folder("hung");
    let (certificate, key) = (folder.join("a.crt"), folder.join("a.key"));
    let made = testkit::Certificate::new(["localhost"]);
    fs::write(&certificate, &made.certificate).unwrap();
    fs::write(&key, &made.key).unwrap();
    let with = |tls| Server::new().workers(2).tls(tls).listen("https://127.0.0.1:0");
    let server = with(ServerTls::pem_files(&certificate, &key).unwrap()).start().await.unwrap();
    // A pipe that nobody writes to: opening it waits.
    fs::remove_file(&certificate).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&certificate).status().unwrap().success());
    let asking = tokio::spawn({
        let server = server.clone();
        async move { server.reload_certificates().await }
    });
    // It has begun when there is somebody to write for.
    let mut writer = fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::custom_flags(writer.write(true), rustix::fs::OFlags::NONBLOCK.bits() as i32);
    let pipe = async {
        loop {
            match writer.open(&certificate) {
                Ok(pipe) => return pipe,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    let pipe = soon("the look", pipe).await;
    let others = with(ServerTls::self_signed(["localhost"]).unwrap());
    soon("the reload", server.reload(others)).await.unwrap();
    // Whoever has asked is told that there is nothing to look at.
    assert!(soon("the answer", asking).await.unwrap().swapped.is_empty());
    soon("the end", server.shutdown()).await;
    drop(pipe);
    let _ = fs::remove_dir_all(folder);
}
