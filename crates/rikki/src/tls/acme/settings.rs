//! What is set: plain data, and what is refused of it.

use std::path::{Path, PathBuf};

use instant_acme::LetsEncrypt;

use crate::ws::TlsError;

/// The most names of a server, since each is an order and a certificate of its own.
const NAMES: usize = 100;

/// The longest name, in bytes, so that it can be that of a file. DNS has 253.
const LONGEST: usize = 240;

/// Names whose certificates an authority issues by ACME, by default Let's Encrypt.
///
/// [`ServerTls::acme`](crate::ServerTls::acme) says what becomes of it. Equal settings mean the same.
///
/// ```
/// use rikki::Acme;
///
/// let acme = Acme::new(["example.org", "www.example.org"]).email("admin@example.org").state("/var/lib/chat");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "settings do nothing by themselves"]
pub struct Acme {
    names: Vec<String>,
    email: Option<String>,
    directory: String,
    directory_ca: Option<PathBuf>,
    state: Option<PathBuf>,
}

impl Acme {
    /// Settings for these names, each of which gets a certificate of its own.
    ///
    /// They are DNS names in ASCII (`xn--` and so on for others), 100 at most, of 240 bytes at most. TLS-ALPN-01 proves
    /// no wildcards ([RFC 8737](https://www.rfc-editor.org/rfc/rfc8737#section-3)), and IP addresses are not asked for.
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut all: Vec<String> = Vec::new();
        for name in names {
            let name = name.into().to_ascii_lowercase();
            if !all.contains(&name) {
                all.push(name);
            }
        }
        let directory = LetsEncrypt::Production.url().to_owned();
        Self { names: all, email: None, directory, directory_ca: None, state: None }
    }

    /// Sets the address that the authority may write to; default none. An account that was made with another one keeps
    /// that.
    pub fn email(mut self, address: impl Into<String>) -> Self {
        self.email = Some(address.into());
        self
    }

    /// Sets the URL of the authority's directory
    /// ([RFC 8555](https://www.rfc-editor.org/rfc/rfc8555#section-7.1.1)); default that of Let's Encrypt.
    ///
    /// Ordering from a directory means agreeing to the terms of service of its authority.
    pub fn directory(mut self, url: impl Into<String>) -> Self {
        self.directory = url.into();
        self
    }

    /// Trusts the authorities in this PEM file, and no others, when the directory is asked: for one of a private
    /// authority. Default those that the system trusts.
    pub fn directory_ca(mut self, file: impl Into<PathBuf>) -> Self {
        self.directory_ca = Some(file.into());
        self
    }

    /// Sets the folder in which the account and the certificates with their keys are kept; there is no default.
    ///
    /// Each directory has a folder of its own below it, which is made with mode 0700, and files with 0600.
    pub fn state(mut self, folder: impl Into<PathBuf>) -> Self {
        self.state = Some(folder.into());
        self
    }

    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn url(&self) -> &str {
        &self.directory
    }

    pub(super) fn authority(&self) -> Option<&Path> {
        self.directory_ca.as_deref()
    }

    /// As an account has it ([RFC 8555](https://www.rfc-editor.org/rfc/rfc8555#section-7.3)).
    pub(super) fn contact(&self) -> Option<String> {
        self.email.as_ref().map(|address| format!("mailto:{address}"))
    }

    pub(super) fn state_folder(&self) -> Result<&Path, TlsError> {
        self.state.as_deref().ok_or_else(|| refused("it needs a folder for its state".to_owned()))
    }

    /// Says what cannot be asked for.
    pub(super) fn checked(self) -> Result<Self, TlsError> {
        if self.names.is_empty() {
            return Err(refused("it needs a name".to_owned()));
        }
        if self.names.len() > NAMES {
            return Err(refused(format!("{} names are more than {NAMES}", self.names.len())));
        }
        for name in &self.names {
            if let Some(why) = fault(name) {
                return Err(refused(format!("no certificate can be had for {name:?}: {why}")));
            }
        }
        if let Some(address) = self.email.as_deref().filter(|address| !is_address(address)) {
            return Err(refused(format!("{address:?} is no email address")));
        }
        // https://www.rfc-editor.org/rfc/rfc8555#section-6.1
        let is_https = self.directory.parse::<http::Uri>().is_ok_and(|url| url.scheme_str() == Some("https"));
        if !is_https {
            return Err(refused(format!("the directory {:?} is no https URL", self.directory)));
        }
        self.state_folder()?;
        Ok(self)
    }
}

fn refused(why: String) -> TlsError {
    TlsError::Acme { why }
}

fn fault(name: &str) -> Option<&'static str> {
    let labels = || name.split('.');
    let is_label = |label: &str| {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(is_good)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.starts_with("*.") {
        Some("TLS-ALPN-01 proves no wildcards")
    } else if !name.is_ascii() {
        Some("write it in ASCII, as in xn--mnchen-3ya.example")
    } else if name.len() > LONGEST {
        Some("it is longer than 240 bytes")
    } else if name.parse::<std::net::IpAddr>().is_ok() || labels().next_back().is_some_and(is_number) {
        Some("it is an IP address")
    } else if !labels().all(is_label) {
        Some("it is no DNS name")
    } else {
        None
    }
}

fn is_number(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether it is one address, without what would mean something in a `mailto` URL.
fn is_address(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b",?&#%<>\"\\:;()[]".contains(&byte);
    text.bytes().all(is_plain)
        && text.len() <= 254
        && text.split_once('@').is_some_and(|(local, host)| !local.is_empty() && fault(host).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_asked_for() {
        let check = |acme: Acme, expected: Option<&str>| {
            let error = acme.state("state").checked().err().map(|error| error.to_string());
            assert_eq!(error.as_deref(), expected.map(|why| format!("ACME: {why}")).as_deref());
        };
        let name = |name: &str, why: Option<&str>| {
            let text = why.map(|why| format!("no certificate can be had for {name:?}: {why}"));
            check(Acme::new([name]), text.as_deref());
        };
        name("example.org", None);
        name("localhost", None);
        name("xn--mnchen-3ya.example", None);
        name("1.2.example", None);
        name("*.example.org", Some("TLS-ALPN-01 proves no wildcards"));
        name("münchen.example", Some("write it in ASCII, as in xn--mnchen-3ya.example"));
        name("127.0.0.1", Some("it is an IP address"));
        name("::1", Some("it is an IP address"));
        name("1.2.3", Some("it is an IP address"));
        for wrong in ["", ".", "a.", ".a", "a..b", "-a.b", "a-.b", "a_b.c", "a/b", "../a", "a b"] {
            name(wrong, Some("it is no DNS name"));
        }
        name(&format!("{}b", "a.".repeat(120)), Some("it is longer than 240 bytes"));
        name(&format!("{}.b", "a".repeat(64)), Some("it is no DNS name"));
        check(Acme::new([""; 0]), Some("it needs a name"));
        check(Acme::new((0..101).map(|n| format!("a{n}.test"))), Some("101 names are more than 100"));
        // One that is given twice counts once.
        check(Acme::new((0..101).map(|_| "A.test")), None);

        let email = |address: &str, is_good: bool| {
            let why = format!("{address:?} is no email address");
            check(Acme::new(["a.test"]).email(address), (!is_good).then_some(why.as_str()));
        };
        email("admin@example.org", true);
        email("a+b@example.org", true);
        for wrong in ["", "admin", "@a.test", "a@", "a@b@c", "a@b,c@d", "a@b?cc=d", "a b@c", "a@b\n"] {
            email(wrong, false);
        }
        let directory = |url: &str, is_good: bool| {
            let why = format!("the directory {url:?} is no https URL");
            check(Acme::new(["a.test"]).directory(url), (!is_good).then_some(why.as_str()));
        };
        directory("https://ca.test:9000/acme/acme/directory", true);
        for wrong in ["", "http://ca.test/", "ca.test", "/directory", "ftp://ca.test"] {
            directory(wrong, false);
        }
        let error = Acme::new(["a.test"]).checked().unwrap_err().to_string();
        assert_eq!(error, "ACME: it needs a folder for its state");
    }
}
