//! Who waits for a connection: for its queue to become short, for its end, or for the answer to a ping; and the groups
//! that it is in, which wait for its end too.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rikki_proto::SendError;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout};

use super::mailbox::{Command, Mailbox, State};
use crate::error::{Deadline, Error};
use crate::group::Members;

/// How many pings of one connection may wait for their answers: more tell nobody more.
const MOST_ASKED: usize = 16;

/// What a mailbox keeps from when somebody first waits.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// What is waited for may have come; made by who first waits.
    pub(super) changed: Option<Arc<Notify>>,
    /// One for each time that it has joined one.
    groups: Vec<Weak<Members>>,
    /// The oldest first.
    asked: VecDeque<Asked>,
    last: u64,
}

/// A ping whose answer is waited for.
#[derive(Debug)]
struct Asked {
    /// Its payload.
    number: u64,
    /// When it was framed, if it has been.
    sent: Option<Instant>,
    answer: oneshot::Sender<Duration>,
}

impl Waits {
    /// Makes room for one more; its payload and where its answer comes, or `None` where too many wait. Also who has given
    /// up, to be dropped elsewhere.
    fn ask(&mut self) -> (Option<(u64, oneshot::Receiver<Duration>)>, VecDeque<Asked>) {
        let (given_up, waiting) =
            std::mem::take(&mut self.asked).into_iter().partition(|asked| asked.answer.is_closed());
        self.asked = waiting;
        if self.asked.len() >= MOST_ASKED {
            return (None, given_up);
        }
        let (answer, answered) = oneshot::channel();
        self.last = self.last.wrapping_add(1);
        self.asked.push_back(Asked { number: self.last, sent: None, answer });
        (Some((self.last, answered)), given_up)
    }

    pub(super) fn note_sent(&mut self, number: u64) {
        let asked = self.asked.iter_mut().find(|asked| asked.number == number);
        asked.into_iter().for_each(|asked| asked.sent = Some(Instant::now()));
    }

    /// Takes those out that are answered by this. Those before them are too: a peer may answer the latest alone
    /// ([RFC 6455 section 5.5.3](https://www.rfc-editor.org/rfc/rfc6455#section-5.5.3)).
    fn answered(&mut self, payload: &[u8]) -> VecDeque<Asked> {
        let number = payload.try_into().map(u64::from_be_bytes).ok();
        let index = self.asked.iter().position(|asked| Some(asked.number) == number && asked.sent.is_some());
        let Some(index) = index else { return VecDeque::new() };
        let later = self.asked.split_off(index + 1);
        // One that is not framed yet has an answer of its own before it.
        let is_sent = |asked: &Asked| asked.sent.is_some();
        let (answered, mut waiting): (VecDeque<_>, VecDeque<_>) =
            std::mem::replace(&mut self.asked, later).into_iter().partition(is_sent);
        waiting.append(&mut self.asked);
        self.asked = waiting;
        answered
    }

    /// Nothing will be answered any more.
    pub(super) fn give_up(&mut self) -> impl Sized + use<> {
        std::mem::take(&mut self.asked)
    }
}

impl Mailbox {
    /// Waits until `ready` finds something: asked anew whenever the queue has become short, and at its end.
    async fn wait_until<R>(&self, ready: impl Fn(&State) -> Option<R>) -> R {
        let changed = self.state().waits.get_or_insert_default().changed.get_or_insert_default().clone();
        loop {
            // Before it is looked at: what happens from here on is not missed.
            let notified = changed.notified();
            if let Some(found) = ready(&self.state()) {
                return found;
            }
            notified.await;
        }
    }

    pub(super) async fn wait_until_closed(&self) {
        self.wait_until(|state| state.closed.then_some(())).await;
    }

    pub(super) async fn wait_until_writable(&self) -> Result<(), SendError> {
        // Whoever asks again and again lets others have their turn.
        tokio::task::consume_budget().await;
        let ready = |state: &State| match state.closed {
            true => Some(Err(SendError::Closed)),
            false => (state.held() <= self.low_mark()).then_some(Ok(())),
        };
        self.wait_until(ready).await
    }

    pub(super) async fn round_trip(&self) -> Result<Duration, Error> {
        let (asked, given_up) = self.state().waits.get_or_insert_default().ask();
        // Without the lock: it may be the last to hold a task.
        drop(given_up);
        let (number, answered) = asked.ok_or(SendError::Full)?;
        // If it is refused, so is whoever waits: nobody does for what is dropped here.
        self.push(Command::Ask(number))?;
        match timeout(self.pong_timeout(), answered).await {
            Ok(answered) => Ok(answered.map_err(|_given_up| SendError::Closed)?),
            Err(_) => Err(Error::TimedOut(Deadline::RoundTrip)),
        }
    }

    /// Lets a group know when the connection is over: false if it is already.
    pub(crate) fn enter(&self, group: &Arc<Members>) -> bool {
        let mut state = self.state();
        if !state.ended {
            let groups = &mut state.waits.get_or_insert_default().groups;
            if groups.len() == groups.capacity() {
                // Before it grows: of groups that are gone nothing is kept.
                groups.retain(|group| group.strong_count() > 0);
            }
            groups.push(Arc::downgrade(group));
        }
        !state.ended
    }

    /// Takes back what was entered once.
    pub(crate) fn leave(&self, group: &Weak<Members>) {
        let mut state = self.state();
        let Some(groups) = state.waits.as_mut().map(|waits| &mut waits.groups) else { return };
        if let Some(index) = groups.iter().position(|known| known.ptr_eq(group)) {
            groups.swap_remove(index);
        }
    }

    /// How many times it is in a group.
    #[cfg(test)]
    pub(crate) fn groups(&self) -> usize {
        self.state().waits.as_ref().map_or(0, |waits| waits.groups.len())
    }

    /// The connection is over, TCP included.
    pub(crate) fn end(&self) {
        let groups = {
            let mut state = self.state();
            state.ended = true;
            state.waits.as_mut().map(|waits| std::mem::take(&mut waits.groups))
        };
        for group in groups.into_iter().flatten().filter_map(|group| group.upgrade()) {
            group.remove(self.id());
        }
    }

    /// A pong has come, for somebody who waits or for nobody.
    pub(crate) fn handle_pong(&self, payload: &[u8]) {
        let answered = self.state().waits.as_mut().map(|waits| waits.answered(payload));
        for Asked { sent, answer, .. } in answered.into_iter().flatten() {
            if let Some(sent) = sent {
                // Nobody may wait any more.
                let _ = answer.send(sent.elapsed());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its number can be guessed.
    #[test]
    fn a_pong_before_its_ping_answers_nothing() {
        let mut waits = Waits::default();
        let (number, _answered) = waits.ask().0.unwrap();
        assert!(waits.answered(&number.to_be_bytes()).is_empty());
        waits.note_sent(number);
        assert_eq!(waits.answered(&number.to_be_bytes()).len(), 1);
        assert!(waits.answered(&number.to_be_bytes()).is_empty(), "once");
    }

    /// Two may ask at the same time, and the later one be framed first.
    #[test]
    fn a_pong_answers_no_ping_that_is_not_framed_yet() {
        let mut waits = Waits::default();
        let ((earlier, _first), (later, _second)) = (waits.ask().0.unwrap(), waits.ask().0.unwrap());
        waits.note_sent(later);
        assert_eq!(waits.answered(&later.to_be_bytes()).len(), 1);
        waits.note_sent(earlier);
        assert_eq!(waits.answered(&earlier.to_be_bytes()).len(), 1);
    }
}
