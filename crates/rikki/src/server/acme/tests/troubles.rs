//! What goes wrong, and what is kept then.

use std::fs;

use super::*;

/// Whatever an authority does: it is tried again, less and less often, and what is shown stays.
#[tokio::test(start_paused = true)]
async fn an_authority_that_fails() {
    let huge = vec![b'{'; 1 << 20];
    for manner in [
        Manner::Down,
        Manner::Hangs,
        Manner::Panics,
        Manner::Answers(200, b"what".to_vec()),
        Manner::Answers(200, b"{}".to_vec()),
        Manner::Answers(500, br#"{"type": "about:blank"}"#.to_vec()),
        Manner::Answers(301, Vec::new()),
        Manner::Answers(200, huge),
        Manner::Refuses("serverInternal", None),
        Manner::Refuses("malformed", None),
        Manner::Unproven,
        Manner::Dawdles,
        Manner::WrongName,
        Manner::WrongKey,
        Manner::Expired,
    ] {
        let what = format!("{manner:?}").chars().take(40).collect::<String>();
        let stage = Stage::set(&["a.test"], |directory, _| directory.issue_for(DAY * 9));
        sleep(DAY).await;
        assert_eq!(stage.shown(), [Some(8 * 24)]);
        stage.directory.behave(manner);
        // It is due after 5.7 to 6 days: 1, 2, 4 ... 256, 360, 360 minutes, and up to a quarter more.
        sleep(DAY * 6).await;
        let (issued, failed) = stage.counts();
        assert!(issued == 1 && (9..=14).contains(&failed), "{what}: {issued} {failed}");
        assert_eq!(stage.shown(), [Some(2 * 24)], "{what}");
        assert!(!stage.tls.managed().unwrap().challenges.are_any(), "{what}");
        // Also beyond its end.
        sleep(DAY * 3).await;
        assert_eq!(stage.shown(), [Some(0)], "{what}");
        let failed = stage.counts().1;
        assert!((18..=26).contains(&failed), "{what}: {failed}");
        stage.directory.behave(Manner::Well);
        sleep(HOUR * 8).await;
        assert_eq!(stage.counts(), (2, failed), "{what}");
    }
}

/// What was tried, and what the authority says of it, in one line.
#[tokio::test(start_paused = true)]
async fn what_a_failure_says() {
    let stage = Stage::new(&["a.test"]);
    sleep(MINUTE).await;
    stage.running.abort();
    let check = async |manner: Manner, expected: &str| {
        stage.directory.behave(manner);
        let order = Order::new(stage.tls.managed().unwrap().clone(), "a.test".to_owned());
        let why = order.place(None).await.unwrap_err().why;
        assert_eq!(why, expected);
    };
    let of_acme = "the authority says urn:ietf:params:acme:error";
    check(Manner::Down, "asking for an account: connection refused").await;
    check(Manner::Hangs, "asking for an account: no answer within 30 s").await;
    check(Manner::Refuses("rateLimited", None), &format!("ordering: {of_acme}:rateLimited: no")).await;
    check(Manner::Unproven, &format!("proving the name: {of_acme}:unauthorized: not\\nseen")).await;
    check(Manner::Dawdles, "proving the name: timed out waiting for an order update").await;
    let issued = "what the authority has issued";
    check(Manner::WrongName, &format!("keeping it: the first certificate in {issued} is not for a.test")).await;
    let mismatch = format!("the private key in {issued} does not belong to the first certificate in {issued}");
    check(Manner::WrongKey, &format!("keeping it: {mismatch}")).await;
    let expired = "has expired or is not valid yet: renew it, or set the clock";
    check(Manner::Expired, &format!("keeping it: the first certificate in {issued} {expired}")).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_lets_others_through() {
    let stage = Stage::set(&["a.test", "b.test", "c.test"], |directory, _| directory.behave(Manner::Down));
    sleep(MINUTE / 2).await;
    assert_eq!(stage.counts(), (0, 3));
    stage.directory.behave(Manner::Well);
    sleep(MINUTE).await;
    assert_eq!(stage.counts(), (3, 3));
}

/// An authority may ask for patience, up to a day.
#[tokio::test(start_paused = true)]
async fn an_authority_that_limits_rates() {
    for (again, hours) in [("7200", 2), ("Fri, 31 Dec 9999 23:59:59 GMT", 24), ("18446744073709551615", 24)] {
        let stage =
            Stage::set(&["a.test"], |directory, _| directory.behave(Manner::Refuses("rateLimited", Some(again))));
        sleep(MINUTE).await;
        assert_eq!(stage.counts(), (0, 1), "{again}");
        let (passed, _) = {
            stage.directory.asked();
            stage.next_order(DAY * 2).await
        };
        let hours = HOUR * hours;
        assert!((hours - MINUTE * 2..hours + hours / 4 + MINUTE).contains(&passed), "{again}: {passed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nonces_that_are_refused() {
    for (count, expected) in [(1, (1, 0)), (20, (1, 0)), (1_000_000, (0, 1))] {
        let stage = Stage::set(&["a.test"], |directory, _| directory.refuse_nonces(count));
        sleep(MINUTE / 2).await;
        assert_eq!(stage.counts(), expected, "{count}");
    }
}

/// As one does that has lost what it knew.
#[tokio::test(start_paused = true)]
async fn an_account_that_is_gone() {
    let stage = Stage::new(&["a.test"]);
    sleep(MINUTE).await;
    stage.directory.forget_accounts();
    stage.directory.asked();
    sleep(DAY * 61).await;
    assert_eq!(stage.counts(), (2, 1));
    assert_eq!(stage.directory.asked(), ["new-account []", "new-order a.test"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_used_after_a_restart() {
    let stage = Stage::new(&["a.test", "b.test"]);
    sleep(MINUTE).await;
    stage.directory.asked();
    let stage = stage.restart(&["a.test", "b.test", "c.test"]).await;
    assert_eq!(stage.shown(), [Some(90 * 24), Some(90 * 24), None]);
    sleep(MINUTE).await;
    assert_eq!(stage.directory.asked(), ["new-order c.test"]);
    // What the state has of another directory is left alone.
    assert_eq!(stage.folder.files().len(), 4);
}

/// What is in files may be anything; it is never a panic, and there is a new one.
#[tokio::test(start_paused = true)]
async fn what_is_kept_and_cannot_be_used() {
    type Spoil = fn(&str, &str) -> Vec<u8>;
    let check = async |what: &str, spoil: Spoil| {
        let mut stage = Stage::new(&["a.test", "b.test"]);
        sleep(MINUTE).await;
        let [a, account, b] = &stage.folder.files()[..] else { panic!("{:?}", stage.folder.files()) };
        let read = |path| fs::read_to_string(path).unwrap();
        fs::write(account, spoil(&read(account), "{}")).unwrap();
        fs::write(a, spoil(&read(a), &read(b))).unwrap();
        stage.directory.asked();
        stage = stage.restart(&["a.test", "b.test"]).await;
        assert_eq!(stage.shown(), [None, Some(90 * 24)], "{what}");
        sleep(MINUTE).await;
        assert_eq!(stage.counts(), (1, 0), "{what}");
        assert_eq!(stage.directory.asked(), ["new-account []", "new-order a.test"], "{what}");
    };
    check("truncated", |text, _| text.as_bytes()[..text.len() / 2].to_vec()).await;
    check("empty", |_, _| Vec::new()).await;
    check("noise", |_, _| vec![0xff; 1000]).await;
    check("large", |_, _| vec![b'a'; 3 << 20]).await;
    check("another's", |_, other| other.as_bytes().to_vec()).await;
    check("with the key of another", |text, other| {
        let key = "-----END PRIVATE KEY-----";
        let chain = text.split_once(key).map_or(text, |(_, chain)| chain);
        let other = other.split_once(key).map_or(other, |(before, _)| before);
        format!("{other}{key}\n{chain}").into_bytes()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_is_not_loaded() {
    let stage = Stage::set(&["a.test"], |directory, _| directory.issue_for(Duration::from_secs(2)));
    sleep(Duration::from_secs(1)).await;
    stage.running.abort();
    let path = stage.folder.files()[0].clone();
    sleep(DAY).await;
    let managed = stage.tls.managed().unwrap();
    let error = managed.load("a.test").unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "the first certificate in {} has expired or is not valid yet: renew it, or set the clock",
            path.display()
        )
    );
    assert!(managed.load("b.test").unwrap().is_none());
}

/// Another process has renewed, or two servers have clones of one: there is one order.
#[tokio::test(start_paused = true)]
async fn somebody_else_was_faster() {
    let first = Stage::new(&["a.test"]);
    let clone = renewing(&first.tls, &first.live);
    sleep(MINUTE).await;
    assert_eq!(first.counts(), (1, 0));
    // The other one goes on where the first one ends, and takes what a third one has written.
    first.running.abort();
    let other = managed(first.folder.acme(&["a.test"]), &first.directory);
    sleep(DAY * 50).await;
    fs::remove_file(&first.folder.files()[0]).unwrap();
    let third = managed(first.folder.acme(&["a.test"]), &first.directory);
    let third = renewing(&third, &first.live);
    sleep(HOUR).await;
    third.abort();
    assert_eq!(first.counts(), (2, 0));
    first.directory.asked();
    sleep(DAY * 20).await;
    assert_eq!((first.counts(), first.directory.asked().len()), ((2, 0), 0));
    assert!(matches!(first.shown()[..], [Some(1679 | 1680)]), "{:?}", first.shown());
    drop(other);
    clone.abort();
}

/// It may be dropped at any moment: there is no half of a file, and nothing is shown for a challenge.
#[tokio::test(start_paused = true)]
async fn dropped_at_any_moment() {
    for milliseconds in (0..800).step_by(20) {
        let stage = Stage::new(&["a.test"]);
        sleep(Duration::from_millis(milliseconds)).await;
        stage.running.abort();
        while !stage.running.is_finished() {
            tokio::task::yield_now().await;
        }
        // What blocks goes to its end.
        sleep(MINUTE).await;
        let managed = stage.tls.managed().unwrap();
        assert!(!managed.challenges.are_any(), "{milliseconds}");
        managed.load("a.test").unwrap();
        assert!(stage.folder.files().iter().all(|path| path.extension().is_some()), "{:?}", stage.folder.files());
    }
}

/// Somebody else who renews.
fn renewing(tls: &ServerTls, live: &Arc<Live>) -> JoinHandle<()> {
    let (tls, live) = (tls.clone(), live.clone());
    tokio::spawn(async move { run(Some(tls), live, &mut Attempts::default()).await })
}

/// Settings that are read again: an authority that has said no is left alone for as long as it would have been.
#[tokio::test(start_paused = true)]
async fn a_reload_is_no_reason_to_ask_again() {
    let stage = Stage::set(&["a.test"], |directory, _| directory.behave(Manner::Unproven));
    sleep(MINUTE / 4).await;
    assert_eq!(stage.counts(), (0, 1));
    let reload = |names: &[&str]| {
        let others = managed(stage.folder.acme(names), &stage.directory);
        stage.others.send_replace(Some(others.clone()));
        others
    };
    for _ in 0..100 {
        reload(&["a.test"]);
        sleep(MINUTE / 400).await;
    }
    assert_eq!(stage.counts(), (0, 1));
    // Other settings may be what was missing.
    stage.directory.behave(Manner::Well);
    let tls = reload(&["a.test", "b.test"]);
    sleep(MINUTE / 4).await;
    assert_eq!(stage.counts(), (2, 1));
    assert!(tls.issued().iter().all(|(_, issued)| issued.is_some()));
    // One that is interrupted goes on a minute later, with what it has by then.
    stage.directory.behave(Manner::Hangs);
    reload(&["a.test", "b.test", "c.test"]);
    sleep(MINUTE / 4).await;
    stage.directory.behave(Manner::Well);
    let tls = reload(&["a.test", "b.test", "c.test"]);
    sleep(MINUTE / 4).await;
    assert_eq!(stage.counts(), (2, 1));
    sleep(MINUTE * 2).await;
    assert_eq!(stage.counts(), (3, 1));
    assert!(tls.issued().iter().all(|(_, issued)| issued.is_some()));
}
