//! What is kept of each WebSocket for those who look inside a server, where anybody may: whose it is, what has come and
//! gone on it, what waits, and a way to close it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use rikki_proto::CloseCode;
use rikki_proto::deflate::{Codecs, Decompressor};
use rikki_proto::handshake::Subprotocol;

use super::clock::Clock;
use super::id::ConnectionId;
use super::live::Live;
use super::meters::{Carrier, Meters, Packed, Pair, grow};
use super::opening::Opening;
use super::sender::Mailbox;

/// How many locks there are for all of them: whoever opens or closes one waits for nobody who looks at the others.
const LOCKS: usize = 16;

/// How many are looked at under one of them at a time.
const AT_ONCE: usize = 500;

/// One that is open.
#[derive(Debug)]
pub(crate) struct Seen {
    id: u64,
    /// Where it is found: here and not beside it, since each connection has room for one pointer.
    live: Live,
    meters: Arc<Meters>,
    peer: Option<SocketAddr>,
    subprotocol: Option<Subprotocol>,
    since: Instant,
    received: Flow,
    sent: Flow,
    packed: Option<Arc<[Pair; 2]>>,
    /// Bytes that its peer has not taken, and since how many milliseconds behind `since`.
    backlog: AtomicUsize,
    waits_since: AtomicU64,
    mailbox: OnceLock<Weak<Mailbox>>,
    /// The code that it is to be closed with, or [`UNTOLD`].
    told: AtomicU16,
    /// Where it is driven, as long as it is open.
    driven: Mutex<Option<Driven>>,
}

/// Nobody has told it to close.
const UNTOLD: u16 = 0;

/// Where one is driven that is open.
#[derive(Debug)]
struct Driven {
    /// That of its driver, which learns there that it may be told to close.
    clock: Arc<Clock>,
    /// What wakes its task, once that has waited: one and the same all its life, as its alarm's.
    waker: Option<Waker>,
}

/// Messages in one direction: its driver alone writes to it.
#[derive(Debug, Default)]
struct Flow {
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Flow {
    #[inline(always)]
    fn count(&self, length: usize) {
        grow(&self.messages, 1);
        grow(&self.bytes, length as u64);
    }
}

impl Seen {
    pub(crate) fn new(
        id: ConnectionId,
        (live, meters): (&Live, &Arc<Meters>),
        opening: &Opening,
        packed: Option<Arc<[Pair; 2]>>,
    ) -> Arc<Self> {
        let (received, sent, backlog, waits_since, mailbox, told, driven) = Default::default();
        Arc::new(Self {
            id: id.get(),
            live: live.clone(),
            meters: meters.clone(),
            peer: opening.peer,
            subprotocol: opening.subprotocol.clone(),
            since: Instant::now(),
            received,
            sent,
            packed,
            backlog,
            waits_since,
            mailbox,
            told,
            driven,
        })
    }

    /// What is counted of its endpoint.
    #[inline(always)]
    pub(super) fn meters(&self) -> &Arc<Meters> {
        &self.meters
    }

    #[inline(always)]
    pub(super) fn received(&self, length: usize) {
        self.received.count(length);
    }

    #[inline(always)]
    pub(super) fn sent(&self, length: usize) {
        self.sent.count(length);
    }

    /// For how long it is open.
    pub(super) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// So much waits now.
    pub(crate) fn set_backlog(&self, bytes: usize) {
        if self.backlog.swap(bytes, Relaxed) == 0 && bytes > 0 {
            self.waits_since.store(millis(self.since.elapsed()), Relaxed);
        }
    }

    /// More may wait there.
    pub(crate) fn has_mailbox(&self, mailbox: &Arc<Mailbox>) {
        let _ = self.mailbox.set(Arc::downgrade(mailbox));
    }

    /// The code that it is to be closed with, if somebody has said so. Who waits to be told has its waker known before
    /// it looks.
    pub(crate) fn closing(&self) -> Option<CloseCode> {
        Some(CloseCode(self.told.load(Relaxed))).filter(|code| code.0 != UNTOLD)
    }

    /// `waker` is woken when somebody tells it to close.
    pub(crate) fn wakes(&self, waker: &Waker) {
        if let Some(driven) = &mut *self.driven()
            && driven.waker.is_none()
        {
            driven.waker = Some(waker.clone());
        }
    }

    /// Does nothing with a code that no Close may have ([RFC 6455 section
    /// 7.4.1](https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1)).
    pub(crate) fn close(&self, code: CloseCode) {
        if !code.may_be_sent() {
            return;
        }
        let waker = {
            let mut driven = self.driven();
            let Some(driven) = &mut *driven else { return };
            // Under the lock, so that whoever has made its waker known before finds what was told.
            if self.told.swap(code.0, Relaxed) == UNTOLD {
                driven.clock.one_closes();
            }
            driven.waker.clone()
        };
        // Without the lock: it may run anything.
        waker.into_iter().for_each(Waker::wake);
    }

    /// Its driver is gone.
    fn end(&self) {
        let driven = self.driven().take();
        if let (Some(driven), Some(_)) = (&driven, self.closing()) {
            driven.clock.one_is_gone();
        }
        drop(driven); // without the lock: it may be the last to hold a task
    }

    fn driven(&self) -> MutexGuard<'_, Option<Driven>> {
        self.driven.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that wait to be written, those that senders have queued included.
    fn queued(&self) -> usize {
        let mailbox = self.mailbox.get().and_then(Weak::upgrade);
        self.backlog.load(Relaxed) + mailbox.map_or(0, |mailbox| mailbox.queued())
    }

    fn read(&self, queued: usize) -> Details {
        let (age, backlog) = (self.since.elapsed(), self.backlog.load(Relaxed));
        let waiting = age.saturating_sub(Duration::from_millis(self.waits_since.load(Relaxed)));
        let [sent_packed, received_packed] = match self.packed.as_deref() {
            Some(pairs) => pairs.each_ref().map(|pair| Some(pair.read())),
            None => [None; 2],
        };
        Details {
            id: self.id,
            endpoint: self.meters.endpoint.to_string(),
            carrier: self.meters.carrier,
            peer: self.peer,
            age,
            subprotocol: self.subprotocol.as_ref().map(|protocol| protocol.as_str().to_owned()),
            received_messages: self.received.messages.load(Relaxed),
            received_bytes: self.received.bytes.load(Relaxed),
            sent_messages: self.sent.messages.load(Relaxed),
            sent_bytes: self.sent.bytes.load(Relaxed),
            sent_packed,
            received_packed,
            queued: queued as u64,
            waiting: (backlog > 0).then_some(waiting),
            closing: self.closing().map(|code| code.0),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What is told of one WebSocket.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "of this project alone")]
pub struct Details {
    /// Which it is.
    pub id: u64,
    /// The pattern of its route.
    pub endpoint: String,
    /// How it comes.
    pub carrier: Carrier,
    /// The address of its peer.
    pub peer: Option<SocketAddr>,
    /// For how long it is open.
    pub age: Duration,
    /// What was agreed on.
    pub subprotocol: Option<String>,
    /// Messages received.
    pub received_messages: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Messages framed for it.
    pub sent_messages: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// How far those were compressed, if compression was agreed on.
    pub sent_packed: Option<Packed>,
    /// The same of those that were received.
    pub received_packed: Option<Packed>,
    /// Bytes that wait to be written.
    pub queued: u64,
    /// For how long its peer has not taken them all.
    pub waiting: Option<Duration>,
    /// The code that it is to be closed with, since somebody has said so.
    pub closing: Option<u16>,
}

/// One that is found by its id as long as this is there.
#[derive(Debug)]
pub(crate) struct Enrolled(Arc<Seen>);

impl Enrolled {
    /// Its driver's deadlines are those of `clock`.
    pub(crate) fn new(seen: Arc<Seen>, clock: &Arc<Clock>) -> Self {
        *seen.driven() = Some(Driven { clock: clock.clone(), waker: None });
        seen.live.roll().add(&seen);
        Self(seen)
    }
}

impl Deref for Enrolled {
    type Target = Seen;

    fn deref(&self) -> &Seen {
        &self.0
    }
}

impl Drop for Enrolled {
    fn drop(&mut self) {
        self.0.live.roll().remove(&self.0);
        self.0.end();
    }
}

/// All that are open, by id.
#[derive(Debug, Default)]
pub(crate) struct Roll([Mutex<BTreeMap<u64, Arc<Seen>>>; LOCKS]);

impl Roll {
    fn add(&self, seen: &Arc<Seen>) {
        self.of(seen.id).insert(seen.id, seen.clone());
    }

    fn remove(&self, seen: &Seen) {
        let removed = self.of(seen.id).remove(&seen.id);
        drop(removed); // without the lock: it may be the last to hold a task
    }

    pub(crate) fn details(&self, id: u64) -> Option<Details> {
        let seen = self.of(id).get(&id).cloned()?;
        Some(seen.read(seen.queued()))
    }

    /// Whether there is one with this id, which is to be closed from now on.
    pub(crate) fn close(&self, id: u64, code: CloseCode) -> bool {
        let seen = self.of(id).get(&id).cloned();
        seen.inspect(|seen| seen.close(code)).is_some()
    }

    /// Those on which most waits to be written, as many as that at most.
    pub(crate) fn slowest(&self, most: usize) -> Vec<Details> {
        let mut slowest: Vec<(usize, Arc<Seen>)> = Vec::new();
        if most == 0 {
            return Vec::new();
        }
        self.each(|seen| {
            let queued = seen.queued();
            if queued == 0 {
                return;
            }
            slowest.push((queued, seen.clone()));
            if slowest.len() >= 8 * most {
                keep(&mut slowest, most);
            }
        });
        keep(&mut slowest, most);
        slowest.into_iter().map(|(queued, seen)| seen.read(queued)).collect()
    }

    /// The ids of those of an endpoint.
    pub(crate) fn of_endpoint(&self, endpoint: &str) -> Vec<u64> {
        let mut ids = Vec::new();
        self.each(|seen| {
            if *seen.meters.endpoint == *endpoint {
                ids.push(seen.id);
            }
        });
        ids
    }

    /// Looks at each, a few under a lock at a time.
    fn each(&self, mut look: impl FnMut(&Arc<Seen>)) {
        for lock in &self.0 {
            let mut from = 0;
            loop {
                let some: Vec<_> = {
                    let all = lock.lock().unwrap_or_else(PoisonError::into_inner);
                    all.range(from..).take(AT_ONCE).map(|(_, seen)| seen.clone()).collect()
                };
                some.iter().for_each(&mut look);
                match some.last() {
                    Some(last) if some.len() == AT_ONCE => from = last.id.saturating_add(1),
                    _ => break,
                }
            }
        }
    }

    fn of(&self, id: u64) -> MutexGuard<'_, BTreeMap<u64, Arc<Seen>>> {
        // The remainder is that of an element.
        #[allow(clippy::indexing_slicing, reason = "see above")]
        let lock = &self.0[(id % LOCKS as u64) as usize];
        lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep(slowest: &mut Vec<(usize, Arc<Seen>)>, most: usize) {
    slowest.sort_by_key(|(queued, _)| std::cmp::Reverse(*queued));
    slowest.truncate(most);
}

/// The codecs of one WebSocket, with what they have come to.
pub(crate) struct SeenCodecs {
    pub(crate) codecs: Arc<dyn Codecs>,
    /// Of what is sent, and of what is received.
    pub(crate) pairs: Arc<[Pair; 2]>,
}

impl Codecs for SeenCodecs {
    fn threshold(&self) -> usize {
        self.codecs.threshold()
    }

    fn compress(&self, payload: &[u8], use_it: &mut dyn FnMut(&[u8])) {
        let [sent, _] = &*self.pairs;
        self.codecs.compress(payload, &mut |compressed| {
            sent.add(payload.len(), compressed.len());
            use_it(compressed);
        });
    }

    fn window_bits(&self) -> Option<u8> {
        self.codecs.window_bits()
    }

    fn lend(&self) -> Option<Decompressor> {
        self.codecs.lend()
    }

    fn give_back(&self, decompressor: Decompressor) {
        let [_, received] = &*self.pairs;
        let (taken, produced) = decompressor.work();
        received.add(produced, taken);
        self.codecs.give_back(decompressor);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use super::*;

    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    /// Also where it is told before it has had a turn.
    #[test]
    fn a_close_wakes_the_task_that_drives_it() {
        let parts = Box::new(http::Request::new(()).into_parts().0);
        let opening = Opening { parts, peer: None, subprotocol: None, is_compressed: false };
        let live = Live::new();
        let clock = Arc::<Clock>::default();
        let open =
            || Enrolled::new(Seen::new(ConnectionId::next(), (&live, &Meters::unread()), &opening, None), &clock);
        let task = Arc::new(Woken(AtomicUsize::new(0)));
        let waker = Waker::from(task.clone());
        let seen = open();
        seen.wakes(&waker);
        assert!(live.close(seen.id, CloseCode(0)) && live.close(seen.id, CloseCode::ABNORMAL), "it is there");
        assert_eq!((seen.closing(), clock.any_is_to_close()), (None, false));
        for _ in 0..2 {
            assert!(live.close(seen.id, CloseCode::POLICY_VIOLATION));
        }
        assert_eq!(task.0.load(Relaxed), 2);
        assert_eq!((seen.closing(), clock.any_is_to_close()), (Some(CloseCode::POLICY_VIOLATION), true));
        assert_eq!(live.details(seen.id).unwrap().closing, Some(1008));
        let (id, kept) = (seen.id, seen.0.clone());
        drop(seen);
        assert!(!live.close(id, CloseCode::NORMAL), "it is not found any more");
        kept.close(CloseCode::NORMAL);
        assert_eq!(task.0.load(Relaxed), 2, "found before, and told when it is gone");
        assert!(!clock.any_is_to_close(), "the others look no longer");
        let new = open();
        assert_eq!(live.details(new.id).unwrap().closing, None);
        assert!(live.close(new.id, CloseCode::NORMAL));
        assert_eq!((new.closing(), clock.any_is_to_close()), (Some(CloseCode::NORMAL), true));
    }
}
