//! Symbolic links, followed one by one, so that each step is judged by the rules for names.
//!
//! Nothing is opened here. What comes out is a path without links, which is opened as such. If one has taken the place
//! of a folder meanwhile, that fails where there is `openat2`; elsewhere it is followed, unjudged, but never out of the
//! root.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::folder::Folder;
use crate::path::{WELL_KNOWN, check_name};

/// The most links that are followed in one path, as on Linux.
const MOST: usize = 40;

/// The path below `folder` that `relative` leads to, without links.
///
/// `read` reads a link below the folder, and says `None` for what is no link. A link may be absolute, or lead out of
/// the folder and in again, as long as its text names the folder by its real path or by the one that was given; what
/// lies beside the folder is never looked at.
///
/// # Errors
///
/// [`io::ErrorKind::NotFound`] if a link leads out, or by way of a name that is not served; those of `read`.
pub(super) fn resolve(
    folder: &Folder,
    relative: &Path,
    hidden: bool,
    read: impl Fn(&Path) -> io::Result<Option<PathBuf>>,
) -> io::Result<PathBuf> {
    let mut walk = Walk { folder, at: folder.real.clone(), ahead: VecDeque::new() };
    // These names have passed the rules.
    walk.put_ahead(relative, false);
    let mut links = 0;
    while let Some(Step { name, is_judged }) = walk.ahead.pop_front() {
        let Some(below) = walk.enter(&name)? else { continue };
        // Links in this folder may lead to its own files, and links elsewhere may not.
        let is_known = below == Path::new(WELL_KNOWN) && relative.starts_with(WELL_KNOWN);
        if is_judged && !is_known && check_name(name.as_encoded_bytes(), hidden).is_err() {
            return Err(io::ErrorKind::NotFound.into());
        }
        if let Some(target) = read(&below)? {
            links += 1;
            if links > MOST {
                return Err(io::ErrorKind::NotFound.into());
            }
            walk.at.pop();
            walk.follow(&target);
        }
    }
    walk.below().map(|below| if below.as_os_str().is_empty() { PathBuf::from(".") } else { below })
}

struct Walk<'a> {
    folder: &'a Folder,
    /// The real path of where the walk has come to.
    at: PathBuf,
    ahead: VecDeque<Step>,
}

/// A name, or `..`.
struct Step {
    name: OsString,
    /// Whether it is still to be judged.
    is_judged: bool,
}

impl Walk<'_> {
    /// Takes one step. Returns where that is below the folder, or `None` on the way to it.
    fn enter(&mut self, name: &OsString) -> io::Result<Option<PathBuf>> {
        if name == ".." {
            // A real path has no links, so the folder above is the one that its text names.
            self.at.pop();
            return Ok(None);
        }
        self.at.push(name);
        if self.folder.real.starts_with(&self.at) {
            return Ok(None);
        }
        self.below().map(Some)
    }

    fn below(&self) -> io::Result<PathBuf> {
        self.at.strip_prefix(&self.folder.real).map(PathBuf::from).map_err(|_| io::ErrorKind::NotFound.into())
    }

    fn follow(&mut self, target: &Path) {
        if let Ok(below) = target.strip_prefix(&self.folder.given) {
            self.at.clone_from(&self.folder.real);
            return self.put_ahead(below, true);
        }
        if target.has_root() {
            self.at = target.components().take_while(|part| !is_step(part)).collect();
        }
        self.put_ahead(target, true);
    }

    fn put_ahead(&mut self, path: &Path, is_judged: bool) {
        let steps = path.components().filter(is_step);
        for part in steps.rev() {
            self.ahead.push_front(Step { name: part.as_os_str().to_owned(), is_judged });
        }
    }
}

fn is_step(part: &Component<'_>) -> bool {
    matches!(part, Component::Normal(_) | Component::ParentDir)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use cap_std::ambient_authority;
    use cap_std::fs::Dir;

    use super::*;

    /// Below a folder that was given as `/srv/current`.
    const LINKS: [(&str, &str); 34] = [
        ("in", "sub/file"),
        ("up", "sub/../file"),
        ("dot", "././file"),
        ("sub/up", "../file"),
        ("dir", "sub"),
        ("chain", "dir/up"),
        ("real", "/srv/releases/5/file"),
        ("real-sub", "/srv/releases/5/sub"),
        ("given", "/srv/current/sub/file"),
        ("around", "../5/file"),
        ("far-around", "../../../srv/releases/5/sub/up"),
        ("above-root", "/../../srv/releases/5/file"),
        ("root", "/srv/releases/5"),
        ("here", "."),
        ("out", "../6/file"),
        ("out-absolute", "/etc/passwd"),
        ("parent", ".."),
        ("beside", "/srv/releases/5-evil/file"),
        ("beside-given", "/srv/current-evil/file"),
        ("by-another-link", "/srv/latest/file"),
        ("chroot-style", "/file"),
        ("loop", "loop"),
        ("env", ".env"),
        ("git", ".git/config"),
        ("by-hidden", ".git/../file"),
        ("absolute-env", "/srv/releases/5/.env"),
        ("given-env", "/srv/current/sub/.env"),
        ("to-env", "env"),
        ("control", "a\u{1}b"),
        (".well-known/in", "../.well-known/x"),
        (".well-known/real", "/srv/releases/5/.well-known/x"),
        (".well-known/file", "../file"),
        (".well-known/env", ".env"),
        ("well-known", ".well-known/x"),
    ];

    #[cfg(unix)]
    #[test]
    fn where_links_lead() {
        let folder = Folder {
            dir: Dir::open_ambient_dir("/", ambient_authority()).unwrap(),
            given: "/srv/current".into(),
            real: "/srv/releases/5".into(),
            identity: None,
            is_remote: false,
        };
        let links = HashMap::from(LINKS);
        let read = |path: &Path| Ok(links.get(path.to_str().unwrap()).map(PathBuf::from));
        let resolve = |path: &str, hidden: bool| resolve(&folder, Path::new(path), hidden, read);
        let check =
            |path: &str, expected: &str| assert_eq!(resolve(path, false).unwrap(), Path::new(expected), "{path}");
        check(".", ".");
        check("file", "file");
        check("sub/file", "sub/file");
        check("in", "sub/file");
        check("up", "file");
        check("dot", "file");
        check("sub/up", "file");
        check("dir/up", "file");
        check("chain", "file");
        check("real", "file");
        check("real-sub/up", "file");
        check("given", "sub/file");
        check("around", "file");
        check("far-around", "file");
        check("above-root", "file");
        check("root/root/file", "file");
        check(".well-known/in", ".well-known/x");
        check(".well-known/real", ".well-known/x");
        check(".well-known/file", "file");
        check("here/in", "sub/file");
        for out in [
            "out",
            "out-absolute",
            "parent",
            "parent/5",
            "beside",
            "beside-given",
            "by-another-link",
            "chroot-style",
            "loop",
            "control",
        ] {
            for hidden in [false, true] {
                let refused = resolve(out, hidden).map_err(|error| error.kind());
                // Back in again is in.
                let expected = if out == "parent/5" { Ok(PathBuf::from(".")) } else { Err(io::ErrorKind::NotFound) };
                assert_eq!(refused, expected, "{out}");
            }
        }
        for path in ["env", "git", "by-hidden", "absolute-env", "given-env", "to-env", ".well-known/env", "well-known"]
        {
            assert_eq!(resolve(path, false).unwrap_err().kind(), io::ErrorKind::NotFound, "{path}");
            assert!(resolve(path, true).is_ok(), "{path}");
        }
    }
}
