//! The hand-over of a connection from HTTP to its WebSocket: who gives what to whom, from top to bottom as it happens.
//!
//! ```text
//!  our server                      application                     hyper
//!  ----------                      -----------                     -----
//!    |-- request: Context, ---------->| judges the handshake         |
//!    |   and hyper's OnUpgrade        |                              |
//!    |<- answer: 101, and in it ------| has agreed                   |
//!    |   Agreed: OnUpgrade, and how   |                              |
//!    |   to start                                                    |
//!    | takes that out, if it is the                                  |
//!    | answer to this request, and                                   |
//!    | keeps it for the connection                                   |
//!    |-- answer ---------------------------------------------------->| writes it,
//!    |<- Upgraded, by OnUpgrade -------------------------------------| gives up the stream
//!    | Agreed::finish: takes the bare stream out of hyper's box, once
//!    | (Transport), and starts a task with it and the Tracker: the driver
//!    `- the task of HTTP ends, and nothing is left of the request
//! ```
//!
//! What starts a WebSocket is in its answer and nowhere else. So one in its place starts none, nor does one that comes
//! when the request has been answered. The connection's place is the tracker's, of which HTTP holds a clone and then
//! the driver.
//!
//! Another server looks into no answers, and hyper gives up the stream of a request that asks for an upgrade whatever it
//! was answered with, at the latest when the connection ends. There a task waits, as soon as the application has agreed,
//! until hyper has looked at the body of the answer (`sent`) and given up the stream; it ends when the answer is dropped
//! instead.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use http::{Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};

use super::transport::Transport;
use crate::id::ConnectionId;
use crate::origins::{ListenerKind, Public};
use crate::terms::Terms;
use crate::tracker::Tracker;

/// What the server around an endpoint adds to each request, for upgrades to find.
#[derive(Clone, Debug)]
pub struct Context {
    /// What holds for WebSockets here.
    pub terms: Arc<Terms>,
    /// Where the request has come in.
    pub listener: ListenerKind,
    /// What the client has asked a proxy for, where one has told.
    pub public: Option<Arc<Public>>,
    /// What the connection holds of the server.
    pub tracker: Tracker,
    /// The connection it has come on, if the server counts them.
    pub id: Option<ConnectionId>,
    /// The request, gone when it has been answered: whether its handshake was agreed on. `None` under another server
    /// than ours, and for a request that asks for no upgrade.
    pub request: Option<Weak<AtomicBool>>,
}

impl Default for Context {
    /// Under another server than ours: what bounds all connections together is one for the process.
    fn default() -> Self {
        static TERMS: LazyLock<Arc<Terms>> = LazyLock::new(Arc::default);
        let (listener, public, tracker, id, request) = Default::default();
        Self { terms: TERMS.clone(), listener, public, tracker, id, request }
    }
}

/// A WebSocket that was agreed on and waits until its answer is sent, and for the stream.
///
/// It holds no [`Tracker`]: whoever kept the answer would keep the place of the connection.
#[derive(Clone)]
pub struct Agreed {
    on_upgrade: OnUpgrade,
    /// Taken out once: what an answer carries is shared, and can be cloned.
    start: Arc<Mutex<Option<Start>>>,
    /// What it starts with: the answer to this request, with the status that it was given.
    answer: Option<(Weak<AtomicBool>, StatusCode)>,
}

/// Starts the task of a WebSocket, and keeps nothing of its request.
type Start = Box<dyn FnOnce(Transport, Tracker) + Send>;

impl Agreed {
    pub(super) fn new(on_upgrade: OnUpgrade, start: impl FnOnce(Transport, Tracker) + Send + 'static) -> Self {
        Self { on_upgrade, start: Arc::new(Mutex::new(Some(Box::new(start)))), answer: None }
    }

    /// Lets `answer` carry it, unless `request` has been answered: then it is given up, and this is false. How the
    /// answer tells the client is for each version of HTTP to say.
    pub(super) fn attach_to<B>(mut self, answer: &mut Response<B>, request: Weak<AtomicBool>) -> bool {
        let Some(is_agreed) = request.upgrade() else { return false };
        is_agreed.store(true, Relaxed);
        self.answer = Some((request, answer.status()));
        answer.extensions_mut().insert(self);
        true
    }

    /// Takes it out of the answer to `request`; `None` if this is another than it was attached to, which starts
    /// nothing.
    pub fn take_from<B>(answer: &mut Response<B>, request: &Arc<AtomicBool>) -> Option<Self> {
        let agreed: Self = answer.extensions_mut().remove()?;
        let (of, status) = agreed.answer.as_ref()?;
        (of.as_ptr() == Arc::as_ptr(request) && *status == answer.status()).then_some(agreed)
    }

    /// Starts the WebSocket when hyper has sent the 101 and given up the stream of the connection `id`; under our own
    /// server that has happened.
    ///
    /// `take` finds the bare stream.
    pub async fn finish(self, id: ConnectionId, tracker: Tracker, take: fn(Upgraded) -> Transport) {
        match self.on_upgrade.await {
            Ok(upgraded) => {
                let start = self.start.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(start) = start {
                    start(take(upgraded), tracker);
                }
            }
            Err(error) => {
                let id = id.get();
                tracing::debug!(target: "rikki::ws", id, "client left during the handshake: {error}");
            }
        }
    }
}

impl fmt::Debug for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agreed").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn an_answer_starts_what_was_agreed_on_for_its_own_request_alone() {
        let request = Arc::<AtomicBool>::default();
        let check = |what: &str, change: fn(&mut Response<()>), to: &Arc<AtomicBool>, starts: bool| {
            let mut answer = Response::new(());
            *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let agreed = Agreed::new(hyper::upgrade::on(Request::new(())), |_, _| {});
            assert!(agreed.attach_to(&mut answer, Arc::downgrade(&request)), "{what}");
            assert!(request.load(Relaxed), "{what}");
            change(&mut answer);
            assert_eq!(Agreed::take_from(&mut answer, to).is_some(), starts, "{what}");
            assert!(Agreed::take_from(&mut answer, to).is_none(), "{what}: once");
        };
        check("itself", |_| {}, &request, true);
        check("with a field", |answer| drop(answer.headers_mut().insert("x", "y".parse().unwrap())), &request, true);
        check("another status", |answer| *answer.status_mut() = StatusCode::FORBIDDEN, &request, false);
        check("another answer", |answer| answer.extensions_mut().clear(), &request, false);
        check("to another request", |_| {}, &Arc::default(), false);

        let answered = Arc::downgrade(&request);
        drop(request);
        let (mut late, agreed) = (Response::new(()), Agreed::new(hyper::upgrade::on(Request::new(())), |_, _| {}));
        assert!(!agreed.attach_to(&mut late, answered) && late.extensions().is_empty(), "too late");
    }
}
