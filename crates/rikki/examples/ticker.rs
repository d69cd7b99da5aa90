//! Live prices to many: a topic for each symbol, of which everybody gets the newest price, as fast as they read.
//!
//! ```text
//! cargo run --package rikki --example ticker
//! ```
//!
//! Try: connect to `ws://localhost:8000/prices`, send `EUR GBP`, and later `-GBP`; or read one symbol as server-sent events
//! with `curl -N -H 'Accept: text/event-stream' http://localhost:8000/prices/EUR`.

use std::error::Error;
use std::io::{Write as _, stdout};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rikki::Server;
use rikki::topics::{BadName, Subscribe, SubscribeError, TopicConfig, TopicUrl, Topics, TopicsConfig};
use rikki::ws::{Message, SendError, Socket};

pub(crate) const SYMBOLS: [&str; 5] = ["CHF", "EUR", "GBP", "JPY", "NOK"];

/// A topic for each symbol. Of the messages with one key the latest is kept: who comes gets that first, and who reads
/// slowly is never behind by more, nor told of a gap.
pub(crate) fn topics() -> Result<Topics, BadName> {
    let price = TopicConfig::default().history(1).last(true).latest_by_key(true);
    let topic = |config: TopicsConfig, symbol| config.topic(&format!("prices/{symbol}"), price.clone());
    Ok(Topics::new(SYMBOLS.into_iter().try_fold(TopicsConfig::default().others(None), topic)?))
}

/// Publishes a price. It waits for nobody who reads.
pub(crate) fn publish(topics: &Topics, symbol: &str, price: f64) -> Result<(), Box<dyn Error>> {
    let time = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
    let text = format!(r#"{{"symbol":"{symbol}","price":{price:.4},"time":{time}}}"#);
    topics.publish(&format!("prices/{symbol}"), text).key(symbol).wait()?;
    Ok(())
}

/// The server, without a listener: `/prices` for many symbols, and a URL for each.
pub(crate) fn server(topics: &Topics) -> Server {
    let url = TopicUrl::new(topics).route();
    let topics = topics.clone();
    let server = Server::new().topics(&topics).route("/prices/{symbol}", url);
    server.websocket("/prices", move |socket: &mut Socket<'_>, message: Message<'_>| {
        for word in message.as_text().unwrap_or_default().split_whitespace() {
            if let Some(symbol) = word.strip_prefix('-') {
                socket.unsubscribe(&topics, &format!("prices/{symbol}"));
                continue;
            }
            match socket.subscribe(&topics, &format!("prices/{word}")) {
                Ok(()) | Err(SubscribeError::Already) => {}
                Err(error) => socket.send(format!(r#"{{"error":"{error}"}}"#))?,
            }
        }
        Ok::<(), SendError>(())
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let topics = topics()?;
    let source = topics.clone();
    thread::spawn(move || {
        for (count, symbol) in (0_u32..).zip(SYMBOLS.into_iter().cycle()) {
            if let Err(error) = publish(&source, symbol, 100.0 + f64::from(count % 97) / 10.0) {
                let _ = writeln!(stdout(), "{symbol}: {error}");
            }
            thread::sleep(Duration::from_millis(100));
        }
    });
    writeln!(stdout(), "Starting a ticker on ws://localhost:8000/prices")?;
    Ok(server(&topics).listen("http://localhost:8000").run()?)
}
