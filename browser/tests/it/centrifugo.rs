//! Topics as pages have them that use centrifuge-js, unchanged.

use std::fs;
use std::path::Path;
use std::time::Duration;

use fantoccini::Client;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::browser::{Screen, browse};
use crate::proxy::Proxy;
use crate::scratch::Scratch;
use crate::server::Server;

const DEADLINE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

const PAGE: &str = r#"<!DOCTYPE html><meta charset="utf-8"><title>chat</title><script src="/centrifuge.js"></script><script>
const [got, told, states] = [[], [], []];
const url = `ws://${location.host}/connection/websocket`;
const centrifuge = new Centrifuge(url, { minReconnectDelay: 20, maxReconnectDelay: 200 });
centrifuge.on("state", ({ newState }) => states.push(newState));
const chat = centrifuge.newSubscription("chat");
chat.on("publication", ({ data }) => got.push(data));
chat.on("subscribed", ({ wasRecovering, recovered }) => told.push([wasRecovering, recovered]));
chat.subscribe();
centrifuge.connect();
</script>"#;

/// A folder with the page, and the library as npm has it.
fn page() -> Scratch {
    let root = Scratch::new();
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tools");
    let library = tools.join("centrifuge/node_modules/centrifuge/dist/centrifuge.js");
    let text = fs::read_to_string(&library)
        .unwrap_or_else(|error| panic!("{}: {error}; `cargo xtask browser` installs it", library.display()));
    fs::write(root.path().join("centrifuge.js"), text).expect("the scratch directory is writable");
    fs::write(root.path().join("index.html"), PAGE).expect("the scratch directory is writable");
    root
}

/// Waits until a list of the page is so long, and gives it.
async fn list(client: &Client, name: &str, length: usize) -> Value {
    let wait = async {
        loop {
            let list = client.execute(&format!("return {name}"), vec![]).await.expect("the list is there");
            if list.as_array().is_some_and(|list| list.len() >= length) {
                return list;
            }
            sleep(POLL).await;
        }
    };
    timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("{name} has become {length} long"))
}

async fn publish(client: &Client, value: &str) {
    let script = format!("const done = arguments[0]; chat.publish({value}).then(done, error => done(error.code))");
    assert_eq!(client.execute_async(&script, vec![]).await.expect("the script runs"), json!({}), "{value}");
}

/// What was said while the connection was cut comes; that the server has lost it is told.
#[tokio::test]
async fn a_page_comes_back() {
    let mut server = Server::start_in(page(), "http", &["--topic=/chat,publish"]).await;
    let proxy = Proxy::start(&server).await;
    browse(Screen::Light, async |client| {
        client.goto(&format!("http://{}/", proxy.authority)).await.expect("the page loads");
        assert_eq!(list(client, "told", 1).await, json!([[false, false]]));
        let mut said = Vec::new();
        for round in 0..5 {
            publish(client, &format!("{{ round: {round} }}")).await;
            said.push(json!({ "round": round }));
            proxy.cut();
            let told = list(client, "told", round + 2).await;
            assert_eq!(told[round + 1], json!([true, true]));
        }
        assert_eq!(list(client, "got", said.len()).await, json!(said));
        server.crash().await;
        assert_eq!(list(client, "told", 7).await[6], json!([true, false]));
        publish(client, "'behind'").await;
        said.push(json!("behind"));
        assert_eq!(list(client, "got", said.len()).await, json!(said));
        assert_eq!(list(client, "states", 3).await[0], json!("connecting"));
    })
    .await;
}
