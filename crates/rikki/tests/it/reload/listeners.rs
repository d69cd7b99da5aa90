//! Listeners with limits of their own.

use super::*;

#[tokio::test]
async fn listeners_have_limits_of_their_own() {
    let small = |most: &str| Listen::new("http://127.0.0.1:0").set("max-message", most).unwrap();
    let strict = |most: &str| small(most).set("max-head", "8KiB").unwrap().set("max-request-rate", "3").unwrap();
    let made = |most: &str| {
        let config = ws::Config::default().max_message_size(100);
        let open = Endpoint::new(echo).config(config.clone());
        Server::new().websocket("/echo", echo).endpoint("/own", open).websocket_config(config).listen(strict(most))
    };
    let server = made("5").listen("http://127.0.0.2:0").start().await.unwrap();
    let [first, second] = server.local_addrs() else { panic!("{:?}", server.local_addrs()) };
    let mut talks = [Talk::open_at(*first, "/echo").await, Talk::open_at(*second, "/echo").await];
    talks[0].send(frame(0x81, "six by")).await;
    assert_eq!(talks[0].next().await, "close(1009)");
    talks[1].echo("six by").await;
    // An endpoint with a configuration has that everywhere.
    Talk::open_at(*first, "/own").await.echo("six by").await;
    let long = format!("x-long: {}\r\n", "x".repeat(12 << 10));
    let mut refused = Talk::connect_to(*first).await;
    refused.send(format!("GET / HTTP/1.1\r\nHost: localhost\r\n{long}\r\n")).await;
    assert!(refused.head().await.starts_with("HTTP/1.1 431"));
    let mut taken = Talk::connect_to(*second).await;
    assert!(ask(&mut taken, "/", &long).await.0.starts_with("HTTP/1.1 404"));
    // Two upgrades were asked for here, and nothing that cannot be read counts.
    let mut talk = Talk::connect_to(*first).await;
    assert!(ask(&mut talk, "/", "").await.0.starts_with("HTTP/1.1 404"));
    assert!(ask(&mut talk, "/", "").await.0.starts_with("HTTP/1.1 429"));
    assert!(ask(&mut taken, "/", "").await.0.starts_with("HTTP/1.1 404"));
    // Whoever has asked too often has so after a reload too; a limit can become another.
    let reload = server.reload(made("50").listen("http://127.0.0.2:0")).await.unwrap();
    assert!(reload.needs_restart.is_empty(), "{reload:?}");
    let mut talk = Talk::connect_to(*first).await;
    assert!(ask(&mut talk, "/", "").await.0.starts_with("HTTP/1.1 429"));
    let reload = server.reload(made("50")).await.unwrap();
    assert_eq!(reload.needs_restart, ["not to listen on http://127.0.0.2:0 any more"]);
}

#[test]
fn limits_that_no_listener_has() {
    let error = |name: &str, text: &str| Listen::new("http://a").set(name, text).unwrap_err().to_string();
    for name in ["max-connections", "http2-memory", "memory", "drain-timeout", "max-mesage"] {
        assert!(error(name, "5").contains(name), "{}", error(name, "5"));
    }
    assert!(error("max-message", "5XB").contains("max-message"));
    assert!(error("max-headers", "30000").contains("max-headers"));
}

#[tokio::test]
async fn rates_of_listeners_are_each_its_own() {
    let strict = |url: &str| Listen::new(url).set("max-request-rate", "2").unwrap();
    let made = || Server::new().listen(strict("http://127.0.0.1:0")).listen(strict("http://127.0.0.2:0"));
    let server = made().start().await.unwrap();
    let [first, second] = server.local_addrs() else { panic!("{:?}", server.local_addrs()) };
    for round in 0..2 {
        let mut talk = Talk::connect_to(*first).await;
        let expected = if round == 0 { ["404", "404", "429"] } else { ["429"; 3] };
        for expected in expected.iter().take(3 - 2 * round) {
            let head = ask(&mut talk, "/", "").await.0;
            assert!(head.starts_with(&format!("HTTP/1.1 {expected}")), "{round}: {head}");
        }
        let mut other = Talk::connect_to(*second).await;
        let head = ask(&mut other, "/", "").await.0;
        assert!(head.starts_with("HTTP/1.1 404"), "{round}: {head}");
        server.reload(made()).await.unwrap();
    }
}

#[tokio::test]
async fn listeners_with_one_url_keep_each_its_own() {
    let small = |most: &str| Listen::new("http://127.0.0.1:0").set("max-message", most).unwrap();
    let made = |mosts: &[&str]| {
        mosts.iter().fold(Server::new().websocket("/echo", echo), |server, most| server.listen(small(most)))
    };
    let server = made(&["5", "100"]).start().await.unwrap();
    let [first, second] = server.local_addrs() else { panic!("{:?}", server.local_addrs()) };
    let reload = server.reload(made(&["7", "100"])).await.unwrap();
    assert!(reload.needs_restart.is_empty(), "{reload:?}");
    Talk::open_at(*second, "/echo").await.echo("eight by").await;
    let mut limited = Talk::open_at(*first, "/echo").await;
    limited.echo("six by").await;
    limited.send(frame(0x81, "eight by")).await;
    assert_eq!(limited.next().await, "close(1009)");
    let reload = server.reload(made(&["7"])).await.unwrap();
    assert_eq!(reload.needs_restart, ["not to listen on http://127.0.0.1:0 any more"]);
}
