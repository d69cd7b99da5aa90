//! The time of a client in memory.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{pause, resume, sleep};

use super::Client;

/// What the handler's clock goes by. A runtime that begins paused counts whole milliseconds, as its timers do; paused
/// later it would let them fire one too late or too early.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Clock {
    /// Nothing has run yet.
    #[default]
    Undecided,
    Real,
    Paused,
}

impl Client {
    /// Pauses the clock of the handler, by which its timers and all deadlines of the WebSocket go: time passes only by
    /// [`advance`](Self::advance) and [`stall`](Self::stall), and where an expectation waits for what a timer brings.
    ///
    /// It comes first: what was waited for before has taken its time. What another thread brings is not waited for.
    /// Timers are as fine as tokio's, a millisecond. Needs the feature `test-util`, as what goes with it does.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use rikki_ws::testing::Client;
    /// use rikki_ws::{Error, WebSocket};
    ///
    /// async fn tick(mut socket: WebSocket) -> Result<(), Error> {
    ///     let mut interval = tokio::time::interval(Duration::from_secs(60));
    ///     loop {
    ///         interval.tick().await;
    ///         socket.send("tick").await?;
    ///     }
    /// }
    ///
    /// let mut client = Client::serve(tick).paused();
    /// client.expect("tick");
    /// client.advance(Duration::from_secs(59));
    /// client.expect_silence();
    /// client.advance(Duration::from_secs(1));
    /// client.expect("tick");
    /// ```
    #[must_use]
    pub fn paused(mut self) -> Self {
        if std::mem::replace(&mut self.clock, Clock::Paused) == Clock::Real {
            self.runtime.block_on(async { pause() });
        }
        self
    }

    /// Lets this time pass, in which the client reads, and answers pings, as one does that is there.
    ///
    /// # Panics
    ///
    /// If the clock is not [`paused`](Self::paused).
    #[track_caller]
    pub fn advance(&mut self, duration: Duration) {
        self.must_be_paused();
        let (runtime, mut end) = self.parts();
        runtime.block_on(async {
            let mut passing = pin!(sleep(duration));
            poll_fn(|cx| {
                end.exchange(cx);
                passing.as_mut().poll(cx)
            })
            .await;
        });
        self.settle();
    }

    /// Lets this time pass, in which the client neither reads nor writes, as one does whose process has been stopped.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use rikki_ws::testing::Client;
    /// use rikki_ws::{Config, Endpoint, Message, Socket};
    ///
    /// let echo = |socket: &mut Socket<'_>, message: Message<'_>| socket.send(message);
    /// let config = Config::default().ping_interval(Duration::from_secs(30)).pong_timeout(Duration::from_secs(10));
    /// let endpoint = Endpoint::new(echo).config(config);
    /// let mut client = Client::open_at(&endpoint, http::Request::new(())).paused();
    /// client.advance(Duration::from_secs(3600));
    /// client.expect_silence();
    /// assert!(client.pings() >= 100, "that were answered");
    /// client.stall(Duration::from_secs(60));
    /// client.expect_cut();
    /// ```
    ///
    /// # Panics
    ///
    /// If the clock is not [`paused`](Self::paused).
    #[track_caller]
    pub fn stall(&mut self, duration: Duration) {
        self.must_be_paused();
        // A timer has to be made on the runtime that it is of.
        self.runtime.block_on(async { sleep(duration).await });
        self.settle();
    }

    /// The clock goes by itself from now on, unless it has been paused.
    pub(super) fn begin(&mut self) {
        if self.clock == Clock::Undecided {
            let _entered = self.runtime.enter();
            resume();
            self.clock = Clock::Real;
        }
    }

    #[track_caller]
    fn must_be_paused(&self) {
        if self.clock != Clock::Paused {
            panic!("the clock goes by itself: begin with `Client::open(..).paused()`");
        }
    }
}
