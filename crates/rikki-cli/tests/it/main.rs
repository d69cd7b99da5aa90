//! The command, as its users run it.

mod connect;
mod files;
mod flags;
mod process;
mod readme;
mod running;
