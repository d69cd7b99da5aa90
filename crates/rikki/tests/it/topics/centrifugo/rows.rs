//! A table of frames: what is sent by a client that has connected with a token or not at all, and what comes.

use super::{Client, server, topics};
use crate::wire::Running;

/// Nothing else comes, which the answer to a ping shows.
const END: &str = r#"{"id":999,"ping":{}}"#;

/// What a client sends first, in a frame, and all frames that come.
async fn check(rows: &[(&str, &str, &[&str])]) {
    let server = Running::start(server(&topics())).await;
    for (token, sent, expected) in rows {
        let mut client = match *token {
            "-" => Client::open(&server).await,
            token => Client::connect(&server, token).await,
        };
        client.send(sent).await;
        let mut came = Vec::new();
        for _ in *expected {
            came.push(client.next().await);
        }
        assert_eq!(came, *expected, "{token} {sent}");
        if !expected.last().is_some_and(|last| last.starts_with("close")) && client.number.is_some() {
            client.send(END).await;
            assert_eq!(client.next().await, END, "{token} {sent}");
        }
    }
}

#[tokio::test]
async fn connecting() {
    check(&[
        ("-", r#"{"id":1,"connect":{}}"#, &[r#"{"id":1,"connect":{"client":"C","version":"rikki V","ping":25,"pong":true}}"#]),
        ("-", r#"{"connect":{"token":null,"name":"js","unknown":[{}]},"id":4294967295}"#, &[
            r#"{"id":4294967295,"connect":{"client":"C","version":"rikki V","ping":25,"pong":true}}"#]),
        ("-", r#"{"id":1,"connect":{"token":"data","name":"js","data":{"a":[1.50]}}}"#, &[
            r#"{"id":1,"connect":{"client":"C","version":"rikki V","ping":25,"pong":true,"data":"js {\"a\":[1.50]}"}}"#]),
        ("-", r#"{"id":1,"connect":{"token":"hour"}}"#, &[
            r#"{"id":1,"connect":{"client":"C","version":"rikki V","expires":true,"ttl":3600,"ping":25,"pong":true}}"#]),
        ("-", r#"{"id":1,"connect":{"token":"header"}}"#, &[
            r#"{"id":1,"connect":{"client":"C","version":"rikki V","ping":25,"pong":true}}"#]),
        ("-", r#"{"id":1,"connect":{"token":"servers","subs":{"news":{"recover":true,"epoch":"0000000000000007","offset":3},"x":{}}}}"#, &[
            r#"{"id":1,"connect":{"client":"C","version":"rikki V","ping":25,"pong":true,"subs":{"news":{"recoverable":true,"positioned":true,"epoch":"E","offset":3,"was_recovering":true,"recovered":true,"publications":[{"data":{"base64":"AJ8="},"offset":4,"time":T}]},"open/servers":{"recoverable":true,"positioned":true,"epoch":"E","offset":0}}}}"#]),
        // Several a frame, with what comes in between of pongs and empty lines.
        ("-", "{\"id\":1,\"connect\":{}}\n\n{}\r\n{\"id\":2,\"ping\":{}}\n", &[
            r#"{"id":1,"connect":{"client":"C","version":"rikki V","ping":25,"pong":true}}"#, r#"{"id":2,"ping":{}}"#]),
        ("-", r#"{"id":1,"connect":{"token":"expired"}}"#, &[r#"{"id":1,"error":{"code":109,"message":"token expired"}}"#]),
        ("-", r#"{"id":1,"connect":{"token":"over"}}"#, &[r#"{"id":1,"error":{"code":109,"message":"token expired"}}"#]),
        // What came with it is not answered, as that client closes.
        ("-", "{\"id\":1,\"connect\":{\"token\":\"expired\"}}\n{\"id\":2,\"subscribe\":{\"channel\":\"news\"}}", &[
            r#"{"id":1,"error":{"code":109,"message":"token expired"}}"#]),
        ("-", r#"{"id":1,"connect":{"token":"wrong"}}"#, &["close(3500)"]),
        ("-", r#"{"id":1,"connect":{"token":"forbidden"}}"#, &["close(3507)"]),
        ("-", r#"{"id":1,"connect":{"token":"panic"}}"#, &["close(3004)"]),
        ("-", r#"{"id":1,"subscribe":{"channel":"news"}}"#, &["close(3501)"]),
        ("-", r#"{"id":1,"ping":{}}"#, &["close(3501)"]),
        ("-", "{}", &["close(3501)"]),
        ("", r#"{"id":2,"connect":{}}"#, &["close(3501)"]),
    ]).await;
}

#[tokio::test]
async fn malformed() {
    check(&[
        ("-", "x", &["close(3501)"]),
        ("-", "[]", &["close(3501)"]),
        ("-", r#"{"id":1,"connect":{}"#, &["close(3501)"]),
        ("-", r#"{"id":1,"connect":{}}{}"#, &["close(3501)"]),
        ("", "\u{1}", &["close(3501)"]),
        ("", "null", &["close(3501)"]),
        ("", r#""{}""#, &["close(3501)"]),
        ("", r#"{"id":1}"#, &["close(3501)"]),
        ("", r#"{"id":-1,"ping":{}}"#, &["close(3501)"]),
        ("", r#"{"id":1.5,"ping":{}}"#, &["close(3501)"]),
        ("", r#"{"id":"1","ping":{}}"#, &["close(3501)"]),
        ("", r#"{"id":4294967296,"ping":{}}"#, &["close(3501)"]),
        ("", r#"{"id":0,"ping":{}}"#, &["close(3501)"]),
        ("", r#"{"ping":{}}"#, &["close(3501)"]),
        ("", r#"{"id":1,"id":2,"ping":{}}"#, &["close(3501)"]),
        ("", r#"{"id":1,"ping":[1]}"#, &["close(3501)"]),
        ("", r#"{"id":1,"nothing":{}}"#, &["close(3501)"]),
        ("", r#"{"id":1,"subscribe":"news"}"#, &["close(3501)"]),
        ("", r#"{"id":1,"subscribe":{"channel":7}}"#, &["close(3501)"]),
        ("", r#"{"id":1,"subscribe":{"channel":"news","offset":-1}}"#, &["close(3501)"]),
        ("", r#"{"id":1,"subscribe":{}}"#, &["close(3501)"]),
        ("", r#"{"id":1,"unsubscribe":{"channel":""}}"#, &["close(3501)"]),
        ("", r#"{"id":1,"publish":{"data":1}}"#, &["close(3501)"]),
        ("", r#"{"id":1,"presence":{}}"#, &["close(3501)"]),
        ("", r#"{"id":1,"history":{"limit":2147483648,"channel":"news"}}"#, &["close(3501)"]),
        ("", r#"{"send":{"data":{}}}"#, &["close(3508)"]),
        ("", "{\"id\":2,\"ping\":{}}\nx\n{\"id\":3,\"ping\":{}}", &[r#"{"id":2,"ping":{}}"#, "close(3501)"]),
        // Fields that are not known are for later, however deep they are.
        ("", r#"{"id":2,"ping":{"a":{}},"later":[[[[{}]]]]}"#, &[r#"{"id":2,"ping":{}}"#]),
    ])
    .await;
    let deep = format!("{{\"id\":2,\"ping\":{{}},\"later\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    check(&[("", &deep, &[r#"{"id":2,"ping":{}}"#])]).await;
    let data =
        format!("{{\"id\":2,\"publish\":{{\"channel\":\"open/a\",\"data\":{}{}}}}}", "[".repeat(129), "]".repeat(129));
    check(&[("", &data, &[r#"{"id":2,"error":{"code":107,"message":"bad request"}}"#])]).await;
    let long = format!("{{\"id\":2,\"subscribe\":{{\"channel\":\"open/{}\"}}}}", "x".repeat(251));
    check(&[("", &long, &[r#"{"id":2,"error":{"code":107,"message":"bad request"}}"#])]).await;
}

#[tokio::test]
async fn subscribing() {
    let unknown = r#"{"id":2,"error":{"code":102,"message":"unknown channel"}}"#;
    let denied = r#"{"id":2,"error":{"code":103,"message":"permission denied"}}"#;
    let lost = r#"{"id":2,"subscribe":{"recoverable":true,"positioned":true,"epoch":"E","offset":4,"was_recovering":true,"publications":[]}}"#;
    let at_end =
        r#"{"id":2,"subscribe":{"recoverable":true,"positioned":true,"epoch":"E","offset":4,"publications":[]}}"#;
    check(&[
        ("", r#"{"id":2,"subscribe":{"channel":"news"}}"#, &[at_end]),
        ("", r#"{"id":2,"subscribe":{"channel":"news","recover":false,"flag":3,"delta":"fossil"}}"#, &[at_end]),
        ("", r#"{"id":2,"subscribe":{"channel":"price"}}"#, &[
            r#"{"id":2,"subscribe":{"recoverable":true,"positioned":true,"epoch":"E","offset":0,"publications":[{"data":1.17,"offset":1,"time":T}]}}"#]),
        ("", r#"{"id":2,"subscribe":{"channel":"news","recover":true,"epoch":"0000000000000007","offset":2}}"#, &[
            r#"{"id":2,"subscribe":{"recoverable":true,"positioned":true,"epoch":"E","offset":2,"was_recovering":true,"recovered":true,"publications":[{"data":"{\n3:3}","offset":3,"time":T},{"data":{"base64":"AJ8="},"offset":4,"time":T}]}}"#]),
        // Without an epoch it is the one that there is.
        ("", r#"{"id":2,"subscribe":{"channel":"news","recover":true}}"#, &[
            r#"{"id":2,"subscribe":{"recoverable":true,"positioned":true,"epoch":"E","offset":0,"was_recovering":true,"recovered":true,"publications":[{"data":{"n":1},"offset":1,"time":T},{"data":"two\n","offset":2,"time":T},{"data":"{\n3:3}","offset":3,"time":T},{"data":{"base64":"AJ8="},"offset":4,"time":T}]}}"#]),
        ("", r#"{"id":2,"subscribe":{"channel":"news","recover":true,"epoch":"0000000000000008","offset":2}}"#, &[lost]),
        ("", r#"{"id":2,"subscribe":{"channel":"news","recover":true,"epoch":"xyz","offset":2}}"#, &[lost]),
        ("", r#"{"id":2,"subscribe":{"channel":"news","recover":true,"epoch":"0000000000000007","offset":5}}"#, &[lost]),
        ("", r#"{"id":2,"subscribe":{"channel":"news","recover":true,"epoch":"_","offset":18446744073709551615,"flag":2}}"#, &[
            r#"{"id":2,"error":{"code":112,"message":"unrecoverable position"}}"#]),
        ("", r#"{"id":2,"subscribe":{"channel":"news","recover":true,"epoch":"0000000000000007","offset":4,"flag":3}}"#, &[
            r#"{"id":2,"subscribe":{"recoverable":true,"positioned":true,"epoch":"E","offset":4,"was_recovering":true,"recovered":true,"publications":[]}}"#]),
        ("", r#"{"id":2,"subscribe":{"channel":"nothing"}}"#, &[unknown]),
        ("", r#"{"id":2,"subscribe":{"channel":"open/"}}"#, &[unknown]),
        ("", r#"{"id":2,"subscribe":{"channel":"open/\n"}}"#, &[r#"{"id":2,"error":{"code":107,"message":"bad request"}}"#]),
        ("", "{\"id\":2,\"subscribe\":{\"channel\":\"news\"}}\n{\"id\":3,\"subscribe\":{\"channel\":\"news\"}}", &[
            at_end, r#"{"id":3,"error":{"code":105,"message":"already subscribed"}}"#]),
        // One that the server has made becomes the client's.
        ("servers", r#"{"id":2,"subscribe":{"channel":"news"}}"#, &[at_end]),
        ("servers", "{\"id\":2,\"subscribe\":{\"channel\":\"open/1\"}}\n{\"id\":3,\"subscribe\":{\"channel\":\"open/2\"}}\n{\"id\":4,\"unsubscribe\":{\"channel\":\"news\"}}", &[
            r#"{"id":2,"subscribe":{"recoverable":true,"positioned":true,"epoch":"E","offset":0,"publications":[]}}"#,
            r#"{"id":3,"error":{"code":106,"message":"limit exceeded"}}"#,
            r#"{"id":4,"unsubscribe":{}}"#]),
        ("subscriber", r#"{"id":2,"subscribe":{"channel":"news"}}"#, &[at_end]),
        ("subscriber", r#"{"id":2,"subscribe":{"channel":"news","recover":true}}"#, &[denied]),
        ("subscriber", r#"{"id":2,"subscribe":{"channel":"news","join_leave":true}}"#, &[denied]),
        ("ada", r#"{"id":2,"subscribe":{"channel":"news","token":"hour"}}"#, &[
            r#"{"id":2,"subscribe":{"recoverable":true,"positioned":true,"epoch":"E","offset":4,"expires":true,"ttl":3600,"publications":[]}}"#]),
        ("ada", r#"{"id":2,"subscribe":{"channel":"news","token":"wrong"}}"#, &[denied]),
        // It is somebody else's.
        ("bob", r#"{"id":2,"subscribe":{"channel":"news","token":"ada"}}"#, &[denied]),
        ("ada", r#"{"id":2,"subscribe":{"channel":"news","token":"expired"}}"#, &[r#"{"id":2,"error":{"code":109,"message":"token expired"}}"#]),
        ("", r#"{"id":2,"unsubscribe":{"channel":"news"}}"#, &[r#"{"id":2,"unsubscribe":{}}"#]),
    ]).await;
}

#[tokio::test]
async fn publishing() {
    let done = r#"{"id":2,"publish":{}}"#;
    check(&[
        ("", r#"{"id":2,"publish":{"channel":"open/1","data":{"a": 1}}}"#, &[done]),
        ("", "{\"id\":1,\"subscribe\":{\"channel\":\"open/2\"}}\n{\"id\":2,\"publish\":{\"channel\":\"open/2\",\"data\":{\"a\": 1.50E3}}}", &[
            r#"{"id":1,"subscribe":{"recoverable":true,"positioned":true,"epoch":"E","offset":0,"publications":[]}}"#,
            done, r#"{"push":{"channel":"open/2","pub":{"data":{"a": 1.50E3},"offset":1,"time":T}}}"#]),
        ("", r#"{"id":2,"publish":{"channel":"open/3","data":"later"}}"#, &[done]),
        ("", r#"{"id":2,"publish":{"channel":"open/3","data":"never"}}"#, &[r#"{"id":2,"error":{"code":100,"message":"internal server error","temporary":true}}"#]),
        ("", r#"{"id":2,"publish":{"channel":"open/3"}}"#, &[r#"{"id":2,"error":{"code":107,"message":"bad request"}}"#]),
        ("", r#"{"id":2,"publish":{"channel":"open/3","data":null}}"#, &[r#"{"id":2,"error":{"code":107,"message":"bad request"}}"#]),
        ("", r#"{"id":2,"publish":{"channel":"news","data":1}}"#, &[r#"{"id":2,"error":{"code":103,"message":"permission denied"}}"#]),
        ("subscriber", r#"{"id":2,"publish":{"channel":"open/1","data":1}}"#, &[r#"{"id":2,"error":{"code":103,"message":"permission denied"}}"#]),
        ("", r#"{"id":2,"publish":{"channel":"nothing","data":1}}"#, &[r#"{"id":2,"error":{"code":102,"message":"unknown channel"}}"#]),
        ("", r#"{"id":2,"publish":{"channel":"small","data":"1234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"}}"#, &[
            r#"{"id":2,"error":{"code":106,"message":"limit exceeded"}}"#]),
    ]).await;
}

#[tokio::test]
async fn reading() {
    let one = r#"{"data":{"n":1},"offset":1,"time":T}"#;
    let two = r#"{"data":"two\n","offset":2,"time":T}"#;
    let three = r#"{"data":"{\n3:3}","offset":3,"time":T}"#;
    let four = r#"{"data":{"base64":"AJ8="},"offset":4,"time":T}"#;
    let history = |publications: &[&str]| {
        format!(r#"{{"id":2,"history":{{"publications":[{}],"epoch":"E","offset":4}}}}"#, publications.join(","))
    };
    let [all, none, first, last, behind, before] =
        [&[one, two, three, four][..], &[], &[one, two], &[four, three], &[three], &[two, one]].map(history);
    let gone = r#"{"id":2,"error":{"code":112,"message":"unrecoverable position"}}"#;
    check(&[
        ("", r#"{"id":2,"history":{"channel":"news","limit":-1}}"#, &[&all]),
        ("", r#"{"id":2,"history":{"channel":"news","limit":2147483647}}"#, &[&all]),
        ("", r#"{"id":2,"history":{"channel":"news"}}"#, &[&none]),
        ("", r#"{"id":2,"history":{"channel":"news","limit":0,"since":{"offset":1,"epoch":"0000000000000007"}}}"#, &[&none]),
        ("", r#"{"id":2,"history":{"channel":"news","limit":2}}"#, &[&first]),
        ("", r#"{"id":2,"history":{"channel":"news","limit":2,"reverse":true}}"#, &[&last]),
        ("", r#"{"id":2,"history":{"channel":"news","limit":1,"since":{"offset":2,"epoch":"0000000000000007"}}}"#, &[&behind]),
        ("", r#"{"id":2,"history":{"channel":"news","limit":1,"since":{"offset":2}}}"#, &[&behind]),
        ("", r#"{"id":2,"history":{"channel":"news","limit":9,"since":{"offset":3,"epoch":"0000000000000007"},"reverse":true}}"#, &[&before]),
        ("", r#"{"id":2,"history":{"channel":"news","limit":9,"since":{"offset":4,"epoch":"0000000000000007"}}}"#, &[&none]),
        ("", r#"{"id":2,"history":{"channel":"news","limit":9,"since":{"offset":2,"epoch":"0000000000000008"}}}"#, &[gone]),
        ("", r#"{"id":2,"history":{"channel":"news","limit":9,"since":{"offset":2,"epoch":"x"},"reverse":true}}"#, &[gone]),
        ("", r#"{"id":2,"history":{"channel":"nothing","limit":1}}"#, &[r#"{"id":2,"error":{"code":102,"message":"unknown channel"}}"#]),
        ("subscriber", r#"{"id":2,"history":{"channel":"news","limit":1}}"#, &[r#"{"id":2,"error":{"code":103,"message":"permission denied"}}"#]),
        ("", r#"{"id":2,"history":{"channel":"open/new","limit":1}}"#, &[r#"{"id":2,"history":{"publications":[],"epoch":"","offset":0}}"#]),
    ]).await;
}

#[tokio::test]
async fn presence_calls_and_tokens() {
    let joined =
        r#"{"id":2,"subscribe":{"recoverable":true,"positioned":true,"epoch":"E","offset":0,"publications":[]}}"#;
    let unavailable = r#"{"id":2,"error":{"code":108,"message":"not available"}}"#;
    check(&[
        ("ada", "{\"id\":2,\"subscribe\":{\"channel\":\"open/1\"}}\n{\"id\":3,\"presence\":{\"channel\":\"open/1\"}}\n{\"id\":4,\"presence_stats\":{\"channel\":\"open/1\"}}", &[
            joined,
            r#"{"id":3,"presence":{"presence":{"C":{"user":"ada","client":"C","conn_info":{"age":36}}}}}"#,
            r#"{"id":4,"presence_stats":{"num_clients":1,"num_users":1}}"#]),
        ("", r#"{"id":2,"presence":{"channel":"open/2"}}"#, &[r#"{"id":2,"presence":{"presence":{}}}"#]),
        ("", r#"{"id":2,"presence":{"channel":"news"}}"#, &[unavailable]),
        ("", r#"{"id":2,"presence":{"channel":"counts"}}"#, &[unavailable]),
        ("", r#"{"id":2,"presence_stats":{"channel":"news"}}"#, &[unavailable]),
        ("", "{\"id\":2,\"subscribe\":{\"channel\":\"counts\"}}\n{\"id\":3,\"presence_stats\":{\"channel\":\"counts\"}}", &[
            joined, r#"{"id":3,"presence_stats":{"num_clients":1,"num_users":1}}"#]),
        ("subscriber", r#"{"id":2,"presence":{"channel":"open/1"}}"#, &[r#"{"id":2,"error":{"code":103,"message":"permission denied"}}"#]),
        // A token of a channel lets read it, too.
        ("subscriber", "{\"id\":2,\"subscribe\":{\"channel\":\"open/token\",\"token\":\"hour\"}}\n{\"id\":3,\"presence_stats\":{\"channel\":\"open/token\"}}", &[
            r#"{"id":2,"subscribe":{"recoverable":true,"positioned":true,"epoch":"E","offset":0,"expires":true,"ttl":3600,"publications":[]}}"#,
            r#"{"id":3,"presence_stats":{"num_clients":1,"num_users":1}}"#]),
        ("", r#"{"id":2,"rpc":{"method":"echo","data":{"a":[1.0]}}}"#, &[r#"{"id":2,"rpc":{"data":{"a":[1.0]}}}"#]),
        ("", r#"{"id":2,"rpc":{"method":"echo"}}"#, &[r#"{"id":2,"rpc":{"data":null}}"#]),
        ("ada", r#"{"id":2,"rpc":{"method":"who"}}"#, &[r#"{"id":2,"rpc":{"data":"ada"}}"#]),
        ("", r#"{"id":2,"rpc":{"method":"fail"}}"#, &[r#"{"id":2,"error":{"code":400,"message":"it \"fails\""}}"#]),
        ("", r#"{"id":2,"rpc":{}}"#, &[r#"{"id":2,"error":{"code":100,"message":"internal server error","temporary":true}}"#]),
        ("ada", r#"{"id":2,"refresh":{"token":"hour"}}"#, &[r#"{"id":2,"refresh":{"client":"C","version":"rikki V","expires":true,"ttl":3600}}"#]),
        ("hour", r#"{"id":2,"refresh":{"token":"ada"}}"#, &[r#"{"id":2,"refresh":{"client":"C","version":"rikki V"}}"#]),
        ("ada", r#"{"id":2,"refresh":{"token":"bob"}}"#, &["close(3500)"]),
        ("ada", r#"{"id":2,"refresh":{}}"#, &["close(3500)"]),
        ("ada", r#"{"id":2,"refresh":{"token":"expired"}}"#, &["close(3005)"]),
        ("ada", "{\"id\":2,\"subscribe\":{\"channel\":\"open/token\",\"token\":\"hour\"}}\n{\"id\":3,\"sub_refresh\":{\"channel\":\"open/token\",\"token\":\"hour\"}}\n{\"id\":4,\"sub_refresh\":{\"token\":\"hour\"}}\n{\"id\":5,\"sub_refresh\":{\"channel\":\"open/token\",\"token\":\"expired\"}}", &[
            r#"{"id":2,"subscribe":{"recoverable":true,"positioned":true,"epoch":"E","offset":0,"expires":true,"ttl":3600,"publications":[]}}"#,
            r#"{"id":3,"sub_refresh":{"expires":true,"ttl":3600}}"#,
            r#"{"id":4,"sub_refresh":{"expires":true,"ttl":3600}}"#,
            r#"{"id":5,"error":{"code":110,"message":"expired"}}"#]),
        ("ada", r#"{"id":2,"sub_refresh":{"channel":"news","token":"hour"}}"#, &[r#"{"id":2,"error":{"code":103,"message":"permission denied"}}"#]),
    ]).await;
}
