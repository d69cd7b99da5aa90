//! What is accepted from files, and the line that says why something is not.

use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, SignatureAlgorithm};

use super::super::{ServerTls, TlsError};
use super::{Authority, Folder, without_folder};
use crate::client;

#[test]
fn key_kinds_and_encodings() {
    let check = |kind: &'static SignatureAlgorithm, label: &str| {
        let folder = Folder::new();
        let key = testkit::key(kind);
        let text = match label {
            "PRIVATE KEY" => key.serialize_pem(),
            _ => pem(label, inner_key(key.serialized_der())),
        };
        let certificate = folder.write("server.crt", Authority::new().issue(&key));
        let tls = ServerTls::pem_files(certificate, folder.write("server.key", text));
        assert!(tls.is_ok(), "{kind:?} as {label}: {tls:?}");
    };
    check(&rcgen::PKCS_ECDSA_P256_SHA256, "PRIVATE KEY");
    check(&rcgen::PKCS_ECDSA_P256_SHA256, "EC PRIVATE KEY");
    check(&PKCS_ECDSA_P384_SHA384, "EC PRIVATE KEY");
    check(&PKCS_RSA_SHA256, "PRIVATE KEY");
    check(&PKCS_RSA_SHA256, "RSA PRIVATE KEY");
    check(&PKCS_ED25519, "PRIVATE KEY");
}

#[test]
fn the_files_with_keys_are_remembered() {
    let folder = Folder::new();
    let authority = Authority::new();
    let (certificate, key) = authority.issue_files(&folder, "server");
    let ca = folder.write("ca.crt", authority.pem());
    let tls = ServerTls::pem_files(&certificate, &key).unwrap().client_ca(&ca).unwrap();
    assert_eq!(tls.secrets(), std::slice::from_ref(&key));
    let both =
        folder.write("both.pem", [&certificate, &key].map(|path| std::fs::read_to_string(path).unwrap()).concat());
    let tls_of_both = ServerTls::pem_files(&both, &key).unwrap().client_ca(&both).unwrap();
    assert_eq!(tls_of_both.secrets(), [both, key]);
    assert_eq!(tls.certificate_pem(), None);
}

#[test]
fn one_file_may_hold_chain_and_key() {
    let folder = Folder::new();
    let (authority, key) = (Authority::new(), KeyPair::generate().unwrap());
    let text = format!("comment\n{}\r\n{}{}", key.serialize_pem(), authority.issue(&key), authority.pem());
    let both = folder.write("both.pem", text);
    let tls = ServerTls::pem_files(&both, &both).unwrap();
    assert_eq!(tls.store.sources().pairs[0].value.certified.cert.len(), 2);
}

/// As shells make one of `<(...)`: there is nothing to be read a second time.
#[cfg(target_os = "linux")]
#[test]
fn pipes_are_read_once() {
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;

    let folder = Folder::new();
    let (certificate, key) = Authority::new().issue_files(&folder, "server");
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&std::fs::read(certificate).unwrap()).unwrap();
    drop(writer);
    let tls = ServerTls::pem_files(format!("/dev/fd/{}", reader.as_raw_fd()), &key).unwrap();
    for is_patient in [true, true, false] {
        let look = tls.look(SystemTime::now(), is_patient);
        assert!(look.swapped.is_empty() && look.refused.is_empty() && !look.is_unsettled, "{look:?}");
    }
}

/// Whoever is told in time renews in time.
#[test]
fn what_expires_is_known_before() {
    let folder = Folder::new();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2040, 1, 1);
    let certificate = folder.write("server.crt", params.self_signed(&key).unwrap().pem());
    let tls = ServerTls::pem_files(&certificate, folder.write("server.key", key.serialize_pem())).unwrap();
    let day = Duration::from_secs(24 * 60 * 60);
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(2_208_988_800);
    let check = |now: SystemTime, is_soon: bool| {
        let expected = if is_soon { vec![(certificate.clone(), end)] } else { Vec::new() };
        assert_eq!(tls.expiring(now, 7 * day), expected);
    };
    check(end - 8 * day, false);
    check(end - 7 * day, false);
    check(end - 6 * day, true);
    check(end + day, true);
}

/// As editors on Windows write them.
#[test]
fn a_byte_order_mark_is_passed_over() {
    let folder = Folder::new();
    let (authority, key) = (Authority::new(), KeyPair::generate().unwrap());
    let marked = |text: String| format!("\u{feff}{text}").replace('\n', "\r\n");
    let certificate = folder.write("server.crt", marked(authority.issue(&key)));
    let tls = ServerTls::pem_files(certificate, folder.write("server.key", marked(key.serialize_pem()))).unwrap();
    assert!(tls.client_ca(folder.write("ca.crt", marked(authority.pem()))).is_ok());
    assert!(client::ClientTls::ca(folder.write("ca.crt", marked(authority.pem()))).is_ok());
}

#[test]
fn refused_certificates() {
    check_certificate("", "no certificate in bad.pem: it needs a section that starts with -----BEGIN CERTIFICATE-----");
    check_certificate(
        KeyPair::generate().unwrap().serialize_pem(),
        "no certificate in bad.pem: it needs a section that starts with -----BEGIN CERTIFICATE-----",
    );
    check_certificate(
        "-----BEGIN CERTIFICATE-----\nMIIB",
        "bad.pem is not valid PEM: a section has no END line; the file may be cut off",
    );
    check_certificate(
        "-----BEGIN CERTIFICATE---\nMIIB\n-----END CERTIFICATE---\n",
        "bad.pem is not valid PEM: a BEGIN line does not end with five dashes",
    );
    check_certificate(
        "-----BEGIN CERTIFICATE-----\n!?\n-----END CERTIFICATE-----\n",
        "bad.pem is not valid PEM: a section is not valid base64",
    );
    check_certificate(
        pem("CERTIFICATE", b"not DER"),
        "a certificate in bad.pem is damaged or not X.509 version 3: BadEncoding",
    );
    check_certificate([0xff, 0x00, 0x30, 0x82], "no certificate in bad.pem: it needs a section that starts with");
}

/// The same bad file is refused as the server's certificate and as the clients' authority.
fn check_certificate(text: impl AsRef<[u8]>, expected: &str) {
    let folder = Folder::new();
    let (certificate, key) = Authority::new().issue_files(&folder, "good");
    let bad = folder.write("bad.pem", text);
    check_error(&folder, ServerTls::pem_files(&bad, &key), expected);
    check_error(&folder, ServerTls::pem_files(certificate, key).unwrap().client_ca(bad), expected);
}

#[test]
fn refused_keys() {
    check_key("", "no private key in bad.pem: it needs a section PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY");
    check_key(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "the private key in bad.pem is protected by a passphrase: remove it, for instance with `openssl pkey`",
    );
    check_key(
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nMIIB\n-----END RSA PRIVATE KEY-----\n",
        "the private key in bad.pem is protected by a passphrase: remove it, for instance with `openssl pkey`",
    );
    check_key("-----BEGIN PRIVATE KEY-----\nMIIB", "bad.pem is not valid PEM: a section has no END line");
    check_key(
        pem("PRIVATE KEY", b"not DER"),
        "the private key in bad.pem is damaged or not RSA (2048 bits or more), ECDSA or Ed25519: failed",
    );
    check_key(
        KeyPair::generate().unwrap().serialize_pem(),
        "the private key in bad.pem does not belong to the first certificate in good.crt",
    );
}

fn check_key(text: impl AsRef<[u8]>, expected: &str) {
    let folder = Folder::new();
    let (certificate, _) = Authority::new().issue_files(&folder, "good");
    check_error(&folder, ServerTls::pem_files(certificate, folder.write("bad.pem", text)), expected);
}

#[test]
fn a_chain_in_the_wrong_order_is_a_mismatch() {
    let folder = Folder::new();
    let (authority, key) = (Authority::new(), KeyPair::generate().unwrap());
    let chain = folder.write("chain.crt", authority.pem() + &authority.issue(&key));
    let tls = ServerTls::pem_files(chain, folder.write("server.key", key.serialize_pem()));
    assert!(matches!(tls, Err(TlsError::KeyMismatch { .. })), "{tls:?}");
}

#[test]
fn unreadable_files() {
    let folder = Folder::new();
    let (certificate, key) = Authority::new().issue_files(&folder, "good");
    check_error(&folder, ServerTls::pem_files(folder.path("none"), &key), "cannot read none: ");
    check_error(&folder, ServerTls::pem_files(&certificate, folder.path("none")), "cannot read none: ");
    let tls = ServerTls::pem_files(certificate, key).unwrap();
    check_error(&folder, tls.client_ca(folder.path("none")), "cannot read none: ");
}

#[test]
fn names_for_a_development_certificate() {
    let check = |name: &str, expected: bool| {
        let tls = ServerTls::self_signed([name]);
        assert_eq!(tls.is_ok(), expected, "{name}: {tls:?}");
    };
    check("localhost", true);
    check("app.example", true);
    check("127.0.0.1", true);
    check("::1", true);
    check("[::1]", false);
    check("two words", false);
    check("", false);
    check("a\nb", false);
    check("bücher.example", false);
    assert!(matches!(ServerTls::self_signed([""; 0]), Err(TlsError::NoNames)));
}

/// It stays as long as it can be used for the names, in files that are nobody else's.
#[test]
fn a_development_certificate_that_is_kept() {
    let folder = Folder::new();
    let kept = folder.path("kept");
    let (certificate, key) = (kept.join("rikki-development-cert.pem"), kept.join(".rikki-development-key.pem"));
    let made = |names: &[&str]| ServerTls::self_signed_in(&kept, names.iter().copied()).unwrap();
    let first = made(&["localhost", "192.0.2.1", "::1"]);
    let fingerprint = first.fingerprint().unwrap().to_owned();
    assert_eq!((fingerprint.len(), fingerprint.matches(':').count()), (95, 31), "{fingerprint}");
    assert_eq!(std::fs::read_to_string(&certificate).unwrap(), first.certificate_pem().unwrap());
    assert_eq!(first.secrets(), [std::path::absolute(&key).unwrap()]);
    #[cfg(unix)]
    for (path, mode) in [(&kept, 0o700), (&certificate, 0o600), (&key, 0o600)] {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
    }
    for names in [&["localhost", "192.0.2.1", "::1"][..], &["localhost", "0:0::1"], &["192.0.2.1"]] {
        assert_eq!(made(names).fingerprint(), Some(&*fingerprint), "{names:?}");
    }
    let second = made(&["localhost", "192.0.2.2"]);
    assert_ne!(second.fingerprint(), Some(&*fingerprint), "it is for another address");
    // One file alone, half of one, and one of another key.
    for (path, text) in
        [(&key, ""), (&certificate, "-----BEGIN"), (&key, &*KeyPair::generate().unwrap().serialize_pem())]
    {
        std::fs::write(path, text).unwrap();
        let again = made(&["localhost"]);
        assert_eq!(made(&["localhost"]).fingerprint(), again.fingerprint());
    }
    std::fs::remove_file(&certificate).unwrap();
    std::fs::create_dir(&certificate).unwrap();
    assert!(matches!(ServerTls::self_signed_in(&kept, ["localhost"]), Err(TlsError::State { .. })));
    assert_eq!(ServerTls::self_signed(["localhost"]).unwrap().fingerprint().unwrap().len(), 95);
}

#[test]
fn debug_shows_no_secret() {
    let folder = Folder::new();
    let (certificate, key) = Authority::new().issue_files(&folder, "server");
    let text = format!("{:?}", ServerTls::pem_files(certificate, key).unwrap());
    assert_eq!(without_folder(&text, &folder), r#"ServerTls { secrets: ["server.key"], .. }"#);
}

/// Every message is one line and starts as expected.
fn check_error(folder: &Folder, tls: Result<ServerTls, TlsError>, expected: &str) {
    let text = without_folder(&tls.expect_err("should be refused").to_string(), folder);
    assert!(text.starts_with(expected), "expected {expected:?}, got {text:?}");
    assert!(!text.contains('\n'), "{text:?}");
}

/// The key inside PKCS#8, which is PKCS#1 for RSA and SEC1 for elliptic curves: the content of the outer sequence's
/// third element ([RFC 5958](https://www.rfc-editor.org/rfc/rfc5958#section-2)).
fn inner_key(pkcs8: &[u8]) -> &[u8] {
    let (sequence, _) = element(pkcs8);
    let (_version, rest) = element(sequence);
    let (_algorithm, rest) = element(rest);
    element(rest).0
}

/// Content of the first DER element, and what follows the element.
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, start) = match usize::from(der[1]) {
        short @ 0..0x80 => (short, 2),
        long => {
            let start = 2 + (long - 0x80);
            (der[2..start].iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), start)
        }
    };
    der[start..].split_at(length)
}

/// A PEM section.
fn pem(label: &str, der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in der.chunks(3) {
        let bits = group.iter().fold(0, |bits, &byte| bits << 8 | usize::from(byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = ALPHABET[bits >> (18 - 6 * place) & 63];
            text.push(if place <= group.len() { char::from(digit) } else { '=' });
        }
    }
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}
