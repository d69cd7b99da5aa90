//! rikki's example of a ticker, as it is, on one thread beside the one that has the prices.

use std::thread;

use peers::{PRICE_EVERY, Result};

#[path = "../../../../crates/rikki/examples/ticker.rs"]
#[allow(dead_code, reason = "it has a `main` of its own")]
mod example;

fn main() -> Result<()> {
    let topics = example::topics()?;
    let source = topics.clone();
    thread::spawn(move || {
        for (count, symbol) in (0_u32..).zip(example::SYMBOLS.into_iter().cycle()) {
            if example::publish(&source, symbol, f64::from(count)).is_err() {
                return;
            }
            thread::sleep(PRICE_EVERY);
        }
    });
    peers::run_rikki(example::server(&topics))
}
