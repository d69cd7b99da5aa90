//! What a connection is made of, whatever kind of socket it came by.

mod listening;
mod peer;
mod proxy;
mod stream;
mod trust;
#[cfg(unix)]
mod unix;

pub use peer::Peer;

pub(crate) use listening::{Accepting, Listening};
pub(crate) use proxy::{BadHeader, Header, Source};
pub(crate) use stream::{Detached, Stream};
pub(crate) use trust::Trust;
#[cfg(unix)]
pub(crate) use unix::widen;
