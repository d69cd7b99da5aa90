//! The files of the command as the programs take them that people have: apt-get, wget, aria2c, and nginx beside and in
//! front of it.

pub(crate) mod nginx;

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use tokio::process::Command;

use crate::python::within;
use crate::server::Server;

/// A folder of its own for each test, removed at its end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("files-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        fs::create_dir_all(&folder.0).unwrap();
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A file that was changed a day ago, which is when all of its copies were.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        let day = Duration::from_secs(24 * 60 * 60);
        File::options().write(true).open(path).unwrap().set_modified(SystemTime::now() - day).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The command over a folder.
async fn serve(root: &Path) -> Server {
    Server::start(&[root.into(), OsString::from("--listen"), "http://127.0.0.1:0".into()]).await
}

/// Runs a program to its end, which must be a good one, in `folder`. Returns all that it has said.
async fn run(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    // In the language of this test, and by no proxy.
    command.args(arguments).current_dir(folder).env("LC_ALL", "C").env("no_proxy", "*").stdin(Stdio::null());
    let output = within(120, program, command.kill_on_drop(true).output()).await.unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    said
}

/// Bytes that no program finds shorter.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(length)
    .collect()
}

/// It asks for `./Packages`, for what cannot be there, and for a package whose name has an escape in it.
#[tokio::test]
async fn apt_get_takes_a_package_from_a_flat_repository() {
    let folder = Folder::new();
    let control = "Package: rikki-test\nVersion: 1:1.0\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\n\
                   Description: a test\n";
    folder.write("package/DEBIAN/control", control);
    folder.write("repository/apt/readme", "");
    let package = "rikki-test_1%3a1.0_all.deb";
    let file = format!("repository/apt/{package}");
    run(&folder.0, "dpkg-deb", &["--build", "--root-owner-group", "package", &file]).await;
    let hash = run(&folder.0, "sha256sum", &[&file]).await;
    let (hash, size) = (hash.split(' ').next().unwrap(), fs::metadata(folder.path(&file)).unwrap().len());
    folder.write("repository/apt/Packages", format!("{control}Filename: ./{package}\nSize: {size}\nSHA256: {hash}\n"));

    let server = serve(&folder.path("repository")).await;
    folder.write("sources.list", format!("deb [trusted=yes] http://{}/apt ./\n", server.address()));
    for name in ["lists/partial/x", "cache/archives/partial/x", "status", "download/x"] {
        folder.write(name, "");
    }
    let option = |name: &str, value: &str| format!("-o{name}={}", folder.path(value).display());
    let options = [
        option("Dir::Etc::SourceList", "sources.list"),
        "-oDir::Etc::SourceParts=/dev/null".to_owned(),
        option("Dir::State::Lists", "lists"),
        option("Dir::State::Status", "status"),
        option("Dir::Cache", "cache"),
        // It would have to read what is in the folder of this test.
        "-oAPT::Sandbox::User=root".to_owned(),
        "-oAcquire::http::Proxy=DIRECT".to_owned(),
    ];
    let apt = async |command: &str, arguments: &[&str]| {
        let options = options.iter().map(String::as_str).chain([command]).chain(arguments.iter().copied());
        run(&folder.path("download"), "apt-get", &options.collect::<Vec<_>>()).await
    };
    // Before the plain one it asks for others, which are not there.
    let said = apt("update", &[]).await;
    assert!(said.lines().any(|line| line.starts_with("Get:") && line.contains("./ Packages")), "{said}");
    apt("download", &["rikki-test"]).await;
    assert_eq!(fs::read(folder.path("download").join(package)).unwrap(), fs::read(folder.path(&file)).unwrap());
}

#[tokio::test]
async fn wget_mirrors_a_site_and_goes_on_where_it_stopped() {
    let folder = Folder::new();
    let names = ["sub/a.txt", "12:45/10:30", "C:/dot.", "a b/#1?.txt", "back\\slash", "large.bin"];
    for name in names {
        folder.write(&format!("site/{name}"), name);
    }
    let large = noise(3_000_000);
    folder.write("site/large.bin", &large);
    let server = serve(&folder.path("site")).await;
    let url = format!("http://{}/", server.address());
    fs::create_dir(folder.path("mirror")).unwrap();
    let mirror = ["-r", "-np", "-nH", "-N", "--reject-regex", "[?]sort=", "--restrict-file-names=nocontrol", &*url];
    run(&folder.path("mirror"), "wget", &mirror).await;
    for name in names {
        let (copy, original) = (folder.path("mirror").join(name), folder.path("site").join(name));
        assert!(fs::read(copy).unwrap() == fs::read(original).unwrap(), "{name}");
    }
    let again = run(&folder.path("mirror"), "wget", &mirror).await;
    assert_eq!(again.matches("304 Not Modified").count(), names.len(), "{again}");

    folder.write("part/large.bin", &large[..1_000_000]);
    let said = run(&folder.path("part"), "wget", &["-c", &format!("{url}large.bin")]).await;
    assert!(said.contains("206 Partial Content"), "{said}");
    assert!(fs::read(folder.path("part/large.bin")).unwrap() == large);
}

/// Eight parts at a time, of two copies on two servers.
#[tokio::test]
async fn aria2c_takes_parts_from_replicas() {
    let folder = Folder::new();
    let large = noise(20_000_000);
    for site in ["one", "two"] {
        folder.write(&format!("{site}/large.bin"), &large);
    }
    let servers = [serve(&folder.path("one")).await, serve(&folder.path("two")).await];
    let [one, two] = servers.each_ref().map(|server| format!("http://{}/large.bin", server.address()));
    fs::create_dir(folder.path("download")).unwrap();
    let parts = ["--no-conf", "-q", "-x4", "-s8", "-k1M", &one, &two];
    run(&folder.path("download"), "aria2c", &parts).await;
    assert!(fs::read(folder.path("download/large.bin")).unwrap() == large);
}
