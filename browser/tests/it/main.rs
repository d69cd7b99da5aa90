//! The `rikki` binary as a real browser sees it: Chromium, driven through chromedriver, against the built command.
//!
//! The page of an example of the library is shown by the example itself.
//!
//! Needs `chromium` and `chromedriver` (Debian: packages `chromium` and `chromium-driver`). What goes over the wire is
//! tested elsewhere; here is only what takes a browser to see.

mod admin;
mod browser;
mod centrifugo;
mod chat;
mod files;
mod layout;
mod listing;
mod page;
mod proxy;
mod rikki_js;
mod scratch;
mod screenshots;
mod server;
mod snippets;
mod test_page;
mod tester;
mod topics;
mod trouble;
