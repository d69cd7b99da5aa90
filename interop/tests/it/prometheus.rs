//! What Prometheus says of the metrics: its own tool reads and judges them.

use std::process::Stdio;

use futures_util::{SinkExt as _, StreamExt as _};
use rikki::admin::Admin;
use rikki::topics::{Topics, TopicsConfig};
use rikki::ws::{Compression, Config, Message, Socket};
use rikki::{Server, ServerTls, client};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::python::within;

#[tokio::test]
async fn promtool_finds_nothing_to_say_of_the_metrics() {
    let echo = |socket: &mut Socket<'_>, message: Message<'_>| socket.send(message);
    let topics = Topics::new(TopicsConfig::default());
    topics.publish("a \"quoted\" name", "x").wait().unwrap();
    let server = Server::new().websocket("/echo/{name}", echo).files(env!("CARGO_TARGET_TMPDIR")).topics(&topics);
    let config = Config::default().compression(Compression::shared().threshold(1));
    let server = server.websocket_config(config).tls(ServerTls::self_signed(["localhost"]).unwrap());
    let server = server.listen("http://127.0.0.1:0").listen("https://127.0.0.1:0").workers(2);
    let admin = Admin::new(&server.monitor());
    let server = server.start().await.unwrap();
    let url = format!("ws://{}/echo/a", server.local_addrs()[0]);
    let mut socket = client::connect(&url).await.unwrap();
    for text in ["", "hello", &"over and over ".repeat(100)] {
        socket.send(text.into()).await.unwrap();
        socket.next().await.unwrap().unwrap();
    }
    let metrics = admin.metrics();
    assert!(
        metrics.contains("rikki_message_sent_bytes_count{endpoint=\"/echo/{name}\",transport=\"tcp\"} 3"),
        "{metrics}"
    );
    let judge = async {
        let mut tool = Command::new("promtool");
        tool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut tool = tool.kill_on_drop(true).spawn().expect("promtool is installed");
        tool.stdin.take().unwrap().write_all(metrics.as_bytes()).await.unwrap();
        tool.wait_with_output().await.unwrap()
    };
    let judged = within(60, "promtool", judge).await;
    let said = [judged.stdout, judged.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(judged.status.success() && said.is_empty(), "{}: {said}\n{metrics}", judged.status);
    drop(socket);
    server.shutdown().await;
}
