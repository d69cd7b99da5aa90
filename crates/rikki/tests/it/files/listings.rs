//! The listing of a folder: what it shows, and that every name is shown as itself.

use super::*;

#[tokio::test]
async fn listings_show_what_can_be_fetched() {
    let fixture = Fixture::full();
    fixture.write("Zoo.bin", vec![0; 1536]);
    for refused in ["new\nline", "colon:name", "back\\slash", "dot.", "space "] {
        fixture.write(refused, CANARY);
    }
    let files = fixture.files();
    assert_eq!(status(&files, "/").await, 200);
    let root = get(&files, "/").await;
    assert_eq!(
        root.links(),
        ["dirlink_in/", "index-is-folder/", "indexed/", "sub/", "link_in", "ok.txt", "Zoo.bin"],
        "folders first, whatever their case"
    );
    assert!(root.text().contains("<title>Index of /</title>"));
    assert!(root.text().contains("<td title=\"1536 bytes\">1.5 KiB</td>"));
    assert_eq!(root.headers["content-type"], "text/html; charset=utf-8");
    assert!(root.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none';"));
    assert_eq!(get(&files, "/sub/").await.links(), ["../", "inner.txt", "link_up"]);
    assert_eq!(get(&files, "/dirlink_in/").await.links(), ["../", "inner.txt", "link_up"]);
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
    assert!(page.text().contains("<td title=\"Sun, 06 Nov 1994 08:49:37 GMT\">06 Nov 1994 08:49</td>"));
    assert!(page.text().contains(">01 Jan 1970 00:00</td>"));
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
        assert!(["tr", "/tr", "td", "/td", "a", "/a", "bdi", "/bdi"].contains(&element), "<{element}>");
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

#[tokio::test]
async fn a_listing_has_a_bound() {
    let fixture = Fixture::empty();
    for number in 0..10_001 {
        File::create(fixture.root().join(format!("{number}"))).unwrap();
    }
    let page = get(&fixture.files(), "/").await;
    assert_eq!(page.links().len(), 10_000);
    assert!(page.text().contains("only 10000 of its entries"));
    fs::remove_file(fixture.root().join("7")).unwrap();
    assert!(!get(&fixture.files(), "/").await.text().contains("of its entries"));
}
