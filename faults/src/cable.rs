//! Two network namespaces joined by a cable that can be cut: the way to lose packets without a word to either end.
//! Needs root and Linux.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::process::Command;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The server's address: one that is for documentation alone (<https://www.rfc-editor.org/rfc/rfc5737>), so that
/// nothing real is ever hidden behind it.
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// The name of the interface at both ends.
const PLUG: &str = "cable";

/// An end of the cable.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Server,
    Client,
}

/// The cable; both namespaces go with it.
pub(crate) struct Cable {
    /// Of the namespaces, less their ends.
    name: String,
}

impl Cable {
    /// Whether one can be laid here.
    pub(crate) fn is_possible() -> bool {
        rustix::process::geteuid().is_root() && ip(&["-V"]).is_ok()
    }

    /// Makes the namespaces and joins them.
    pub(crate) fn lay() -> Result<Self, String> {
        let cable = Self { name: format!("rikki-faults-{}", std::process::id()) };
        for end in [End::Server, End::Client] {
            ip(&["netns", "add", &cable.namespace(end)])?;
        }
        let peer = cable.namespace(End::Client);
        cable.ip(End::Server, &["link", "add", PLUG, "type", "veth", "peer", "name", PLUG, "netns", &peer])?;
        for (end, address) in [(End::Server, SERVER), (End::Client, CLIENT)] {
            cable.ip(end, &["address", "add", &format!("{address}/24"), "dev", PLUG])?;
            cable.ip(end, &["link", "set", "lo", "up"])?;
            cable.ip(end, &["link", "set", PLUG, "up"])?;
        }
        Ok(cable)
    }

    /// Runs `work` at one end: the sockets and processes that it makes stay there.
    pub(crate) fn at<R: Send>(&self, end: End, work: impl FnOnce() -> R + Send) -> Result<R, String> {
        let path = format!("/run/netns/{}", self.namespace(end));
        let namespace = File::open(&path).map_err(|error| format!("{path}: {error}"))?;
        thread::scope(|scope| {
            let there = scope.spawn(|| {
                // Of this thread alone, which ends with the work.
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                    .map_err(|error| format!("{path}: {error}"))?;
                Ok(work())
            });
            there.join().map_err(|_| "panicked".to_owned())?
        })
    }

    /// From now on all packets are lost.
    pub(crate) fn cut(&self) -> Result<(), String> {
        self.ip(End::Client, &["link", "set", PLUG, "down"])
    }

    fn namespace(&self, end: End) -> String {
        format!("{}-{end:?}", self.name).to_lowercase()
    }

    fn ip(&self, end: End, arguments: &[&str]) -> Result<(), String> {
        ip(&[&["-n", &self.namespace(end)], arguments].concat())
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for end in [End::Server, End::Client] {
            // Fails for one that was not made.
            let _ = ip(&["netns", "delete", &self.namespace(end)]);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output().map_err(|error| format!("ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}
