//! Where to listen, as people type it: `9000`, `:9000`, `0.0.0.0`, `localhost:9000` or a URL.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Args, ListenArg, UsageError};

/// The port without one that is named.
pub(crate) const PORT: u16 = 8000;

/// What takes the place of what a place leaves out.
struct Defaults {
    scheme: &'static str,
    host: &'static str,
    port: u16,
}

/// Makes URLs of what is to be listened on, whoever has named it; there is one at least.
pub(super) fn resolve(args: &mut Args) -> Result<(), UsageError> {
    let defaults = Defaults {
        scheme: if args.tls.has_certificate() { "https" } else { "http" },
        host: if args.lan { "*" } else { "localhost" },
        port: args.port.unwrap_or(PORT),
    };
    let mut takes_port = args.port.is_none() || args.listen.is_empty();
    if args.listen.is_empty() {
        args.listen.push(defaults.host.to_owned());
    }
    for place in &mut args.listen {
        let (url, has_default_port) = defaults.url(place).map_err(|why| refused(place, why))?;
        takes_port |= has_default_port;
        *place = url;
    }
    for ListenArg { written, url, .. } in &mut args.listeners {
        *url = defaults.url(written).map_err(|why| refused(written, why))?.0;
    }
    if let Some(place) = &mut args.admin {
        let defaults = Defaults { scheme: "http", host: "localhost", port: 0 };
        let (url, has_default_port) = defaults.url(place).map_err(|why| refused(place, why))?;
        if has_default_port {
            return Err(UsageError(format!("--admin {place} has no port: write HOST:PORT")));
        }
        if url.starts_with("fd:") {
            return Err(UsageError(format!("--admin {place} is no place for it: write unix:PATH or HOST:PORT")));
        }
        *place = url;
    }
    match args.port.filter(|_| !takes_port) {
        Some(port) => Err(UsageError(format!("--port {port} has nothing to be the port of: --listen names one"))),
        None => Ok(()),
    }
}

/// The path of a Unix socket, without how others may use it.
pub(crate) fn unix_place(place: &str) -> Option<&str> {
    let path = place.strip_prefix("unix:")?;
    Some(path.split_once(',').map_or(path, |(path, _)| path))
}

fn refused(place: &str, why: &str) -> UsageError {
    match place.is_empty() || place.contains(char::is_whitespace) {
        true => UsageError(format!("cannot listen on {place:?}: {why}")),
        false => UsageError(format!("cannot listen on {place}: {why}")),
    }
}

impl Defaults {
    /// The URL of a place, and whether it has the default port.
    fn url(&self, place: &str) -> Result<(String, bool), &'static str> {
        const EXPECTED: &str = "write a port, HOST:PORT, a URL such as http://localhost:8000, unix:PATH or fd:NAME";
        const HOSTS: &str = "the host is localhost, an IPv4 address, an [IPv6 address] or * for all";
        if place.contains("://") || ["unix:", "fd:"].iter().any(|kind| place.starts_with(kind)) {
            return Ok((place.to_owned(), false));
        }
        let (host, port) = match place.rsplit_once(':') {
            _ if place.is_empty() || place.contains(char::is_whitespace) => return Err(EXPECTED),
            _ if is_number(place) => ("", Some(place)),
            // Without brackets it has no port.
            _ if place.parse::<Ipv6Addr>().is_ok() => (place, None),
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (place, None),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match host {
            "" => self.host.to_owned(),
            "*" => host.to_owned(),
            _ if host.eq_ignore_ascii_case("localhost") || host.parse::<Ipv4Addr>().is_ok() => host.to_owned(),
            _ => match bare.unwrap_or(host).parse::<Ipv6Addr>() {
                Ok(address) if bare.is_some() || port.is_none() => format!("[{address}]"),
                _ if port.is_none() => return Err(EXPECTED),
                _ => return Err(HOSTS),
            },
        };
        let number = match port {
            None => self.port,
            Some(port) if is_number(port) => port.parse().map_err(|_| "the port is a number from 0 to 65535")?,
            Some(_) => return Err("the port is a number from 0 to 65535"),
        };
        Ok((format!("{}://{host}:{number}", self.scheme), port.is_none()))
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::super::{Request, parse, read};
    use crate::Failure;

    #[test]
    fn places() {
        let check = |line: &str, expected: &[&str]| match parse(line.split(' ').map(Into::into)) {
            Ok(Request::Run(args)) => assert_eq!(args.listen, expected, "{line}"),
            other => panic!("{line}: {other:?}"),
        };
        check("rikki", &["http://localhost:8000"]);
        check("rikki -p 9000", &["http://localhost:9000"]);
        check("rikki -p9000 www", &["http://localhost:9000"]);
        check("rikki --port=0", &["http://localhost:0"]);
        check("rikki --listen 9000", &["http://localhost:9000"]);
        check("rikki --listen :9000", &["http://localhost:9000"]);
        check("rikki -url :9000 --listen 9001", &["http://localhost:9000", "http://localhost:9001"]);
        check("rikki --listen 0.0.0.0", &["http://0.0.0.0:8000"]);
        check("rikki --listen 0.0.0.0 -p 80", &["http://0.0.0.0:80"]);
        check("rikki --listen LocalHost:1", &["http://LocalHost:1"]);
        check("rikki --listen *", &["http://*:8000"]);
        check("rikki --listen *:1", &["http://*:1"]);
        check("rikki --listen ::1", &["http://[::1]:8000"]);
        check("rikki --listen ::", &["http://[::]:8000"]);
        check("rikki --listen [::1]", &["http://[::1]:8000"]);
        check("rikki --listen [::1]:9", &["http://[::1]:9"]);
        check("rikki --listen unix:/run/a:1", &["unix:/run/a:1"]);
        check("rikki --listen fd:web --listen fd:secure,tls --tls-self-signed", &["fd:web", "fd:secure,tls"]);
        check("rikki --listen ws://a", &["ws://a"]);
        check("rikki --lan", &["http://*:8000"]);
        check("rikki --lan -p 9", &["http://*:9"]);
        check("rikki --lan --listen 9", &["http://*:9"]);
        check("rikki --lan --listen 192.0.2.1:9", &["http://192.0.2.1:9"]);
        // Whoever has a certificate means it, unless a URL says otherwise.
        check("rikki --tls-self-signed", &["https://localhost:8000"]);
        check("rikki --tls-self-signed=kept --lan -p 8443", &["https://*:8443"]);
        check(
            "rikki --cert a --key b --listen 8443 --listen http://localhost:1",
            &["https://localhost:8443", "http://localhost:1"],
        );
        check("rikki --acme a.test --listen https://0.0.0.0", &["https://0.0.0.0"]);
    }

    #[test]
    fn what_is_no_place_is_named() {
        let check = |line: &str, expected: &str| {
            let error = parse(line.split(' ').map(Into::into)).expect_err(line).to_string();
            assert!(error.starts_with(expected), "{line}: {error}");
        };
        check("rikki --listen 70000", "cannot listen on 70000: the port is a number from 0 to 65535");
        check("rikki --listen :", "cannot listen on :: the port is a number");
        check("rikki --listen localhost:", "cannot listen on localhost:: the port is a number");
        check("rikki --listen localhost:http", "cannot listen on localhost:http: the port is");
        check("rikki --listen :+80", "cannot listen on :+80: the port is");
        check("rikki --listen -80", "unexpected argument '-8' found");
        check("rikki --listen=-80", "cannot listen on -80: write a port, HOST:PORT");
        check("rikki --listen example.com", "cannot listen on example.com: write a port, HOST:PORT");
        check("rikki --listen example.com:80", "cannot listen on example.com:80: the host is localhost, ");
        check("rikki --listen 1.2.3.4.5:80", "cannot listen on 1.2.3.4.5:80: the host is localhost, ");
        check("rikki --listen [::1", "cannot listen on [::1: ");
        check("rikki --listen=", "cannot listen on \"\": write a port");
        check("rikki --port 70000", "invalid value '70000' for '--port <N>'");
        check("rikki -p http", "invalid value 'http' for '--port <N>'");
        check("rikki -p 9 --listen 8", "--port 9 has nothing to be the port of: --listen names one");
        check("rikki -p 9 --listen http://localhost", "--port 9 has nothing to be the port of");
    }

    #[test]
    fn the_variable_port_is_for_who_names_no_listener() {
        let check = |line: &str, variables: &[(&str, &str)], expected: Result<&str, &str>| {
            let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
            let actual = match read(line.split(' ').map(Into::into), variables) {
                Ok(Request::Run(args)) => Ok(args.listen.join(" ")),
                Err(Failure::Settings(lines)) => Err(lines.join(" ")),
                other => panic!("{line}: {:?}", other.map_err(Failure::lines)),
            };
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(actual, expected, "{line} {variables:?}", variables = "");
        };
        let port = |value| [("PORT", value)];
        check("rikki", &port("9000"), Ok("http://localhost:9000"));
        check("rikki", &port("0"), Ok("http://localhost:0"));
        check("rikki", &port(""), Ok("http://localhost:8000"));
        check("rikki --lan", &port("9000"), Ok("http://*:9000"));
        check("rikki --tls-self-signed", &port("9000"), Ok("https://localhost:9000"));
        for named in ["9000", "0.0.0.0:1", "http", "-1"] {
            check("rikki -p 7", &port(named), Ok("http://localhost:7"));
            check("rikki --listen 0.0.0.0", &port(named), Ok("http://0.0.0.0:8000"));
            check("rikki", &[("PORT", named), ("RIKKI_LISTEN", "7")], Ok("http://localhost:7"));
            check("rikki", &[("PORT", named), ("RIKKI_PORT", "7")], Ok("http://localhost:7"));
        }
        for wrong in ["0.0.0.0:1", "http", "-1", "+1", "65536", " 1", "http://localhost:1"] {
            let expected = format!("PORT: expected a port, a number from 0 to 65535, not {wrong:?}");
            check("rikki", &port(wrong), Err(&expected));
        }
        // What Kubernetes sets is none.
        check("rikki", &[("RIKKI_PORT", "tcp://10.0.0.1:8000")], Ok("http://localhost:8000"));
    }
}
