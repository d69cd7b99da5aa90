//! Origins as browsers write them: <https://www.rfc-editor.org/rfc/rfc6454#section-6.2>.

use std::borrow::Cow;
use std::fmt;

use super::host::{Authority, default_port};

/// `scheme://host[:port]`, equal if scheme, host and port (or the scheme's default port) are.
#[derive(Clone, Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) scheme: Cow<'a, str>,
    pub(crate) authority: Authority<'a>,
}

impl<'a> Origin<'a> {
    /// `None` for a path (even `/`), credentials, several origins, and anything else that no browser sends.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        // https://www.rfc-editor.org/rfc/rfc3986#section-3.1; the longest registered one has 36 bytes.
        let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        let valid = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.len() <= 64
            && scheme.bytes().all(is_scheme)
            && !authority.ends_with(':');
        let authority = Authority::parse(authority).filter(|_| valid)?;
        Some(Self { scheme: Cow::Borrowed(scheme), authority })
    }

    /// The port, or the scheme's default port; `None` for a scheme that is not of the web.
    pub(crate) fn port(&self) -> Option<u16> {
        self.authority.port_or_default(&self.scheme)
    }

    /// Whether the scheme is `http`, `ws`, `https` or `wss`.
    pub(crate) fn is_web(&self) -> bool {
        default_port(&self.scheme).is_some()
    }

    /// Whether the scheme is `https` or `wss`.
    pub(crate) fn is_tls(&self) -> bool {
        default_port(&self.scheme) == Some(443)
    }

    pub(crate) fn into_owned(self) -> Origin<'static> {
        Origin { scheme: Cow::Owned(self.scheme.into_owned()), authority: self.authority.into_owned() }
    }
}

impl PartialEq for Origin<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.scheme.eq_ignore_ascii_case(&other.scheme)
            && self.authority.host == other.authority.host
            && self.port() == other.port()
    }
}

impl Eq for Origin<'_> {}

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsed() {
        for text in [
            "https://app.example",
            "http://localhost:8000",
            "http://[::1]:80",
            "chrome-extension://abc",
            "a+b-c.d1://x",
        ] {
            assert_eq!(Origin::parse(text).map(|origin| origin.to_string()).as_deref(), Some(text));
        }
    }

    #[test]
    fn refused() {
        for text in [
            "",
            "null",
            "*",
            "app.example",
            "//app.example",
            "://app.example",
            "https:app.example",
            "https:/app.example",
            "https://",
            "https:///",
            "https://app.example/",
            "https://app.example/path",
            "https://app.example?q",
            "https://app.example#f",
            "https://app.example:",
            "https://app.example:99999",
            "https://good.test@evil.test",
            "https://u:p@app.example",
            "https://app.example https://evil.test",
            "https://app.example,https://evil.test",
            " https://app.example",
            "https://app.example ",
            "https://app.example\\@evil.test",
            "https://*.example",
            "1https://app.example",
            "ht tps://app.example",
            "https://https://app.example",
            "file://",
        ] {
            assert_eq!(Origin::parse(text), None, "{text:?}");
        }
        assert_eq!(Origin::parse(&format!("{}://a", "s".repeat(65))), None);
    }

    #[test]
    fn equal() {
        let equal = |one, other| Origin::parse(one).unwrap() == Origin::parse(other).unwrap();
        assert!(equal("HTTPS://App.Example", "https://app.example:443"));
        assert!(equal("http://a:80", "http://a"));
        assert!(!equal("http://a", "https://a"));
        assert!(!equal("http://a:443", "https://a:443"));
        assert!(!equal("https://a:8443", "https://a"));
        assert!(!equal("https://a.test", "https://a.test.evil.test"));
    }
}
