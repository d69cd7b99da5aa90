//! The handshake, line by line: what is offered, what is answered, and what both make of it.

use http::{HeaderMap, HeaderValue};

use super::*;

fn headers(lines: &[&str]) -> HeaderMap {
    let line =
        |line: &&str| ("sec-websocket-extensions".parse().unwrap(), HeaderValue::from_bytes(line.as_bytes()).unwrap());
    lines.iter().map(line).collect()
}

/// What a server answers to a request with these lines; a `dedicated` one that compresses with 14 bits at most.
fn answer(lines: &[&str], options: &ServerOptions) -> String {
    match negotiate(&headers(lines), options) {
        Ok(Some(accepted)) => accepted.response.to_str().unwrap().to_owned(),
        Ok(None) => "declined".to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

/// `expected` is what comes after "permessage-deflate" in the answer, or what there is instead of one.
#[track_caller]
fn check_server(offer: &str, expected: &str) {
    let server = ServerOptions::dedicated(Compression::default().window_bits(14).unwrap());
    assert_eq!(answer(&[offer], &server).trim_start_matches("permessage-deflate"), expected, "{offer}");
}

#[test]
fn a_server_answers_the_parameters_it_keeps() {
    check_server("permessage-deflate", "");
    check_server("permessage-deflate; server_no_context_takeover", "; server_no_context_takeover");
    check_server("permessage-deflate; client_no_context_takeover", "; client_no_context_takeover");
    check_server("permessage-deflate; client_max_window_bits", "");
    check_server("permessage-deflate; client_max_window_bits=8", "");
    check_server("permessage-deflate; client_max_window_bits=15", "");
    check_server("permessage-deflate; server_max_window_bits=9", "; server_max_window_bits=9");
    check_server("permessage-deflate; server_max_window_bits=10", "; server_max_window_bits=10");
    check_server("permessage-deflate; server_max_window_bits=15", "; server_max_window_bits=14");
    check_server("permessage-deflate; server_max_window_bits=\"10\"", "; server_max_window_bits=10");
    check_server(r#"permessage-deflate; server_max_window_bits="1\0""#, "; server_max_window_bits=10");
    check_server("\tpermessage-deflate ;\tserver_max_window_bits = 10 ", "; server_max_window_bits=10");
    check_server(
        "permessage-deflate; client_max_window_bits; server_max_window_bits=11; client_no_context_takeover; \
         server_no_context_takeover",
        "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=11",
    );
}

#[test]
fn a_server_declines_what_it_cannot_keep() {
    for name in ["server_max_window_bits", "client_max_window_bits"] {
        for value in ["=7", "=16", "=08", "=010", "=0", "=100", "=", "=\"\"", "=\"08\"", "=1x", "=x", "=\"1\\x\""] {
            check_server(&format!("permessage-deflate; {name}{value}"), "declined");
        }
        check_server(&format!("permessage-deflate; {name}=10; {name}=10"), "declined");
    }
    check_server("permessage-deflate; server_max_window_bits", "declined");
    check_server("permessage-deflate; server_max_window_bits=8", "declined");
    check_server("permessage-deflate; client_max_window_bits; client_max_window_bits=10", "declined");
    for name in ["server_no_context_takeover", "client_no_context_takeover"] {
        for rest in ["=1", "=\"\"", "=", "=true"] {
            check_server(&format!("permessage-deflate; {name}{rest}"), "declined");
        }
        check_server(&format!("permessage-deflate; {name}; {name}"), "declined");
    }
    check_server("permessage-deflate; unknown", "declined");
    check_server("permessage-deflate; unknown=1; server_no_context_takeover", "declined");
    check_server("x-webkit-deflate-frame, permessage-deflate2, Permessage-Deflate", "declined");
    check_server("foo; server_no_context_takeover", "declined");
    check_server("", "declined");
    check_server(" , ,", "declined");
}

#[test]
fn a_server_takes_the_first_offer_it_can_keep() {
    check_server("permessage-deflate; server_max_window_bits=10, permessage-deflate", "; server_max_window_bits=10");
    check_server("permessage-deflate; server_max_window_bits=8, permessage-deflate", "");
    check_server(
        "permessage-deflate; unknown, ,foo; a=\"b\" , permessage-deflate; server_max_window_bits=12",
        "; server_max_window_bits=12",
    );
    let dedicated = ServerOptions::dedicated(Compression::default());
    let lines =
        ["foo, permessage-deflate; server_max_window_bits=7", "", "permessage-deflate; server_max_window_bits=13"];
    assert_eq!(answer(&lines, &dedicated), "permessage-deflate; server_max_window_bits=13");
    assert_eq!(answer(&[], &dedicated), "declined");
}

#[test]
fn a_malformed_header_is_told_apart() {
    for text in [
        "permessage-deflate;",
        "permessage-deflate;;",
        ";",
        "=",
        "a b",
        "permessage-deflate; =10",
        "a; b=\"c",
        "a; b=\"c\\",
        "a; b=\"c\\\"",
        "a; b=\"c d\"",
        "a; b=\"c\"d",
        "a; b=c d",
        "a; b=c=d",
        "\"a\"",
        "a/b",
        "a; b=\"\\\\\"",
        "a; b=@",
        "ä",
    ] {
        check_server(text, "Malformed");
        check_server(&format!("permessage-deflate, {text}"), "Malformed");
    }
}

#[test]
fn a_shared_server_allows_no_takeover() {
    let shared = ServerOptions::default();
    let both = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert_eq!(answer(&["permessage-deflate"], &shared), both);
    assert_eq!(answer(&["permessage-deflate; client_max_window_bits"], &shared), both);
    assert_eq!(
        answer(&["permessage-deflate; server_max_window_bits=9"], &shared),
        format!("{both}; server_max_window_bits=9")
    );
}

/// Server without and with takeover, client without and with it, window of the server, window of the client.
#[track_caller]
fn check_agreed(offer: &str, server: &ServerOptions, expected: (bool, bool, u8, u8)) {
    let agreed = negotiate(&headers(&[offer]), server).unwrap().unwrap().agreed;
    assert_eq!(fields(agreed), expected, "{offer}");
}

fn fields(agreed: Agreed) -> (bool, bool, u8, u8) {
    let Agreed { server_no_context_takeover, client_no_context_takeover, .. } = agreed;
    (
        server_no_context_takeover,
        client_no_context_takeover,
        agreed.server_max_window_bits,
        agreed.client_max_window_bits,
    )
}

#[test]
fn a_server_keeps_to_what_it_answers() {
    let dedicated = ServerOptions::dedicated(Compression::default().window_bits(12).unwrap());
    let shared = ServerOptions::shared(dedicated.compression());
    check_agreed("permessage-deflate", &shared, (true, true, 12, 15));
    check_agreed("permessage-deflate", &dedicated, (false, false, 12, 15));
    check_agreed("permessage-deflate; client_max_window_bits=8", &dedicated, (false, false, 12, 8));
    check_agreed("permessage-deflate; server_max_window_bits=9", &dedicated, (false, false, 9, 15));
    check_agreed("permessage-deflate; client_no_context_takeover", &dedicated, (false, true, 12, 15));
    check_agreed("permessage-deflate; server_no_context_takeover", &dedicated, (true, false, 12, 15));
}

/// A client that compresses with 12 bits, and one that makes every demand.
fn clients() -> [ClientOptions; 2] {
    let plain = ClientOptions::default();
    let demanding = plain.compression(Compression::default().window_bits(12).unwrap());
    [
        plain,
        demanding.server_no_context_takeover(true).client_no_context_takeover(true).server_max_window_bits(10).unwrap(),
    ]
}

#[test]
fn a_client_offers_what_it_is_told() {
    let [plain, demanding] = clients();
    assert_eq!(offer(&plain), "permessage-deflate; client_max_window_bits");
    assert_eq!(
        offer(&demanding),
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; \
         client_max_window_bits=12"
    );
    assert!(plain.server_max_window_bits(7).is_err());
    assert!(plain.server_max_window_bits(16).is_err());
}

#[track_caller]
fn check_client(options: &ClientOptions, answer: &str, expected: Result<(bool, bool, u8, u8), ExtensionError>) {
    let seen = confirm(&headers(&[answer]), options).map(|agreed| fields(agreed.expect(answer)));
    assert_eq!(seen, expected, "{answer}");
}

#[test]
fn a_client_takes_what_it_may_be_answered() {
    let [plain, demanding] = clients();
    assert_eq!(confirm(&headers(&[]), &plain), Ok(None));
    assert_eq!(confirm(&headers(&[]), &demanding), Ok(None));
    check_client(&plain, "permessage-deflate", Ok((false, false, 15, 15)));
    check_client(&plain, "permessage-deflate; server_no_context_takeover", Ok((true, false, 15, 15)));
    check_client(&plain, "permessage-deflate; client_no_context_takeover", Ok((false, true, 15, 15)));
    check_client(&plain, "permessage-deflate; server_max_window_bits=8", Ok((false, false, 8, 15)));
    check_client(&plain, "permessage-deflate; client_max_window_bits=8", Ok((false, false, 15, 8)));
    check_client(&plain, "permessage-deflate; client_max_window_bits=\"9\"", Ok((false, false, 15, 9)));
    let least = "permessage-deflate; server_no_context_takeover; server_max_window_bits";
    check_client(&demanding, &format!("{least}=10"), Ok((true, true, 10, 12)));
    check_client(&demanding, &format!("{least}=9; client_max_window_bits=11"), Ok((true, true, 9, 11)));
}

#[test]
fn a_client_fails_a_wrong_answer() {
    use ExtensionError::*;
    let [plain, demanding] = clients();
    for (answer, expected) in [
        ("foo", NotOffered),
        ("permessage-deflate, foo", NotOffered),
        ("permessage-deflate, permessage-deflate", NotOffered),
        ("permessage-deflate; unknown", UnknownParameter),
        ("permessage-deflate; server_no_context_takeover=1", InvalidValue("server_no_context_takeover")),
        (
            "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
            Repeated("client_no_context_takeover"),
        ),
        ("permessage-deflate; server_max_window_bits", InvalidValue("server_max_window_bits")),
        ("permessage-deflate; server_max_window_bits=7", InvalidValue("server_max_window_bits")),
        ("permessage-deflate; server_max_window_bits=16", InvalidValue("server_max_window_bits")),
        ("permessage-deflate; server_max_window_bits=09", InvalidValue("server_max_window_bits")),
        ("permessage-deflate; client_max_window_bits", InvalidValue("client_max_window_bits")),
        (
            "permessage-deflate; client_max_window_bits=10; client_max_window_bits=10",
            Repeated("client_max_window_bits"),
        ),
        ("permessage-deflate;", Malformed),
    ] {
        check_client(&plain, answer, Err(expected));
    }
    let demanded = "permessage-deflate; server_no_context_takeover; server_max_window_bits=10";
    for (answer, expected) in [
        ("permessage-deflate; server_max_window_bits=10".to_owned(), Missing("server_no_context_takeover")),
        ("permessage-deflate; server_no_context_takeover".to_owned(), Missing("server_max_window_bits")),
        (demanded.replace("10", "11"), Exceeds("server_max_window_bits")),
        (format!("{demanded}; client_max_window_bits=13"), Exceeds("client_max_window_bits")),
    ] {
        check_client(&demanding, &answer, Err(expected));
    }
}

#[test]
fn both_sides_agree() {
    let servers = [ServerOptions::default(), ServerOptions::dedicated(Compression::default().window_bits(11).unwrap())];
    for client in clients() {
        for server in &servers {
            let accepted = negotiate(&headers(&[offer(&client).to_str().unwrap()]), server).unwrap().unwrap();
            let response = headers(&[accepted.response.to_str().unwrap()]);
            let confirmed = confirm(&response, &client).unwrap().unwrap();
            assert_eq!(confirmed.server_no_context_takeover, accepted.agreed.server_no_context_takeover);
            assert_eq!(confirmed.client_no_context_takeover, accepted.agreed.client_no_context_takeover);
            assert_eq!(confirmed.client_max_window_bits, accepted.agreed.client_max_window_bits);
            assert!(confirmed.server_max_window_bits >= accepted.agreed.server_max_window_bits);
        }
    }
}

#[test]
fn a_compressor_keeps_to_what_was_agreed() {
    let own = Compression::default().window_bits(12).unwrap();
    for (agreed, expected) in [(8, 9), (9, 9), (11, 11), (12, 12), (15, 12)] {
        assert_eq!(own.limited_to(agreed), own.window_bits(expected).unwrap());
    }
    for bits in [0, 8, 16, 255] {
        assert!(Compression::default().window_bits(bits).is_err());
    }
    for level in [0, 10] {
        assert!(Compression::default().memory_level(level).is_err());
        assert!(Compression::default().level(level).is_err());
    }
}

#[test]
fn a_long_header_is_read_in_linear_time() {
    // Figures would depend on the machine: 16 times the text must not take 100 times as long.
    let time = |length: usize| {
        let lines = [
            format!("a; b=\"{}", "\\c".repeat(length)),
            format!("a{}", "; b".repeat(length)),
            format!("permessage-deflate{}", "; server_max_window_bits=10".repeat(length / 8)),
            ",".repeat(length),
            format!("b{}x", " ".repeat(length)),
        ];
        let lines: Vec<_> = lines.iter().map(|line| headers(&[line.as_str()])).collect();
        let run = |lines: &[HeaderMap]| {
            let start = std::time::Instant::now();
            let accepted = lines
                .iter()
                .filter(|line| negotiate(line, &ServerOptions::default()).is_ok_and(|found| found.is_some()));
            assert_eq!(accepted.count(), 0);
            start.elapsed()
        };
        (0..5).map(|_| run(&lines)).min().unwrap()
    };
    let (short, long) = (time(2_000), time(32_000));
    assert!(long < short * 100 + std::time::Duration::from_millis(1), "{short:?} and {long:?}");
}
