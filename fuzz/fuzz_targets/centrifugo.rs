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
    // Whatever a message is, it is one line of JSON in a publication, and says the same there.
    let value = value(text);
    assert!(!value.contains('\n'), "{value:?}");
    match (serde_json::from_str::<Value>(text), serde_json::from_str::<Value>(&value)) {
        (Ok(said), Ok(value)) if said == value => {}
        // Too deep, or no JSON.
        (_, Ok(value)) if value == text => {}
        // JSON that is more than a value takes here, such as a large number.
        (Err(_), Err(_)) => {}
        (said, value) => panic!("{said:?} {value:?}"),
    }
});
