//! Entity tags: the same for the same content, whatever the file is otherwise, as long as it is small.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// The longest content that the tag is a hash of.
const SMALL: usize = 256 * 1024;

async fn tag(files: &Files, target: &str) -> String {
    get(files, target).await.headers["etag"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn replicas_have_the_same_tags() {
    let (one, other) = (Fixture::empty(), Fixture::empty());
    for length in [0, 1, 5000, BLOCK, BLOCK + 1, SMALL] {
        one.write("file.txt", vec![b'a'; length]);
        // Written later, to another inode.
        other.write("beside", "");
        other.write("file.txt", vec![b'a'; length]);
        let expected = tag(&one.files(), "/file.txt").await;
        assert!(expected.starts_with('"'), "{expected} is strong");
        for files in
            [other.files(), other.files().cache(0), other.files().read_memory(0), other.files().cache(0).read_memory(0)]
        {
            for method in ["GET", "HEAD"] {
                let answer = send(&files, request(method, "/file.txt")).await;
                assert_eq!(answer.headers["etag"], expected, "{method} {length}");
                let mut known = request(method, "/file.txt");
                known.headers_mut().insert("if-none-match", expected.parse().unwrap());
                assert_eq!(send(&files, known).await.status, 304, "{method} {length}");
            }
            let mut part = request("GET", "/file.txt");
            part.headers_mut().insert("range", "bytes=0-0".parse().unwrap());
            part.headers_mut().insert("if-range", expected.parse().unwrap());
            assert_eq!(send(&files, part).await.status, if length == 0 { 416 } else { 206 }, "{length}");
        }
        let coded = async |fixture: &Fixture| {
            let mut request = request("GET", "/file.txt");
            request.headers_mut().insert("accept-encoding", "br".parse().unwrap());
            send(&fixture.files(), request).await.headers["etag"].clone()
        };
        assert_eq!(coded(&one).await, coded(&other).await, "{length}");
    }
    // Of a large file the tag is of its state, since two of the same size and time may differ.
    for fixture in [&one, &other] {
        fixture.write("file.txt", vec![b'a'; SMALL + 1]);
    }
    assert_ne!(tag(&one.files(), "/file.txt").await, tag(&other.files(), "/file.txt").await);
}

#[tokio::test]
async fn a_tag_tells_of_the_content_alone() {
    let fixture = Fixture::empty();
    let path = fixture.write("file", "content");
    let files = fixture.files();
    let settled = fs::metadata(&path).unwrap().modified().unwrap();
    let expected = tag(&files, "/file").await;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(tag(&files, "/file").await, expected, "after chmod");
    fs::hard_link(&path, fixture.root().join("link")).unwrap();
    assert_eq!(tag(&files, "/file").await, expected, "after ln");
    File::options().write(true).open(&path).unwrap().set_modified(settled - Duration::from_secs(60)).unwrap();
    assert_eq!(tag(&files, "/file").await, expected, "after touch");
    fs::remove_file(&path).unwrap();
    fixture.write("file", "content");
    assert_eq!(tag(&files, "/file").await, expected, "written again");
    // As by a build that sets a fixed time.
    fs::write(&path, "CONTENT").unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(settled).unwrap();
    assert_ne!(tag(&files, "/file").await, expected);
}
