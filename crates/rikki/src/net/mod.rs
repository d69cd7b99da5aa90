//! What a connection is made of, whatever kind of socket it came by.

mod listening;
mod networks;
mod peer;
mod proxy;
mod stream;
#[cfg(unix)]
mod unix;

pub use peer::Peer;

pub(crate) use listening::{Accepting, Listening, Owner, tune};
pub(crate) use networks::Networks;
pub(crate) use proxy::{BadHeader, Header, Source};
pub(crate) use stream::{Detached, Stream};
#[cfg(unix)]
pub(crate) use unix::widen;
