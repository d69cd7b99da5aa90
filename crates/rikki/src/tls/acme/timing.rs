//! When a certificate is ordered: by what its authority suggests, or else by its lifetime; and how long to wait after a
//! failure. Time and chance are arguments.

use std::time::{Duration, SystemTime};

use super::super::certificate::Certificate;

/// What is left of a lifetime when it is time for the next one, as Let's Encrypt advises; the jitter comes before that.
const LEFT: u32 = 3;
const JITTER: u32 = 30;

/// The first wait after a failure, and the longest.
const FIRST_WAIT: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(6 * 60 * 60);

/// What an authority may ask for, at most.
const LONGEST_ASKED: Duration = Duration::from_secs(24 * 60 * 60);

/// No certificate is replaced sooner after it began, nor before this part of its lifetime, whatever is suggested: an
/// authority that says "now" of each would have an order every minute.
const REST: Duration = Duration::from_secs(6 * 60 * 60);
const REST_PART: u32 = 12;

/// The time of renewal that is suggested
/// ([RFC 9773 section 4.2](https://www.rfc-editor.org/rfc/rfc9773#section-4.2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) start: SystemTime,
    pub(crate) end: SystemTime,
}

impl Window {
    /// A moment in it, or `None` if it is none: it has to end after it starts, and the certificate has to be valid then.
    pub(crate) fn moment(&self, ends: SystemTime, fraction: f64) -> Option<SystemTime> {
        if self.end <= self.start || self.start >= ends {
            return None;
        }
        let length = self.end.min(ends).duration_since(self.start).ok()?;
        self.start.checked_add(length.mul_f64(fraction))
    }
}

/// When the next one is due if nothing is suggested.
pub(crate) fn planned(certificate: &Certificate, fraction: f64) -> SystemTime {
    let lifetime = certificate.lifetime();
    let before = lifetime / LEFT + (lifetime / JITTER).mul_f64(fraction);
    certificate.ends.checked_sub(before).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Until when it is kept, whatever is suggested.
pub(crate) fn rests(certificate: &Certificate) -> SystemTime {
    let rest = REST.min(certificate.lifetime() / REST_PART);
    certificate.begins.checked_add(rest).unwrap_or(certificate.begins)
}

/// How long to wait after so many failures in a row, and as the authority says, with up to a quarter more.
pub(crate) fn backoff(failures: u32, asked: Option<Duration>, fraction: f64) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    let wait = doubled.min(LONGEST_WAIT).max(asked.unwrap_or_default().min(LONGEST_ASKED));
    wait + (wait / 4).mul_f64(fraction)
}

/// When a suggestion is looked at again ([RFC 9773 section 4.3](https://www.rfc-editor.org/rfc/rfc9773#section-4.3)).
pub(crate) fn soonest(asked: Duration) -> Duration {
    asked.clamp(FIRST_WAIT, LONGEST_ASKED)
}

/// From 0 to below 1.
pub(crate) fn fraction() -> f64 {
    rand::random()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    #[test]
    fn waits_after_failures() {
        let check = |failures, asked: Option<Duration>, minutes: u64| {
            assert_eq!(backoff(failures, asked, 0.0), Duration::from_secs(minutes * 60), "{failures} {asked:?}");
            let most = Duration::from_secs(minutes * 75);
            assert_eq!(backoff(failures, asked, 1.0), most, "{failures} {asked:?}");
        };
        for (failures, minutes) in [(1, 1), (2, 2), (3, 4), (9, 256), (10, 360), (40, 360), (u32::MAX, 360)] {
            check(failures, None, minutes);
        }
        check(1, Some(HOUR), 60);
        check(9, Some(HOUR), 256);
        check(1, Some(DAY * 3), 24 * 60);
        check(1, Some(Duration::MAX), 24 * 60);
    }

    #[test]
    fn moments_in_a_window() {
        let now = SystemTime::UNIX_EPOCH + DAY * 10_000;
        let ends = now + DAY * 30;
        let check = |start: SystemTime, end: SystemTime, expected: [Option<SystemTime>; 2]| {
            let window = Window { start, end };
            assert_eq!([0.0, 0.5].map(|fraction| window.moment(ends, fraction)), expected);
        };
        check(now, now + HOUR * 2, [Some(now), Some(now + HOUR)]);
        // In the past: it is due.
        check(now - DAY * 2, now - DAY, [Some(now - DAY * 2), Some(now - HOUR * 36)]);
        // None at all.
        check(now, now, [None; 2]);
        check(now, now - DAY, [None; 2]);
        // After the certificate, and up to after it.
        check(ends, ends + DAY, [None; 2]);
        check(ends - HOUR * 2, ends + DAY, [Some(ends - HOUR * 2), Some(ends - HOUR)]);
        assert_eq!([Duration::ZERO, HOUR, Duration::MAX].map(soonest), [FIRST_WAIT, HOUR, DAY]);
    }
}
