//! Handshakes in memory with clients of every kind.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, Connection, Error, HandshakeKind, ProtocolVersion,
    ServerConnection, SupportedProtocolVersion,
};

use rustix::time::{ClockId, clock_gettime};
use testkit::trusting;

use super::super::ServerTls;
use super::{Authority, Folder};

#[test]
fn versions_and_alpn() {
    let tls = ServerTls::self_signed(["localhost"]).unwrap();
    let check =
        |version: &'static SupportedProtocolVersion, offered: &[&str], expected: Result<Option<&str>, Error>| {
            let mut client = trusting(tls.certificate_pem().unwrap(), &[version]).with_no_client_auth();
            client.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
            let agreed = handshake(&tls, client, "localhost");
            let expected = expected.map(|name| (version.version, name.map(str::to_owned)));
            assert_eq!(agreed, expected, "{:?} {offered:?}", version.version);
        };
    for version in [&TLS12, &TLS13] {
        check(version, &[], Ok(None));
        check(version, &["http/1.1"], Ok(Some("http/1.1")));
        check(version, &["http/1.1", "h2"], Ok(Some("h2")));
        check(version, &["imap"], Err(Error::AlertReceived(AlertDescription::NoApplicationProtocol)));
    }
}

#[test]
fn a_development_certificate_is_for_its_names() {
    let tls = ServerTls::self_signed(["localhost", "app.example", "127.0.0.1", "::1"]).unwrap();
    let check = |name: &str, expected: bool| {
        let client = trusting(tls.certificate_pem().unwrap(), &[&TLS13]).with_no_client_auth();
        let agreed = handshake(&tls, client, name);
        assert_eq!(agreed.is_ok(), expected, "{name}: {agreed:?}");
    };
    check("localhost", true);
    check("app.example", true);
    check("127.0.0.1", true);
    check("::1", true);
    check("other.example", false);
    check("127.0.0.2", false);
}

#[test]
fn a_development_certificate_is_not_known_to_others() {
    let other = ServerTls::self_signed(["localhost"]).unwrap();
    let client = trusting(other.certificate_pem().unwrap(), &[&TLS13]).with_no_client_auth();
    let refused = handshake(&ServerTls::self_signed(["localhost"]).unwrap(), client, "localhost");
    assert!(matches!(refused, Err(Error::InvalidCertificate(_))), "{refused:?}");
}

#[test]
fn client_certificates() {
    let folder = Folder::new();
    let (servers, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let (certificate, key) = servers.issue_files(&folder, "server");
    let tls = ServerTls::pem_files(certificate, key).unwrap();
    let tls = tls.client_ca(folder.write("ca.crt", clients.pem())).unwrap();
    let check = |version, issuer: Option<&Authority>, expected: Result<(), Error>| {
        let client = trusting(&servers.pem(), &[version]);
        let client = match issuer {
            None => client.with_no_client_auth(),
            Some(issuer) => {
                let key = KeyPair::generate().unwrap();
                let chain = vec![CertificateDer::from_pem_slice(issuer.issue(&key).as_bytes()).unwrap()];
                client.with_client_auth_cert(chain, PrivateKeyDer::try_from(key.serialize_der()).unwrap()).unwrap()
            }
        };
        assert_eq!(handshake(&tls, client, "localhost").map(drop), expected);
    };
    for version in [&TLS12, &TLS13] {
        check(version, Some(&clients), Ok(()));
        check(version, Some(&strangers), Err(Error::AlertReceived(AlertDescription::UnknownCA)));
        check(version, None, Err(Error::AlertReceived(AlertDescription::CertificateRequired)));
    }
}

/// What a client shows is bounded, and so is the search for a way through it.
#[test]
fn huge_chains_of_clients_are_refused_soon() {
    let folder = Folder::new();
    let (servers, clients) = (Authority::new(), Authority::new());
    let (certificate, key) = servers.issue_files(&folder, "server");
    let tls = ServerTls::pem_files(certificate, key).unwrap();
    let tls = tls.client_ca(folder.write("ca.crt", clients.pem())).unwrap();
    // Authorities of one name, any of which may have issued any other, as far as names go.
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "one of many");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let many = CertifiedIssuer::self_signed(params.clone(), KeyPair::generate().unwrap()).unwrap();
    let others = || params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &many).unwrap();
    let mut chain = vec![leaf.der().clone()];
    chain.extend((0..100).map(|_| others()));
    let longest: Vec<_> = chain.iter().take(7).cloned().collect();
    let huge: Vec<_> = chain.iter().cycle().take(3 * chain.len()).cloned().collect();
    let bytes = |chain: &[CertificateDer<'_>]| chain.iter().map(|one| one.len() + 3).sum::<usize>();
    assert!(bytes(&chain) < 1 << 16 && bytes(&huge) > 1 << 16);
    // The CPU time of this thread.
    let cost = |version, chain: &[CertificateDer<'static>]| {
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let client = trusting(&servers.pem(), &[version]).with_client_auth_cert(chain.to_vec(), key).unwrap();
        let before = clock_gettime(ClockId::ThreadCPUTime);
        let refused = handshake(&tls, client, "localhost");
        let after = clock_gettime(ClockId::ThreadCPUTime);
        assert!(refused.is_err(), "{} bytes", bytes(chain));
        Duration::try_from(after).unwrap() - Duration::try_from(before).unwrap()
    };
    for version in [&TLS12, &TLS13] {
        let searched = cost(version, &longest);
        assert!(searched < Duration::from_millis(500), "{searched:?}");
        for chain in [&chain, &huge] {
            // Nobody looks for a way through them.
            let took = cost(version, chain);
            assert!(took < searched, "{} bytes: {took:?}, and {searched:?} for the longest", bytes(chain));
        }
    }
}

/// So many sessions are remembered, those of the latest clients.
#[test]
fn sessions_that_can_be_resumed_are_bounded() {
    const SESSIONS: usize = 256;
    let tls = ServerTls::self_signed(["localhost"]).unwrap();
    let resumed = |client: &Arc<ClientConfig>| {
        let name = "localhost".to_owned().try_into().unwrap();
        let mut client = Connection::from(ClientConnection::new(client.clone(), name).unwrap());
        let mut server = Connection::from(ServerConnection::new(tls.store.config()).unwrap());
        while client.wants_write() || server.wants_write() {
            carry(&mut client, &mut server).unwrap();
            carry(&mut server, &mut client).unwrap();
        }
        server.handshake_kind() == Some(HandshakeKind::Resumed)
    };
    for version in [&TLS12, &TLS13] {
        let client = || Arc::new(trusting(tls.certificate_pem().unwrap(), &[version]).with_no_client_auth());
        let (first, last) = (client(), client());
        assert!(!resumed(&first));
        for _ in 0..SESSIONS {
            resumed(&client());
        }
        assert!(!resumed(&last));
        assert_eq!((resumed(&first), resumed(&last)), (false, true), "{:?}", version.version);
    }
}

/// Joins client and server in memory: what the client saw at the end, and that the server saw the same.
pub(super) fn handshake(
    tls: &ServerTls,
    client: impl Into<Arc<ClientConfig>>,
    name: &str,
) -> Result<(ProtocolVersion, Option<String>), Error> {
    let name = name.to_owned().try_into().unwrap();
    let mut client = Connection::from(ClientConnection::new(client.into(), name).unwrap());
    let mut server = Connection::from(ServerConnection::new(tls.store.config()).unwrap());
    let mut refused = None;
    while client.wants_write() || server.wants_write() {
        carry(&mut client, &mut server).unwrap_or_else(|error| refused = Some(error));
        carry(&mut server, &mut client)?;
    }
    if let Some(error) = refused {
        return Err(error);
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    assert_eq!(client.alpn_protocol(), server.alpn_protocol());
    let alpn = client.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
    Ok((client.protocol_version().unwrap(), alpn))
}

/// Everything that one side has to send, to the other.
fn carry(from: &mut Connection, to: &mut Connection) -> Result<(), Error> {
    let mut wire = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut wire).unwrap();
    }
    let mut unread = wire.as_slice();
    while !unread.is_empty() {
        to.read_tls(&mut unread).unwrap();
        to.process_new_packets()?;
    }
    Ok(())
}
