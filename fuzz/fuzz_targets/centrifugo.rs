//! Any text as what clients of Centrifugo send, and as what they are sent.
//!
//! Input: lines of commands, each of which is a message, too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rikki_topics::internal::{is_command, value};
use serde_json::Value;

fuzz_target!(|text: &str| {
    for line in text.split('\n') {
        // A command is an object with a number that is known, and nothing else is.
        if is_command(line)
            && let Ok(command) = serde_json::from_str::<Value>(line)
        {
            let id = command["id"].as_u64().unwrap_or(0);
            assert!(command.is_object() && id <= u64::from(u32::MAX), "{line:?}");
        }
    }
    // Whatever a message is, a publication with it is one line of JSON that says the same.
    let value = value(text);
    assert!(!value.contains('\n'), "{value:?}");
    let push = format!("{{\"push\":{{\"pub\":{{\"data\":{value},\"offset\":1}}}}}}");
    match (serde_json::from_str::<Value>(text), serde_json::from_str::<Value>(&push)) {
        (Ok(said), Ok(pushed)) if pushed["push"]["pub"]["data"] == said => {}
        // Too deep, or no JSON.
        (_, Ok(pushed)) if pushed["push"]["pub"]["data"] == text => {}
        // What is JSON may be more than a value takes here: deep, or with a large number.
        (Err(_), Err(_)) => {}
        (said, pushed) => panic!("{said:?} {pushed:?}"),
    }
});
