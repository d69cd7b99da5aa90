//! Tests in memory, without ports and without waiting: of handlers, of functions that take a [`WebSocket`], and of whole
//! applications.
//!
//! - [`call`] gives a handler messages, and returns what it answers; [`Client`] is one end of a WebSocket whose other end
//!   is the handler, in a plain function.
//! - [`pair`] is a WebSocket with both of its ends, for tests that are `async`; [`Expect`] receives from them with a
//!   deadline, and expects silence.
//! - `App` (features `axum` and `client`) is an application without a port: a `Router` that is asked for pages and
//!   WebSockets.
//!
//! Between the two ends is the engine as it is on a network: what is sent goes through frames, limits and the driver.
//!
//! # Time
//!
//! All deadlines of a WebSocket and of HTTP go by tokio's clock. Where that is paused, time passes when nothing else is to
//! be done, so that a ping after 30 s of silence takes microseconds: with `#[tokio::test(start_paused = true)]` (tokio's
//! feature `test-util`), or with `Client::paused` (the feature `test-util` of this crate). To let time pass, wait:
//! `tokio::time::sleep(duration).await`. `tokio::time::advance` jumps instead, and a WebSocket takes any jump for one
//! quarter of a second: the clock of deadlines counts its ticks, so that no peer is dropped for the time in which its
//! process was stopped. Files, dates and what other threads do go by the real clock.
//!
//! ```
//! use std::time::Duration;
//!
//! use rikki_ws::testing::{Expect, pair_with};
//! use rikki_ws::{Config, Deadline, Error};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
//! let config = Config::default().ping_interval(Duration::from_secs(30)).pong_timeout(Duration::from_secs(10));
//! // Nobody drives the client, so it answers no ping.
//! let (_client, mut server) = pair_with(&Config::default(), &config);
//! server.expect_silence(Duration::from_secs(39)).await.unwrap();
//! let end = server.recv().await;
//! assert!(matches!(end, Some(Err(Error::TimedOut(Deadline::Pong)))));
//! # });
//! ```

#![allow(clippy::panic, reason = "an expectation of a test that is not met is a panic")]

#[cfg(all(feature = "axum", feature = "client"))]
mod app;
mod call;
mod client;
mod end;
mod expect;
mod pair;
#[cfg(test)]
mod tests;
#[cfg(feature = "test-util")]
mod time;

use std::time::Duration;

#[cfg(doc)]
use crate::WebSocket;

#[cfg(all(feature = "axum", feature = "client"))]
pub use app::{App, IntoOpening, text};
pub use call::call;
pub use client::Client;
pub use expect::{Expect, Unexpected};
pub use pair::{pair, pair_with};

/// How much may be on its way in either direction, in bytes.
const PIPE: usize = 64 * 1024;

/// How long an expectation waits for what other threads or timers of a handler bring.
const LONGEST: Duration = Duration::from_secs(10);

/// The masking key of every frame: nobody is between the two ends who could be misled by what is sent.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
