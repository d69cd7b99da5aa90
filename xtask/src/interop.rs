//! The tests against programs of others: `websockets` and `centrifuge-python` of Python, which are installed for them in
//! an environment of its own below cargo's target folder, as is centrifuge-js with npm, curl, and those that people take
//! files with. What they test is in the package; here is only what they need.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::deb;
use crate::install::{self, INSTALL_LIMIT, Missing};
use crate::process::{run as run_command, works};
use crate::project::Project;
use crate::suites::{Outcome, cargo_test};

/// The package of these tests.
pub(crate) const PACKAGE: &str = "interop-tests";

/// Where these tests look for the interpreter.
const VARIABLE: &str = "INTEROP_PYTHON";

const REQUIREMENTS: &str = include_str!("../../interop/requirements.txt");

/// The modules of the tests that need no Python.
const FILE_CLIENTS: &str = "file_clients::";
const CURL: &str = "curl::";

/// The modules of those that need proxies alone.
const PROXIES: &str = "proxies::";
const FRONT: &str = "front::";

/// Those of those that need Prometheus.
const PROMETHEUS: &str = "prometheus::";
const ALERTS: &str = "alerts::";

/// Those of those that need namespaces, and where they look for the package.
const SYSTEMD: &str = "systemd::";
const CONTAINER: &str = "container::";
const SYSTEMD_VARIABLE: &str = "INTEROP_DEB";

/// That of those that need what clients go through, and wscat, whose folder is in the variable.
const CONNECT: &str = "connect::";
const WSCAT: &str = "INTEROP_WSCAT";

/// That of those that need an authority, and curl.
const ACME: &str = "acme::";

/// That of those that need Node, and where they look for what npm has installed.
const CENTRIFUGE_JS: &str = "centrifuge_js::";
const CENTRIFUGE_JS_VARIABLE: &str = "INTEROP_CENTRIFUGE_JS";

/// What that is of.
const CENTRIFUGE_JS_FILES: [&str; 3] = ["clients.mjs", "package.json", "package-lock.json"];

/// Runs these tests.
pub(crate) fn run(project: &Project) -> Vec<Outcome> {
    let test = |filter: &[&str]| {
        let mut cargo = project.cargo();
        cargo.args(["test", "--no-fail-fast", "--package", PACKAGE, "--"]).args(filter);
        cargo
    };
    let outcome = |suite: &str, cargo: std::result::Result<Command, Missing>| match cargo {
        Ok(mut cargo) => cargo_test(&mut cargo, suite),
        Err(missing) => Outcome::new(suite, Err(missing)),
    };
    let with_python = python(project).map(|python| {
        let at_home = [PROMETHEUS, ALERTS, SYSTEMD, CONTAINER];
        let others = [FILE_CLIENTS, CURL, PROXIES, FRONT, ACME, CONNECT, CENTRIFUGE_JS].into_iter().chain(at_home);
        let mut cargo = test(&others.flat_map(|name| ["--skip", name]).collect::<Vec<_>>());
        cargo.env(VARIABLE, python);
        cargo
    });
    let connect = install::client_proxies().and_then(|()| install::wscat(project)).map(|wscat| {
        let mut cargo = test(&[CONNECT]);
        cargo.env(WSCAT, wscat);
        cargo
    });
    let with_node = centrifuge_js(project).map(|folder| {
        let mut cargo = test(&[CENTRIFUGE_JS]);
        cargo.env(CENTRIFUGE_JS_VARIABLE, folder);
        cargo
    });
    let in_systemd = install::systemd().and_then(|()| deb::make(project)).map(|package| {
        let mut cargo = test(&[SYSTEMD, CONTAINER]);
        cargo.env(SYSTEMD_VARIABLE, package);
        cargo
    });
    vec![
        outcome("Python's websockets and centrifuge-python", with_python),
        outcome("centrifuge-js", with_node),
        outcome("curl", install::curl().map(|()| test(&[CURL]))),
        outcome("apt-get, wget, aria2c and nginx", install::file_clients().map(|()| test(&[FILE_CLIENTS]))),
        outcome("haproxy and nginx in front", install::proxies().map(|()| test(&[PROXIES]))),
        outcome("nginx, Caddy and haproxy as documented", install::fronts().map(|()| test(&[FRONT]))),
        outcome("Prometheus", install::prometheus().map(|()| test(&[PROMETHEUS, ALERTS]))),
        outcome("the package for Debian under systemd, and containers", in_systemd),
        outcome("tinyproxy, dante and wscat", connect),
        outcome("pebble", install::curl().and_then(|()| install::pebble()).map(|()| test(&[ACME]))),
    ]
}

/// Installs the clients of Centrifugo for Node; where.
fn centrifuge_js(project: &Project) -> std::result::Result<PathBuf, Missing> {
    let folder = project.target.join("interop").join("centrifuge-js");
    let from = project.folder("interop").join("centrifugo");
    install::npm_ci(&from, &CENTRIFUGE_JS_FILES, &folder).map(|()| folder)
}

/// Finds the interpreter that has what the requirements say, or installs it.
fn python(project: &Project) -> std::result::Result<PathBuf, Missing> {
    let folder = project.target.join("interop");
    let environment = folder.join("python3");
    let python = environment.join("bin").join("python");
    // Written last, so that half an installation is not taken for a whole one.
    let stamp = folder.join("installed-requirements.txt");
    let is_there = fs::read_to_string(&stamp).is_ok_and(|installed| installed == REQUIREMENTS);
    if is_there && works(Command::new(&python).args(["-c", "import websockets, centrifuge"])) {
        return Ok(python);
    }
    install::python3()?;
    make_environment(&folder, &environment, &python)
        .and_then(|()| fs::write(&stamp, REQUIREMENTS).map_err(|error| format!("{}: {error}", stamp.display())))
        .map_err(|error| Missing(format!("what the tests need of Python could not be installed: {error}")))?;
    Ok(python)
}

fn make_environment(folder: &Path, environment: &Path, python: &Path) -> Result<()> {
    println!("installing websockets and centrifuge-python in {}", folder.display());
    let _ = fs::remove_dir_all(environment);
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS).map_err(|error| format!("{}: {error}", requirements.display()))?;
    run_command(Command::new("python3").args(["-m", "venv"]).arg(environment), INSTALL_LIMIT)?;
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(&requirements);
    run_command(&mut pip, INSTALL_LIMIT)
}
