//! The command, as its users run it.

#[cfg(unix)]
mod admin;
#[cfg(feature = "nats")]
mod broker;
mod certificates;
mod config;
mod connect;
#[cfg(target_os = "linux")]
mod emulator;
mod files;
mod flags;
#[cfg(target_os = "linux")]
mod keyboard;
#[cfg(target_os = "linux")]
mod lan;
#[cfg(target_os = "linux")]
mod log;
mod logs;
mod process;
mod readme;
#[cfg(target_os = "linux")]
mod recipes;
#[cfg(unix)]
mod reload;
mod running;
#[cfg(target_os = "linux")]
mod screen;
#[cfg(target_os = "linux")]
mod service;
mod tokens;
mod topics;
