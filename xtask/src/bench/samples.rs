//! What was measured of one server in one case.

use std::collections::BTreeMap;

/// The quantities that are measured.
pub(super) const PER_SECOND: &str = "per_second";
pub(super) const CPU: &str = "cpu_us";
pub(super) const BUSY: &str = "busy";
pub(super) const P50: &str = "p50_us";
pub(super) const P99: &str = "p99_us";
pub(super) const REPLY_BYTES: &str = "reply_bytes";
pub(super) const BYTES: &str = "bytes";
pub(super) const MEMORY: &str = "memory";
pub(super) const MILLISECONDS: &str = "milliseconds";
pub(super) const CALLS: &str = "system calls";
pub(super) const INSTRUCTIONS: &str = "instructions";

/// Those that the load generator reports.
pub(super) const REPORTED: [&str; 8] = [PER_SECOND, CPU, BUSY, P50, P99, REPLY_BYTES, BYTES, MEMORY];

/// The samples of each quantity, one or more a round.
#[derive(Debug, Default)]
pub(super) struct Samples(BTreeMap<&'static str, Vec<f64>>);

impl Samples {
    pub(super) fn add(&mut self, quantity: &'static str, value: f64) {
        self.0.entry(quantity).or_default().push(value);
    }

    /// The median, if there is one.
    pub(super) fn median(&self, quantity: &str) -> Option<f64> {
        median(self.0.get(quantity)?)
    }

    /// The median with its interval.
    pub(super) fn estimate(&self, quantity: &str) -> Option<Estimate> {
        Estimate::of(self.0.get(quantity)?)
    }

    /// How many times those of `other` they are: of what each round gives. A machine that is slower for a while is so
    /// for both of a round.
    pub(super) fn times(&self, other: &Self, quantity: &str) -> Option<Estimate> {
        let rounds = self.0.get(quantity)?.iter().zip(other.0.get(quantity)?);
        Estimate::of(&rounds.map(|(own, other)| own / other).collect::<Vec<_>>())
    }

    /// How far the samples lie apart, as a part of their median.
    pub(super) fn spread(&self, quantity: &str) -> Option<f64> {
        let samples = self.0.get(quantity)?;
        let low = samples.iter().copied().min_by(f64::total_cmp)?;
        let high = samples.iter().copied().max_by(f64::total_cmp)?;
        Some((high - low) / self.median(quantity)?)
    }
}

/// A median, and between which of the samples the true one lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    pub(super) median: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Estimate {
    fn of(values: &[f64]) -> Option<Self> {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        let outside = interval(values.len()).0;
        let high = values.len().checked_sub(1 + outside)?;
        Some(Self { median: median(&values)?, low: *values.get(outside)?, high: *values.get(high)? })
    }
}

/// How sure an interval has to be of the median, if there are rounds enough.
const CONFIDENCE: f64 = 0.9;

/// Of so many samples, how many at each end are outside of the narrowest interval between two of them that has the median
/// in it with [`CONFIDENCE`], and with what confidence it has. Nothing is assumed of how samples are distributed: each is
/// as likely above the true median as below, so how many are below is a binomial count.
pub(super) fn interval(samples: usize) -> (usize, f64) {
    let all = 0.5_f64.powi(i32::try_from(samples).unwrap_or(i32::MAX));
    // That `outside` samples are below the median, and that at most so many are.
    let (mut outside, mut exactly) = (0, all);
    let mut at_most = exactly;
    loop {
        let next = exactly * (samples - outside) as f64 / (outside + 1) as f64;
        if outside + 1 >= samples.div_ceil(2) || 1.0 - 2.0 * (at_most + next) < CONFIDENCE {
            return (outside, (1.0 - 2.0 * at_most).max(0.0));
        }
        outside += 1;
        exactly = next;
        at_most += next;
    }
}

/// The middle of `values`, or of the two in the middle.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values.get(middle).copied()
    } else {
        Some(values.get(middle.checked_sub(1)?..=middle)?.iter().sum::<f64>() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_round_by_round() {
        let samples = |values: &[f64]| {
            let mut samples = Samples::default();
            values.iter().for_each(|value| samples.add(CPU, *value));
            samples
        };
        // The third round was slow for both: the medians, 6 and 4, would say 1.5.
        let (own, other) = (samples(&[6.0, 4.0, 18.0]), samples(&[3.0, 4.0, 9.0]));
        assert_eq!(own.times(&other, CPU), Some(Estimate { median: 2.0, low: 1.0, high: 2.0 }));
        assert_eq!(own.times(&Samples::default(), CPU), None);
    }

    #[test]
    fn says_between_which_rounds_the_median_lies() {
        let check = |samples, outside, percent: f64| {
            let (found, confidence) = interval(samples);
            assert_eq!((found, (confidence * 1000.0).round() / 10.0), (outside, percent), "{samples}");
        };
        check(1, 0, 0.0);
        check(3, 0, 75.0);
        check(5, 0, 93.8);
        check(7, 0, 98.4);
        check(8, 1, 93.0);
        check(20, 5, 95.9);
        let mut samples = Samples::default();
        [5.0, 9.0, 1.0, 3.0, 2.0, 4.0, 8.0, 7.0].iter().for_each(|value| samples.add(CPU, *value));
        assert_eq!(samples.estimate(CPU), Some(Estimate { median: 4.5, low: 2.0, high: 8.0 }));
        assert_eq!(samples.estimate(BYTES), None);
    }

    #[test]
    fn takes_the_middle_of_the_samples() {
        let check = |values: &[f64], median, spread| {
            let mut samples = Samples::default();
            values.iter().for_each(|value| samples.add(CPU, *value));
            assert_eq!((samples.median(CPU), samples.spread(CPU)), (median, spread), "{values:?}");
        };
        check(&[], None, None);
        check(&[4.0], Some(4.0), Some(0.0));
        check(&[9.0, 1.0, 2.0], Some(2.0), Some(4.0));
        check(&[8.0, 2.0, 4.0, 4.0], Some(4.0), Some(1.5));
    }
}
