//! Ranges of any kind: whatever is asked for, what is sent is what it says it is.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use proptest::prelude::*;
use tokio::runtime::Builder;

use super::fixture::Answer;
use super::*;

const LENGTH: usize = 300;

fn content() -> Vec<u8> {
    (0..LENGTH).map(|index| (index % 251) as u8).collect()
}

/// A list of ranges, some of them broken or far outside.
fn field() -> impl Strategy<Value = String> {
    let number = || prop_oneof![5 => (0..LENGTH as u64 + 20).prop_map(|n| n.to_string()), 1 => "[0-9]{0,22}"];
    let range = prop_oneof![
        12 => (0..LENGTH as u64 + 60, 0..20_u64).prop_map(|(first, more)| format!("{first}-{}", first + more)),
        1 => (number(), number()).prop_map(|(first, last)| format!("{first}-{last}")),
        1 => "[0-9, x=-]{0,4}",
    ]
    .boxed();
    let ranges = prop_oneof![3 => 1..3_usize, 1 => 0..20_usize]
        .prop_flat_map(move |count| prop::collection::vec(range.clone(), count));
    (prop_oneof![9 => Just("bytes="), 1 => Just("")], ranges, "[,\t ]{1,2}")
        .prop_map(|(unit, ranges, comma)| format!("{unit}{}", ranges.join(&format!("{comma},"))))
}

/// The range of a `Content-Range`.
fn parse(content_range: &str) -> Range<usize> {
    let (range, length) = content_range.strip_prefix("bytes ").unwrap().split_once('/').unwrap();
    assert_eq!(length, LENGTH.to_string());
    let (first, last) = range.split_once('-').unwrap();
    first.parse().unwrap()..last.parse::<usize>().unwrap() + 1
}

fn check(answer: &Answer) {
    assert_eq!(answer.headers["content-length"], answer.body.len().to_string());
    let content = content();
    match answer.status.as_u16() {
        200 => assert_eq!(answer.body, content),
        206 => match answer.headers.get("content-range") {
            Some(range) => assert_eq!(answer.body, content[parse(range.to_str().unwrap())]),
            None => check_parts(answer, &content),
        },
        416 => assert_eq!(answer.headers["content-range"], format!("bytes */{LENGTH}")),
        status => panic!("{status}"),
    }
}

fn check_parts(answer: &Answer, content: &[u8]) {
    let media_type = answer.headers["content-type"].to_str().unwrap();
    let boundary = media_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let mut rest = &answer.body[..];
    let mut count = 0;
    loop {
        rest = rest.strip_prefix(format!("--{boundary}").as_bytes()).unwrap();
        if rest == b"--\r\n" {
            break;
        }
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = std::str::from_utf8(&rest[..end]).unwrap();
        let range = parse(head.split_once("\r\nContent-Range: ").unwrap().1);
        let (part, after) = rest[end + 4..].split_at(range.len());
        assert_eq!(part, &content[range]);
        rest = after.strip_prefix(b"\r\n").unwrap();
        count += 1;
    }
    assert!((2..=16).contains(&count), "{count} parts");
}

#[test]
fn of_any_kind() {
    let fixture = Fixture::empty();
    fixture.write("file", content());
    let (files, runtime) = (fixture.files(), Builder::new_current_thread().enable_all().build().unwrap());
    let seen = RefCell::new(BTreeMap::new());
    proptest!(ProptestConfig::with_cases(2000), |(field in field())| {
        let mut request = request("GET", "/file");
        request.headers_mut().insert("range", field.parse().unwrap());
        let answer = runtime.block_on(send(&files, request));
        check(&answer);
        let is_multipart = answer.status == 206 && !answer.headers.contains_key("content-range");
        *seen.borrow_mut().entry((answer.status.as_u16(), is_multipart)).or_insert(0) += 1;
    });
    assert_eq!(seen.borrow().len(), 4, "all kinds of answers: {seen:?}");
}
