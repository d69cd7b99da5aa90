//! What a topic is like now: all that is behind its lock.

use std::sync::Arc;

use rikki_limits::Budget;

use crate::fan_out::Group;
use crate::keys::Keys;
use crate::looking::{Looking, Said};
use crate::position::{Epoch, From, Position};
use crate::presence::Presence;
use crate::ring::{Millis, Ring, millis};
use crate::shared::Rules;

/// What is behind the lock of a topic.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) ring: Ring,
    /// What it is like now.
    pub(crate) rules: Arc<Rules>,
    /// `None` until the broker has said it.
    pub(crate) epoch: Option<Epoch>,
    /// The latest message that was there when it was said: its ordinal, and the offset that this was behind.
    pub(super) begun: (u64, u64),
    /// Copied when it changes, so that nobody holds the lock while they are told.
    pub(crate) groups: Option<Arc<[Arc<Group>]>>,
    /// What few topics have.
    pub(super) rare: Option<Box<Rare>>,
    /// When somebody was last subscribed.
    pub(super) used_at: Millis,
    /// No pattern fits any more.
    pub(super) is_retired: bool,
}

#[derive(Debug, Default)]
pub(super) struct Rare {
    pub(super) keys: Option<Keys>,
    pub(super) presence: Option<Presence>,
    pub(super) looking: Looking,
}

/// Where a subscriber begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Joined {
    /// What comes next is behind this.
    pub position: Position,
    /// Whether everything behind the position that was asked for is still there; `None` where none was.
    pub recovered: Option<bool>,
}

impl State {
    /// Where somebody begins who asks for this; `None` until the broker has said which history it is. Who has waited for
    /// that gets everything since. Who comes with a position that is ahead of what there is begins when that is reached,
    /// or a look is over that was begun after the one of this number, `came_at`.
    pub(crate) fn begin(
        &self,
        from: From,
        has_waited: bool,
        now: Millis,
        came_at: Option<u64>,
    ) -> Option<(u64, Joined)> {
        let (epoch, ring, rules) = (self.epoch?, &self.ring, &self.rules);
        let oldest = ring.before_last(rules.bounds.history);
        let (place, recovered) = match from {
            From::Now if rules.config.last => (ring.before_last(1).max(oldest), None),
            From::Now => (ring.appended(), None),
            From::Last(count) => (ring.before_last(count).max(oldest), None),
            From::Since(age) => (ring.before_time(now.saturating_sub(millis(age))).max(oldest), None),
            From::After(position) if position.epoch == epoch => match ring.place_of(position.offset) {
                Some(place) => (place, Some(true)),
                // From before what there is, or from a future that did not come.
                None if position.offset < ring.last_offset() => (ring.gone(), Some(false)),
                None if came_at.is_some_and(|came_at| self.looked() <= came_at) => return None,
                None => (ring.appended(), Some(false)),
            },
            From::After(_) => (oldest, Some(false)),
        };
        let (begun, begun_at) = self.begun;
        let (place, offset) = match has_waited && recovered.is_none() && begun < place {
            // What has gone since is missing, as for anybody who was there then.
            true => (begun, begun_at),
            false => (place, ring.offset_at(place)),
        };
        Some((place, Joined { position: Position { epoch, offset }, recovered }))
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.groups.iter().flat_map(|groups| groups.iter())
    }

    /// How often the broker has begun to look how far it goes.
    pub(crate) fn looks(&self) -> u64 {
        self.rare.as_ref().map_or(0, |rare| rare.looking.begun())
    }

    pub(super) fn looked(&self) -> u64 {
        self.rare.as_ref().map_or(0, |rare| rare.looking.over())
    }

    /// Where it was said to be when nothing came.
    pub(crate) fn said(&self) -> Said {
        self.rare.as_ref().map(|rare| rare.looking.said).unwrap_or_default()
    }

    pub(crate) fn presence(&self) -> Option<&Presence> {
        self.rare.as_ref()?.presence.as_ref()
    }

    pub(crate) fn presence_mut(&mut self) -> Option<&mut Presence> {
        self.rare.as_mut()?.presence.as_mut()
    }

    pub(super) fn position_of(&mut self, key: &str, now: Millis) -> Option<Position> {
        self.rare.as_mut()?.keys.as_mut()?.position_of(key, now)
    }

    pub(super) fn forget_keys(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.keys = None;
        }
    }

    pub(super) fn remember(&mut self, key: Arc<str>, position: Position, now: Millis, budget: &Arc<Budget>) {
        let keys = self.rare.get_or_insert_default().keys.get_or_insert_with(|| Keys::new(budget));
        keys.remember(key, position, now);
    }

    pub(super) fn keys_until(&self) -> Option<Millis> {
        self.rare.as_ref()?.keys.as_ref()?.known_until()
    }
}
