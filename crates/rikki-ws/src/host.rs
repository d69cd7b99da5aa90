//! Hosts and ports as `Host`, `:authority` and `Origin` write them, parsed strictly and compared part by part.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use rikki_limits::Excerpt;

/// `host[:port]`: <https://www.rfc-editor.org/rfc/rfc9110#section-7.2>.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    /// Whom it names.
    pub host: Host<'a>,
    /// `None` for the default one of a scheme.
    pub port: Option<u16>,
}

/// A name or an address. Names are equal in any case, addresses in any spelling.
#[derive(Clone, Debug)]
pub enum Host<'a> {
    /// A name, as it was written.
    Name(Cow<'a, str>),
    /// An address.
    Ip(IpAddr),
}

impl<'a> Authority<'a> {
    /// `None` for credentials, a port above 65535, and anything else that is not `host[:port]`.
    pub fn parse(text: &'a str) -> Option<Self> {
        // The port is what follows the last colon, unless that colon belongs to an address in brackets.
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port),
            _ => (text, ""),
        };
        // `u16::from_str` would take a plus sign. An empty port is none:
        // https://www.rfc-editor.org/rfc/rfc3986#section-6.2.3
        let port = match port {
            "" => None,
            _ if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse().ok()?),
            _ => return None,
        };
        Some(Self { host: Host::parse(host)?, port })
    }

    /// The port, or the default port of a scheme.
    pub fn port_or_default(&self, scheme: &str) -> Option<u16> {
        self.port.or_else(|| default_port(scheme))
    }

    /// Makes the authority its own, apart from what it was read from.
    pub fn into_owned(self) -> Authority<'static> {
        Authority { host: self.host.into_owned(), port: self.port }
    }
}

impl<'a> Host<'a> {
    /// A dotted IPv4 address, an IPv6 address in brackets, or a name of at most 255 bytes.
    ///
    /// Names are of letters, digits and `-._~` alone: percent-encoding and the other characters that RFC 3986 allows
    /// would give one name many spellings, and no browser sends them.
    pub fn parse(text: &'a str) -> Option<Self> {
        if let Some(address) = text.strip_prefix('[') {
            let address: Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Ip(address.into()));
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Some(Self::Ip(address.into()));
        }
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let valid = (1..=255).contains(&text.len()) && text.bytes().all(is_name);
        valid.then_some(Self::Name(Cow::Borrowed(text)))
    }

    /// `localhost`, 127.0.0.0/8 and `[::1]`.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => name.eq_ignore_ascii_case("localhost"),
            Self::Ip(address) => address.is_loopback(),
        }
    }

    /// `localhost` and the two addresses that it stands for. Other addresses of loopback are other hosts, on which
    /// somebody else may serve on the same port.
    pub fn is_localhost(&self) -> bool {
        match self {
            Self::Name(_) => self.is_loopback(),
            Self::Ip(address) => *address == Ipv4Addr::LOCALHOST || *address == Ipv6Addr::LOCALHOST,
        }
    }

    /// A name below `localhost`, which no public DNS answers: <https://www.rfc-editor.org/rfc/rfc6761#section-6.3>.
    pub fn is_below_localhost(&self) -> bool {
        let Self::Name(name) = self else { return false };
        name.rsplit_once('.').is_some_and(|(_, last)| last.eq_ignore_ascii_case("localhost"))
    }

    /// Makes the host its own, apart from what it was read from.
    pub fn into_owned(self) -> Host<'static> {
        match self {
            Self::Name(name) => Host::Name(Cow::Owned(name.into_owned())),
            Self::Ip(address) => Host::Ip(address),
        }
    }
}

impl PartialEq for Host<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(one), Self::Name(other)) => one.eq_ignore_ascii_case(other),
            (Self::Ip(one), Self::Ip(other)) => one == other,
            _ => false,
        }
    }
}

impl Eq for Host<'_> {}

impl fmt::Display for Authority<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => write!(f, "{}", self.host),
        }
    }
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Ip(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// 80 for `http` and `ws`, 443 for `https` and `wss`.
pub(crate) fn default_port(scheme: &str) -> Option<u16> {
    let is = |name| scheme.eq_ignore_ascii_case(name);
    if is("http") || is("ws") {
        Some(80)
    } else if is("https") || is("wss") {
        Some(443)
    } else {
        None
    }
}

/// Why no host is named, told in one sentence by its `Display`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostError {
    /// There is no field `Host`, nor a target that names one.
    Missing,
    /// There are several fields `Host`.
    Repeated,
    /// It is not `name[:port]`.
    Invalid {
        /// An excerpt of it.
        given: String,
    },
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the header Host is missing"),
            Self::Repeated => f.write_str("the header Host must appear only once"),
            Self::Invalid { given } => write!(f, "the host \"{given}\" is not of the form name[:port]"),
        }
    }
}

/// The host that the field `Host` names, if there is one.
pub fn host_field(headers: &HeaderMap) -> Result<Option<Authority<'_>>, HostError> {
    match only(headers, &HOST) {
        Field::Absent => Ok(None),
        Field::Repeated => Err(HostError::Repeated),
        Field::Once(given) => {
            let authority = given.to_str().ok().and_then(Authority::parse);
            authority.map(Some).ok_or_else(|| HostError::Invalid { given: Excerpt::of(given).to_string() })
        }
    }
}

/// The host of an absolute-form or authority-form target, or of `:authority`.
pub fn target_authority(request: &Parts) -> Result<Option<Authority<'_>>, HostError> {
    let Some(authority) = request.uri.authority() else { return Ok(None) };
    let given = authority.as_str();
    Authority::parse(given).map(Some).ok_or_else(|| HostError::Invalid { given: Excerpt::of(given).to_string() })
}

/// A field that may appear once.
pub enum Field<'h> {
    /// It does not.
    Absent,
    /// It does, with this value.
    Once(&'h HeaderValue),
    /// It appears several times.
    Repeated,
}

/// The field `name`, if there is one.
pub fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Field<'h> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Field::Absent,
        (Some(line), None) => Field::Once(line),
        (Some(_), Some(_)) => Field::Repeated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, Option<u16>)>) {
        let parsed = Authority::parse(text).map(|authority| (authority.host.to_string(), authority.port));
        assert_eq!(parsed, expected.map(|(host, port)| (host.to_owned(), port)), "{text:?}");
    }

    #[test]
    fn authorities() {
        check("app.example", Some(("app.example", None)));
        check("app.example:8080", Some(("app.example", Some(8080))));
        check("app.example:", Some(("app.example", None)));
        check("app_1~x-2:080", Some(("app_1~x-2", Some(80))));
        check("127.0.0.1:65535", Some(("127.0.0.1", Some(65535))));
        check("[::1]", Some(("[::1]", None)));
        check("[0:0::0:1]:443", Some(("[::1]", Some(443))));
        check("localhost.", Some(("localhost.", None)));
        for text in [
            "",
            ":",
            ":80",
            "a:65536",
            "a:+80",
            "a:-1",
            "a:8 0",
            "a:80:80",
            "a:0x50",
            "a b",
            " a",
            "a ",
            "a\t",
            "a/",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "u@a",
            "u:p@a",
            "@",
            "a,b",
            "a%61",
            "ä",
            "a\0",
            "*",
            "::1",
            "::1]",
            "[::1",
            "[]",
            "[::1]x",
            "[::1]x:80",
            "[::1%25lo]",
            "[127.0.0.1]",
            "[v1.a]",
            "[[::1]]",
            "[::1]:80:80",
            "[::1]:a",
        ] {
            check(text, None);
        }
        check(&"a".repeat(255), Some((&"a".repeat(255), None)));
        check(&"a".repeat(256), None);
    }

    #[test]
    fn equal_hosts() {
        let equal = |one, other| Host::parse(one).unwrap() == Host::parse(other).unwrap();
        assert!(equal("App.Example", "aPP.eXAMPLE"));
        assert!(equal("[::1]", "[0:0:0:0:0:0:0:1]"));
        assert!(!equal("app.example", "app.example."));
        assert!(!equal("app.example", "xapp.example"));
        assert!(!equal("[::ffff:127.0.0.1]", "127.0.0.1"));
        assert!(!equal("127.1", "127.0.0.1"));
    }

    #[test]
    fn loopback_hosts() {
        for (text, loopback, below_localhost) in [
            ("localhost", true, false),
            ("LocalHost", true, false),
            ("127.0.0.1", true, false),
            ("127.255.3.4", true, false),
            ("[::1]", true, false),
            ("app.localhost", false, true),
            ("a.b.LOCALHOST", false, true),
            ("localhost.", false, false),
            ("xlocalhost", false, false),
            ("localhost.evil.test", false, false),
            ("127.0.0.1.evil.test", false, false),
            ("127.1", false, false),
            ("128.0.0.1", false, false),
            ("0.0.0.0", false, false),
            ("[::]", false, false),
            ("[::2]", false, false),
        ] {
            let host = Host::parse(text).unwrap();
            assert_eq!((host.is_loopback(), host.is_below_localhost()), (loopback, below_localhost), "{text}");
        }
    }
}
