//! Clients that were told whom to trust and what to show, in memory against our own servers.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use rustls::{AlertDescription, CertificateError, Error, ProtocolVersion};

use super::super::{ServerTls, TlsError};
use super::handshake::handshake;
use super::{Authority, Folder, without_folder};
use crate::client;

fn agreed(server: &ServerTls, client: &client::ClientTls) -> Result<(ProtocolVersion, Option<String>), Error> {
    handshake(server, client.client_config(), "localhost")
}

#[test]
fn trusts_the_named_authorities_alone() {
    let folder = Folder::new();
    let (ours, others) = (Authority::new(), Authority::new());
    let (certificate, key) = ours.issue_files(&folder, "server");
    let server = ServerTls::pem_files(certificate, key).unwrap();
    let from_file = client::ClientTls::ca(folder.write("ca.crt", ours.pem())).unwrap();
    for client in [from_file, client::ClientTls::ca_pem(ours.pem()).unwrap()] {
        assert_eq!(agreed(&server, &client), Ok((ProtocolVersion::TLSv1_3, Some("http/1.1".to_owned()))));
    }
    let stranger = client::ClientTls::ca_pem(others.pem()).unwrap();
    assert_eq!(agreed(&server, &stranger), Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)));
    let development = ServerTls::self_signed(["localhost"]).unwrap();
    let client = client::ClientTls::ca_pem(development.certificate_pem().unwrap()).unwrap();
    assert!(agreed(&development, &client).is_ok());
}

/// What `openssl req -x509` makes is an authority and the server itself.
#[test]
fn trusts_an_authority_that_is_the_server() {
    let folder = Folder::new();
    let own = |name: &str, until: i32| {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let server = ServerTls::pem_files(folder.write("own.crt", &pem), folder.write("own.key", key.serialize_pem()));
        (server.unwrap(), pem)
    };
    let good = own("localhost", 4000);
    let taken = agreed(&good.0, &client::ClientTls::ca_pem(&good.1).unwrap());
    assert!(taken.is_ok(), "{taken:?}");
    let expired = own("localhost", 2020);
    let refused = agreed(&expired.0, &client::ClientTls::ca_pem(&expired.1).unwrap()).unwrap_err();
    assert!(matches!(refused, Error::InvalidCertificate(CertificateError::ExpiredContext { .. })), "{refused:?}");
    let foreign = own("other.test", 4000);
    let refused = agreed(&foreign.0, &client::ClientTls::ca_pem(&foreign.1).unwrap()).unwrap_err();
    assert!(
        matches!(refused, Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })),
        "{refused:?}"
    );
    // One with the same name and another key is somebody else.
    let refused = agreed(&good.0, &client::ClientTls::ca_pem(own("localhost", 4000).1).unwrap()).unwrap_err();
    assert!(matches!(refused, Error::InvalidCertificate(_)), "{refused:?}");
}

#[test]
fn shows_its_certificate() {
    let folder = Folder::new();
    let authority = Authority::new();
    let (certificate, key) = authority.issue_files(&folder, "server");
    let ca = folder.write("ca.crt", authority.pem());
    let server = ServerTls::pem_files(certificate, key).unwrap().client_ca(&ca).unwrap();
    let nameless = client::ClientTls::ca(&ca).unwrap();
    assert_eq!(agreed(&server, &nameless), Err(Error::AlertReceived(AlertDescription::CertificateRequired)));
    let (certificate, key) = authority.issue_files(&folder, "client");
    assert!(agreed(&server, &nameless.certificate(certificate, key).unwrap()).is_ok());
}

#[test]
fn what_cannot_be_used_is_named() {
    let folder = Folder::new();
    let check = |result: Result<client::ClientTls, TlsError>, expected: &str| {
        assert_eq!(without_folder(&result.unwrap_err().to_string(), &folder), expected);
    };
    check(
        client::ClientTls::ca_pem("nothing"),
        "no certificate in the PEM text: it needs a section that starts with -----BEGIN CERTIFICATE-----",
    );
    check(
        client::ClientTls::ca(folder.path("missing.crt")),
        "cannot read missing.crt: No such file or directory (os error 2)",
    );
    let authority = Authority::new();
    let (certificate, _) = authority.issue_files(&folder, "one");
    let (_, key) = authority.issue_files(&folder, "two");
    check(
        client::ClientTls::ca_pem(authority.pem()).unwrap().certificate(certificate, key),
        "the private key in two.key does not belong to the first certificate in one.crt",
    );
}
