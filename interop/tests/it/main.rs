//! The `rikki` command, rikki's client and its server against programs of others: `websockets` of Python, with
//! compression of every kind, curl, the clients of Centrifugo, those that people take files with, proxies in front and
//! on the way, wscat, an authority of ACME, and Prometheus' judge of metrics.
//!
//! `cargo xtask interop` runs these tests: it installs the programs and names the interpreter that has the library.

mod acme;
mod centrifuge_js;
mod centrifugo;
mod connect;
mod curl;
mod file_clients;
mod prometheus;
mod proxies;
mod python;
mod server;
mod their_client;
mod their_server;
mod topics;
