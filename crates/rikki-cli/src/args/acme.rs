//! Flags for certificates that an authority issues.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::{TLS, UsageError};

/// For which names, by whom, and where they are kept.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct AcmeArgs {
    /// Get and renew a certificate for NAME by ACME, which means to agree to the terms of the authority
    #[arg(long = "acme", value_name = "NAME", group = "certificate", help_heading = TLS)]
    pub(crate) names: Vec<String>,
    /// Address that the ACME authority may write to
    #[arg(long = "acme-email", value_name = "ADDRESS", requires = "names", help_heading = TLS)]
    pub(crate) email: Option<String>,
    /// URL of the directory of the ACME authority [default: that of Let's Encrypt]
    #[arg(long = "acme-directory", value_name = "URL", requires = "names", help_heading = TLS)]
    pub(crate) directory: Option<String>,
    /// File with the authorities that are trusted when the ACME directory is asked, PEM, for a private one
    #[arg(long = "acme-ca", value_name = "FILE", requires = "names", help_heading = TLS)]
    pub(crate) directory_ca: Option<PathBuf>,
    /// Folder in which the account, certificates and keys of ACME are kept [default: of the user]
    #[arg(long = "acme-state", value_name = "DIR", requires = "names", help_heading = TLS)]
    pub(crate) state: Option<PathBuf>,
}

impl AcmeArgs {
    /// What the library is told. `variable` is of the environment.
    pub(crate) fn settings(
        &self,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Option<rikki::Acme>, UsageError> {
        if self.names.is_empty() {
            return Ok(None);
        }
        let state = self.state.clone().or_else(|| default_state(variable));
        let state = state.ok_or_else(|| {
            UsageError("--acme needs --acme-state DIR, since neither STATE_DIRECTORY nor HOME is set".to_owned())
        })?;
        let mut acme = rikki::Acme::new(&self.names).state(state);
        if let Some(email) = &self.email {
            acme = acme.email(email);
        }
        if let Some(directory) = &self.directory {
            acme = acme.directory(directory);
        }
        if let Some(file) = &self.directory_ca {
            acme = acme.directory_ca(file);
        }
        Ok(Some(acme))
    }
}

/// That of systemd's unit, of which there may be several, or of the user
/// ([XDG](https://specifications.freedesktop.org/basedir-spec/latest/)).
fn default_state(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let folder = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let of_unit = variable("STATE_DIRECTORY").and_then(|all| std::env::split_paths(&all).next());
    of_unit
        .filter(|path| path.is_absolute())
        .or_else(|| folder("XDG_STATE_HOME").map(|state| state.join("rikki")))
        .or_else(|| folder("HOME").map(|home| home.join(".local/state/rikki")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_state_is() {
        let check = |variables: &[(&str, &str)], expected: Option<&str>| {
            let variable = |name: &str| variables.iter().find(|(of, _)| *of == name).map(|(_, value)| value.into());
            assert_eq!(default_state(variable), expected.map(PathBuf::from), "{variables:?}");
            let args = AcmeArgs { names: vec!["a.test".to_owned()], ..AcmeArgs::default() };
            assert_eq!(args.settings(variable).is_ok(), expected.is_some());
            let expected = rikki::Acme::new(["a.test"]).state("given");
            let args = AcmeArgs { state: Some("given".into()), ..args };
            assert_eq!(args.settings(variable), Ok(Some(expected)));
        };
        let (unit, state, home) = (("STATE_DIRECTORY", "/u:/v"), ("XDG_STATE_HOME", "/s"), ("HOME", "/h"));
        check(&[unit, state, home], Some("/u"));
        check(&[state, home], Some("/s/rikki"));
        check(&[home], Some("/h/.local/state/rikki"));
        // What is no absolute path counts as not set.
        check(&[("STATE_DIRECTORY", ""), ("XDG_STATE_HOME", "s"), home], Some("/h/.local/state/rikki"));
        check(&[("HOME", "")], None);
        check(&[], None);
        assert_eq!(AcmeArgs::default().settings(|_| None), Ok(None));
    }
}
