//! Pushing to many clients from a thread that knows nothing of sockets: a ticker, once a second.
//!
//! ```text
//! cargo run --package rikki --example push
//! ```
//!
//! Try: connect several clients to `ws://localhost:8000/ticks`, such as `cargo run -- connect`, or read the same as
//! server-sent events with `curl -N -H 'Accept: text/event-stream' http://localhost:8000/ticks`. One that comes back with
//! its last event's id gets what it has missed.

use std::error::Error;
use std::io::{Write as _, stdout};
use std::thread;
use std::time::Duration;

use rikki::Server;
use rikki::topics::{TopicUrl, Topics, TopicsConfig};

fn main() -> Result<(), Box<dyn Error>> {
    let topics = Topics::new(TopicsConfig::default());
    let ticker = topics.clone();
    thread::spawn(move || {
        for count in 1.. {
            thread::sleep(Duration::from_secs(1));
            // It waits for no client: who reads slowly is told of the gap, or of the latest tick alone.
            if let Err(error) = ticker.publish("ticks", format!("tick {count}")).wait() {
                let _ = writeln!(stdout(), "tick {count}: {error}");
            }
        }
    });
    writeln!(stdout(), "Starting to push on ws://localhost:8000/ticks")?;
    let ticks = TopicUrl::new(&topics).route();
    Server::new().topics(&topics).route("/ticks", ticks).listen("http://localhost:8000").run()?;
    Ok(())
}
