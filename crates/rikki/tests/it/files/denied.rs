//! Files that are not served under any name.

use super::*;

#[tokio::test]
async fn denied_files() {
    let fixture = Fixture::full();
    let root = fixture.root();
    let key = fixture.write("tls/key.pem", CANARY);
    fixture.write("tls/cert.pem", "public");
    symlink("tls/key.pem", root.join("key-link")).unwrap();
    fs::hard_link(&key, root.join("key-hard")).unwrap();
    let files = fixture.files().deny(&key).unwrap().deny(fixture.0.join("secret")).unwrap();
    let targets = ["/tls/key.pem", "/key-link", "/key-hard"];
    for target in targets {
        assert_eq!(status(&files, target).await, 404, "{target}");
    }
    assert_eq!(get(&files, "/tls/").await.links(), ["../", "cert.pem"]);
    assert!(!get(&files, "/").await.text().contains("key-"));
    assert_eq!(status(&files, "/tls/cert.pem").await, 200);
    assert_eq!(status(&files, "/ok.txt").await, 200);

    // A renewed key, and the old one under a new name.
    fixture.write("tls/new.pem", CANARY);
    fs::rename(&key, root.join("old-key.pem")).unwrap();
    fs::rename(root.join("tls/new.pem"), &key).unwrap();
    for target in ["/tls/key.pem", "/key-link", "/key-hard", "/old-key.pem"] {
        assert_eq!(status(&files, target).await, 404, "{target}");
    }
    assert_eq!(get(&files, "/tls/").await.links(), ["../", "cert.pem"]);
}

/// What is in a folder is not served under any name, nor is that told; what is elsewhere is, also when it was there.
#[tokio::test]
async fn denied_folders() {
    let fixture = Fixture::full();
    let root = fixture.root();
    let key = fixture.write("state/first.pem", CANARY);
    symlink("state", root.join("state-link")).unwrap();
    symlink("state/first.pem", root.join("first-link")).unwrap();
    fs::hard_link(&key, root.join("first-hard")).unwrap();
    let files = fixture.files().deny(root.join("state")).unwrap();
    let secret = [
        "/state",
        "/state/",
        "/state-link/",
        "/state/first.pem",
        "/state-link/first.pem",
        "/first-link",
        "/first-hard",
    ];
    for target in secret {
        assert_eq!(status(&files, target).await, 404, "{target}");
    }
    let listing = get(&files, "/").await;
    let links = listing.links();
    let is_told = |link: &&str| link.contains("state") || link.contains("first");
    assert!(links.contains(&"ok.txt") && !links.iter().any(is_told), "{links:?}");
    assert_eq!(status(&files, "/ok.txt").await, 200);

    // Those that come later, one after the other within a tick of the clock, and those that take their places.
    for round in 0..40 {
        let name = format!("new-{round}");
        fixture.write(format!("state/.{name}"), CANARY);
        fs::rename(root.join(format!("state/.{name}")), root.join(format!("state/{name}"))).unwrap();
        symlink(format!("state/{name}"), root.join(format!("link-{round}"))).unwrap();
        for target in [format!("/state/{name}"), format!("/link-{round}"), "/state/first.pem".to_owned()] {
            assert_eq!(status(&files, &target).await, 404, "{target}");
        }
        fs::rename(root.join(format!("state/{name}")), &key).unwrap();
        assert_eq!(status(&files, "/first-link").await, 404);
        assert_eq!(status(&files, "/ok.txt").await, 200);
    }
    // What has the place of the folder is another one, and then there is none.
    fs::rename(root.join("state"), root.join("away")).unwrap();
    assert_eq!(status(&files, "/ok.txt").await, 200);
    fixture.write("state/second.pem", CANARY);
    assert_eq!(status(&files, "/state/second.pem").await, 404);
}

/// However often it is renewed; and what has nothing to do with it is served.
#[tokio::test]
async fn a_key_that_is_renewed_often() {
    let fixture = Fixture::full();
    let key = fixture.write("key.pem", CANARY);
    let files = fixture.files().deny(&key).unwrap();
    for renewal in 0..40 {
        fs::rename(&key, fixture.root().join(format!("old-{renewal}.pem"))).unwrap();
        fixture.write("key.pem", CANARY);
        assert_eq!(status(&files, "/key.pem").await, 404);
        for old in (0_usize..=renewal).rev().take(15) {
            assert_eq!(status(&files, &format!("/old-{old}.pem")).await, 404, "{old} after {renewal}");
        }
    }
    // A file may get the inode of a key that is gone, and is another one.
    for renewal in 0..40 {
        fs::remove_file(&key).unwrap();
        fixture.write("key.pem", CANARY);
        assert_eq!(status(&files, "/key.pem").await, 404);
        fixture.write(format!("innocent-{renewal}"), "ok");
        assert_eq!(status(&files, &format!("/innocent-{renewal}")).await, 200);
    }
    for renewal in 0..40 {
        assert_eq!(status(&files, &format!("/innocent-{renewal}")).await, 200);
    }
}

#[test]
fn denying_what_cannot_be_denied() {
    let fixture = Fixture::full();
    let error = fixture.files().deny("/no/such/key.pem").unwrap_err();
    assert_eq!(error.to_string(), "/no/such/key.pem: no such file or directory");
    let pipe = fixture.files().deny(fixture.root().join("fifo"));
    assert!(pipe.is_ok(), "a pipe is not served anyway");
}
