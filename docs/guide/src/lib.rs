//! The chapters of the guide, whose code `cargo test` compiles, and runs where nothing has to listen.
#![doc(test(attr(deny(deprecated, unused_imports, unused_must_use))))]

/// Chapters are there for rustdoc alone, when it looks for tests.
macro_rules! chapters {
    ($($name:ident = $file:literal),+ $(,)?) => {$(
        #[cfg(doctest)]
        #[doc = include_str!(concat!("../", $file))]
        mod $name {}
    )+};
}

chapters! {
    index = "README.md",
    first_server = "first-server.md",
    rooms = "rooms.md",
    authentication = "authentication.md",
    backpressure = "backpressure.md",
    clients = "clients.md",
    testing = "testing.md",
    deployment = "deployment.md",
    runtime = "runtime.md",
    moving = "moving.md",
    axum_to_rikki = "axum-to-rikki.md",
}
