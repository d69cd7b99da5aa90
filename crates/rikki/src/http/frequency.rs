//! How often one address may ask: so many requests a second, and as many at once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::response::Response;
use http::StatusCode;
use tokio::time::Instant;

use super::caller::Caller;
use super::refusal::later;
use rikki_limits::Seldom;

/// How many addresses are remembered; more that come within a second are not held to the rate.
const ADDRESSES: usize = 65_536;

/// How many may be there until those are looked for that are to be forgotten.
const FEW: usize = 1024;

/// How often they are looked for at most, which takes a while where there are many.
const TIDY_EVERY: Duration = Duration::from_millis(250);

/// What the addresses that have asked of late have used up.
#[derive(Debug)]
pub(crate) struct Frequency {
    per_second: u32,
    /// What one request takes of a second.
    interval: Duration,
    asked: Mutex<Asked>,
}

#[derive(Debug)]
struct Asked {
    /// Until when an address has used up what it may. One of the past is as good as none.
    until: HashMap<IpAddr, Instant>,
    /// At how many addresses those of the past are forgotten, and when they were.
    tidy_at: usize,
    tidied: Option<Instant>,
}

impl Frequency {
    pub(crate) fn new(per_second: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self { per_second, interval, asked: Mutex::new(Asked { until: HashMap::new(), tidy_at: FEW, tidied: None }) }
    }

    /// How often an address may ask in a second.
    pub(super) fn per_second(&self) -> u32 {
        self.per_second
    }

    /// The answer to a request from an address that asks too often. Who has none may ask as often as it likes.
    pub(super) fn refuse(&self, caller: Caller) -> Option<Response> {
        static LINES: Seldom = Seldom::new();
        let Caller { id, request, peer } = caller;
        if self.may_ask(peer.client()?, Instant::now()) {
            return None;
        }
        if let Some(left_out) = LINES.turn(()) {
            let (id, what) = (id.get(), "request refused: its address asks too often");
            tracing::warn!(target: "rikki::http", id, request, %peer, left_out, "{what}");
        }
        // https://www.rfc-editor.org/rfc/rfc6585#section-4
        Some(later(StatusCode::TOO_MANY_REQUESTS, "your address asks more often than it may\n"))
    }

    fn may_ask(&self, address: IpAddr, now: Instant) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let Asked { until, tidy_at, tidied } = &mut *asked;
        if until.len() >= *tidy_at && tidied.is_none_or(|tidied| now - tidied >= TIDY_EVERY) {
            until.retain(|_, until| *until > now);
            *tidy_at = (until.len() * 2).clamp(FEW, ADDRESSES);
            *tidied = Some(now);
        }
        let known = until.get(&address).copied();
        if known.is_none() && until.len() >= ADDRESSES {
            return true;
        }
        let used = known.unwrap_or(now).max(now) + self.interval;
        let may = used <= now + Duration::from_secs(1);
        if may {
            until.insert(address, used);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_a_second() {
        let frequency = Frequency::new(4);
        let (start, one, other) = (Instant::now(), IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let check = |address: IpAddr, at: u64, expected: &[bool]| {
            let now = start + Duration::from_millis(at);
            let may: Vec<_> = expected.iter().map(|_| frequency.may_ask(address, now)).collect();
            assert_eq!(may, expected, "{address} after {at} ms");
        };
        check(one, 0, &[true, true, true, true, false, false]);
        check(other, 0, &[true]);
        check(one, 249, &[false]);
        check(one, 250, &[true, false]);
        check(one, 1000, &[true, true, true, false]);
        check(one, 10_000, &[true, true, true, true, false]);
    }

    #[test]
    fn addresses_are_forgotten() {
        let frequency = Frequency::new(1);
        let start = Instant::now();
        let ask = |number: u32, at: u64| {
            frequency.may_ask(IpAddr::from(number.to_be_bytes()), start + Duration::from_secs(at))
        };
        for number in 0..2 * ADDRESSES as u32 {
            assert!(ask(number, 0));
        }
        let held = || frequency.asked.lock().unwrap().until.len();
        assert_eq!(held(), ADDRESSES);
        assert!(!ask(0, 0), "those that are known are held to the rate");
        assert!(ask(0, 2));
        for number in 0..2 * ADDRESSES as u32 {
            assert!(ask(number, 10 + u64::from(number)));
        }
        assert!(held() <= FEW, "{}", held());
    }
}
