//! What the suites need from outside: found on this machine, or installed: with apt-get on Debian as root, by
//! npm or by cargo.
//!
//! Elsewhere [`Missing`] says what to install. Nothing here knows what the programs are for.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::Result;
use crate::process::{output, run, works};
use crate::project::Project;
use crate::suites::CARGO_LIMIT;

/// The last Debian release that carries CPython 2.7 and PyPy 2.7.
const PYTHON2_RELEASE: &str = "bullseye";

const SOURCES: &str = "/etc/apt/sources.list.d";
const PREFERENCES: &str = "/etc/apt/preferences.d";

/// Below the priority of an installed package (100) and of a release in use (500): a release pinned here gives only
/// what no other one has.
const LAST_RESORT: u32 = 50;

/// How long apt-get and pip may take for one command.
pub(crate) const INSTALL_LIMIT: Duration = Duration::from_secs(600);

/// Something that is not on this machine and that this program may not or cannot install.
#[derive(Debug)]
pub(crate) struct Missing(pub(crate) String);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Finds chromium and chromedriver, or installs both.
fn browser() -> std::result::Result<(), Missing> {
    let there = || ["chromium", "chromedriver"].iter().all(|tool| works(Command::new(tool).arg("--version")));
    if there() {
        return Ok(());
    }
    let hint = "install chromium and its chromedriver (Debian: apt-get install chromium chromium-driver)";
    apt(&["chromium", "chromium-driver", "fonts-dejavu-core"], hint)?;
    if there() { Ok(()) } else { Err(Missing(format!("chromium or chromedriver does not start; {hint}"))) }
}

/// axe-core, by which the browser's tests judge how accessible pages are.
const AXE_VERSION: &str = "4.14.1";

/// centrifuge-js, which pages of these tests use, and what judges the types of `/rikki.js`.
const OF_TOPICS: [(&str, &str); 2] = [("centrifuge", "5.8.0"), ("typescript", "5.9.3")];

/// Finds what the browser's tests need, or installs it: the browser, and packages of npm below the folder for tools.
pub(crate) fn browser_tests(project: &Project) -> std::result::Result<(), Missing> {
    browser()?;
    let tools = project.target.join("tools");
    npm_package(&tools, "axe-core", AXE_VERSION)?;
    // In folders of their own: npm leaves nothing there that it is not told of.
    OF_TOPICS.iter().try_for_each(|(name, version)| npm_package(&tools.join(name), name, version))
}

/// Installs a package with npm below `folder`, in `node_modules`, unless that version of it is there.
pub(crate) fn npm_package(folder: &Path, name: &str, version: &str) -> std::result::Result<(), Missing> {
    let stamp = folder.join(format!("installed-{name}.txt"));
    let is_there = folder.join("node_modules").join(name).is_dir();
    if is_there && fs::read_to_string(&stamp).is_ok_and(|installed| installed == version) {
        return Ok(());
    }
    if !works(Command::new("npm").arg("--version")) {
        apt(&["npm"], "install Node.js with npm (Debian: npm)")?;
    }
    println!("installing {name} {version} with npm in {}", folder.display());
    let install = || -> Result<()> {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut npm = Command::new("npm");
        npm.current_dir(folder).args([
            "install",
            "--no-save",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--silent",
        ]);
        // Else npm takes a folder further up for the one it is called in.
        npm.arg("--prefix").arg(folder).arg(format!("{name}@{version}"));
        run(&mut npm, INSTALL_LIMIT)?;
        // Written last, so that half an installation is not taken for a whole one.
        fs::write(&stamp, version).map_err(|error| format!("{}: {error}", stamp.display()))
    };
    install().map_err(|error| Missing(format!("the package {name} could not be installed: {error}")))
}

/// Installs with npm what the lock file among `files` says, in a folder to which they are copied: Node looks for the
/// packages of a program where that is.
pub(crate) fn npm_ci(from: &Path, files: &[&str], folder: &Path) -> std::result::Result<(), Missing> {
    for program in ["node", "npm"] {
        if !works(Command::new(program).arg("--version")) {
            return Err(Missing(format!("install {program}, with Node.js 20 or newer")));
        }
    }
    let copied = fs::create_dir_all(folder)
        .and_then(|()| files.iter().try_for_each(|name| fs::copy(from.join(name), folder.join(name)).map(drop)));
    copied.map_err(|error| Missing(format!("{}: {error}", folder.display())))?;
    let mut npm = Command::new("npm");
    npm.current_dir(folder).args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]);
    run(&mut npm, INSTALL_LIMIT).map_err(|error| Missing(format!("packages of npm could not be installed: {error}")))
}

/// Finds a C++ compiler, or installs it.
pub(crate) fn cxx() -> std::result::Result<(), Missing> {
    // As the crate `cc` finds one.
    let named = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    if works(Command::new(named).arg("--version")) {
        return Ok(());
    }
    apt(&["g++"], "install a C++ compiler (Debian: g++)")
}

/// Finds libwebsockets with what C needs of it, or installs it; returns its version.
pub(crate) fn libwebsockets() -> std::result::Result<String, Missing> {
    let find = || {
        let version =
            output(Command::new("pkg-config").args(["--modversion", "libwebsockets"]), Duration::from_secs(10));
        version.ok().map(|version| version.trim().trim_end_matches('-').to_owned())
    };
    if let Some(found) = find() {
        return Ok(found);
    }
    let hint = "install libwebsockets for C (Debian: gcc libwebsockets-dev pkg-config)";
    apt(&["gcc", "libc6-dev", "libwebsockets-dev", "pkg-config"], hint)?;
    find().ok_or_else(|| Missing(hint.to_owned()))
}

/// Finds nginx, or installs it; returns the program's name.
pub(crate) fn nginx() -> std::result::Result<&'static str, Missing> {
    // Its folder is not in the search path of everybody.
    let find = || ["nginx", "/usr/sbin/nginx"].into_iter().find(|name| works(Command::new(name).arg("-v")));
    if let Some(found) = find() {
        return Ok(found);
    }
    let hint = "install nginx (Debian: nginx-light)";
    apt(&["nginx-light"], hint)?;
    find().ok_or_else(|| Missing(hint.to_owned()))
}

/// Finds strace and valgrind, or installs them: what instructions and system calls are counted with.
pub(crate) fn counters() -> std::result::Result<(), Missing> {
    let there = || {
        let has = |program, option| works(Command::new(program).arg(option));
        has("strace", "--version") && has("valgrind", "--version") && has("vgdb", "-h")
    };
    if there() {
        return Ok(());
    }
    let hint = "install strace and valgrind with its vgdb (Debian: apt-get install strace valgrind)";
    apt(&["strace", "valgrind"], hint)?;
    if there() { Ok(()) } else { Err(Missing(hint.to_owned())) }
}

/// Finds curl, or installs it.
pub(crate) fn curl() -> std::result::Result<(), Missing> {
    if works(Command::new("curl").arg("--version")) {
        return Ok(());
    }
    apt(&["curl"], "install curl (Debian: curl)")
}

/// Finds what the tests of the command and of its broker need, or installs it: curl, nats-server, and for networks of
/// their own unshare and ip.
pub(crate) fn command_tests() -> std::result::Result<(), Missing> {
    curl()?;
    nats_server()?;
    if works(Command::new("unshare").arg("--version")) && works(Command::new("ip").arg("-V")) {
        return Ok(());
    }
    apt(&["util-linux", "iproute2"], "install unshare and ip (Debian: apt-get install util-linux iproute2)")
}

/// Finds nats-server, or installs it.
pub(crate) fn nats_server() -> std::result::Result<(), Missing> {
    // Its folder is not in the search path of everybody.
    if ["nats-server", "/usr/sbin/nats-server"].iter().any(|name| works(Command::new(name).arg("--version"))) {
        return Ok(());
    }
    apt(&["nats-server"], "install nats-server 2.9 or newer (Debian: nats-server)")
}

/// Finds the programs that files are taken with, or installs them.
pub(crate) fn file_clients() -> std::result::Result<(), Missing> {
    let there = |tool: &&str| works(Command::new(tool).arg("--version"));
    // Debian has these two, and nothing else does.
    if let Some(missing) = ["apt-get", "dpkg-deb"].iter().find(|tool| !there(tool)) {
        return Err(Missing(format!("{missing} is on Debian and its kin alone")));
    }
    nginx()?;
    if ["wget", "aria2c"].iter().all(there) {
        return Ok(());
    }
    apt(&["wget", "aria2"], "install wget and aria2c (Debian: apt-get install wget aria2)")
}

/// Finds slowhttptest, iproute2's ip, nats-server, nginx and haproxy, or installs them: for the cases of the faults suite
/// that attack with slow clients, that cut a cable, that have a broker, and that come through a proxy.
pub(crate) fn faults() -> std::result::Result<(), Missing> {
    // Not by starting it: slowhttptest has no option that ends well.
    if !works(Command::new("sh").args(["-c", "command -v slowhttptest && command -v ip"])) {
        let hint = "install slowhttptest and ip (Debian: apt-get install slowhttptest iproute2)";
        apt(&["slowhttptest", "iproute2"], hint)?;
    }
    nats_server()?;
    proxies()
}

/// Finds nginx and haproxy, or installs them.
pub(crate) fn proxies() -> std::result::Result<(), Missing> {
    nginx()?;
    // Its folder is not in the search path of everybody.
    if ["haproxy", "/usr/sbin/haproxy"].iter().any(|name| works(Command::new(name).arg("-v"))) {
        return Ok(());
    }
    apt(&["haproxy"], "install haproxy (Debian: haproxy)")
}

/// Finds the proxies that the documentation shows, with curl, or installs them.
pub(crate) fn fronts() -> std::result::Result<(), Missing> {
    proxies()?;
    curl()?;
    if works(Command::new("caddy").arg("version")) {
        return Ok(());
    }
    apt(&["caddy"], "install caddy (Debian: caddy)")
}

/// Finds Prometheus with promtool, and curl, or installs them.
pub(crate) fn prometheus() -> std::result::Result<(), Missing> {
    curl()?;
    if ["prometheus", "promtool"].iter().all(|tool| works(Command::new(tool).arg("--version"))) {
        return Ok(());
    }
    apt(&["prometheus"], "install prometheus with promtool (Debian: prometheus)")
}

/// Finds systemd, and what starts it in namespaces and installs a package there, or installs it.
pub(crate) fn systemd() -> std::result::Result<(), Missing> {
    let is_root = output(Command::new("id").arg("-u"), Duration::from_secs(10)).is_ok_and(|id| id.trim() == "0");
    if !cfg!(target_os = "linux") || !is_root || !works(Command::new("dpkg").arg("--version")) {
        return Err(Missing("a systemd of its own takes root, on Debian or its kin".to_owned()));
    }
    command_tests()?;
    let files = ["/lib/systemd/systemd", "/usr/bin/deb-systemd-helper", "/bin/kill"];
    let there = files.iter().all(|file| Path::new(file).exists()) && works(Command::new("setpriv").arg("--version"));
    if !there {
        let hint = "install systemd (Debian: apt-get install systemd init-system-helpers procps util-linux)";
        apt(&["systemd", "init-system-helpers", "procps", "util-linux"], hint)?;
    }
    let mut namespaces = Command::new("unshare");
    // As the tests ask for them, with something mounted there.
    namespaces.args(["--pid", "--mount", "--uts", "--ipc", "--net", "--cgroup", "--fork", "mount"]);
    match works(namespaces.args(["-t", "tmpfs", "tmpfs", "/run"])) {
        true => Ok(()),
        false => {
            Err(Missing("a systemd of its own takes namespaces, which this machine does not let root have".to_owned()))
        }
    }
}

/// Finds tinyproxy and dante, by which clients reach servers, or installs them.
pub(crate) fn client_proxies() -> std::result::Result<(), Missing> {
    // Their folder is not in the search path of everybody.
    let there =
        |tool: &&str| works(Command::new("sh").args(["-c", &format!("PATH=$PATH:/usr/sbin command -v {tool}")]));
    if ["tinyproxy", "danted"].iter().all(there) {
        return Ok(());
    }
    apt(&["tinyproxy-bin", "dante-server"], "install tinyproxy and dante (Debian: tinyproxy-bin dante-server)")
}

/// wscat, beside which the client in the terminal is.
const WSCAT_VERSION: &str = "6.1.0";

/// Finds wscat below the folder for tools, or installs it there; returns its folder.
pub(crate) fn wscat(project: &Project) -> std::result::Result<PathBuf, Missing> {
    let tools = project.target.join("tools").join("wscat");
    npm_package(&tools, "wscat", WSCAT_VERSION)?;
    Ok(tools.join("node_modules").join("wscat"))
}

/// Finds pebble with its DNS server, or installs both.
pub(crate) fn pebble() -> std::result::Result<(), Missing> {
    // Not by starting them: neither has an option that ends well.
    if works(Command::new("sh").args(["-c", "command -v pebble && command -v pebble-challtestsrv"])) {
        return Ok(());
    }
    apt(&["pebble"], "install pebble with pebble-challtestsrv (Debian: pebble)")
}

/// Finds a python3 that can make virtual environments, or installs it.
pub(crate) fn python3() -> std::result::Result<(), Missing> {
    if works(Command::new("python3").args(["-c", "import venv, ensurepip"])) {
        return Ok(());
    }
    apt(&["python3", "python3-venv"], "install Python 3 with its venv module (Debian: python3-venv)")
}

/// Finds CPython 2.7, or installs it; returns the program's name.
pub(crate) fn python2() -> std::result::Result<&'static str, Missing> {
    python2_as(["python2.7", "/usr/bin/python2.7"], "install CPython 2.7 as python2.7 (Debian: from bullseye)")
}

/// Finds PyPy 2.7, or installs it; returns the program's name.
pub(crate) fn pypy2() -> std::result::Result<&'static str, Missing> {
    python2_as(["pypy", "/usr/bin/pypy"], "install PyPy 2.7 as pypy (Debian: from bullseye)")
}

/// Finds a Python 2.7 by one of its names, the first of which is that of the package to install it from.
fn python2_as(names: [&'static str; 2], hint: &str) -> std::result::Result<&'static str, Missing> {
    let script = "import sys; sys.exit(sys.version_info[:2] != (2, 7))";
    let find = || names.into_iter().find(|name| works(Command::new(name).args(["-c", script])));
    if let Some(found) = find() {
        return Ok(found);
    }
    may_install(hint)?;
    add_python2_release().map_err(|error| Missing(format!("{hint}: {error}")))?;
    apt(&names[..1], hint)?;
    find().ok_or_else(|| Missing(hint.to_owned()))
}

/// Finds a program of crates.io in `tools` below the target folder, or builds it there; returns the program.
pub(crate) fn cargo_tool(
    project: &Project,
    name: &str,
    version: &str,
    options: &[&str],
) -> std::result::Result<PathBuf, Missing> {
    let tools = project.target.join("tools");
    let program = tools.join("bin").join(name);
    let found = output(Command::new(&program).arg("--version"), Duration::from_secs(30));
    if found.is_ok_and(|found| found.trim().ends_with(version)) {
        return Ok(program);
    }
    println!("installing {name} {version} in {}", tools.display());
    // Its build is needed once, and is not to be mixed with that of the workspace.
    let build = tools.join("build").join(name);
    let mut cargo = project.cargo();
    cargo.args(["install", "--quiet", "--locked", "--version", version, name, "--root"]).arg(&tools).args(options);
    cargo.env("CARGO_TARGET_DIR", &build).env("CARGO_PROFILE_DEV_DEBUG", "0");
    run(&mut cargo, CARGO_LIMIT).map_err(|error| Missing(format!("{name} could not be installed: {error}")))?;
    let _ = fs::remove_dir_all(build);
    Ok(program)
}

fn apt(packages: &[&str], hint: &str) -> std::result::Result<(), Missing> {
    may_install(hint)?;
    println!("installing {} with apt-get", packages.join(", "));
    let command = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq").args(arguments);
        run(command.stdout(std::process::Stdio::null()), INSTALL_LIMIT)
    };
    command(&["update"])
        .and_then(|()| command(&[&["install", "-y", "--no-install-recommends"], packages].concat()))
        .map_err(|error| Missing(format!("{hint}: {error}")))
}

fn may_install(hint: &str) -> std::result::Result<(), Missing> {
    let root = || output(Command::new("id").arg("-u"), Duration::from_secs(10)).is_ok_and(|id| id.trim() == "0");
    if Path::new("/etc/debian_version").exists() && works(Command::new("apt-get").arg("--version")) && root() {
        return Ok(());
    }
    Err(Missing(hint.to_owned()))
}

/// Adds Debian's bullseye beside the release in use, from the same mirror, unless it is there already.
fn add_python2_release() -> Result<()> {
    // Without a dot: apt takes what follows one for an extension, and ignores preferences with a strange one.
    let name = format!("{PYTHON2_RELEASE}-for-python2");
    let source = Path::new(SOURCES).join(format!("{name}.sources"));
    if source.exists() {
        return Ok(());
    }
    let release = fs::read_to_string("/etc/os-release").map_err(|error| format!("/etc/os-release: {error}"))?;
    let codename = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap_or_default();
    let stanza = fs::read_dir(SOURCES)
        .map_err(|error| format!("{SOURCES}: {error}"))?
        .filter_map(|entry| Some(entry.ok()?.path()).filter(|path| path.extension().is_some_and(|e| e == "sources")))
        .filter_map(|path| fs::read_to_string(path).ok())
        .find_map(|text| stanza_for(&text, codename, PYTHON2_RELEASE))
        .ok_or_else(|| {
            format!("no deb822 file in {SOURCES} has the suite {codename:?}, so there is nothing to copy")
        })?;
    println!("adding Debian's {PYTHON2_RELEASE} to apt as {}, for Python 2.7 alone", source.display());
    // The pin comes first: without it the release must not become visible.
    let pin = format!("Package: *\nPin: release n={PYTHON2_RELEASE}\nPin-Priority: {LAST_RESORT}\n");
    fs::write(Path::new(PREFERENCES).join(&name), pin).map_err(|error| format!("{PREFERENCES}/{name}: {error}"))?;
    fs::write(&source, stanza).map_err(|error| format!("{}: {error}", source.display()))
}

/// The stanza of the deb822 text `sources` that carries the suite `from`, rewritten to carry only the suite `to`.
fn stanza_for(sources: &str, from: &str, to: &str) -> Option<String> {
    let suites = |line: &str| line.strip_prefix("Suites:").map(|value| value.split_whitespace().any(|s| s == from));
    let stanza = sources.split("\n\n").find(|stanza| stanza.lines().any(|line| suites(line) == Some(true)))?;
    let lines = stanza.lines().filter(|line| !line.starts_with('#'));
    let lines = lines.map(|line| if suites(line).is_some() { format!("Suites: {to}\n") } else { format!("{line}\n") });
    Some(lines.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_the_stanza_of_the_release_in_use() {
        let check = |from, expected: Option<&str>| {
            let sources = "Types: deb\n# a comment\nURIs: http://mirror.example/debian-security\nSuites: trixie-security\n\n\
                           Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie trixie-updates\nComponents: main\n";
            assert_eq!(stanza_for(sources, from, "bullseye").as_deref(), expected, "{from}");
        };
        let main = "Types: deb\nURIs: http://mirror.example/debian\nSuites: bullseye\nComponents: main\n";
        check("trixie", Some(main));
        check("trixie-updates", Some(main));
        check("bookworm", None);
        check("", None);
    }
}
