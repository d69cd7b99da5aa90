//! Every line of `table.txt`, asked for over HTTP/1.1, over TLS, and over HTTP/2.
//!
//! A line has five columns: method and target, fields of the request, status, fields of the response, content. Fields
//! stand apart by ` & `; `!name` is a field that must not be there. `{tag TARGET}` is the entity tag that a GET of the
//! target has, `{tag TARGET CODING}` the one it has where that coding is accepted. `{length NAME}` is that of a file.
//!
//! The content is `-` for none, `'text`, `status` for the status as text, the `name` of a file, `name[a..b]` for a
//! slice of it, `name[a..b, c..d]` for a multipart document, `br(name)` for a file in a coding, or `*` for anything.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rikki::Server;

use super::fixture::{Answer, BLOCK, CANARY, Fixture};
use crate::wire::{Running, Via, soon};

const TABLE: &str = include_str!("table.txt");

/// Tue, 02 Jan 2024 03:04:05 GMT
const MODIFIED: Duration = Duration::from_secs(1_704_164_645);

fn fixture() -> Fixture {
    let fixture = Fixture::full();
    let text = |length: usize| "<p>all work and no play</p>\n".repeat(length / 28 + 1).into_bytes()[..length].to_vec();
    for (name, content) in [
        ("ten.txt", b"0123456789".to_vec()),
        ("empty.txt", Vec::new()),
        ("image.png", binary(3000)),
        ("large.bin", binary(3 * BLOCK + 5)),
        ("page.html", text(5000)),
        ("large.txt", text(3 * BLOCK + 5)),
        ("kib.html", text(1024)),
        ("less.html", text(1023)),
        ("app.js", text(2048)),
        ("app.js.br", brotli(&text(2048))),
        ("app.js.zst", zstd(&text(2048))),
        ("app.js.gz", gzip(&text(2048))),
        ("site/index.html", b"index".to_vec()),
        ("site/index.html.br", brotli(b"index")),
        ("pages/about.html", b"<p>about</".to_vec()),
        ("pages/file", b"the file".to_vec()),
        ("pages/file.html", b"page of file".to_vec()),
        ("pages/v1.2.html", b"version".to_vec()),
        ("pages/docs.html", b"page of docs".to_vec()),
        ("pages/docs/intro.html", b"intro".to_vec()),
        ("pages/both.html", b"page of both".to_vec()),
        ("pages/both/index.html", b"index of both".to_vec()),
        ("pages/.hidden.html", CANARY.into()),
        ("pages/folder.html/x", Vec::new()),
        ("only.bin", binary(100)),
        ("only.bin.gz", gzip(&binary(100))),
        ("lonely.js.br", brotli(b"lonely")),
        ("older-beside.png.br", brotli(&binary(3000))),
        ("older-beside.js.br", brotli(&text(3000))),
    ]
    .into_iter()
    .chain(siblings())
    .chain(types())
    {
        fixture.write(name, content);
        set_modified(&fixture, name, SystemTime::UNIX_EPOCH + MODIFIED);
    }
    fixture.write("older-beside.png", binary(3000));
    fixture.write("older-beside.js", text(3000));
    fixture.write("folder-beside.png", binary(3000));
    fixture.write("folder-beside.png.br/x", "");
    fixture.write("secret-beside.png", binary(3000));
    symlink("../secret", fixture.root().join("secret-beside.png.br")).unwrap();
    symlink("about.html", fixture.root().join("pages/link.html")).unwrap();
    symlink("../../secret", fixture.root().join("pages/out.html")).unwrap();
    // Later than any clock, so that the test cannot be too slow.
    fixture.write("fresh.txt", "fresh");
    set_modified(&fixture, "fresh.txt", SystemTime::now() + Duration::from_secs(3600));
    fixture
}

/// Files of 3,000 bytes, or longer, with one beside each that is said to be in a coding.
fn siblings() -> Vec<(&'static str, Vec<u8>)> {
    let (plain, other) = (binary(3000), vec![7; 3000]);
    let streamed = |content: &[u8]| zstd::encode_all(content, 3).unwrap();
    let wide = {
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(24).unwrap();
        encoder.write_all(&plain).unwrap();
        encoder.finish().unwrap()
    };
    // The reserved window of a large brotli.
    let large_window = [&[0x11], &*brotli(&plain)].concat();
    let long = binary(3 << 20);
    vec![
        ("good/gzip.bin", plain.clone()),
        ("good/gzip.bin.gz", gzip(&plain)),
        ("good/zstd.bin", plain.clone()),
        ("good/zstd.bin.zst", zstd(&plain)),
        ("good/streamed.bin", plain.clone()),
        ("good/streamed.bin.zst", streamed(&plain)),
        ("good/brotli.bin", plain.clone()),
        ("good/brotli.bin.br", brotli(&plain)),
        ("good/empty.bin", Vec::new()),
        ("good/empty.bin.br", brotli(b"")),
        ("good/long.bin", long.clone()),
        ("good/long.bin.br", brotli(&long)),
        ("bad/no-gzip.bin", plain.clone()),
        ("bad/no-gzip.bin.gz", b"a note that is no gzip".to_vec()),
        ("bad/another-length.bin", plain.clone()),
        ("bad/another-length.bin.gz", gzip(&other[1..])),
        ("bad/another-length.bin.zst", zstd(&other[1..])),
        ("bad/another-length.bin.br", brotli(&other[1..])),
        ("bad/another-content.bin", plain.clone()),
        ("bad/another-content.bin.zst", streamed(&other)),
        ("bad/another-content.bin.br", brotli(&other)),
        ("bad/longer.bin", plain.clone()),
        ("bad/longer.bin.br", brotli(&binary(3001))),
        ("bad/longer.bin.zst", streamed(&binary(3001))),
        ("bad/cut.bin", plain.clone()),
        ("bad/cut.bin.gz", gzip(&plain)[..20].to_vec()),
        ("bad/cut.bin.br", brotli(&plain)[..20].to_vec()),
        ("bad/cut.bin.zst", streamed(&plain)[..20].to_vec()),
        ("bad/empty.bin", plain.clone()),
        ("bad/empty.bin.gz", Vec::new()),
        ("bad/empty.bin.br", Vec::new()),
        ("bad/empty.bin.zst", Vec::new()),
        ("bad/plain.bin", plain.clone()),
        ("bad/plain.bin.br", plain.clone()),
        ("bad/plain.bin.zst", plain.clone()),
        ("bad/window.bin", plain.clone()),
        ("bad/window.bin.zst", wide),
        ("bad/window.bin.br", large_window),
        ("bad/long.bin", long),
        ("bad/long.bin.br", brotli(&vec![7; 3 << 20])),
    ]
}

/// Files of which the name says too little.
fn types() -> Vec<(&'static str, Vec<u8>)> {
    let stream = |packets: usize| [&[0x47; 1][..], &[0; 187]].concat().repeat(packets);
    let code = b"export const answer: number = 42;\n".repeat(100);
    let drawing = b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>".to_vec();
    vec![
        ("types/latin1.xml", b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>\xe4</a>".to_vec()),
        ("types/clip.ts", stream(3)),
        ("types/long.ts", stream(2000)),
        ("types/code.ts", code.clone()),
        ("types/code.ts.br", brotli(&code)),
        ("types/long-code.ts", code.repeat(100)),
        ("types/empty.ts", Vec::new()),
        ("types/camera.mts", [&[0; 4][..], &stream(1), &[0; 4], &stream(1)].concat()),
        ("types/code.mts", code),
        ("types/drawing.svgz", gzip(&drawing)),
        ("types/drawing.svgz.br", brotli(&gzip(&drawing))),
        ("types/plain.svgz", drawing),
        ("types/README", b"read me".to_vec()),
        ("types/part.stl", b"solid".to_vec()),
        ("types/lines.jsonl", b"{}\n{}\n".to_vec()),
    ]
}

fn brotli(plain: &[u8]) -> Vec<u8> {
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 20);
    encoder.write_all(plain).unwrap();
    encoder.into_inner()
}

/// With the length in its head.
fn zstd(plain: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(plain, 3).unwrap()
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut coded = vec![0; plain.len() + 100];
    let config = zlib_rs::DeflateConfig { window_bits: 16 + 15, ..zlib_rs::DeflateConfig::default() };
    zlib_rs::compress_slice(&mut coded, plain, config).0.to_vec()
}

fn binary(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

fn set_modified(fixture: &Fixture, name: &str, time: SystemTime) {
    File::options().write(true).open(fixture.root().join(name)).unwrap().set_modified(time).unwrap();
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Protocol {
    Http1(Via),
    Http2,
}

/// One connection, which all lines share: an answer that is longer or shorter than it says would be seen by the next.
enum Client {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

impl Client {
    async fn connect(server: &Running, protocol: Protocol) -> Self {
        match protocol {
            Protocol::Http1(via) => {
                let stream = TokioIo::new(server.connect(via).await);
                let (sender, connection) = soon("a handshake", http1::handshake(stream)).await.unwrap();
                tokio::spawn(connection);
                Self::Http1(sender)
            }
            Protocol::Http2 => {
                let stream = TokioIo::new(server.connect_with(Via::Tls, b"h2").await);
                let handshake = http2::handshake(TokioExecutor::new(), stream);
                let (sender, connection) = soon("a handshake", handshake).await.unwrap();
                tokio::spawn(connection);
                Self::Http2(sender)
            }
        }
    }

    async fn ask(&mut self, method: &str, target: &str, fields: &[(&str, String)]) -> Answer {
        let uri = match self {
            Self::Http1(_) => target.to_owned(),
            Self::Http2(_) => format!("https://localhost{target}"),
        };
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, value);
        }
        let response = match self {
            Self::Http1(sender) => {
                let request = request.header("host", "localhost").body(Empty::new()).unwrap();
                soon("a response", sender.send_request(request)).await
            }
            Self::Http2(sender) => {
                let request = request.body(Empty::new()).unwrap();
                soon("a response", sender.send_request(request)).await
            }
        };
        let (head, body) = response.unwrap().into_parts();
        let mut headers = head.headers;
        headers.remove("date");
        Answer { status: head.status, headers, body: soon("a body", body.collect()).await.unwrap().to_bytes() }
    }
}

struct Line<'a> {
    method: &'a str,
    target: &'a str,
    asked: Vec<(&'a str, &'a str)>,
    status: u16,
    expected: Vec<&'a str>,
    content: &'a str,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Self {
        let columns: Vec<_> = line.split('|').map(str::trim).collect();
        let [request, asked, status, expected, content] = columns[..] else { panic!("five columns: {line}") };
        let (method, target) = request.split_once(' ').unwrap();
        let fields = |column: &'a str| column.split(" & ").map(str::trim).filter(|field| !field.is_empty());
        Self {
            method,
            target,
            asked: fields(asked)
                .map(|field| field.split_once(": ").unwrap_or((field.trim_end_matches(':'), "")))
                .collect(),
            status: status.parse().unwrap(),
            expected: fields(expected).collect(),
            content,
        }
    }

    fn check(&self, answer: &Answer, fixture: &Fixture, tags: &HashMap<String, String>) {
        let Answer { status, headers, body } = answer;
        assert_eq!(status.as_u16(), self.status, "{headers:?}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        for field in &self.expected {
            match field.strip_prefix('!') {
                Some(name) => assert!(!headers.contains_key(name), "{name} in {headers:?}"),
                None => {
                    let (name, value) = field.split_once(": ").unwrap();
                    let actual = headers.get(name).unwrap_or_else(|| panic!("no {name} in {headers:?}"));
                    assert_eq!(actual, &fill(value, tags, fixture), "{name}");
                }
            }
        }
        if let Some(length) = headers.get("content-length")
            && self.method == "GET"
        {
            assert_eq!(length, &body.len().to_string());
        }
        assert!(!String::from_utf8_lossy(body).contains(CANARY), "what is not served was");
        let read = |name: &str| fs::read(fixture.root().join(name)).unwrap();
        match self.content {
            "*" => {}
            "-" => assert_eq!(body, ""),
            "status" => assert_eq!(*body, format!("{status}\n")),
            text if text.starts_with('\'') => assert_eq!(*body, text[1..]),
            slices if slices.ends_with(']') => {
                let (name, slices) = slices.trim_end_matches(']').split_once('[').unwrap();
                let file = read(name);
                let slices: Vec<_> = slices
                    .split(", ")
                    .map(|slice| {
                        let (start, end) = slice.split_once("..").unwrap();
                        start.parse().unwrap()..end.parse().unwrap()
                    })
                    .collect();
                match &slices[..] {
                    [slice] => assert!(body == &file[slice.clone()], "another slice"),
                    slices => check_multipart(answer, &file, slices),
                }
            }
            coded if coded.ends_with(')') => {
                let (coding, name) = coded.trim_end_matches(')').split_once('(').unwrap();
                let file = read(name);
                assert!(decode(coding, body, file.len()) == file, "another content behind {} bytes", body.len());
                assert!(body.len() < file.len() / 2, "{} bytes", body.len());
            }
            name => assert!(*body == read(name), "another content of {} bytes", body.len()),
        }
    }
}

fn decode(coding: &str, body: &[u8], length: usize) -> Vec<u8> {
    match coding {
        "br" => {
            let mut plain = Vec::new();
            brotli::Decompressor::new(body, 4096).read_to_end(&mut plain).unwrap();
            plain
        }
        "zstd" => zstd::decode_all(body).unwrap(),
        "gzip" => {
            let mut plain = vec![0; length + 1];
            let config = zlib_rs::InflateConfig { window_bits: 16 + 15 };
            zlib_rs::decompress_slice(&mut plain, body, config).0.to_vec()
        }
        _ => panic!("{coding}"),
    }
}

/// The document of <https://www.rfc-editor.org/rfc/rfc9110#section-14.6>, byte for byte.
fn check_multipart(answer: &Answer, file: &[u8], slices: &[std::ops::Range<usize>]) {
    let media_type = answer.headers["content-type"].to_str().unwrap();
    let boundary = media_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let mut expected = Vec::new();
    for slice in slices {
        let line_end = if expected.is_empty() { "" } else { "\r\n" };
        expected.extend(format!("{line_end}--{boundary}\r\nContent-Type: ").bytes());
        // The type of the part is the one of the file, which the line before this one in the table has.
        let rest = &answer.body[expected.len().min(answer.body.len())..];
        let end = rest.iter().position(|&byte| byte == b'\r').expect("a line end");
        expected.extend(&rest[..end]);
        let (start, last) = (slice.start, slice.end - 1);
        expected.extend(format!("\r\nContent-Range: bytes {start}-{last}/{}\r\n\r\n", file.len()).bytes());
        expected.extend(&file[slice.clone()]);
    }
    expected.extend(format!("\r\n--{boundary}--\r\n").bytes());
    assert!(answer.body == expected, "another document: {:?}", String::from_utf8_lossy(&answer.body));
}

/// Replaces each `{tag ...}` and `{length ...}`.
fn fill(value: &str, tags: &HashMap<String, String>, fixture: &Fixture) -> String {
    let mut value = value.to_owned();
    while let Some((before, rest)) = value.split_once("{tag ") {
        let (of, after) = rest.split_once('}').unwrap();
        value = format!("{before}{}{after}", tags[of]);
    }
    while let Some((before, rest)) = value.split_once("{length ") {
        let (name, after) = rest.split_once('}').unwrap();
        value = format!("{before}{}{after}", fs::metadata(fixture.root().join(name)).unwrap().len());
    }
    value
}

/// The tags that the table mentions.
async fn tags(client: &mut Client) -> HashMap<String, String> {
    let mut tags = HashMap::new();
    for of in TABLE.split("{tag ").skip(1).map(|rest| rest.split_once('}').unwrap().0) {
        let (target, coding) = of.split_once(' ').unwrap_or((of, "identity"));
        let answer = client.ask("GET", target, &[("accept-encoding", coding.to_owned())]).await;
        let tag = answer.headers["etag"].to_str().unwrap().to_owned();
        tags.insert(of.to_owned(), tag);
    }
    tags
}

#[expect(clippy::print_stderr, reason = "which line it is, shown if the test fails")]
async fn run(protocol: Protocol) {
    let fixture = fixture();
    let server = Running::start(Server::new().files(fixture.root())).await;
    let mut client = Client::connect(&server, protocol).await;
    let tags = tags(&mut client).await;
    let mut count = 0;
    for (index, line) in TABLE.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        eprintln!("{protocol:?}, line {}: {line}", index + 1);
        let line = Line::parse(line);
        let asked: Vec<_> = line.asked.iter().map(|(name, value)| (*name, fill(value, &tags, &fixture))).collect();
        let answer = client.ask(line.method, line.target, &asked).await;
        line.check(&answer, &fixture, &tags);
        // HEAD says the same, but knows no ranges, and not the length of what is made on the way.
        if line.method == "GET" && !asked.iter().any(|(name, _)| *name == "range") {
            let mut head = client.ask("HEAD", line.target, &asked).await;
            assert_eq!((head.status, head.body.len()), (answer.status, 0));
            let mut headers = answer.headers;
            headers.remove("transfer-encoding");
            if !headers.contains_key("content-length") {
                // What was made on the way may have been kept meanwhile.
                head.headers.remove("content-length");
            }
            if line.target == "/fresh.txt" {
                // Its time is no later than that of the answer, and a second may have passed between the two.
                let [of_head, of_get] =
                    [&mut head.headers, &mut headers].map(|headers| headers.remove("last-modified"));
                assert_eq!(of_head.is_some(), of_get.is_some());
            }
            assert_eq!(head.headers, headers);
        }
        count += 1;
    }
    assert!(count >= 150, "{count} lines");
}

#[tokio::test]
async fn over_http1() {
    run(Protocol::Http1(Via::Tcp)).await;
}

#[tokio::test]
async fn over_tls() {
    run(Protocol::Http1(Via::Tls)).await;
}

#[tokio::test]
async fn over_http2() {
    run(Protocol::Http2).await;
}
