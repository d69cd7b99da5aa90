//! Network namespaces on two bridges: one between nodes and their broker, one between nodes and clients, of which each
//! cable can be pulled. Needs root and Linux.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::Result;

/// Between nodes and broker, and between nodes and clients: addresses that are for documentation alone
/// (<https://www.rfc-editor.org/rfc/rfc5737>), so that nothing real is ever hidden behind one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Inner,
    Outer,
}

impl Side {
    fn bridge(self) -> &'static str {
        match self {
            Self::Inner => "inner",
            Self::Outer => "outer",
        }
    }

    /// The address of the host of this number.
    pub(crate) fn address(self, host: u8) -> Ipv4Addr {
        match self {
            Self::Inner => Ipv4Addr::new(192, 0, 2, host),
            Self::Outer => Ipv4Addr::new(198, 51, 100, host),
        }
    }
}

/// The address of the clients, who are where the bridges are.
const CLIENTS: u8 = 254;

/// The namespaces; they go with it.
pub(crate) struct Network {
    name: String,
    hosts: Vec<u8>,
}

impl Network {
    /// Hosts of these numbers, each with a cable to these sides.
    pub(crate) fn lay(hosts: &[(u8, &[Side])]) -> Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("rikki-net-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let mut network = Self { name, hosts: Vec::new() };
        ip(&["netns", "add", &network.hub()])?;
        for side in [Side::Inner, Side::Outer] {
            network.at_hub(&["link", "add", side.bridge(), "type", "bridge"])?;
            network.at_hub(&["address", "add", &format!("{}/24", side.address(CLIENTS)), "dev", side.bridge()])?;
            network.at_hub(&["link", "set", side.bridge(), "up"])?;
        }
        network.at_hub(&["link", "set", "lo", "up"])?;
        for (host, sides) in hosts {
            let space = network.host(*host);
            ip(&["netns", "add", &space])?;
            network.hosts.push(*host);
            ip(&["-n", &space, "link", "set", "lo", "up"])?;
            for side in *sides {
                let (plug, port) = (side.bridge(), port(*side, *host));
                network.at_hub(&["link", "add", &port, "type", "veth", "peer", "name", plug, "netns", &space])?;
                network.at_hub(&["link", "set", &port, "master", side.bridge(), "up"])?;
                ip(&["-n", &space, "address", "add", &format!("{}/24", side.address(*host)), "dev", plug])?;
                ip(&["-n", &space, "link", "set", plug, "up"])?;
            }
        }
        Ok(network)
    }

    fn hub(&self) -> String {
        format!("{}-hub", self.name)
    }

    fn host(&self, host: u8) -> String {
        format!("{}-{host}", self.name)
    }

    fn at_hub(&self, arguments: &[&str]) -> Result<()> {
        ip(&[&["-n", &self.hub()], arguments].concat())
    }

    /// Pulls a cable, or puts it in again.
    pub(crate) fn set(&self, side: Side, host: u8, is_in: bool) -> Result<()> {
        self.at_hub(&["link", "set", &port(side, host), if is_in { "up" } else { "down" }])
    }

    /// Runs `work` at a host: the sockets and processes that it makes stay there.
    pub(crate) fn at<R: Send>(&self, host: u8, work: impl FnOnce() -> R + Send) -> Result<R> {
        thread::scope(|scope| {
            let there = scope.spawn(|| {
                enter(&self.host(host))?;
                Ok(work())
            });
            there.join().map_err(|_| "panicked".to_owned())?
        })
    }

    /// What moves a thread to where the clients are.
    pub(crate) fn to_clients(&self) -> impl Fn() + Send + Sync + 'static {
        let hub = self.hub();
        move || {
            // Otherwise nothing can be reached, which is seen.
            let _ = enter(&hub);
        }
    }
}

/// The end of a cable at its bridge. Names have 15 letters at most.
fn port(side: Side, host: u8) -> String {
    format!("{}-{host}", side.bridge())
}

/// Moves this thread into a namespace.
fn enter(name: &str) -> Result<()> {
    let path = format!("/run/netns/{name}");
    let namespace = File::open(&path).map_err(|error| format!("{path}: {error}"))?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|error| format!("{path}: {error}"))
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in self.hosts.iter().map(|host| self.host(*host)).chain([self.hub()]) {
            let _ = ip(&["netns", "delete", &name]);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().map_err(|error| format!("ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}
