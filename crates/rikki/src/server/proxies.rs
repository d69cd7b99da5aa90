//! Reverse proxies in front of a server: who is believed what they say of clients, and where they say it.

use std::sync::Arc;

use super::{Server, StartError};
use crate::http::Forwarding;

impl Server {
    /// Believes what these say of others: a network such as `10.0.0.0/8` or `fd00::/8`, an address, or `unix` for
    /// whoever connects to a Unix socket of the server; repeatable, default nobody.
    ///
    /// They are reverse proxies, and no client of theirs may have such an address: on one of loopback every process of
    /// the machine is believed. They may send what [`proxy_protocol`](Self::proxy_protocol) asks for, and what
    /// [`forwarded`](Self::forwarded) names in each request, by default `X-Forwarded-For`.
    ///
    /// What is none of these is an error of [`start`](Self::start).
    pub fn trust(mut self, network: &str) -> Self {
        if let Err(why) = Arc::make_mut(&mut self.http.trust).add(network) {
            self.note(StartError::Trust { given: network.to_owned(), why });
        }
        self
    }

    /// Demands that each connection begins with a header of the PROXY protocol, version 1 or 2, before TLS and HTTP;
    /// default not.
    ///
    /// The address in it is the client's, for limits, logs and handlers. Where it names none (`UNKNOWN`, `LOCAL`, or the
    /// path of a Unix socket), as in the health checks of a proxy, the connection's own stays. It has to come whole
    /// within [`head_timeout`](Self::head_timeout), with at most 4 KiB behind its fixed part in version 2. Whoever sends
    /// none or another one is closed, and so is whoever is not [trusted](Self::trust): nobody is an error of
    /// [`start`](Self::start). All listeners of a server are alike in this.
    ///
    /// A connection has one of [`max_connections`](Self::max_connections) from its beginning, and one of
    /// [`max_connections_per_address`](Self::max_connections_per_address) when the address is known.
    pub fn proxy_protocol(mut self, demanded: bool) -> Self {
        self.proxy_protocol = demanded;
        self
    }

    /// Sets where [trusted](Self::trust) proxies say from whom a request is: `X-Forwarded-For`, the default, with
    /// `X-Forwarded-Proto` and `X-Forwarded-Host`, or `Forwarded` ([RFC 7239](https://www.rfc-editor.org/rfc/rfc7239)).
    /// The other is not read, since proxies let pass what they do not know: set what yours writes, and let it replace
    /// or remove all of those fields that clients send.
    ///
    /// The client is the first address from the right that is not trusted, over all lines of the field. What cannot be
    /// read, such as `unknown`, an identifier or an empty element, ends the search at the last address that could. It
    /// has the port 0 where none is told. It is the one in [`max_request_rate`](Self::max_request_rate), logs and
    /// handlers. Connections count for whom they are from:
    /// [`max_connections_per_address`](Self::max_connections_per_address) makes no sense behind a proxy without
    /// [`proxy_protocol`](Self::proxy_protocol).
    ///
    /// Host and scheme that a proxy tells are what the origin of a page is compared with. They are from the same element
    /// as the address, or the only ones. On a loopback listener both the host of the request and that one have to be
    /// [allowed](Self::allow_host).
    ///
    /// Another name, and one where nobody is trusted, is an error of [`start`](Self::start).
    pub fn forwarded(mut self, field: &str) -> Self {
        match Forwarding::named(field) {
            Some(forwarding) => self.http.forwarding = forwarding,
            None => self.note(StartError::Forwarded { given: field.to_owned() }),
        }
        self.needs_trust = true;
        self
    }

    /// Whether there is somebody to believe where somebody must be.
    pub(super) fn check_proxies(&self) -> Result<(), StartError> {
        if (self.proxy_protocol || self.needs_trust) && self.http.trust.is_empty() {
            let why = "what proxies say is believed of nobody: Server::trust says who they are";
            return Err(StartError::Trust { given: String::new(), why });
        }
        Ok(())
    }
}
