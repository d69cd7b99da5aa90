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
#[cfg(unix)]
mod reload;
mod running;
#[cfg(target_os = "linux")]
mod screen;
mod tokens;
mod topics;
