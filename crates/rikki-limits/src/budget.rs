//! Budgets: what many may hold together, and the share of each.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What all who share it may hold together: bytes of memory, or things that are counted.
///
/// ```
/// use std::sync::Arc;
///
/// use rikki_limits::Budget;
///
/// let memory = Arc::new(Budget::new("queues", 100));
/// let share = memory.take(60).unwrap();
/// assert!(memory.take(60).is_none());
/// drop(share);
/// assert_eq!((memory.used(), memory.most()), (0, 100));
/// ```
#[derive(Debug)]
pub struct Budget {
    name: &'static str,
    used: AtomicUsize,
    most: AtomicUsize,
}

impl Budget {
    /// A budget of so much, of which nothing is held.
    #[must_use]
    pub const fn new(name: &'static str, most: usize) -> Self {
        Self { name, used: AtomicUsize::new(0), most: AtomicUsize::new(most) }
    }

    /// What it is called where it is shown.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How much is held now.
    #[inline]
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// How much may be held.
    #[inline]
    #[must_use]
    pub fn most(&self) -> usize {
        self.most.load(Relaxed)
    }

    /// Sets how much may be held from now on; what is held already stays.
    pub fn set_most(&self, most: usize) {
        self.most.store(most, Relaxed);
    }

    /// Whether nothing is left.
    #[inline]
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.used() >= self.most()
    }

    /// Whether so much more may be held.
    #[inline]
    #[must_use]
    pub fn has_room_for(&self, amount: usize) -> bool {
        self.used().saturating_add(amount) <= self.most()
    }

    /// A share of so much, if there is room for it.
    #[must_use]
    pub fn take(self: &Arc<Self>, amount: usize) -> Option<Share> {
        let mut share = self.share();
        share.grow(amount).then_some(share)
    }

    /// A share of nothing, which may grow.
    pub fn share(self: &Arc<Self>) -> Share {
        Share { budget: Arc::clone(self), held: 0 }
    }

    /// Takes one without a share, if there is room for it: for what is too small to hold a share, and
    /// [gives it back](Self::give_back_one) when it is dropped.
    #[must_use]
    pub fn take_one(&self) -> bool {
        self.try_add(1)
    }

    /// The same whether there is room for it or not: for what is there anyway.
    pub fn add_one(&self) {
        self.used.fetch_add(1, Relaxed);
    }

    /// Gives back what [`take_one`](Self::take_one) has taken.
    pub fn give_back_one(&self) {
        self.used.fetch_sub(1, Relaxed);
    }

    fn try_add(&self, amount: usize) -> bool {
        let more = |used: usize| used.checked_add(amount).filter(|used| *used <= self.most());
        self.used.fetch_update(Relaxed, Relaxed, more).is_ok()
    }
}

/// What one holds of a [`Budget`], given back when this is dropped.
#[derive(Debug)]
#[must_use = "what it holds is given back when it is dropped"]
pub struct Share {
    budget: Arc<Budget>,
    held: usize,
}

impl Share {
    /// How much it holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// The budget that it is of.
    #[must_use]
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Takes so much more; `false`, and nothing is taken, if there is no room for it.
    #[must_use]
    pub fn grow(&mut self, amount: usize) -> bool {
        let grown = self.budget.try_add(amount);
        if grown {
            self.held += amount;
        }
        grown
    }

    /// Takes so much more in the place of all that `others` hold, in one step: nobody takes what is theirs in between.
    /// `false`, and nothing changes hands, if there is no room for it. Shares of another budget are left alone.
    #[must_use]
    pub fn exchange<'s>(&mut self, amount: usize, others: impl IntoIterator<Item = &'s mut Self>) -> bool {
        let mut others: Vec<_> = others.into_iter().filter(|other| Arc::ptr_eq(&other.budget, &self.budget)).collect();
        let freed: usize = others.iter().map(|other| other.held).sum();
        let most = self.budget.most();
        let exchanged = |used: usize| (used - freed).checked_add(amount).filter(|used| *used <= most);
        let is_done = self.budget.used.fetch_update(Relaxed, Relaxed, exchanged).is_ok();
        if is_done {
            self.held += amount;
            others.iter_mut().for_each(|other| other.held = 0);
        }
        is_done
    }

    /// Holds so much from now on, whether there is room for it or not: of what is there anyway.
    pub fn set(&mut self, amount: usize) {
        // The difference alone, so that what is held all the time is counted all the time, and once.
        let held = std::mem::replace(&mut self.held, amount);
        if amount > held {
            self.budget.used.fetch_add(amount - held, Relaxed);
        } else if amount < held {
            self.budget.used.fetch_sub(held - amount, Relaxed);
        }
    }

    /// Gives back what exceeds so much.
    pub fn shrink_to(&mut self, amount: usize) {
        self.set(self.held.min(amount));
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.held, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_given_back() {
        let budget = Arc::new(Budget::new("of a test", 10));
        let mut one = budget.take(6).unwrap();
        assert!(!one.grow(5) && one.grow(4), "to the last");
        assert_eq!((one.held(), budget.used(), budget.is_spent()), (10, 10, true));
        assert!(budget.take(1).is_none() && budget.take(0).is_some());
        one.shrink_to(7);
        one.shrink_to(9);
        assert_eq!((one.held(), budget.used()), (7, 7));
        let mut there_anyway = budget.share();
        there_anyway.set(100);
        there_anyway.set(50);
        assert_eq!(budget.used(), 57);
        drop(there_anyway);
        budget.set_most(5);
        assert!(budget.is_spent() && !one.grow(1));
        drop(one);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn one_at_a_time_without_a_share() {
        let budget = Budget::new("of a test", 2);
        assert_eq!([(); 3].map(|()| budget.take_one()), [true, true, false]);
        budget.give_back_one();
        assert_eq!((budget.used(), budget.take_one(), budget.used()), (1, true, 2));
        budget.add_one();
        assert_eq!(budget.used(), 3);
    }

    #[test]
    fn what_others_hold_changes_hands_in_one_step() {
        let (budget, another) = (Arc::new(Budget::new("of a test", 10)), Arc::new(Budget::new("another", 10)));
        let (mut own, mut one, mut two) = (budget.take(1).unwrap(), budget.take(4).unwrap(), budget.take(5).unwrap());
        assert!(!own.exchange(1, []) && !own.exchange(5, [&mut one]), "no room for it");
        assert_eq!((own.held(), one.held(), budget.used()), (1, 4, 10), "nothing has changed hands");
        assert!(own.exchange(3, [&mut one]));
        assert_eq!((own.held(), one.held(), budget.used()), (4, 0, 9));
        let mut foreign = another.take(10).unwrap();
        assert!(!own.exchange(2, [&mut foreign]) && own.exchange(1, [&mut foreign]));
        assert_eq!((own.held(), foreign.held(), another.used()), (5, 10, 10));
        assert!(own.exchange(5, [&mut one, &mut two]));
        drop((one, two));
        assert_eq!((own.held(), budget.used()), (10, 10), "given back once");
        assert!(!own.exchange(usize::MAX, []), "no overflow");
        drop(own);
        assert_eq!(budget.used(), 0);
    }
}
