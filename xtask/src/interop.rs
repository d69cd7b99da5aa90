//! The tests against programs of others: `websockets` and `centrifuge-python` of Python, which are installed for them in
//! an environment of its own below cargo's target folder, as is centrifuge-js with npm, curl, and those that people take
//! files with. What they test is in the package; here is only what they need.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
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

/// The module of those that need proxies alone.
const PROXIES: &str = "proxies";

/// That of those that need what clients go through, and wscat, whose folder is in the variable.
const CONNECT: &str = "connect::";
const WSCAT: &str = "INTEROP_WSCAT";

/// That of those that need Prometheus.
const PROMETHEUS: &str = "prometheus::";

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
        Err(missing) => Outcome { suite: suite.to_owned(), result: Err(missing) },
    };
    let with_python = python(project).map(|python| {
        let mut cargo = test(
            &[FILE_CLIENTS, CURL, PROXIES, PROMETHEUS, ACME, CONNECT, CENTRIFUGE_JS]
                .map(|name| ["--skip", name])
                .concat(),
        );
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
    vec![
        outcome("Python's websockets and centrifuge-python", with_python),
        outcome("centrifuge-js", with_node),
        outcome("curl", install::curl().map(|()| test(&[CURL]))),
        outcome("apt-get, wget, aria2c and nginx", install::file_clients().map(|()| test(&[FILE_CLIENTS]))),
        outcome("haproxy and nginx in front", install::proxies().map(|()| test(&[PROXIES]))),
        outcome("promtool", install::promtool().map(|()| test(&[PROMETHEUS]))),
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
