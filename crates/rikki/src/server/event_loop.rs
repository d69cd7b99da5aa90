//! Whether the event loop of a thread turns.

use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};

/// The end of whoever asks.
#[derive(Clone, Debug)]
pub(super) struct EventLoop(mpsc::Sender<oneshot::Sender<()>>);

impl EventLoop {
    /// That of the thread that runs this: a task answers there.
    pub(super) fn of(runtime: &Runtime) -> Self {
        let (asks, mut asked) = mpsc::channel::<oneshot::Sender<()>>(1);
        runtime.spawn(async move {
            while let Some(answer) = asked.recv().await {
                // Whoever has asked may be gone.
                let _ = answer.send(());
            }
        });
        Self(asks)
    }

    /// Waits until it has turned since this was called, or has ended; for ever where something blocks it for ever.
    pub(super) async fn turned(&self) {
        let (answer, answered) = oneshot::channel();
        if self.0.send(answer).await.is_ok() {
            let _ = answered.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use tokio::runtime::Builder;
    use tokio::time::timeout;

    use super::*;

    #[test]
    fn whoever_is_held_up_has_none() {
        let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
        let (held, ours) = (runtime(), runtime());
        let event_loop = EventLoop::of(&held);
        let (holds, is_held) = channel();
        let (go_on, goes_on) = channel();
        let (end, ends) = oneshot::channel();
        held.spawn(async move {
            holds.send(()).unwrap();
            goes_on.recv().unwrap();
        });
        let thread = std::thread::spawn(move || held.block_on(async { ends.await.unwrap() }));
        is_held.recv().unwrap();
        ours.block_on(async {
            let mut beat = std::pin::pin!(event_loop.turned());
            assert!((&mut beat).now_or_never().is_none());
            go_on.send(()).unwrap();
            timeout(Duration::from_secs(20), beat).await.unwrap();
            timeout(Duration::from_secs(20), event_loop.turned()).await.unwrap();
        });
        end.send(()).unwrap();
        thread.join().unwrap();
        // One that has ended holds up nobody.
        assert!(event_loop.turned().now_or_never().is_some());
    }
}
