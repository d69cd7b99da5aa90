//! Sockets that systemd passes to a service, or whoever else does as it does:
//! [sd_listen_fds](https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html).

use std::os::fd::OwnedFd;

use listenfd::ListenFd;
use rikki::{ListenUrl, Server};
use tracing::Level;

use crate::settings::Settings;
use crate::{Failure, tell};

/// How many are taken: more than any unit has.
const MOST: usize = 1024;

/// What was passed, or why it cannot be told.
pub(crate) struct Passed(Result<Vec<Named>, String>);

/// A name, and the socket of it unless it is none.
type Named = (String, Result<OwnedFd, String>);

/// What the environment says.
#[derive(Debug, PartialEq)]
enum Told {
    Nothing,
    /// Of so many, their names.
    Names(Vec<String>),
    Wrong(String),
}

impl Passed {
    /// Takes what was passed. To be called before the process opens anything and before it has another thread: the
    /// numbers are taken at their word, and variables are removed.
    pub(crate) fn take() -> Self {
        let variable = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let names = match told(variable, std::process::id()) {
            Told::Nothing => return Self(Ok(Vec::new())),
            Told::Wrong(why) => return Self(Err(why)),
            Told::Names(names) => names,
        };
        let mut sockets = ListenFd::from_env();
        let mut take = |index| {
            let tcp = sockets.take_tcp_listener(index).ok().flatten().map(OwnedFd::from);
            let socket = tcp.or_else(|| sockets.take_unix_listener(index).ok().flatten().map(OwnedFd::from));
            socket.ok_or_else(|| format!("descriptor {} is no stream socket of TCP or Unix", index + 3))
        };
        Self(Ok(names.into_iter().enumerate().map(|(index, name)| (name, take(index))).collect()))
    }

    /// Gives a server those that it listens on.
    pub(crate) fn give_to(self, mut server: Server, settings: &Settings) -> Result<Server, Failure> {
        // Of a URL that is none the server says so.
        let urls = settings.listen.iter().filter(|url| url.parse::<ListenUrl>().is_ok());
        let asked: Vec<&str> = urls.filter_map(|url| name(url)).collect();
        let passed = match self.0 {
            Ok(passed) => passed,
            Err(why) => {
                return match asked.first() {
                    Some(name) => Err(Failure::Runtime(format!("cannot listen on fd:{name}: {why}"))),
                    None => Ok(server),
                };
            }
        };
        if let (Some(name), true) = (asked.first(), passed.is_empty()) {
            let how = "systemd passes those of a .socket unit, named by FileDescriptorName=";
            return Err(Failure::Runtime(format!("cannot listen on fd:{name}: no socket was passed; {how}")));
        }
        for (name, socket) in passed {
            match socket {
                _ if !asked.contains(&&*name) => {
                    tell(Level::WARN, &format!("--listen fd:{name} is not given, and it was passed"))
                }
                Ok(socket) => server = server.socket(name, socket),
                Err(why) => return Err(Failure::Runtime(format!("cannot listen on fd:{name}: {why}"))),
            }
        }
        Ok(server)
    }
}

/// The name in a URL of this kind.
fn name(url: &str) -> Option<&str> {
    url.strip_prefix("fd:")?.split(',').next()
}

/// Judged here, since the crate that takes them takes those of another process that is not named, and as many as it is
/// told.
fn told(variable: impl Fn(&str) -> Option<String>, process: u32) -> Told {
    let Some(count) = variable("LISTEN_FDS") else { return Told::Nothing };
    let whom = variable("LISTEN_PID").unwrap_or_default();
    if whom.parse() != Ok(process) {
        let how = "a shell has to start rikki with exec";
        return Told::Wrong(format!(
            "sockets are passed to the process LISTEN_PID={whom}, and this is {process}: {how}"
        ));
    }
    if variable("LISTEN_FDS_FIRST_FD").is_some() {
        return Told::Wrong("LISTEN_FDS_FIRST_FD is set, and descriptors begin at 3".to_owned());
    }
    let Some(count) = count.parse().ok().filter(|count| *count <= MOST) else {
        return Told::Wrong(format!("LISTEN_FDS is {count:?}, and no number up to {MOST}"));
    };
    let names: Vec<String> = match variable("LISTEN_FDNAMES") {
        Some(names) if count > 0 => names.split(':').map(str::to_owned).collect(),
        _ => vec!["unknown".to_owned(); count],
    };
    match names.len() == count {
        true => Told::Names(names),
        false => Told::Wrong(format!("LISTEN_FDNAMES has {} names for {count} sockets", names.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_passed_to_whom() {
        let check = |variables: &[(&str, &str)], expected: Told| {
            let value = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned());
            let told = told(value, 7);
            match (&told, &expected) {
                (Told::Wrong(why), Told::Wrong(expected)) => assert!(why.contains(expected), "{variables:?}: {why}"),
                _ => assert_eq!(told, expected, "{variables:?}"),
            }
        };
        let names = |names: &[&str]| Told::Names(names.iter().map(|name| (*name).to_owned()).collect());
        let wrong = |why: &str| Told::Wrong(why.to_owned());
        let ours = |more: &[(&'static str, &'static str)]| [&[("LISTEN_PID", "7")][..], more].concat();
        check(&[], Told::Nothing);
        check(&[("LISTEN_PID", "8")], Told::Nothing);
        check(&ours(&[("LISTEN_FDS", "0")]), names(&[]));
        check(&ours(&[("LISTEN_FDS", "0"), ("LISTEN_FDNAMES", "")]), names(&[]));
        check(&ours(&[("LISTEN_FDS", "2")]), names(&["unknown", "unknown"]));
        check(&ours(&[("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "web:web")]), names(&["web", "web"]));
        check(&ours(&[("LISTEN_FDS", "3"), ("LISTEN_FDNAMES", "a::b")]), names(&["a", "", "b"]));
        check(&ours(&[("LISTEN_FDS", "1"), ("LISTEN_FDNAMES", "a:b")]), wrong("2 names for 1 sockets"));
        for count in ["", "x", "-1", "1025", "4294967296", "99999999999999999999"] {
            check(&[("LISTEN_PID", "7"), ("LISTEN_FDS", count)], wrong("no number up to 1024"));
        }
        check(&[("LISTEN_FDS", "1")], wrong("LISTEN_PID=, and this is 7"));
        check(&[("LISTEN_FDS", "1"), ("LISTEN_PID", "8")], wrong("LISTEN_PID=8, and this is 7: a shell"));
        check(&ours(&[("LISTEN_FDS", "1"), ("LISTEN_FDS_FIRST_FD", "0")]), wrong("begin at 3"));
    }
}
