//! Who is told that a topic has something new: one wake for each runtime, and from there its own tasks.
//!
//! ```text
//!   publish ──> group of (topic, runtime) ──> post of the runtime ──> its task ──> tasks of the subscribers that wait
//!               once while one is under way   one wake from outside    wakes from inside, without a lock
//! ```
//!
//! A worker of `rikki` is a runtime of one thread, so that a publish costs one wake from thread to thread for each
//! worker, however many are subscribed there. Tasks of a runtime that steals work are woken one by one, from one of its
//! own threads. Who is subscribed outside of any runtime is woken by whoever publishes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;

use slab::Slab;
use tokio::runtime::{Handle, Id};
use tokio::sync::Notify;
use tokio::task::yield_now;

use crate::config::Policy;
use crate::topic::Topic;

/// How many are woken before others of the runtime run.
const WOKEN_AT_ONCE: usize = 1024;

/// Where a runtime learns what is new, for all topics.
#[derive(Debug, Default)]
pub(crate) struct Post {
    /// The groups that have something new.
    queue: Mutex<Vec<Weak<Group>>>,
    /// Rings when the first one is queued.
    filled: Notify,
}

/// The posts of runtimes that have subscribers.
static POSTS: LazyLock<Mutex<HashMap<Id, Weak<Post>>>> = LazyLock::new(Mutex::default);

impl Post {
    /// That of the runtime that this is called in, if any.
    pub(crate) fn current() -> Option<Arc<Self>> {
        let runtime = Handle::try_current().ok()?;
        let mut posts = lock(&POSTS);
        if let Some(post) = posts.get(&runtime.id()).and_then(Weak::upgrade) {
            return Some(post);
        }
        posts.retain(|_, post| post.strong_count() > 0);
        let post = Arc::new(Self::default());
        posts.insert(runtime.id(), Arc::downgrade(&post));
        runtime.spawn(deliver(post.clone()));
        Some(post)
    }

    fn push(&self, group: Weak<Group>) {
        let is_first = {
            let mut queue = lock(&self.queue);
            queue.push(group);
            queue.len() == 1
        };
        if is_first {
            self.filled.notify_one();
        }
    }
}

/// The task of a runtime: wakes those of the runtime's subscribers that wait for something that is there now.
///
/// It stays until the runtime ends, also while nobody is subscribed there: who leaves and comes back any number of times
/// before it has its turn makes no other one.
async fn deliver(post: Arc<Post>) {
    let (mut groups, mut wakers) = (Vec::new(), Vec::new());
    loop {
        post.filled.notified().await;
        std::mem::swap(&mut *lock(&post.queue), &mut groups);
        for group in groups.drain(..) {
            if let Some(group) = group.upgrade() {
                group.take_waiting(&mut wakers);
            }
            let mut woken = 0;
            for waker in wakers.drain(..) {
                waker.wake();
                woken += 1;
                if woken % WOKEN_AT_ONCE == 0 {
                    yield_now().await;
                }
            }
        }
    }
}

/// The subscribers of one topic in one runtime.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) topic: Arc<Topic>,
    post: Option<Arc<Post>>,
    /// It is queued with the post: what is new now is seen then.
    is_queued: AtomicBool,
    /// Who falls behind is closed: the policy of the topic, to be looked at without its lock.
    closes: AtomicBool,
    /// How many messages had gone when those were last woken too that do not wait.
    woken_at: AtomicU64,
    members: Mutex<Members>,
}

#[derive(Debug, Default)]
struct Members {
    wakers: Slab<Waker>,
    /// A bit for each that waits.
    waiting: Vec<u64>,
}

impl Members {
    fn set_waiting(&mut self, key: usize, waits: bool) {
        let (word, bit) = (key / 64, 1 << (key % 64));
        if word >= self.waiting.len() {
            self.waiting.resize(word + 1, 0);
        }
        if let Some(word) = self.waiting.get_mut(word) {
            *word = if waits { *word | bit } else { *word & !bit };
        }
    }
}

impl Group {
    pub(crate) fn new(topic: Arc<Topic>, post: Option<Arc<Post>>, policy: Policy) -> Self {
        let (is_queued, woken_at) = (AtomicBool::new(false), AtomicU64::new(0));
        let closes = AtomicBool::new(policy == Policy::Close);
        Self { topic, post, is_queued, closes, woken_at, members: Mutex::default() }
    }

    /// The topic has this policy from now on.
    pub(crate) fn follow(&self, policy: Policy) {
        self.closes.store(policy == Policy::Close, Ordering::Relaxed);
    }

    /// Whether who falls behind is closed.
    pub(crate) fn closes(&self) -> bool {
        self.closes.load(Ordering::Relaxed)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        lock(&self.members).wakers.len()
    }

    pub(crate) fn is_of(&self, post: Option<&Arc<Post>>) -> bool {
        match (&self.post, post) {
            (Some(own), Some(post)) => Arc::ptr_eq(own, post),
            (own, post) => own.is_none() && post.is_none(),
        }
    }

    /// There is something new: those that wait are woken soon.
    pub(crate) fn notify(self: &Arc<Self>) {
        // What is new was there before this, and is seen by whoever looks after it.
        if self.is_queued.swap(true, Ordering::AcqRel) {
            return;
        }
        match &self.post {
            Some(post) => post.push(Arc::downgrade(self)),
            None => {
                let mut wakers = Vec::new();
                self.take_waiting(&mut wakers);
                wakers.into_iter().for_each(Waker::wake);
            }
        }
    }

    fn take_waiting(&self, wakers: &mut Vec<Waker>) {
        self.is_queued.swap(false, Ordering::AcqRel);
        let all = self.closes() && self.is_turned_over();
        let mut members = lock(&self.members);
        let Members { wakers: known, waiting } = &mut *members;
        if all {
            waiting.iter_mut().for_each(|word| *word = 0);
            wakers.extend(known.iter().map(|(_, waker)| waker.clone()));
            return;
        }
        for (index, word) in waiting.iter_mut().enumerate() {
            while *word != 0 {
                let bit = word.trailing_zeros() as usize;
                *word &= *word - 1;
                wakers.extend(known.get(index * 64 + bit).cloned());
            }
        }
    }

    /// Whether the whole ring has gone since those were woken that do not wait: some of them may have been left behind,
    /// and do not know since their peers do not read.
    fn is_turned_over(&self) -> bool {
        let (gone, length) = self.topic.turnover();
        let is_turned_over = gone.saturating_sub(self.woken_at.load(Ordering::Relaxed)) > length;
        if is_turned_over {
            self.woken_at.store(gone, Ordering::Relaxed);
        }
        is_turned_over
    }

    /// One more, which does not wait yet.
    pub(crate) fn join(&self) -> usize {
        lock(&self.members).wakers.insert(Waker::noop().clone())
    }

    /// That member waits from now on, and is woken by what is added after this.
    pub(crate) fn wait(&self, key: usize, waker: &Waker) {
        let mut members = lock(&self.members);
        let known = members.wakers.get_mut(key).filter(|known| !known.will_wake(waker));
        let old = known.map(|known| std::mem::replace(known, waker.clone()));
        members.set_waiting(key, true);
        drop(members);
        drop(old); // without the lock: it may be the last to hold a task
    }

    /// That member leaves; whether it was the last.
    pub(crate) fn leave(&self, key: usize) -> bool {
        let mut members = lock(&self.members);
        let old = members.wakers.try_remove(key);
        members.set_waiting(key, false);
        let is_empty = members.wakers.is_empty();
        drop(members);
        drop(old); // without the lock: it may be the last to hold a task
        is_empty
    }
}

/// Tells all of them that there is something new, without a lock.
pub(crate) fn notify(groups: Option<Arc<[Arc<Group>]>>) {
    groups.iter().flat_map(|groups| groups.iter()).for_each(Group::notify);
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::{Context, Wake};

    use tokio::runtime::Builder;

    use super::*;
    use crate::{From, TopicConfig, Topics, TopicsConfig};

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// However many wait, and however much is published, a runtime is woken once from outside; and who does not wait, as
    /// one whose peer reads nothing, is not woken at all.
    #[test]
    fn one_wake_for_each_runtime() {
        let topics = Topics::new(TopicsConfig::default());
        let waiting = Arc::<Wakes>::default();
        let runtimes = [(); 3].map(|()| Builder::new_current_thread().build().unwrap());
        let mut posts = Vec::new();
        let mut held = Vec::new();
        for runtime in &runtimes {
            let _inside = runtime.enter();
            posts.push(Post::current().unwrap());
            for _ in 0..100 {
                let mut subscription = topics.subscribe("t", From::Now).unwrap();
                let waker = Waker::from(waiting.clone());
                while subscription.poll_step(&mut Context::from_waker(&waker)).is_ready() {}
                held.push(subscription);
            }
            held.push(topics.subscribe("t", From::Now).unwrap());
        }
        for n in 0..10 {
            topics.publish("t", n.to_string()).wait().unwrap();
        }
        let queued = |post: &Arc<Post>| lock(&post.queue).len();
        assert_eq!(posts.iter().map(queued).collect::<Vec<_>>(), [1, 1, 1]);
        assert_eq!(waiting.0.load(Ordering::Relaxed), 0, "it is for the runtime to wake its own");
        for (index, runtime) in runtimes.iter().enumerate() {
            runtime.block_on(async {
                while waiting.0.load(Ordering::Relaxed) < 100 * (index + 1) {
                    yield_now().await;
                }
            });
        }
        // Nobody waits any more: the next one wakes nobody.
        topics.publish("t", "more").wait().unwrap();
        for runtime in &runtimes {
            runtime.block_on(async {
                for _ in 0..10 {
                    yield_now().await;
                }
            });
        }
        assert_eq!(waiting.0.load(Ordering::Relaxed), 300);
        assert!(posts.iter().all(|post| queued(post) == 0));
    }

    /// Who does not wait is woken when the ring has gone on without it, if it is to be closed for that now.
    #[test]
    fn a_policy_that_closes_now() {
        let others = |policy| TopicsConfig::default().others(TopicConfig::default().bytes(1).policy(policy));
        let topics = Topics::new(others(Policy::Gap));
        let wakes = Arc::<Wakes>::default();
        let mut subscription = topics.subscribe("t", From::Now).unwrap();
        let waker = Waker::from(wakes.clone());
        while subscription.poll_step(&mut Context::from_waker(&waker)).is_ready() {}
        let woken = || {
            for _ in 0..5 {
                topics.publish("t", "x").wait().unwrap();
            }
            wakes.0.swap(0, Ordering::Relaxed)
        };
        assert_eq!((woken(), woken()), (1, 0), "once, and then it does not wait any more");
        let _ = topics.reconfigure(others(Policy::Close));
        assert!(woken() > 0);
        let _ = topics.reconfigure(others(Policy::Latest));
        assert_eq!(woken(), 0);
    }

    /// Whoever subscribes and leaves over and over in one callback makes no task each time.
    #[tokio::test]
    async fn a_runtime_has_one_task_for_it() {
        for _ in 0..100 {
            drop(Post::current());
        }
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 1);
    }
}
