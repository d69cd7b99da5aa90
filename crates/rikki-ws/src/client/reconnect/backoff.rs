//! How long to wait before the next attempt.

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::Loss;
use crate::CloseCode;

/// How a [`Reconnecting`](super::Reconnecting) waits between attempts, and when it gives up.
///
/// The wait is random: anything from nothing to a window that doubles with each attempt that fails ("full jitter"), so
/// that the clients of a server that comes back do not come all together. The first window is [`base`](Self::base), and
/// no window is wider than [`cap`](Self::cap). A connection that has lasted for [`reset_after`](Self::reset_after) has
/// proved itself: after its loss the windows begin anew.
///
/// ```
/// use std::time::Duration;
///
/// use rikki_ws::client::Backoff;
///
/// let backoff = Backoff::default().cap(Duration::from_secs(5)).max_attempts(10);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    restart_window: Duration,
    max_retry_after: Duration,
    reset_after: Duration,
    max_attempts: Option<u32>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(500),
            cap: Duration::from_secs(30),
            restart_window: Duration::from_secs(5),
            max_retry_after: Duration::from_secs(300),
            reset_after: Duration::from_secs(10),
            max_attempts: None,
        }
    }
}

impl Backoff {
    /// Sets the first window; default 500 ms. Without one (0) nothing is waited for.
    pub fn base(self, base: Duration) -> Self {
        Self { base, ..self }
    }

    /// Sets the widest window that doubling leads to; default 30 s.
    pub fn cap(self, cap: Duration) -> Self {
        Self { cap, ..self }
    }

    /// Sets the narrowest window after a close with 1012 (the server restarts) or 1013 (try again later), which all of
    /// its clients get at the same time; default 5 s, as in
    /// [RFC 6455 section 7.2.3](https://www.rfc-editor.org/rfc/rfc6455#section-7.2.3).
    pub fn restart_window(self, restart_window: Duration) -> Self {
        Self { restart_window, ..self }
    }

    /// Sets how much of a [`Retry-After`](crate::client::ConnectError::retry_after) is obeyed; default 5 minutes. It is
    /// waited for first, and the random wait comes on top of it.
    pub fn max_retry_after(self, max_retry_after: Duration) -> Self {
        Self { max_retry_after, ..self }
    }

    /// Sets how long a connection has to last for the next windows to begin anew; default 10 s. A server that accepts
    /// each client and closes at once is left alone for longer each time.
    pub fn reset_after(self, reset_after: Duration) -> Self {
        Self { reset_after, ..self }
    }

    /// Gives up when this many attempts in a row have led to no connection that lasted for
    /// [`reset_after`](Self::reset_after); default never. 0 counts as 1.
    pub fn max_attempts(self, max_attempts: u32) -> Self {
        Self { max_attempts: Some(max_attempts), ..self }
    }
}

/// The attempts since a connection has proved itself, and what they lead to.
#[derive(Debug)]
pub(super) struct Pace {
    backoff: Backoff,
    failed: u32,
}

impl Pace {
    pub(super) fn new(backoff: Backoff) -> Self {
        Self { backoff, failed: 0 }
    }

    /// An attempt has failed, or led to a connection that lasted for `lasted` before it was lost. How many of them have
    /// failed in a row, if that is too many.
    pub(super) fn count(&mut self, lasted: Option<Duration>) -> Result<(), u32> {
        if lasted.is_some_and(|lasted| lasted >= self.backoff.reset_after) {
            self.failed = 0;
            return Ok(());
        }
        self.failed = self.failed.saturating_add(1);
        if self.backoff.max_attempts.is_some_and(|most| self.failed >= most) { Err(self.failed) } else { Ok(()) }
    }

    /// How long to wait after this loss.
    pub(super) fn wait(&self, rng: &mut StdRng, loss: &Loss) -> Duration {
        let doubled = 1_u32.checked_shl(self.failed.saturating_sub(1)).unwrap_or(u32::MAX);
        let mut window = self.backoff.base.saturating_mul(doubled).min(self.backoff.cap);
        if matches!(loss.code(), Some(CloseCode(1012 | 1013))) {
            window = window.max(self.backoff.restart_window);
        }
        let nanoseconds = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        let least = loss.retry_after().unwrap_or_default().min(self.backoff.max_retry_after);
        least.saturating_add(Duration::from_nanos(rng.random_range(0..=nanoseconds)))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Response;
    use rand::SeedableRng as _;

    use super::*;
    use crate::client::ConnectError;

    fn closed(code: u16) -> Loss {
        Loss::Closed(crate::Closed { code: CloseCode(code), reason: "".into(), error: None })
    }

    /// The least and the most of many waits, in milliseconds.
    fn bounds(pace: &Pace, loss: &Loss) -> (u128, u128) {
        let mut rng = StdRng::seed_from_u64(7);
        let waits: Vec<u128> = (0..2000).map(|_| pace.wait(&mut rng, loss).as_millis()).collect();
        (*waits.iter().min().unwrap(), *waits.iter().max().unwrap())
    }

    #[track_caller]
    fn check(pace: &Pace, loss: &Loss, least: u64, most: u64) {
        let (found_least, found_most) = bounds(pace, loss);
        let slack = u128::from(most - least) / 50;
        let (least, most) = (u128::from(least), u128::from(most));
        assert!((least..=least + slack).contains(&found_least), "least {found_least}, not {least}");
        assert!((most - slack..=most).contains(&found_most), "most {found_most}, not {most}");
    }

    #[test]
    fn windows_double_up_to_the_cap_and_begin_anew() {
        let mut pace = Pace::new(Backoff::default());
        pace.count(Some(Duration::from_secs(10))).unwrap();
        check(&pace, &closed(1006), 0, 500);
        for window in [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
            pace.count(None).unwrap();
            check(&pace, &closed(1006), 0, window);
        }
        // For ever.
        pace.failed = u32::MAX - 1;
        for _ in 0..3 {
            pace.count(Some(Duration::from_millis(9999))).unwrap();
            check(&pace, &closed(1006), 0, 30_000);
        }
        pace.count(Some(Duration::from_secs(10))).unwrap();
        check(&pace, &closed(1006), 0, 500);
    }

    #[test]
    fn a_restart_has_a_window_of_its_own() {
        let mut pace = Pace::new(Backoff::default());
        for code in [1012, 1013] {
            check(&pace, &closed(code), 0, 5000);
        }
        for code in [1001, 1006, 1011, 1014, 3000, 4000] {
            check(&pace, &closed(code), 0, 500);
        }
        for _ in 0..9 {
            pace.count(None).unwrap();
        }
        check(&pace, &closed(1012), 0, 30_000);
    }

    #[test]
    fn retry_after_is_the_least_and_has_a_bound() {
        let refused = |seconds: u64| {
            let response = Response::builder().status(503).header("retry-after", seconds).body(Bytes::new()).unwrap();
            Loss::Connect(ConnectError::Refused(Box::new(response)))
        };
        let pace = Pace::new(Backoff::default());
        check(&pace, &refused(0), 0, 500);
        check(&pace, &refused(7), 7000, 7500);
        check(&pace, &refused(100_000), 300_000, 300_500);
        let pace = Pace::new(Backoff::default().max_retry_after(Duration::ZERO).base(Duration::from_secs(1)));
        check(&pace, &refused(7), 0, 1000);
    }

    #[test]
    fn attempts_have_a_bound_if_one_is_set() {
        let mut pace = Pace::new(Backoff::default().max_attempts(3));
        let brief = Some(Duration::from_secs(9));
        assert_eq!([pace.count(None), pace.count(brief), pace.count(None)], [Ok(()), Ok(()), Err(3)]);
        let mut pace = Pace::new(Backoff::default().max_attempts(1));
        let long = Some(Duration::from_secs(10));
        assert_eq!([pace.count(long), pace.count(long), pace.count(brief)], [Ok(()), Ok(()), Err(1)]);
    }
}
