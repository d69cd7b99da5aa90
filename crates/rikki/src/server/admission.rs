//! Who may connect: how many in all, and how many from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

use crate::counters::Counts;

/// The most connections, and who has how many.
#[derive(Debug)]
pub(super) struct Admission {
    max_connections: u64,
    max_per_address: Option<u32>,
    counts: Arc<Counts>,
    /// Kept only if there is a limit for it.
    by_address: Mutex<HashMap<IpAddr, u32>>,
}

/// The limit that a connection went past.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Excess {
    Connections,
    FromAddress,
}

/// The place of a connection, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Admission>,
    /// If it counts there.
    address: Option<IpAddr>,
}

impl Admission {
    pub(super) fn new(max_connections: u64, max_per_address: Option<u32>, counts: Arc<Counts>) -> Self {
        Self { max_connections, max_per_address, counts, by_address: Mutex::default() }
    }

    /// Gives a connection its place, if there is one.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Place, Excess> {
        self.counts.accepted.up();
        if !self.counts.connections.up_to(self.max_connections) {
            self.counts.refused_connections.up();
            return Err(Excess::Connections);
        }
        let mut place = Place { admission: self.clone(), address: None };
        if let Some(most) = self.max_per_address {
            // One client can come with both kinds: https://www.rfc-editor.org/rfc/rfc4291#section-2.5.5.2
            let address = address.to_canonical();
            let mut by_address = self.by_address();
            let held = by_address.entry(address).or_default();
            if *held >= most {
                self.counts.refused_addresses.up();
                return Err(Excess::FromAddress);
            }
            *held += 1;
            place.address = Some(address);
        }
        Ok(place)
    }

    fn by_address(&self) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    pub(crate) fn counts(&self) -> &Counts {
        &self.admission.counts
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.admission.counts.connections.down();
        let Some(address) = self.address else { return };
        let mut by_address = self.admission.by_address();
        if let Some(held) = by_address.get_mut(&address) {
            *held -= 1;
            if *held == 0 {
                by_address.remove(&address);
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
        let mut response = Response::new(text.into());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }
}
