use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::*;
use crate::checks::share_checks;

/// A temporary folder with a root in it.
struct Site(PathBuf);

impl Site {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Relaxed);
        let site = Self(std::env::temp_dir().join(format!("rikki-open-{}-{count}", std::process::id())));
        fs::create_dir_all(site.0.join("root")).unwrap();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join("root").join(name)
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn root(&self) -> Root {
        Root::new(&self.0.join("root")).unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn source(root: &Root, name: &str, wait: Wait) -> Result<Source, Failure> {
    let folder = root.folder(wait, Look::Lately)?;
    match root.open(&folder, Path::new(name), wait)? {
        Opened::File(source) => Ok(source),
        Opened::Folder(_) => panic!("{name} is a file"),
    }
}

/// The whole content. The bodies of these tests are never pending.
fn content(mut source: Source) -> Result<String, Unmet> {
    source.read_small()?;
    let body = source.body(0..source.facts().length)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let bytes = runtime.block_on(body.collect()).unwrap().to_bytes();
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

#[test]
fn the_root_must_be_a_folder() {
    let file = std::env::current_exe().unwrap();
    let error = Root::new(&file).unwrap_err();
    assert_eq!(error.to_string(), format!("{}: not a directory", file.display()));
    let error = Root::new(&file.join("missing")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
    let error = Root::new(Path::new("/no/such/folder")).unwrap_err();
    assert_eq!(error.to_string(), "/no/such/folder: no such file or directory");
}

/// Opens both ways, the one that waits first: then the names are known to the system.
#[track_caller]
fn check(root: &Root, name: &str, expected: u16) {
    for wait in [Wait::Yes, Wait::No] {
        let status = match source(root, name, wait) {
            Ok(_) => 200,
            Err(Failure::Status(status)) => status.as_u16(),
            Err(Failure::WouldBlock) => panic!("{name} would block"),
        };
        assert_eq!(status, expected, "{name} {wait:?}");
    }
}

#[test]
fn what_is_in_memory_is_opened_without_waiting() {
    let site = Site::new();
    site.write("sub/file", "ok");
    site.write("../secret", "secret");
    symlink("sub/file", site.path("link")).unwrap();
    symlink("loop", site.path("loop")).unwrap();
    rustix::fs::mknodat(CWD, site.path("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let root = site.root();
    check(&root, "sub/file", 200);
    check(&root, "link", 200);
    check(&root, "missing", 404);
    check(&root, "loop", 404);
    check(&root, "fifo", 404);
    check(&root, &"a".repeat(5000), 404);
}

/// Links whose way is in memory are followed without waiting; an absolute one is for the other way to judge.
#[test]
fn links_are_followed_by_the_rules_for_names() {
    let site = Site::new();
    site.write("sub/file", "ok");
    site.write(".env", "secret");
    symlink("sub", site.path("dir")).unwrap();
    symlink("dir/file", site.path("chain")).unwrap();
    symlink(".env", site.path("env")).unwrap();
    symlink("env", site.path("twice")).unwrap();
    symlink(site.path("dir"), site.path("absolute")).unwrap();
    let mut root = site.root();
    check(&root, "dir/file", 200);
    check(&root, "chain", 200);
    check(&root, "env", 404);
    check(&root, "twice", 404);
    assert!(source(&root, "absolute/file", Wait::Yes).is_ok());
    assert!(matches!(source(&root, "absolute/file", Wait::No), Err(Failure::WouldBlock)));
    root.set_hidden(true);
    check(&root, "env", 200);
    check(&root, "twice", 200);
}

/// As on systems without `openat2`.
#[test]
fn paths_without_links_are_opened_step_by_step() {
    let site = Site::new();
    site.write("sub/file", "ok");
    site.write("../secret", "secret");
    symlink("sub/file", site.path("link")).unwrap();
    symlink("..", site.path("out")).unwrap();
    rustix::fs::mknodat(CWD, site.path("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let folder = site.root().folder(Wait::Yes, Look::Now).unwrap();
    let open = |name: &str| inside::open_by_steps(&folder.dir, Path::new(name));
    assert!(open("sub/file").is_ok() && open("sub").is_ok() && open("fifo").is_ok());
    assert!(inside::is_link(&open("link").unwrap_err()));
    assert_eq!(open("missing").unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(open("out/secret").unwrap_err().kind(), io::ErrorKind::PermissionDenied);
}

/// What is in memory says nothing of names that were never looked up, nor of paths that lead up or below a file.
#[test]
fn what_is_not_in_memory_would_block() {
    let site = Site::new();
    site.write("file", "ok");
    let root = site.root();
    site.write("../secret", "secret");
    symlink("../secret", site.path("out")).unwrap();
    symlink("/proc/self/root", site.path("magic")).unwrap();
    for name in ["never-looked-up", "file/x", "out", "../secret", "magic/etc/passwd"] {
        let found = source(&root, name, Wait::No).map(drop);
        assert!(matches!(found, Err(Failure::WouldBlock)), "{name} {found:?}");
        let found = source(&root, name, Wait::Yes).map(drop);
        assert!(matches!(found, Err(Failure::Status(StatusCode::NOT_FOUND))), "{name} {found:?}");
    }
}

#[test]
fn denied_files_are_denied_without_waiting() {
    let site = Site::new();
    let key = site.write("key", "secret");
    site.write("other", "ok");
    let mut root = site.root();
    root.deny(&key).unwrap();
    check(&root, "key", 404);
    check(&root, "other", 200);
    // Renewed, and the old one still there.
    fs::rename(&key, site.path("old")).unwrap();
    site.write("key", "new secret");
    check(&root, "key", 404);
    check(&root, "old", 404);
    check(&root, "other", 200);
    // Gone.
    fs::remove_file(&key).unwrap();
    check(&root, "other", 200);
}

/// Asks for `name` while `swap` goes on, both ways, and counts the answers that were "ok".
fn race(root: &Root, name: &str, rounds: usize, swap: impl Fn() + Sync) -> [usize; 2] {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                swap();
            }
        });
        let mut served = [0, 0];
        let mut leaked = None;
        for round in 0..rounds {
            let wait = if round % 2 == 0 { Wait::No } else { Wait::Yes };
            let Ok(Ok(content)) = source(root, name, wait).map(content) else { continue };
            if content != "ok" {
                leaked = Some((wait, content));
                break;
            }
            served[round % 2] += 1;
        }
        done.store(true, Relaxed);
        assert_eq!(leaked, None);
        served
    })
}

fn exchange(one: &Path, other: &Path) {
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
}

#[test]
fn a_file_and_a_link_to_a_secret_that_are_swapped() {
    let site = Site::new();
    site.write("../secret", "secret");
    let (file, link) = (site.write("swapped", "ok"), site.path("link"));
    symlink("../secret", &link).unwrap();
    let served = race(&site.root(), "swapped", 20_000, || exchange(&file, &link));
    assert!(served.into_iter().all(|served| served > 100), "{served:?}");
}

/// A link that is followed meanwhile may not lead to a name that is not served either.
#[test]
fn a_folder_and_a_link_to_a_hidden_one_that_are_swapped() {
    let site = Site::new();
    site.write(".git/file", "secret");
    site.write("sub/file", "ok");
    symlink("sub", site.path("by")).unwrap();
    symlink(".git", site.path("link")).unwrap();
    let (sub, link) = (site.path("sub"), site.path("link"));
    let served = race(&site.root(), "by/file", 20_000, || exchange(&sub, &link));
    assert!(served.into_iter().all(|served| served > 100), "{served:?}");
}

/// Of requests that have arrived before a check, and those that come after it and after a change.
fn one_check_is_for_who_was_there(root: &Root, change: impl Fn()) {
    share_checks();
    let folder = root.folder(Wait::No, Look::Lately).unwrap();
    let is_kept = |arrived: Arrived| {
        let opened = root.open_arrived(&folder, Path::new("sub/file"), arrived);
        matches!(opened, Ok(Opened::File(source)) if source.is_kept())
    };
    let arrive = || {
        let arrived = Arrived::now().unwrap();
        // Others are on their way, or nothing would be remembered.
        let mut waiting = Box::pin(arrived.let_others_come());
        let poll = waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll.is_pending());
        (arrived, waiting)
    };
    let [(first, _), (second, _waiting)] = [arrive(), arrive()];
    assert!(is_kept(first));
    change();
    assert!(is_kept(second), "it has arrived before the check");
    let (late, _) = arrive();
    assert!(!is_kept(late), "it may have been sent after the change");
    change();
    let (later, _) = arrive();
    assert!(is_kept(later));
}

/// A file that has long not changed is kept, by way of a folder that is swapped for a link out of the root.
#[test]
fn what_is_kept_is_judged_each_time() {
    let site = Site::new();
    site.write("../outside/file", "secret");
    let file = site.write("sub/file", "ok");
    let (sub, link) = (site.path("sub"), site.path("link"));
    symlink("../outside", &link).unwrap();
    let root = site.root();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !source(&root, "sub/file", Wait::No).is_ok_and(|source| source.is_kept() || content(source).is_err()) {
        assert!(Instant::now() < deadline, "a settled file is kept");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(source(&root, "sub/file", Wait::Yes).unwrap().is_kept());
    let served = race(&root, "sub/file", 20_000, || exchange(&sub, &link));
    assert!(served.into_iter().all(|served| served > 100), "{served:?}");
    if !sub.is_dir() || sub.is_symlink() {
        exchange(&sub, &link);
    }
    assert!(source(&root, "sub/file", Wait::Yes).unwrap().is_kept());
    one_check_is_for_who_was_there(&root, || exchange(&sub, &link));

    // Edits that nothing but the time of change tells apart.
    let modified = fs::metadata(&file).unwrap().modified().unwrap();
    for edit in 0..100 {
        let text = format!("{edit:02}");
        fs::write(&file, &text).unwrap();
        File::options().write(true).open(&file).unwrap().set_modified(modified).unwrap();
        for wait in [Wait::No, Wait::Yes] {
            assert_eq!(content(source(&root, "sub/file", wait).unwrap()).unwrap(), text);
        }
    }
}

/// In a process of its own, which has hardly any descriptors.
#[test]
fn without_descriptors_the_answer_is_503() {
    if std::env::var_os("RIKKI_FEW_DESCRIPTORS").is_none() {
        let test = "open::tests::without_descriptors_the_answer_is_503";
        let child = std::process::Command::new("sh")
            .args(["-c", "ulimit -n 24 && exec \"$0\" --exact --nocapture \"$1\""])
            .arg(std::env::current_exe().unwrap())
            .arg(test)
            .env("RIKKI_FEW_DESCRIPTORS", "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let site = Site::new();
    let path = site.write("file", "ok");
    let root = site.root();
    check(&root, "file", 200);
    let held: Vec<File> = std::iter::from_fn(|| File::open(&path).ok()).collect();
    for wait in [Wait::No, Wait::Yes] {
        let refused = source(&root, "file", wait).map(drop).unwrap_err();
        assert!(matches!(refused, Failure::Status(StatusCode::SERVICE_UNAVAILABLE)), "{wait:?} {refused:?}");
    }
    drop(held);
    check(&root, "file", 200);
}
