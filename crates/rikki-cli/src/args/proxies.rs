//! Flags for reverse proxies in front of the server.

use clap::Args;

use super::LISTENING;

/// Who is believed, and what they say.
#[derive(Args, Clone, Debug, PartialEq)]
pub(crate) struct ProxyArgs {
    /// A reverse proxy that is believed what it says of clients: a network, an address, or unix for whoever connects to a
    /// Unix socket
    #[arg(long = "trust", value_name = "CIDR", help_heading = LISTENING)]
    pub(crate) trusted: Vec<String>,
    /// Close connections that do not begin with a header of the PROXY protocol
    #[arg(long, requires = "trusted", help_heading = LISTENING)]
    pub(crate) proxy_protocol: bool,
    /// Header field in which proxies name the client of a request: Forwarded or X-Forwarded-For [default: X-Forwarded-For]
    #[arg(long, value_name = "NAME", requires = "trusted", help_heading = LISTENING)]
    pub(crate) forwarded: Option<String>,
}

impl ProxyArgs {
    /// Tells the server.
    pub(crate) fn apply(&self, server: rikki::Server) -> rikki::Server {
        let server = server.proxy_protocol(self.proxy_protocol);
        let server = self.forwarded.iter().fold(server, |server, field| server.forwarded(field));
        self.trusted.iter().fold(server, |server, network| server.trust(network))
    }
}
