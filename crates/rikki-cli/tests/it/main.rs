//! The command, as its users run it.

mod certificates;
mod config;
mod connect;
mod files;
mod flags;
#[cfg(target_os = "linux")]
mod log;
mod process;
mod readme;
mod running;
mod tokens;
mod topics;
