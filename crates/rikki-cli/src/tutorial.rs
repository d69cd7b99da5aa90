//! The Mongoose tutorial's spelling of the flags, `-url URL -cert FILE -key FILE -ca FILE`, turned into ours.
//!
//! This is a pass over the arguments before clap sees them. What follows `--`, and what is the value of another flag,
//! is left as it is.

use std::ffi::OsString;

use clap::{Arg, Command};

const SPELLINGS: [(&str, &str); 4] = [("-url", "--listen"), ("-cert", "--cert"), ("-key", "--key"), ("-ca", "--ca")];

/// Rewrites the tutorial's flags of a command line, the program's name first. The command says which flags take a
/// value.
pub(crate) fn rewrite(args: impl IntoIterator<Item = OsString>, command: &Command) -> Vec<OsString> {
    let mut args = args.into_iter();
    let mut rewritten: Vec<OsString> = args.next().into_iter().collect();
    while let Some(arg) = args.next() {
        if arg == "--" {
            rewritten.push(arg);
            break;
        }
        match SPELLINGS.iter().find(|(theirs, _)| arg == *theirs) {
            Some((_, ours)) => rewritten.push(with_value(ours, args.next())),
            None if takes_value(&arg, command) => rewritten.extend([arg].into_iter().chain(args.next())),
            None => rewritten.push(arg),
        }
    }
    rewritten.extend(args);
    rewritten
}

/// Joined by `=`, so that a value may begin with a dash, as it may in the tutorial. Without one clap names the flag.
fn with_value(flag: &str, value: Option<OsString>) -> OsString {
    let mut arg = OsString::from(flag);
    if let Some(value) = value {
        arg.push("=");
        arg.push(value);
    }
    arg
}

fn takes_value(arg: &OsString, command: &Command) -> bool {
    let Some(arg) = arg.to_str() else { return false };
    let is_named = |flag: &Arg| match arg.strip_prefix("--") {
        Some(name) => flag.get_long() == Some(name),
        None => flag.get_short().is_some_and(|letter| arg.strip_prefix('-') == Some(letter.encode_utf8(&mut [0; 4]))),
    };
    command.get_arguments().any(|flag| {
        // One that is joined by `=` leaves what follows alone.
        is_named(flag) && flag.get_action().takes_values() && !flag.is_require_equals_set()
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::Args;

    #[test]
    fn spellings() {
        let check = |args: &str, expected: &str| {
            let args = args.split(' ').map(OsString::from);
            assert_eq!(rewrite(args, &Args::command()).join(" ".as_ref()), OsString::from(expected));
        };
        check("rikki", "rikki");
        check("-url", "-url");
        check("rikki -url ws://[::]:8000", "rikki --listen=ws://[::]:8000");
        check("rikki -cert c -key k -ca a www", "rikki --cert=c --key=k --ca=a www");
        check("rikki -url a -url b", "rikki --listen=a --listen=b");
        check("rikki -url", "rikki --listen");
        // A value stays a value.
        check("rikki -cert -key -key -url", "rikki --cert=-key --key=-url");
        check("rikki -url -- -url a", "rikki --listen=-- --listen=a");
        check("rikki --log -url -url a", "rikki --log -url --listen=a");
        check("rikki --log=x -url a", "rikki --log=x --listen=a");
        check("rikki -p -url -url a", "rikki -p -url --listen=a");
        check("rikki -q -p9 -url a", "rikki -q -p9 --listen=a");
        check("rikki --compat-echo -url a", "rikki --compat-echo --listen=a");
        check("rikki www -url a", "rikki www --listen=a");
        // Ours, and what is nobody's.
        check("rikki --url a -urls -URL -url=a", "rikki --url a -urls -URL -url=a");
        check("rikki -- -url a", "rikki -- -url a");
        check("rikki -url a -- -cert", "rikki --listen=a -- -cert");
        check("rikki --log -- -url a", "rikki --log -- --listen=a");
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_not_unicode() {
        use std::os::unix::ffi::OsStringExt;

        let odd = OsString::from_vec(vec![b'-', 0xff]);
        let args = ["rikki".into(), odd.clone(), "-cert".into(), odd.clone()];
        let mut joined = OsString::from("--cert=");
        joined.push(&odd);
        assert_eq!(rewrite(args, &Args::command()), ["rikki".into(), odd, joined]);
    }
}
