//! The `rikki` command and rikki's client against `websockets` of Python, with compression of every kind.
//!
//! `cargo xtask interop` runs these tests: it installs the library and names the interpreter that has it.

mod python;
mod their_client;
mod their_server;
