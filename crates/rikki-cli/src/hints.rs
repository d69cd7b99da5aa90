//! Which flag would let in what is refused: what the library says in the names of its methods.

use rikki::Hint;

/// A flag as it can be given to a shell.
pub(crate) fn flag(hint: Hint<'_>) -> String {
    match hint.value {
        Some(value) => format!("--{} {}", hint.setting, quoted(value)),
        None => format!("--{}", hint.setting),
    }
}

/// What cannot be quoted simply is not offered: the value that allows all is.
fn quoted(value: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/".contains(&byte);
    match value {
        _ if value.bytes().all(is_plain) => value.to_owned(),
        _ if value.contains('\'') => "'*'".to_owned(),
        _ => format!("'{value}'"),
    }
}

#[cfg(test)]
mod tests {
    use rikki::Server;

    use super::*;

    #[test]
    fn values_are_quoted_for_a_shell() {
        let check = |value: &str, expected: &str| assert_eq!(quoted(value), expected);
        check("https://evil.test:444", "https://evil.test:444");
        check("null", "null");
        check("evil.test", "evil.test");
        check("[2001:db8::1]", "'[2001:db8::1]'");
        check("capacitor://localhost", "capacitor://localhost");
        check("file://", "file://");
        check("https://a.test/b?c", "'https://a.test/b?c'");
        check("; sudo x", "'; sudo x'");
        check("$(x)", "'$(x)'");
        check("*", "'*'");
        check("a'; sudo x '", "'*'");
    }

    /// What a hint may name is a limit, or one of the flags that are no limit.
    #[test]
    fn limits_are_named_as_their_flags() {
        for name in ["max-head", "max-headers"] {
            assert!(Server::limits().any(|limit| limit.name == name), "{name}");
        }
    }
}
