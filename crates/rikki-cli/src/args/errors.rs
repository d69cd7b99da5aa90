//! What is wrong with a command line, in one line.

use std::fmt;

use clap::error::{Error, ErrorKind};

use super::Request;

/// What is wrong with a command line, in one line: exit code 2.
#[derive(Debug, PartialEq)]
pub(crate) struct UsageError(pub(crate) String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (try --help)", self.0)
    }
}

impl std::error::Error for UsageError {}

/// What clap has to say is for stdout, or an error.
pub(super) fn shown(error: &Error) -> Result<Request, UsageError> {
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(Request::Print(text)),
        _ => Err(UsageError(one_line(&text))),
    }
}

/// What clap says over several lines, without its prefix, the usage below it, and the advice that what is no flag may be
/// a value, which hardly anybody wants.
pub(crate) fn one_line(report: &str) -> String {
    let report = report.strip_prefix("error: ").unwrap_or(report);
    let lines = report.lines().take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let lines = lines.map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("tip: to pass "));
    lines.collect::<Vec<_>>().join(" ").replace(" tip: ", "; ")
}
