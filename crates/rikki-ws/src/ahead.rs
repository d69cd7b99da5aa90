//! How much the kernel may hold of a connection that has not been sent: little, so that progress of writing shows in
//! small steps, and what comes later is not far behind; more for a peer that has taken much in a moment, since that
//! costs a third less time where messages are large.
//!
//! It is for sockets that have `TCP_NOTSENT_LOWAT` from who listened, on Linux, and leaves others alone. Where more is
//! held than at first, what is written says nothing of what the peer takes: the kernel is asked, before a peer is taken
//! for one that takes nothing.

use std::any::Any;

use tokio::net::TcpStream;

use crate::stream::Io;
#[cfg(all(feature = "tls", any(feature = "axum", feature = "client")))]
use crate::tls::TlsStream;

/// How much the kernel takes from us at first that it has not sent yet, in bytes. It takes more when half of it has
/// gone: less than the slowest client of a body has to take in its time, or it would be taken for one that takes nothing.
pub const LEAST: u32 = 16 * 1024;

/// How often that may be doubled: up to 1 MiB. The peer has proved that it takes this in half a second.
const STEPS: u8 = 6;

/// In what units what is unsent is judged, in bytes.
const UNIT: u32 = 8 * 1024;

/// Beyond what there may be of these.
const RAISED: u8 = 200;

/// What the kernel may hold of one connection: in one byte, for which there is room.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Ahead(u8);

/// What that byte says.
enum Holds {
    /// As little as at first.
    Least,
    /// The same; how much was unsent when the kernel was asked last, and nothing has been written since: one more than
    /// its units.
    Unsent(u8),
    /// [`LEAST`], doubled so often.
    More(u8),
}

impl Ahead {
    fn holds(self) -> Holds {
        match self.0 {
            0 => Holds::Least,
            unsent @ 1..RAISED => Holds::Unsent(unsent),
            raised => Holds::More(raised - RAISED),
        }
    }

    /// Whether the kernel may hold more than at first.
    pub(crate) fn is_raised(self) -> bool {
        matches!(self.holds(), Holds::More(_))
    }

    /// Something was written, by which progress is judged.
    #[inline]
    pub(crate) fn note_written(&mut self) {
        if !self.is_raised() {
            self.0 = 0;
        }
    }

    /// The peer has taken so much in a moment: the kernel may hold as much.
    #[cold]
    pub(crate) fn raise(&mut self, io: &impl Any, taken: usize) {
        let doubled = (taken / LEAST as usize).checked_ilog2().and_then(|doubled| u8::try_from(doubled + 1).ok());
        let (now, step) = (self.step(), doubled.unwrap_or_default().min(STEPS));
        if let Some(tcp) = below(io).filter(|_| step > now)
            && system::raise(tcp, LEAST << now, LEAST << step)
        {
            self.0 = RAISED + step;
        }
    }

    /// The peer lets us wait: the kernel takes no more than at first, and what it holds is noted.
    #[cold]
    pub(crate) fn lower(&mut self, io: &impl Any) {
        let most = match self.holds() {
            Holds::Unsent(before) => before.into(),
            // The last piece goes beyond the mark, by 64 KiB at most.
            Holds::Least | Holds::More(_) => ((LEAST << self.step()) + 64 * 1024) / UNIT,
        };
        self.0 = below(io).map_or(0, |tcp| system::unsent(tcp, most));
    }

    /// Whether the peer has taken some of what the kernel holds since that was last asked, or may have since it was
    /// written: then it holds more than at first, and is asked for the first time.
    #[cold]
    pub(crate) fn has_moved(&mut self, io: &impl Any) -> bool {
        let before = match self.holds() {
            Holds::Least => return false,
            Holds::Unsent(before) => before,
            Holds::More(_) => u8::MAX,
        };
        self.lower(io);
        // Of one unit nobody knows whether anything is left.
        (2..before).contains(&self.0)
    }

    fn step(self) -> u8 {
        if let Holds::More(step) = self.holds() { step } else { 0 }
    }
}

/// The TCP stream that a stream goes through, whose kind is hidden.
pub(crate) fn below(io: &impl Any) -> Option<&TcpStream> {
    let io: &dyn Any = io;
    #[cfg(all(feature = "tls", any(feature = "axum", feature = "client")))]
    {
        // A server's: no socket of a client has the mark.
        type Tls = TlsStream<rustls::ServerConnection>;
        let boxed = io.downcast_ref::<Box<Tls>>().map(|tls| &**tls);
        if let Some(tls) = boxed.or_else(|| io.downcast_ref()) {
            return Some(Tls::tcp(tls));
        }
    }
    match io.downcast_ref::<Box<dyn Io>>() {
        Some(io) => (**io).tcp(),
        None => io.downcast_ref(),
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use std::os::fd::AsFd as _;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use socket2::SockRef;
    use tokio::net::TcpStream;

    use super::{LEAST, RAISED, UNIT};

    /// Raises the mark if it is what it should be, and the socket has room for three times that: else its room would
    /// bound what is held, and nothing could be said of it.
    pub(super) fn raise(tcp: &TcpStream, from: u32, to: u32) -> bool {
        let socket = SockRef::from(tcp);
        let is_ours = socket.tcp_notsent_lowat().is_ok_and(|mark| mark == from);
        let has_room = socket.send_buffer_size().is_ok_and(|room| room / 3 >= to as usize);
        is_ours && has_room && socket.set_tcp_notsent_lowat(to).is_ok()
    }

    /// How much is unsent, in units and one more, as far as there are so many; the mark is at its least from now on.
    ///
    /// The kernel has no other way to say so than by whether it would take more: it does while twice of what is unsent
    /// is below the mark.
    pub(super) fn unsent(tcp: &TcpStream, most: u32) -> u8 {
        let socket = SockRef::from(tcp);
        let is_below = |units: u32| {
            let _ = socket.set_tcp_notsent_lowat(2 * UNIT * units);
            let mut asked = [PollFd::from_borrowed_fd(tcp.as_fd(), PollFlags::OUT)];
            poll(&mut asked, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
        };
        let (mut least, mut most) = (1, most.max(1));
        while least < most {
            let middle = least.midpoint(most);
            if is_below(middle) {
                most = middle;
            } else {
                least = middle + 1;
            }
        }
        let _ = socket.set_tcp_notsent_lowat(LEAST);
        u8::try_from(most).map_or(RAISED - 1, |units| units.min(RAISED - 1))
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod system {
    use tokio::net::TcpStream;

    pub(super) fn raise(_: &TcpStream, _: u32, _: u32) -> bool {
        false
    }

    pub(super) fn unsent(_: &TcpStream, _: u32) -> u8 {
        0
    }
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use std::io::{ErrorKind, Read as _};
    use std::net::TcpListener;

    use socket2::{Domain, SockRef, Socket, Type};

    use super::*;

    /// Our end, as one that our server has accepted, and that of a peer, whose kernel takes little at a time.
    fn pair(mark: u32) -> (TcpStream, std::net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        SockRef::from(&listener).set_tcp_notsent_lowat(mark).unwrap();
        let peer = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        peer.set_recv_buffer_size(32 * 1024).unwrap();
        peer.connect(&listener.local_addr().unwrap().into()).unwrap();
        let (ours, _) = listener.accept().unwrap();
        ours.set_nonblocking(true).unwrap();
        (TcpStream::from_std(ours).unwrap(), peer.into())
    }

    fn mark(tcp: &TcpStream) -> u32 {
        SockRef::from(tcp).tcp_notsent_lowat().unwrap()
    }

    /// Writes until the kernel takes no more.
    fn fill(tcp: &TcpStream) -> usize {
        let mut written = 0;
        loop {
            match tcp.try_write(&[7; 64 * 1024]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return written,
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[tokio::test]
    async fn as_much_as_the_peer_has_taken_in_a_moment() {
        let (ours, _peer) = pair(LEAST);
        let mut ahead = Ahead::default();
        for (taken, expected) in [
            (0, LEAST),
            (16 * 1024 - 1, LEAST),
            (16 * 1024, 32 * 1024),
            (200_000, 256 * 1024),
            (100_000, 256 * 1024),
            (usize::MAX, 1024 * 1024),
        ] {
            ahead.raise(&ours, taken);
            assert_eq!(mark(&ours), expected, "{taken} taken");
            assert_eq!(ahead.is_raised(), expected > LEAST);
        }
        ahead.lower(&ours);
        assert_eq!((mark(&ours), ahead.is_raised()), (LEAST, false));
        // One whose mark somebody else has set keeps it.
        let (others, _peer) = pair(100_000);
        let mut ahead = Ahead::default();
        ahead.raise(&others, 1 << 20);
        assert_eq!((mark(&others), ahead.is_raised()), (100_000, false));
        // What is below is found through what hides it.
        let hidden: Box<dyn Io> = Box::new(ours);
        let mut ahead = Ahead::default();
        ahead.raise(&hidden, 1 << 20);
        assert!(ahead.is_raised());
        let (one, _) = tokio::io::duplex(1);
        assert!(below(&one).is_none());
    }

    #[tokio::test]
    async fn what_the_peer_takes_of_what_is_held_is_seen() {
        let (ours, mut peer) = pair(LEAST);
        let mut ahead = Ahead::default();
        ours.writable().await.unwrap();
        fill(&ours);
        assert!(!ahead.has_moved(&ours), "as little as it is at first is not asked for");
        ahead.raise(&ours, 1 << 20);
        assert!(ahead.is_raised());
        ours.writable().await.unwrap();
        let held = fill(&ours);
        assert!(held > 900_000, "{held}");
        ahead.lower(&ours);
        assert_eq!(mark(&ours), LEAST);
        let units = (1 << 20) / UNIT as usize;
        assert!((units - 10..units + 12).contains(&usize::from(ahead.0)), "{}", ahead.0);
        assert!(!ahead.has_moved(&ours), "nothing has been taken");
        // In steps that are too small for what waits to be written.
        let mut left = held;
        let mut seen = 0;
        while left > 200_000 {
            let taken = peer.read(&mut [0; 64 * 1024]).unwrap();
            left -= taken;
            seen += usize::from(ahead.has_moved(&ours));
        }
        assert!(seen >= 3, "seen {seen} times");
        ahead.note_written();
        assert!(!ahead.has_moved(&ours), "from then on it is judged by what is written");
    }
}
