//! Commands that are answered later, by the application or by the broker.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rikki_ws::internal::Outlet;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::client::Client;
use super::code::Fault;
use super::reply;

/// How many may be under way for one client: what it sends then waits.
const MOST: usize = 16;

/// How long one of them may take: clients wait for 5 seconds.
const LONGEST: Duration = Duration::from_secs(60);

/// Those that are under way.
#[derive(Default)]
pub(super) struct Calls(Vec<Later>);

/// What is to be answered.
struct Later {
    id: u32,
    task: JoinHandle<String>,
}

impl Calls {
    pub(super) fn are_full(&self) -> bool {
        self.0.len() >= MOST
    }

    pub(super) fn are_done(&self) -> bool {
        self.0.is_empty()
    }

    /// Has a task of its own do what is answered with the text that it gives: one that panics is no other's end.
    pub(super) fn add(&mut self, id: u32, work: impl Future<Output = String> + Send + 'static) {
        let work = async move {
            let done = timeout(LONGEST, work).await;
            done.unwrap_or_else(|_| reply::error(id, Fault::INTERNAL))
        };
        self.0.push(Later { id, task: tokio::spawn(work) });
    }

    /// Sends what has been done, as far as there is room; whether anything was.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, outlet: &mut Outlet<'_>) -> bool {
        let before = self.0.len();
        let mut index = 0;
        while !outlet.is_full()
            && let Some(Later { id, task }) = self.0.get_mut(index)
        {
            match Pin::new(task).poll(cx) {
                Poll::Pending => index += 1,
                Poll::Ready(text) => {
                    let text = text.unwrap_or_else(|_| reply::error(*id, Fault::INTERNAL));
                    self.0.swap_remove(index);
                    Client::send(outlet, text);
                }
            }
        }
        self.0.len() < before
    }
}

impl Drop for Calls {
    /// Nobody is there to be answered.
    fn drop(&mut self) {
        self.0.iter().for_each(|later| later.task.abort());
    }
}
