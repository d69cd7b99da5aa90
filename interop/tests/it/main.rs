//! The `rikki` command and rikki's client against programs of others: `websockets` of Python, with compression of every
//! kind, curl, and those that people take files with.
//!
//! `cargo xtask interop` runs these tests: it installs the programs and names the interpreter that has the library.

mod curl;
mod file_clients;
mod python;
mod server;
mod their_client;
mod their_server;
mod topics;
