//! Loading and handshakes, with certificates made on the spot.

mod client;
mod handshake;
mod load;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// A folder of its own for each test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("rikki-tls-{}-{}", std::process::id(), number());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A certificate authority that issues leaf certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// Each has a name of its own: clients look authorities up by name.
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("authority {}", number()));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for `localhost` with this key, as PEM.
    fn issue(&self, key: &KeyPair) -> String {
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.signed_by(key, &self.0).unwrap().pem()
    }

    /// The same in two files: certificate and key.
    fn issue_files(&self, folder: &Folder, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let certificate = folder.write(&format!("{name}.crt"), self.issue(&key));
        (certificate, folder.write(&format!("{name}.key"), key.serialize_pem()))
    }
}

/// A number that no other test has.
fn number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The file's own name, for messages whose folder differs from run to run.
fn without_folder(text: &str, folder: &Folder) -> String {
    let folder = format!("{}{}", folder.0.display(), std::path::MAIN_SEPARATOR);
    text.replace(&folder, "")
}
