//! Who may connect: how many in all, and how many from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::counters::Transport;
use crate::http;
use crate::live::Live;
use crate::net::Peer;
use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;

/// The most connections, and who has how many.
#[derive(Debug)]
pub(super) struct Admission {
    live: Arc<Live>,
    /// 0 for no limit: nobody may have none.
    max_per_address: AtomicU32,
    /// Of those that have come while there was a limit for it.
    by_address: Mutex<HashMap<IpAddr, u32>>,
}

/// The limit that a connection went past.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Excess {
    Connections,
    FromAddress,
}

/// The place of a connection, given back when dropped. Each connection holds one: what few of them have is boxed.
#[derive(Debug)]
pub(crate) struct Place {
    live: Arc<Live>,
    transport: Transport,
    of_address: Option<Box<OfAddress>>,
}

/// One of the connections of an address, where their number has a limit.
#[derive(Debug)]
struct OfAddress {
    admission: Arc<Admission>,
    address: IpAddr,
}

impl Admission {
    pub(super) fn new(live: Arc<Live>, max_per_address: Option<u32>) -> Self {
        let admission = Self { live, max_per_address: AtomicU32::new(0), by_address: Mutex::default() };
        admission.set_max_per_address(max_per_address);
        admission
    }

    /// Where they are counted.
    #[cfg(feature = "admin")]
    pub(super) fn live(&self) -> &Live {
        &self.live
    }

    /// Those that are there already stay. If there was no limit, they do not count.
    pub(super) fn set_max_per_address(&self, most: Option<u32>) {
        self.max_per_address.store(most.unwrap_or(0), Relaxed);
    }

    /// Gives a connection its place, if there is one, or `make_room` makes another one leave.
    pub(super) fn admit(
        self: &Arc<Self>,
        peer: Peer,
        transport: Transport,
        make_room: impl FnOnce() -> bool,
    ) -> Result<Place, Excess> {
        self.live.counts.accepted.up();
        // First, so that nobody has to leave for one that has no place anyway.
        let of_address = self.share(peer)?;
        self.place(of_address, transport, make_room)
    }

    /// The same for a connection that has not said yet from whom it is.
    pub(super) fn admit_unnamed(
        self: &Arc<Self>,
        transport: Transport,
        make_room: impl FnOnce() -> bool,
    ) -> Result<Place, Excess> {
        self.live.counts.accepted.up();
        self.place(None, transport, make_room)
    }

    /// Counts a connection that has a place for the address that it turns out to be from.
    pub(super) fn name(self: &Arc<Self>, place: &mut Place, peer: Peer) -> Result<(), Excess> {
        place.of_address = self.share(peer)?;
        Ok(())
    }

    fn place(
        &self,
        of_address: Option<Box<OfAddress>>,
        transport: Transport,
        make_room: impl FnOnce() -> bool,
    ) -> Result<Place, Excess> {
        let Live { counts, connections, .. } = &*self.live;
        if !connections.take_one() {
            if !make_room() {
                counts.refused_connections.up();
                return Err(Excess::Connections);
            }
            // It has been told to, and is about to.
            counts.replaced_idle.up();
            connections.add_one();
        }
        counts.open.of(transport).up();
        Ok(Place { live: self.live.clone(), transport, of_address })
    }

    /// Counts one more connection from an address, if there is one and a limit for it.
    fn share(self: &Arc<Self>, peer: Peer) -> Result<Option<Box<OfAddress>>, Excess> {
        let (most @ 1.., Some(address)) = (self.max_per_address.load(Relaxed), peer.client()) else { return Ok(None) };
        let mut by_address = self.by_address();
        let held = by_address.entry(address).or_default();
        if *held >= most {
            self.live.counts.refused_addresses.up();
            return Err(Excess::FromAddress);
        }
        *held += 1;
        Ok(Some(Box::new(OfAddress { admission: self.clone(), address })))
    }

    fn by_address(&self) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.live.connections.give_back_one();
        self.live.counts.open.of(self.transport).down();
    }
}

impl Drop for OfAddress {
    fn drop(&mut self) {
        let mut by_address = self.admission.by_address();
        if let Some(held) = by_address.get_mut(&self.address) {
            *held -= 1;
            if *held == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

impl Excess {
    /// What answers each request on a connection that has no place.
    pub(super) fn router(self) -> Router {
        Router::new().fallback(async move || self.response())
    }

    fn response(self) -> Response {
        let (status, text) = match self {
            // https://www.rfc-editor.org/rfc/rfc9110#section-15.6.4
            Self::Connections => (StatusCode::SERVICE_UNAVAILABLE, "the server has as many connections as it takes\n"),
            // https://www.rfc-editor.org/rfc/rfc6585#section-4
            Self::FromAddress => (StatusCode::TOO_MANY_REQUESTS, "your address has as many connections as it may\n"),
        };
        http::later(status, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(address: &str) -> Peer {
        Peer::Ip((address.parse::<IpAddr>().unwrap(), 1).into())
    }

    fn admission(per_address: u32) -> Arc<Admission> {
        let live = Arc::<Live>::default();
        live.connections.set_most(3);
        Arc::new(Admission::new(live, Some(per_address)))
    }

    #[test]
    fn who_has_no_address_has_no_share() {
        let admission = admission(1);
        let admit = |peer| admission.admit(peer, Transport::Tcp, || false);
        let _places = [admit(Peer::Unix).unwrap(), admit(Peer::Unix).unwrap(), admit(ip("192.0.2.1")).unwrap()];
        assert_eq!(admit(ip("192.0.2.1")).err(), Some(Excess::FromAddress));
        assert_eq!(admit(Peer::Unix).err(), Some(Excess::Connections));
    }

    #[test]
    fn who_is_named_later_counts_from_then_on() {
        let admission = admission(1);
        let admit = || admission.admit_unnamed(Transport::Tcp, || false).unwrap();
        let (mut one, mut other) = (admit(), admit());
        assert_eq!(admission.name(&mut one, ip("192.0.2.1")), Ok(()));
        assert_eq!(admission.name(&mut other, ip("192.0.2.1")), Err(Excess::FromAddress));
        assert_eq!(admission.name(&mut other, ip("192.0.2.2")), Ok(()));
        drop(one);
        assert_eq!(admission.name(&mut admit(), ip("192.0.2.1")), Ok(()));
        drop(other);
        assert!(admission.by_address().is_empty());
    }

    #[test]
    fn places_are_given_back() {
        let admission = admission(2);
        let admit = |address: &str| admission.admit(ip(address), Transport::Tcp, || false);
        let (one, two) = (admit("2001:db8::1").unwrap(), admit("2001:db8::2").unwrap());
        assert_eq!(admit("2001:db8::3").err(), Some(Excess::FromAddress));
        let three = admit("192.0.2.1").unwrap();
        assert_eq!(admit("192.0.2.2").err(), Some(Excess::Connections));
        assert_eq!(admission.by_address().len(), 2, "who was refused has no share");
        let never = || panic!("nobody has to leave for one that may not come in");
        assert_eq!(admission.admit(ip("2001:db8::4"), Transport::Tcp, never).err(), Some(Excess::FromAddress));
        assert!(admission.admit(ip("192.0.2.3"), Transport::Tcp, || true).is_ok());
        drop((one, two));
        assert!(admit("2001:db8::3").is_ok());
        drop(three);
        assert!(admission.by_address().is_empty());
        assert_eq!(admission.live.connections.used(), 0);
    }
}
