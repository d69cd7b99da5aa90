//! The terminal while lines are edited on it: keys come as they are typed, and the shell gets it back as it was.

use std::io::{self, IsTerminal as _};

use rustix::process::{Signal, getpid, getppid, getsid, kill_process};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, tcflush, tcgetattr,
    tcgetwinsize, tcsetattr,
};

/// What a terminal is told so that pastes are told apart from what is typed, and that it is over.
pub(super) const BEGIN: &str = "\x1b[?2004h";
pub(super) const END: &str = "\x1b[?2004l";

/// Stands for a key that does nothing: `_POSIX_VDISABLE`.
const NO_KEY: u8 = if cfg!(any(target_os = "linux", target_os = "android")) { 0 } else { 0xff };

/// The width where a terminal does not tell.
const COLUMNS: usize = 80;

/// Whether lines can be edited: where people type and read, on a terminal that knows how to move its cursor.
pub(super) fn is_for_people() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal.is_empty() || terminal == "dumb");
    io::stdin().is_terminal() && io::stdout().is_terminal() && !is_dumb
}

/// How many columns it has.
pub(super) fn columns() -> usize {
    let columns = tcgetwinsize(stdout()).map_or(0, |size| usize::from(size.ws_col));
    if columns == 0 { COLUMNS } else { columns }
}

/// Whether there is a shell that would let the process go on: nobody would where that is not of the same session.
pub(super) fn can_stop() -> bool {
    match (getppid().map(|parent| getsid(Some(parent))), getsid(None)) {
        (Some(Ok(theirs)), Ok(ours)) => theirs == ours,
        _ => false,
    }
}

/// Drops what was typed and not read, where lines are the terminal's own: the shell would take it for a command.
pub(super) fn forget_typed() {
    if io::stdin().is_terminal() {
        let _ = tcflush(stdin(), QueueSelector::IFlush);
    }
}

/// Without echo and lines of its own; dropping it gives the terminal back.
pub(super) struct Raw {
    usual: Termios,
}

impl Raw {
    pub(super) fn enter() -> io::Result<Self> {
        let raw = Self { usual: tcgetattr(stdin())? };
        raw.again()?;
        Ok(raw)
    }

    /// After somebody else had the terminal.
    pub(super) fn again(&self) -> io::Result<()> {
        let mut modes = self.usual.clone();
        // Ctrl-C and Ctrl-Z stay signals. IXON would have Ctrl-S stop all output, and nobody knows how to go on.
        modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::IEXTEN;
        modes.input_modes -= InputModes::ICRNL | InputModes::INLCR | InputModes::IGNCR | InputModes::IXON;
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        // Ctrl-\ would end the process, and leave the terminal as it is.
        modes.special_codes[SpecialCodeIndex::VQUIT] = NO_KEY;
        Ok(tcsetattr(stdin(), OptionalActions::Now, &modes)?)
    }

    /// As it was, without what was typed and not read: the shell would take it for a command.
    pub(super) fn leave(&self) {
        // Nobody is left to tell.
        let _ = tcsetattr(stdin(), OptionalActions::Flush, &self.usual);
    }

    /// Stops the process, as Ctrl-Z does, until it is told to go on.
    pub(super) fn stop(&self) {
        self.leave();
        let _ = kill_process(getpid(), Signal::STOP);
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Nobody has written it, and stdout is locked by its thread.
            let _ = rustix::io::write(stdout(), END.as_bytes());
        }
        self.leave();
    }
}
