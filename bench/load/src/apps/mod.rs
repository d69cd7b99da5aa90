//! Whole applications, of which each server has its own way with JSON: a chat with rooms, and a ticker.
//!
//! What is sent or told has its time in it, so that what arrives says how long it took.

mod chat;
mod ticker;

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token};
use serde_json::{Value, json};

use crate::args::Args;
use crate::listener::Listener;
use crate::{Result, meter};

pub(crate) use chat::run as chat;
pub(crate) use ticker::run as ticker;

/// How long all connections are left alone before anything is said: what a server tells of who has come is over then.
const SETTLE: Duration = Duration::from_secs(1);

/// A server that says nothing for so long is given up.
const STALL_LIMIT: Duration = Duration::from_secs(20);

const READ_SIZE: usize = 256 * 1024;

/// Latencies are kept in nanoseconds, up to a minute, to three digits.
const HIGHEST_LATENCY: u64 = 60_000_000_000;

/// What clients of an application do.
trait Application {
    /// Connection `number` has got a text; how long that took, if it is one that counts.
    fn take(&mut self, number: usize, text: &[u8]) -> Result<Option<Duration>>;

    /// Says what is to be said now.
    fn speak(&mut self, listeners: &mut [Listener]) -> Result<()>;
}

/// Lets all connections listen for a while, and says what it has cost.
fn listen(args: &Args, mut listeners: Vec<Listener>, app: &mut impl Application) -> Result<Value> {
    let mut poll = Poll::new().map_err(|error| format!("epoll: {error}"))?;
    for (number, listener) in listeners.iter_mut().enumerate() {
        poll.registry()
            .register(listener.socket(), Token(number), Interest::READABLE | Interest::WRITABLE)
            .map_err(|error| format!("epoll: {error}"))?;
    }
    let mut latencies = Histogram::<u64>::new_with_max(HIGHEST_LATENCY, 3).map_err(|error| error.to_string())?;
    let (mut events, mut buffer) = (Events::with_capacity(1024), vec![0; READ_SIZE]);
    let speak_from = Instant::now() + SETTLE;
    let measure_from = speak_from + args.warmup;
    let end = measure_from + args.duration;
    let mut began = None;
    let mut last_answer = speak_from;
    loop {
        let now = Instant::now();
        if began.is_none() && now >= measure_from {
            latencies.reset();
            began = Some((now, args.pid.map(meter::cpu_time).transpose()?));
        }
        if let Some((began, cpu)) = began.filter(|_| now >= end) {
            return report(args, (now - began).as_secs_f64(), cpu, &latencies);
        }
        if now.saturating_duration_since(last_answer) > STALL_LIMIT {
            return Err("the server has stopped answering".to_owned());
        }
        if now >= speak_from {
            app.speak(&mut listeners)?;
        }
        let next = [speak_from, measure_from, end].into_iter().find(|at| *at > now).unwrap_or(end);
        match poll.poll(&mut events, Some(next.saturating_duration_since(now))) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            other => other.map_err(|error| format!("epoll: {error}"))?,
        }
        for event in &events {
            let number = event.token().0;
            let Some(listener) = listeners.get_mut(number) else { continue };
            listener.flush()?;
            listener.receive(&mut buffer, |text| {
                if let Some(latency) = app.take(number, text)? {
                    latencies.saturating_record(latency.as_nanos() as u64);
                    last_answer = now;
                }
                Ok(())
            })?;
        }
    }
}

fn report(args: &Args, seconds: f64, cpu: Option<Duration>, latencies: &Histogram<u64>) -> Result<Value> {
    let completed = latencies.len();
    if completed == 0 {
        return Err("not one message came in the time that is counted".to_owned());
    }
    let spent = args.pid.map(meter::cpu_time).transpose()?.zip(cpu);
    let spent = spent.map(|(after, before)| after.saturating_sub(before).as_secs_f64());
    let latency = |quantile| latencies.value_at_quantile(quantile) as f64 / 1000.0;
    Ok(json!({
        "messages": completed,
        "seconds": seconds,
        "per_second": completed as f64 / seconds,
        "cpu_us": spent.map(|spent| spent * 1e6 / completed as f64),
        "busy": spent.map(|spent| spent / seconds),
        "p50_us": latency(0.5),
        "p99_us": latency(0.99),
        "memory": args.pid.map(meter::memory).transpose()?,
    }))
}

/// The digits behind the first `name` in a text.
fn number_behind(text: &[u8], name: &[u8]) -> Option<u64> {
    let at = text.windows(name.len()).position(|window| window == name)? + name.len();
    let digits = text.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit());
    digits
        .map(|digit| u64::from(digit - b'0'))
        .try_fold(0_u64, |number, digit| number.checked_mul(10)?.checked_add(digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_number() {
        let check = |text: &str, expected| assert_eq!(number_behind(text.as_bytes(), b"\"time\":"), expected, "{text}");
        check("{\"time\":123,\"a\":4}", Some(123));
        check("{\"a\":4,\"time\":18446744073709551616}", None);
        check("{}", None);
    }
}
