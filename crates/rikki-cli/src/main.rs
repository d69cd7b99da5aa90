//! The rikki command.
fn main() {}
