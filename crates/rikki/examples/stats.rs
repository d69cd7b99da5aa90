//! What a running server counts, as JSON and as a page: read at any time, by any route, without holding anything up.
//!
//! ```text
//! cargo run --package rikki --example stats
//! ```
//!
//! Try: open <http://localhost:8000>, and connect some clients to `ws://localhost:8000/echo`. A program reads
//! <http://localhost:8000/stats>. Elsewhere than on loopback that is a path for those who may know it.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{Write as _, stdout};

use axum::http::header::CONTENT_TYPE;
use axum::response::Html;
use axum::routing::get;
use rikki::ws::{Message, Socket};
use rikki::{Counters, Monitor, Server};
use serde_json::{Value, json};

/// Asks once a second, and shows what it is told.
const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Stats</title>
<style>:root { color-scheme: light dark; font-family: system-ui }</style>
<pre id="stats"></pre>
<script type="module">
  for (;;) {
    const answer = await fetch("/stats").then(answer => answer.json(), String);
    document.getElementById("stats").textContent = JSON.stringify(answer, null, 2);
    await new Promise(done => setTimeout(done, 1000));
  }
</script>
"#;

/// With the feature `serde`, `Counters` and `BudgetUse` are written as they are.
fn stats(monitor: &Monitor) -> Value {
    let Counters { connections, websockets, accepted, queued_bytes, dropped_messages, lost_messages, .. } =
        monitor.counters();
    let budgets = monitor.budgets();
    let budgets = budgets.iter().map(|budget| (budget.name, json!({ "used": budget.used, "most": budget.most })));
    json!({
        "accepted": accepted,
        "connections": connections,
        "websockets": websockets,
        "queued_bytes": queued_bytes,
        "dropped_messages": dropped_messages,
        "lost_messages": lost_messages,
        "budgets": budgets.collect::<BTreeMap<_, _>>(),
    })
}

/// The server, without a listener. What reads it is made before it starts.
pub(crate) fn server() -> Server {
    let server = Server::new();
    let monitor = server.monitor();
    server
        .websocket("/echo", |socket: &mut Socket<'_>, message: Message<'_>| socket.send(message))
        .route("/", get(|| async { Html(PAGE) }))
        .route("/stats", get(|| async move { ([(CONTENT_TYPE, "application/json")], stats(&monitor).to_string()) }))
}

fn main() -> Result<(), Box<dyn Error>> {
    writeln!(stdout(), "Starting on http://localhost:8000")?;
    Ok(server().listen("http://localhost:8000").run()?)
}
