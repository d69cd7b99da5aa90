//! Who a client is, by the certificate that it has shown.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The certificate that a client has shown, where [`ServerTls::client_ca`](crate::ServerTls::client_ca) requires one:
/// one of those authorities has issued it, and the client has its key.
///
/// Each request of the connection has it among its extensions, for axum's `Extension<ClientCertificate>`, and each
/// WebSocket in [`Opening::extensions`](crate::ws::Opening::extensions). A clone shares it.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCertificate(Arc<Shown>);

#[derive(PartialEq, Eq)]
struct Shown {
    der: CertificateDer<'static>,
    subject: String,
    common_name: Option<String>,
}

impl ClientCertificate {
    /// `None` for what cannot be read, though it has been verified.
    pub(crate) fn read(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let name = certificate.subject();
        let common_name = name.iter_common_name().next().and_then(|name| name.as_str().ok()).map(str::to_owned);
        let subject = distinguished(name);
        Some(Self(Arc::new(Shown { der: der.clone().into_owned(), subject, common_name })))
    }

    /// The subject as text, the most specific part first, as in `CN=alice,O=Example`, with special characters escaped
    /// ([RFC 4514](https://www.rfc-editor.org/rfc/rfc4514#section-2)): no value can pass for another part.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// The first common name of the subject, as it is, if it has one that is text.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        self.0.common_name.as_deref()
    }

    /// The certificate itself, in DER, for whoever needs more of it.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientCertificate").field(&self.0.subject).finish()
    }
}

fn distinguished(name: &X509Name<'_>) -> String {
    let parts = name.iter_rdn().map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+"));
    let mut parts: Vec<_> = parts.collect();
    parts.reverse();
    parts.join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let kind = attribute.attr_type();
    let mut text = oid2abbrev(kind, oid_registry()).map_or_else(|_| kind.to_id_string(), str::to_owned);
    text.push('=');
    match attribute.as_str() {
        Ok(value) => escape(value, &mut text),
        Err(_) => {
            text.push('#');
            for byte in attribute.as_slice() {
                // Writing to a String cannot fail.
                let _ = write!(text, "{byte:02x}");
            }
        }
    }
    text
}

/// [RFC 4514 section 2.4](https://www.rfc-editor.org/rfc/rfc4514#section-2.4), and control characters, which are for no
/// log.
fn escape(value: &str, text: &mut String) {
    let last = value.chars().count().saturating_sub(1);
    for (at, character) in value.chars().enumerate() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => text.extend(['\\', character]),
            '#' if at == 0 => text.push_str("\\#"),
            ' ' if at == 0 || at == last => text.push_str("\\ "),
            control if control.is_control() => {
                for byte in control.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(text, "\\{byte:02x}");
                }
            }
            plain => text.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    #[test]
    fn subjects() {
        let check = |parts: &[(DnType, &str)], subject: &str, common_name: Option<&str>| {
            let mut params = CertificateParams::default();
            params.distinguished_name = rcgen::DistinguishedName::new();
            for (kind, value) in parts {
                params.distinguished_name.push(kind.clone(), *value);
            }
            let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            let read = ClientCertificate::read(made.der()).unwrap();
            assert_eq!((read.subject(), read.common_name()), (subject, common_name));
            assert_eq!(read.der(), &**made.der());
        };
        let (name, organization) = (DnType::CommonName, DnType::OrganizationName);
        check(&[], "", None);
        check(&[(organization.clone(), "Example"), (name.clone(), "alice")], "CN=alice,O=Example", Some("alice"));
        check(&[(name.clone(), "a,O=admin")], "CN=a\\,O\\=admin", Some("a,O=admin"));
        check(&[(name.clone(), " #x\\\"+ ")], "CN=\\ #x\\\\\\\"\\+\\ ", Some(" #x\\\"+ "));
        check(&[(name.clone(), "#a\nb\u{9b}")], "CN=\\#a\\0ab\\c2\\9b", Some("#a\nb\u{9b}"));
        check(&[(name, "Grüße"), (DnType::CustomDnType(vec![1, 2, 3]), "x")], "1.2.3=x,CN=Grüße", Some("Grüße"));
        assert!(ClientCertificate::read(&b"no certificate".as_slice().into()).is_none());
    }
}
