//! Reverse proxies in front of a server: who is believed what they say of clients, and where they say it.

use std::sync::Arc;

use super::{Server, StartError};

impl Server {
    /// Believes what these say of others: a network such as `10.0.0.0/8` or `fd00::/8`, an address, or `unix` for
    /// whoever connects to a Unix socket of the server; repeatable, default nobody.
    ///
    /// They are reverse proxies, and no client of theirs may have such an address: on one of loopback every process of
    /// the machine is believed. They may send what [`proxy_protocol`](Self::proxy_protocol) asks for.
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

    /// Whether there is somebody to believe where somebody must be.
    pub(super) fn check_proxies(&self) -> Result<(), StartError> {
        if self.proxy_protocol && self.http.trust.is_nobody() {
            let why = "the PROXY protocol needs to know whom to believe, which Server::trust says";
            return Err(StartError::Trust { given: String::new(), why });
        }
        Ok(())
    }
}
