//! A session on a terminal: what that tells by signals, and giving it back at the end.

use std::future::poll_fn;
use std::time::Duration;

use tokio::time::timeout;

use super::session::Session;
use super::signals::Asked;
use super::terminal::{self, Raw};

/// How long the last words may take to be written, where somebody has stopped the terminal.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Session {
    /// What the terminal has told by a signal.
    pub(super) async fn obey_terminal(&mut self, asked: &Asked, terminal: Option<&Raw>) {
        let Some(terminal) = terminal else { return };
        match asked {
            Asked::Stopped if terminal::can_stop() => {
                self.output.set_row(terminal::END.to_owned());
                self.write_last().await;
                terminal.stop();
            }
            Asked::Continued => {
                // It cannot be had where another program has it.
                let _ = terminal.again();
                self.output.push(terminal::BEGIN.as_bytes());
            }
            _ => {}
        }
        self.input.set_columns(terminal::columns());
    }

    /// Gives the last row back, and takes what is still being typed: none of it is for the shell.
    pub(super) async fn leave_screen(&mut self) {
        let unfinished = self.input.drain().await;
        match (self.unsent_lines(), unfinished.as_str()) {
            (0, "") => {}
            (0, text) => self.output.show_report(&format!("not sent: {text}")),
            (lines, "") => self.output.show_report(&format!("not sent: {}", counted(lines))),
            (lines, text) => self.output.show_report(&format!("not sent: {}, and {text}", counted(lines))),
        }
        self.output.set_row(terminal::END.to_owned());
        self.write_last().await;
    }

    /// What was to be sent and will not be, as lines that were entered.
    fn unsent_lines(&self) -> usize {
        self.input.waiting() + usize::from(self.next.is_some()) + usize::from(self.asked.is_some())
    }

    async fn write_last(&mut self) {
        let written = poll_fn(|cx| self.output.poll_write(cx).map(drop));
        // It may be stopped.
        let _ = timeout(LAST_WORDS, written).await;
    }
}

fn counted(lines: usize) -> String {
    if lines == 1 { "1 line".to_owned() } else { format!("{lines} lines") }
}
