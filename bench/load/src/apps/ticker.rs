//! A ticker. The server tells prices by itself, and each of them in its order.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::{Application, listen, number_behind};
use crate::Result;
use crate::args::Args;
use crate::listener::Listener;

/// What each connection asks for.
const SYMBOLS: [&str; 5] = ["CHF", "EUR", "GBP", "JPY", "NOK"];

/// When each connection's last price of each symbol was told.
struct Ticker(Vec<[u64; SYMBOLS.len()]>);

pub(crate) fn run(args: &Args) -> Result<Value> {
    let open = |_| {
        let mut listener = Listener::open(args, "/prices")?;
        listener.send(&SYMBOLS.join(" "))?;
        Ok(listener)
    };
    let listeners = (0..args.connections).map(open).collect::<Result<Vec<_>>>()?;
    listen(args, listeners, &mut Ticker(vec![[0; SYMBOLS.len()]; args.connections]))
}

impl Application for Ticker {
    fn take(&mut self, number: usize, text: &[u8]) -> Result<Option<Duration>> {
        let wrong = || format!("not a price: {}", text.escape_ascii());
        let time = number_behind(text, b"\"time\":").ok_or_else(wrong)?;
        let symbol =
            SYMBOLS.iter().position(|symbol| text.get(11..).is_some_and(|at| at.starts_with(symbol.as_bytes())));
        let last = symbol.and_then(|symbol| self.0.get_mut(number)?.get_mut(symbol)).ok_or_else(wrong)?;
        if time < *last {
            return Err(format!("a price from before {last}: {}", text.escape_ascii()));
        }
        *last = time;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
        Ok(Some(now.saturating_sub(Duration::from_micros(time))))
    }

    /// Clients say nothing.
    fn speak(&mut self, _: &mut [Listener]) -> Result<()> {
        Ok(())
    }
}
