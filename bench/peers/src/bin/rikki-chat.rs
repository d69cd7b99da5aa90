//! rikki's example of a chat, as it is, on one thread.

use peers::Result;

#[path = "../../../../crates/rikki/examples/chat.rs"]
#[allow(dead_code, reason = "it has a `main` of its own")]
mod example;

fn main() -> Result<()> {
    peers::run_rikki(example::server()?)
}
