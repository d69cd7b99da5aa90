//! The listing of a folder: what it shows, and that every name is shown as itself.

use super::fixture::Answer;
use super::*;

async fn get_as(files: &Files, accept: &str, target: &str) -> Answer {
    let mut request = request("GET", target);
    request.headers_mut().insert("accept", accept.parse().unwrap());
    send(files, request).await
}

#[tokio::test]
async fn listings_show_what_can_be_fetched() {
    let fixture = Fixture::full();
    fixture.write("Zoo.bin", vec![0; 1536]);
    fixture.write("new\nline", CANARY);
    let files = fixture.files();
    assert_eq!(status(&files, "/").await, 200);
    let root = get(&files, "/").await;
    assert_eq!(
        root.links(),
        [
            "dirlink_in/",
            "dirlink_real/",
            "index-is-folder/",
            "indexed/",
            "odd/",
            "sub/",
            "link_around",
            "link_in",
            "link_real",
            "ok.txt",
            "Zoo.bin"
        ],
        "folders first, whatever their case"
    );
    assert!(root.text().contains("<title>Index of /</title>"));
    assert!(root.text().contains("title=\"1536 bytes\"><bdi>Zoo.bin</bdi></a></td><td>1.5 KiB</td>"));
    assert_eq!(root.headers["content-type"], "text/html; charset=utf-8");
    let policy = root.headers["content-security-policy"].to_str().unwrap();
    for part in ["default-src 'none'; ", "base-uri 'none'; ", "form-action 'self'; ", "frame-ancestors 'none'; "] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(root.headers["x-content-type-options"], "nosniff");
    assert_eq!(get(&files, "/sub/").await.links(), ["../", "inner.txt", "link_chain", "link_up"]);
    assert_eq!(get(&files, "/dirlink_in/").await.links(), ["../", "inner.txt", "link_chain", "link_up"]);
    assert_eq!(
        get(&files, "/odd/").await.links(),
        [
            "../",
            "12%3A45/",
            "C%3A/",
            "%20",
            "10%3A30",
            "back%5Cslash",
            "blank%20",
            "did%3Aplc%3Ax",
            "dot.",
            "foo_1%253a2.deb",
            "nul.txt"
        ]
    );
    assert_eq!(get(&files, "/index-is-folder/").await.links(), ["../", "index.html/"]);
}

#[tokio::test]
async fn listings_tell_the_time_in_utc() {
    let fixture = Fixture::empty();
    for (name, time) in [
        ("kipling", SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)),
        ("before-1970", SystemTime::UNIX_EPOCH - Duration::from_secs(1_000_000)),
    ] {
        File::options().write(true).open(fixture.write(name, "")).unwrap().set_modified(time).unwrap();
    }
    let page = get(&fixture.files(), "/").await;
    assert!(page.text().contains("<time datetime=\"1994-11-06T08:49:37Z\">1994-11-06 08:49</time>"));
    assert!(page.text().contains("<time datetime=\"1970-01-01T00:00:00Z\">1970-01-01 00:00</time>"));
    assert_eq!(get(&fixture.files(), "/before-1970").await.headers["last-modified"], "Thu, 01 Jan 1970 00:00:00 GMT");
}

#[tokio::test]
async fn hostile_names_are_listed_and_fetched() {
    let fixture = Fixture::empty();
    let names: [&[u8]; 11] = [
        b"<img src=x onerror=alert(1)>",
        b"\"><script>alert(1)<", // no slash: a name cannot contain one
        b"'quoted' & \"double\"",
        b"%41",
        b"%2e%2e%2f",
        b"a?b#c",
        b"&lt;b&gt;",
        b"\xff\xfe.txt",
        "\u{202e}gpj.exe".as_bytes(),
        "next\u{85}line".as_bytes(),
        b"~tilde;semi=1,2",
    ];
    for name in names {
        fixture.write(OsStr::from_bytes(name), name);
    }
    let files = fixture.files();
    let page = get(&files, "/").await;
    let links = page.links();
    assert_eq!(links.len(), names.len());
    let mut fetched = Vec::new();
    for link in links {
        let answer = get(&files, &format!("/{link}")).await;
        assert_eq!(answer.status, 200, "{link}");
        fetched.push(answer.body.to_vec());
    }
    fetched.sort();
    let mut expected = names.map(<[u8]>::to_vec);
    expected.sort();
    assert_eq!(fetched, expected);
    // Nothing of a name became markup: these are all the elements of a row.
    let body = page.text().split("<tbody>").nth(1).unwrap().split("</tbody>").next().unwrap();
    let elements = body.split('<').skip(1).map(|rest| rest.split(['>', ' ']).next().unwrap());
    for element in elements {
        assert!(
            ["tr", "/tr", "td", "/td", "a", "/a", "bdi", "/bdi", "time", "/time"].contains(&element),
            "<{element}>"
        );
    }
    assert!(body.contains("<bdi>\u{202e}gpj.exe</bdi>"));
    assert!(body.contains("<bdi>next\\u{85}line</bdi>"));
}

#[tokio::test]
async fn folder_names_are_escaped_in_the_title() {
    let fixture = Fixture::empty();
    fixture.write("<b>&/x", "");
    let page = get(&fixture.files(), "/%3Cb%3E&/").await;
    assert!(page.text().contains("<title>Index of /&lt;b&gt;&amp;/</title>"));
    assert!(!page.text().contains("<b>"));
}

/// The first in order are on the first page, in whatever order the system gives them.
#[tokio::test]
async fn a_large_folder_has_pages() {
    let fixture = Fixture::empty();
    for number in (0..10_500_u32).map(|number| number * 7919 % 10_500) {
        File::create(fixture.root().join(format!("{number:05}"))).unwrap();
    }
    let files = fixture.files();
    let check = async |target: &str, first: &str, last: &str, count: usize, said: &str| {
        let page = get(&files, target).await;
        let links = page.links();
        let found = (links.first().copied(), links.last().copied(), links.len());
        assert_eq!(found, (Some(first), Some(last), count), "{target}");
        let top = page.text().split("<table>").next().unwrap();
        assert!(top.contains(said), "{target}: {top}");
        (page.headers.get("link").cloned(), page.headers["listing-truncated"].clone())
    };
    let (next, truncated) = check("/", "00000", "09999", 10_000, "Entries 1 to 10000 of 10500 in this order.").await;
    assert_eq!(next.unwrap(), "<?sort=name&page=2>; rel=\"next\"");
    assert_eq!(truncated, "10000");
    check("/", "00000", "09999", 10_000, "<a href=\"?sort=name&amp;page=2\" rel=\"next\">Next</a>").await;
    let (next, _) = check("/?page=2", "10000", "10499", 500, "Entries 10001 to 10500 of 10500").await;
    assert_eq!(next, None);
    check("/?sort=-name&page=2", "00499", "00000", 500, "<a href=\"?sort=-name&amp;page=1\"").await;
    let json = get_as(&files, "application/json", "/?page=2").await;
    assert_eq!(json.text().matches("\"name\"").count(), 500);
    // The filter holds for all pages.
    let page = get(&files, "/?sort=-name&filter=+0499+").await;
    let tens = (4990..5000).rev().map(|number| format!("{number:05}"));
    let expected: Vec<_> = ["10499".to_owned()].into_iter().chain(tens).chain(["00499".to_owned()]).collect();
    assert_eq!(page.links(), expected);
    assert!(!page.headers.contains_key("listing-truncated") && !page.text().contains("in this order"));
}

#[tokio::test]
async fn listings_are_compressed() {
    let fixture = Fixture::empty();
    for number in 0..1000 {
        fixture.write(format!("some-file-{number}.txt"), "");
    }
    let files = fixture.files();
    let plain = get(&files, "/").await.body;
    let mut asking = request("GET", "/");
    asking.headers_mut().insert("accept-encoding", "br".parse().unwrap());
    let coded = send(&files, asking).await;
    assert_eq!(coded.headers["content-encoding"], "br");
    assert!(coded.headers.get_all("vary").iter().any(|name| name == "accept-encoding"));
    assert!(coded.body.len() < plain.len() / 10, "{} of {} bytes", coded.body.len(), plain.len());
    let mut decoded = Vec::new();
    std::io::Read::read_to_end(&mut brotli::Decompressor::new(&coded.body[..], 4096), &mut decoded).unwrap();
    assert!(decoded == plain);
}

/// Whoever fetches all of a folder follows links, and is not to fetch each order of it.
#[tokio::test]
async fn the_heads_of_the_columns_sort() {
    let fixture = Fixture::empty();
    for (name, content) in [("b", "22"), ("a", "333"), ("c", "1"), ("sub/x", "")] {
        fixture.write(name, content);
    }
    let files = fixture.files();
    let check = async |target: &str, expected: &[&str], heads: [&str; 3], filter: &str| {
        let page = get(&files, target).await;
        assert_eq!(page.links(), expected, "{target}");
        let found = page.text().split("<th scope=\"col\"").skip(1).map(|head| {
            head.replace("><button form=\"view\" name=\"sort\" value=\"", " ").split("\">").next().unwrap().to_owned()
        });
        assert_eq!(found.collect::<Vec<_>>(), heads, "{target}");
        assert!(page.text().contains(&format!(" type=\"search\" value=\"{filter}\" ")), "{target}: {}", page.text());
        assert!(!page.text().contains("href=\"?"), "{target}");
    };
    let all = |first: &'static str, second: &'static str, third: &'static str| vec!["sub/", first, second, third];
    let names = " aria-sort=\"ascending\" -name";
    check("/", &all("a", "b", "c"), [names, " -size", " -modified"], "").await;
    check("/?sort=inode", &all("a", "b", "c"), [names, " -size", " -modified"], "").await;
    let names = " aria-sort=\"descending\" name";
    check("/?sort=name&order=desc", &all("c", "b", "a"), [names, " -size", " -modified"], "").await;
    let by_size = " aria-sort=\"descending\" size";
    check("/?sort=-size", &all("a", "b", "c"), [" name", by_size, " -modified"], "").await;
    let by_size = " aria-sort=\"ascending\" -size";
    check("/?filter=&sort=size", &all("c", "b", "a"), [" name", by_size, " -modified"], "").await;
    // Sorting keeps the filter, which is a part of the form.
    check("/?filter=B&sort=size", &["sub/", "b"], [" name", by_size, " -modified"], "B").await;
    check("/?filter=%22%3E%3Cb", &[], [" aria-sort=\"ascending\" -name", " -size", " -modified"], "&quot;&gt;&lt;b")
        .await;
}

#[tokio::test]
async fn programs_get_json() {
    let fixture = Fixture::empty();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    fixture.write("sub/x", "");
    for name in [b"a \"b\"".as_slice(), b"\xff"] {
        let path = fixture.write(OsStr::from_bytes(name), "12345");
        File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }
    File::open(fixture.root().join("sub")).unwrap().set_modified(time).unwrap();
    let files = fixture.files();
    let answer = get_as(&files, "application/json", "/?sort=name&order=desc").await;
    assert_eq!(answer.headers["content-type"], "application/json");
    let modified = "\"modified\": \"1994-11-06T08:49:37Z\"";
    let expected = format!(
        "[\n{{\"name\": \"sub\", \"type\": \"directory\", \"size\": null, {modified}}},\n\
         {{\"name\": \"\u{fffd}\", \"path\": \"%FF\", \"type\": \"file\", \"size\": 5, {modified}}},\n\
         {{\"name\": \"a \\\"b\\\"\", \"type\": \"file\", \"size\": 5, {modified}}}\n]\n"
    );
    assert_eq!(answer.text(), expected);
    for (accept, media_type) in [
        ("application/json", "application/json"),
        ("text/html;q=0.1, application/json;q=0.2", "application/json"),
        ("text/html, */*;q=0.8", "text/html; charset=utf-8"),
        ("*/*", "text/html; charset=utf-8"),
        ("image/png", "text/html; charset=utf-8"),
    ] {
        let answer = get_as(&files, accept, "/").await;
        assert_eq!(answer.headers["content-type"], media_type, "{accept}");
        assert_eq!(answer.headers["vary"], "accept", "{accept}");
    }
    fixture.write("sub/index.html", "index");
    assert_eq!(
        get_as(&files, "application/json", "/sub/").await.text(),
        "index",
        "a folder with a page has no listing"
    );
}
