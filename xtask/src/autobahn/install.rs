//! The suite itself, in a Python 2.7 environment of its own below cargo's target folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::Result;
use crate::install::{self, INSTALL_LIMIT, Missing};
use crate::process::{output, run};
use crate::project::Project;

const REQUIREMENTS: &str = include_str!("../../../autobahn/requirements.txt");

/// The last release that can make environments for Python 2.7.
const VIRTUALENV: &str = "virtualenv<20.22";

/// An installed suite.
pub(super) struct Suite {
    /// Where everything about the suite is kept.
    pub(super) folder: PathBuf,
    /// As the suite reports it.
    pub(super) version: String,
    /// What starts the suite.
    driver: PathBuf,
    /// Where the suite's packages are.
    packages: PathBuf,
    cpython: PathBuf,
    pypy: PathBuf,
}

impl Suite {
    /// A command that starts the suite in `role`, with the settings in a file. It is PyPy, unless TLS is needed.
    pub(super) fn command(&self, role: &str, settings: &Path, tls: bool) -> Command {
        let mut command = python(if tls { &self.cpython } else { &self.pypy });
        command.arg(&self.driver).arg(&self.packages).arg(role).arg(settings);
        command
    }
}

/// Finds the suite, or installs it. Installs nothing if it is there as the requirements say.
pub(super) fn suite(project: &Project) -> std::result::Result<Suite, Missing> {
    let pypy = install::pypy2()?;
    let folder = project.target.join("autobahn");
    let environment = folder.join("python2.7");
    let cpython = environment.join("bin").join("python");
    // Written last, so that half an installation is not taken for a whole one.
    let stamp = folder.join("installed-requirements.txt");
    let there = fs::read_to_string(&stamp).is_ok_and(|installed| installed == REQUIREMENTS);
    let version = match version(&cpython) {
        Ok(version) if there => version,
        _ => {
            install::python3()?;
            let python2 = install::python2()?;
            let installed = make_environment(&folder, &environment, python2).and_then(|()| {
                fs::write(&stamp, REQUIREMENTS).map_err(|error| format!("{}: {error}", stamp.display()))?;
                version(&cpython)
            });
            installed.map_err(|error| Missing(format!("the Autobahn test suite could not be installed: {error}")))?
        }
    };
    let driver = project.root.join("autobahn").join("drive.py");
    let packages = environment.join("lib").join("python2.7").join("site-packages");
    Ok(Suite { folder, version, driver, packages, cpython, pypy: pypy.into() })
}

fn make_environment(folder: &Path, environment: &Path, python2: &str) -> Result<()> {
    println!("installing the Autobahn test suite in {}", folder.display());
    let tools = folder.join("python3");
    for stale in [&tools, environment] {
        let _ = fs::remove_dir_all(stale);
    }
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS).map_err(|error| format!("{}: {error}", requirements.display()))?;

    let pip = |python: &Path| {
        let mut command = self::python(python);
        command.env("PIP_NO_PYTHON_VERSION_WARNING", "1");
        command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        command
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(&tools), INSTALL_LIMIT)?;
    let python3 = tools.join("bin").join("python");
    run(pip(&python3).arg(VIRTUALENV), INSTALL_LIMIT)?;
    let mut virtualenv = Command::new(&python3);
    virtualenv.args(["-m", "virtualenv", "--quiet", "--python", python2]).arg(environment);
    run(&mut virtualenv, INSTALL_LIMIT)?;
    run(pip(&environment.join("bin").join("python")).arg("--requirement").arg(&requirements), INSTALL_LIMIT)
}

fn version(python_path: &Path) -> Result<String> {
    let script = "import autobahntestsuite; print(autobahntestsuite.__version__)";
    let text = output(python(python_path).args(["-c", script]), Duration::from_secs(60))?;
    Ok(text.trim().to_owned())
}

/// A Python that is silent about its age, ignores its own settings in the environment (those of pip still hold), and
/// writes no bytecode: two kinds of Python share the packages.
fn python(path: &Path) -> Command {
    let mut command = Command::new(path);
    command.args(["-E", "-B", "-W", "ignore"]);
    command
}
