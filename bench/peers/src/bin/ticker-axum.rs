//! The ticker of rikki's example on axum's own WebSockets, with what its users take for it: a watch for each symbol, which
//! has the newest price alone, and a map of streams of those that a client has asked for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use axum::extract::{State, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::any;
use peers::{PRICE_EVERY, Result};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{StreamExt as _, StreamMap};

const SYMBOLS: [&str; 5] = ["CHF", "EUR", "GBP", "JPY", "NOK"];

/// The newest price of each symbol; empty before the first.
type Prices = Arc<HashMap<&'static str, watch::Sender<Utf8Bytes>>>;

async fn prices(State(prices): State<Prices>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| serve(socket, prices))
}

async fn serve(mut socket: WebSocket, prices: Prices) {
    let mut wanted = StreamMap::new();
    loop {
        tokio::select! {
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => {
                    for word in text.split_whitespace() {
                        if let Some(symbol) = word.strip_prefix('-') {
                            wanted.remove(symbol);
                        } else if let Some((symbol, price)) = prices.get_key_value(word) {
                            if !wanted.contains_key(symbol) {
                                wanted.insert(*symbol, WatchStream::new(price.subscribe()));
                            }
                        } else if socket.send(r#"{"error":"there is no such symbol"}"#.into()).await.is_err() {
                            return;
                        }
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
            Some((_, price)) = wanted.next() => {
                if !price.is_empty() && socket.send(Message::Text(price)).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn publish(prices: Prices) -> Result<()> {
    for (count, symbol) in (0_u32..).zip(SYMBOLS.into_iter().cycle()) {
        let time = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
        let text = format!(r#"{{"symbol":"{symbol}","price":{:.4},"time":{time}}}"#, f64::from(count));
        if let Some(price) = prices.get(symbol) {
            price.send_replace(text.into());
        }
        tokio::time::sleep(PRICE_EVERY).await;
    }
    Ok(())
}

fn main() -> Result<()> {
    let prices: Prices =
        Arc::new(SYMBOLS.into_iter().map(|symbol| (symbol, watch::Sender::new(Utf8Bytes::default()))).collect());
    peers::run_axum(Router::new().route("/prices", any(self::prices)).with_state(prices.clone()), publish(prices))
}
