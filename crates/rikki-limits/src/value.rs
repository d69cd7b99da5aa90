//! What the fields are that are limits: numbers and times, and what there may be none of.

use std::time::Duration;

use crate::limit::Limit;
use crate::units::{BadNumber, Unit};

/// The type of a field that is a limit.
///
/// An `Option` is `None` until it is set. That is no limit, or, where the table has a default, a budget that is a part
/// of something else.
pub trait Value: Sized {
    /// The largest number that it can be.
    const MOST: u64;

    /// The value of a number: things, bytes or milliseconds.
    fn of(number: u64) -> Self;

    /// What it is unless it is set.
    fn by_default(limit: &Limit) -> Self {
        Self::of(limit.default_number().unwrap_or(Self::MOST))
    }

    /// The number that it is: things, bytes or milliseconds; `None` where it is not set.
    fn number(&self) -> Option<u64>;

    /// Whether the limit can be this: a count or a time of none cannot, and there may be a most. A size of 0 in code is
    /// taken for what it says.
    ///
    /// # Errors
    ///
    /// [`BadNumber`] says what it has to be.
    fn check(&self, limit: &Limit) -> Result<(), BadNumber> {
        match self.number() {
            Some(number) if number < limit.unit.least() && limit.unit != Unit::Size => Err(BadNumber::Zero),
            Some(number) if number > limit.most => Err(BadNumber::Above(limit.most)),
            _ => Ok(()),
        }
    }

    /// What it is taken for, which is a year for a longer time: points in time that are further away may not exist.
    #[must_use]
    fn taken(self) -> Self {
        self
    }

    /// The nearest value that may be.
    #[must_use]
    fn within(self, limit: &Limit) -> Self;
}

macro_rules! number {
    ($($number:ident)*) => { $(
        impl Value for $number {
            const MOST: u64 = $number::MAX as u64;

            fn of(number: u64) -> Self {
                Self::try_from(number).unwrap_or(Self::MAX)
            }

            fn number(&self) -> Option<u64> {
                Some(*self as u64)
            }

            fn within(self, limit: &Limit) -> Self {
                let least = if limit.unit == Unit::Count { 1 } else { 0 };
                self.max(least).min(Self::of(limit.most))
            }
        }
    )* };
}

number!(u32 u64 usize);

impl Value for Duration {
    const MOST: u64 = u64::MAX;

    fn of(number: u64) -> Self {
        Self::from_millis(number)
    }

    fn number(&self) -> Option<u64> {
        Some(u64::try_from(self.as_millis()).unwrap_or(u64::MAX))
    }

    fn taken(self) -> Self {
        self.min(Self::from_secs(365 * 24 * 60 * 60))
    }

    fn within(self, limit: &Limit) -> Self {
        self.max(Self::of(limit.unit.least())).taken()
    }
}

impl<V: Value> Value for Option<V> {
    const MOST: u64 = V::MOST;

    fn of(number: u64) -> Self {
        Some(V::of(number))
    }

    fn number(&self) -> Option<u64> {
        self.as_ref().and_then(V::number)
    }

    fn by_default(_: &Limit) -> Self {
        None
    }

    fn taken(self) -> Self {
        self.map(V::taken)
    }

    fn within(self, limit: &Limit) -> Self {
        self.map(|value| value.within(limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: Limit = Limit::new("most", Unit::Count, (None, "no limit"), "Most", "").at_most(10);

    #[test]
    fn values_that_may_not_be() {
        assert_eq!([0_usize, 1, 10, 11].map(|number| number.within(&N)), [1, 1, 10, 10]);
        let checked = [0_usize, 1, 10, 11].map(|number| number.check(&N));
        assert_eq!(checked, [Err(BadNumber::Zero), Ok(()), Ok(()), Err(BadNumber::Above(10))]);
        assert_eq!((Some(0_u32).check(&N), None::<u32>.check(&N)), (Err(BadNumber::Zero), Ok(())));
        assert_eq!(0_u64.check(&Limit { unit: Unit::Size, ..N }), Ok(()));
        assert_eq!(Duration::ZERO.check(&Limit { unit: Unit::Time, ..N }), Err(BadNumber::Zero));
        assert_eq!(Some(0_u32).within(&N), Some(1));
        assert_eq!(0_u64.within(&Limit { unit: Unit::SizeOrZero, ..N }), 0);
        let year = Duration::from_secs(365 * 24 * 60 * 60);
        assert_eq!(Duration::MAX.within(&N), year);
        for (unit, least) in [(Unit::TimeOrZero, 0), (Unit::Time, 1)] {
            assert_eq!(Duration::ZERO.within(&Limit { unit, ..N }), Duration::from_millis(least));
        }
    }
}
