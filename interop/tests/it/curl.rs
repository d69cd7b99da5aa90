//! curl on the topics of the command, as the documentation has it.

use std::ffi::OsString;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

use crate::python::{snippet, within};
use crate::server::Server;

/// The command with a topic in which all may publish, and its URL.
async fn start() -> (Server, String) {
    let flags = [env!("CARGO_TARGET_TMPDIR"), "--listen", "http://127.0.0.1:0", "--topic", "/chat,publish"];
    let server = Server::start(&flags.map(OsString::from)).await;
    let url = format!("http://{}/chat", server.address());
    (server, url)
}

/// Silent but for errors, and by no proxy.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new("curl");
    command.args(["-q", "-sS", "--noproxy", "*", "--max-time", "60"]).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

/// What curl says to the end, with this for its standard input.
async fn curl_with(arguments: &[&str], input: &[u8]) -> String {
    let talk = async {
        let mut child = command(arguments).spawn().expect("curl is installed");
        child.stdin.take().unwrap().write_all(input).await.unwrap();
        child.wait_with_output().await.unwrap()
    };
    let output = within(120, "curl", talk).await;
    assert!(output.status.success(), "curl {arguments:?}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

async fn curl(arguments: &[&str]) -> String {
    curl_with(arguments, b"").await
}

/// A line of JSON.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn publishes_and_reads() {
    let (_server, url) = start().await;
    let first = parsed(&curl(&["-d", "gr\u{fc}\u{df}e", &url]).await);
    let bytes = ["--data-binary", "@-", "-H", "Content-Type: application/octet-stream", &url];
    curl_with(&bytes, b"\x00\n\xff").await;
    // Which curl says is a form, and so a text.
    let refused = curl_with(&["--data-binary", "@-", &url], b"\xff").await;
    assert!(refused.contains("send bytes as application/octet-stream"), "{refused}");
    curl_with(&["--data-binary", "@-", &url], b"one\ntwo\n").await;

    let history = parsed(&curl(&[&url]).await);
    let epoch = first["epoch"].as_str().unwrap();
    assert_eq!((&history["topic"], &history["epoch"], &history["offset"]), (&json!("chat"), &json!(epoch), &json!(3)));
    let data = |history: &Value| -> Vec<Value> {
        let messages = history["messages"].as_array().unwrap().iter();
        messages.map(|message| message.get("data").unwrap_or(&message["base64"]).clone()).collect()
    };
    assert_eq!(data(&history), ["gr\u{fc}\u{df}e", "AAr/", "one\ntwo\n"]);
    let since = parsed(&curl(&[&format!("{url}?since={epoch}:2")]).await);
    assert_eq!((data(&since), &since["recovered"]), (vec![json!("one\ntwo\n")], &json!(true)));
    assert_eq!(data(&parsed(&curl(&["-G", "-d", "last=1", &url]).await)), ["one\ntwo\n"]);

    let head = curl(&["-I", &url]).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.lines().any(|line| line == format!("topic-position: {epoch}:3")), "{head}");
}

#[tokio::test]
async fn the_snippet_of_the_documentation() {
    let (server, _) = start().await;
    let mut sh = Command::new("sh");
    sh.args(["-e", "-c", &snippet("curl", server.address())]).kill_on_drop(true);
    // Nobody's settings are its own.
    sh.env("CURL_HOME", env!("CARGO_TARGET_TMPDIR")).env("no_proxy", "*");
    let output = within(60, "sh", sh.output()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let mut lines = said.lines();
    let answers: Vec<_> = lines.by_ref().take(4).map(parsed).collect();
    let offsets: Vec<_> = answers.iter().map(|answer| answer["offset"].as_u64()).collect();
    assert_eq!(offsets, [Some(1), Some(2), Some(2), Some(2)], "{said}");
    let messages = answers[3]["messages"].as_array().unwrap();
    assert_eq!(messages.iter().map(|message| &message["data"]).collect::<Vec<_>>(), ["hello from curl", "once"]);
    let events: Vec<_> = lines.filter_map(|line| line.strip_prefix("data: ")).skip(1).collect();
    assert_eq!(events, ["hello from curl", "once"], "{said}");
}

#[tokio::test]
async fn publishes_a_line_each_but_for_the_bad_one() {
    let (_server, url) = start().await;
    let lines = ["--data-binary", "@-", "-H", "Content-Type: application/x-ndjson", &url];
    let answer = curl_with(&lines, b"{\"a\": 1}\nno\n\"three\"\n").await;
    let answers: Vec<_> = answer.lines().map(parsed).collect();
    assert_eq!(answers.iter().map(|answer| answer["offset"].as_u64()).collect::<Vec<_>>(), [Some(1), None, Some(2)]);
    assert!(answers[1]["error"].as_str().unwrap().starts_with("this is no JSON"), "{answer}");
    let history = parsed(&curl(&[&url]).await);
    assert_eq!(
        (&history["messages"][0]["data"], &history["messages"][1]["data"]),
        (&json!("{\"a\": 1}"), &json!("\"three\""))
    );
    assert_eq!(history["messages"].as_array().map(Vec::len), Some(2), "{history}");
}

#[tokio::test]
async fn is_refused_as_a_page_of_another_origin() {
    let (_server, url) = start().await;
    let foreign = ["-w", "%{http_code}", "-H", "Origin: https://evil.test"];
    for arguments in [&["-d", "x", &*url][..], &["-H", "Accept: text/event-stream", &url], &[&url]] {
        let answer = curl(&[&foreign, arguments].concat()).await;
        assert!(answer.ends_with("\n403") && answer.contains("--allow-origin https://evil.test"), "{answer}");
    }
    assert_eq!(parsed(&curl(&[&url]).await)["messages"], json!([]));
}

#[tokio::test]
async fn reads_events() {
    let (_server, url) = start().await;
    curl(&["-d", "before", &url]).await;
    let arguments = ["-N", "-H", "Accept: text/event-stream", &format!("{url}?last=10")];
    let mut child = command(&arguments).spawn().expect("curl is installed");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // Up to an empty line, and without its id.
    let mut event = async || {
        let mut event = Vec::new();
        loop {
            let line = within(60, "an event", lines.next_line()).await.unwrap().expect("the stream goes on");
            match &*line {
                "" => return event.join("\n"),
                line if line.starts_with("id: ") => {}
                line => event.push(line.to_owned()),
            }
        }
    };
    assert_eq!(event().await, "retry: 2000");
    assert!(event().await.starts_with("event: subscribed\ndata: {"));
    assert_eq!(event().await, "data: before");
    curl(&["-d", "by the form", &url]).await;
    assert_eq!(event().await, "data: by the form");
    curl_with(&["--data-binary", "@-", &url], b"one\ntwo").await;
    assert_eq!(event().await, "data: one\ndata: two");
    curl_with(&["--data-binary", "@-", "-H", "Content-Type: application/octet-stream", &url], b"\xff").await;
    assert_eq!(event().await, "event: binary\ndata: /w==");
    within(60, "curl's end", child.kill()).await.unwrap();
}
