//! When a certificate is replaced.

use super::*;

#[tokio::test(start_paused = true)]
async fn each_name_is_ordered_and_renewed() {
    let stage = Stage::set(&["a.test", "b.test"], |_, _| {});
    assert_eq!(stage.shown(), [None, None]);
    sleep(MINUTE).await;
    assert_eq!(stage.counts(), (2, 0));
    assert_eq!(stage.shown(), [Some(90 * 24); 2]);
    let asked = stage.directory.asked();
    assert_eq!(asked, ["new-account []", "new-order a.test", "new-order b.test"]);
    // A third of the lifetime before its end, or up to three days sooner.
    sleep(DAY * 56).await;
    assert_eq!(stage.counts(), (2, 0));
    sleep(DAY * 5).await;
    assert_eq!(stage.counts(), (4, 0));
    assert!(stage.shown().iter().all(|hours| hours.is_some_and(|hours| hours > 84 * 24)), "{:?}", stage.shown());
    assert_eq!(stage.directory.asked().len(), 2);
    // For ever.
    sleep(DAY * 180).await;
    assert_eq!(stage.counts(), (10, 0));
}

/// Names have jitter of their own.
#[tokio::test(start_paused = true)]
async fn not_all_are_renewed_at_once() {
    let names: Vec<_> = (0..20).map(|number| format!("{number}.a.test")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let stage = Stage::set(&names, |directory, _| directory.issue_for(DAY * 10));
    sleep(DAY * 6).await;
    assert_eq!(stage.counts().0, 20);
    sleep(HOUR * 12).await;
    let first = stage.counts().0;
    sleep(HOUR * 5).await;
    assert!(first > 20 && first < 40 && stage.counts() == (40, 0), "{first} {:?}", stage.counts());
}

#[tokio::test(start_paused = true)]
async fn an_authority_suggests_when() {
    let window = |now: &Now, days: u32| (now() + DAY * days, now() + DAY * (days + 1));
    let stage = Stage::set(&["a.test"], |directory, now| {
        let (start, end) = window(now, 20);
        directory.suggest(Renewal::Window(start, end, Some("21600")));
    });
    sleep(HOUR).await;
    let asked = stage.directory.asked();
    assert_eq!(asked[..2], ["new-account []", "new-order a.test"]);
    assert!(asked.len() == 3 && asked[2].starts_with("renewal "), "{asked:?}");
    let id = asked[2].trim_start_matches("renewal ").to_owned();
    // Every six hours, as it says.
    sleep(DAY * 10).await;
    let asked = stage.directory.asked();
    assert_eq!(asked.len(), 40, "{asked:?}");
    // It changes its mind.
    let (start, end) = window(&stage.now, 2);
    stage.directory.suggest(Renewal::Window(start, end, Some("21600")));
    let (passed, order) = stage.next_order(DAY * 4).await;
    assert!((DAY * 2..DAY * 3 + HOUR).contains(&passed), "{passed:?}");
    assert_eq!(order, format!("new-order a.test for {id}"));
    sleep(MINUTE).await;
    assert_eq!(stage.counts(), (2, 0));
}

/// "At once" of a certificate that is new is not believed at once.
#[tokio::test(start_paused = true)]
async fn a_window_that_has_passed() {
    let stage = Stage::set(&["a.test"], |directory, now| {
        directory.suggest(Renewal::Window(now() - DAY, now() - HOUR, Some("0")));
    });
    sleep(MINUTE).await;
    assert_eq!(stage.counts(), (1, 0));
    sleep(HOUR * 5).await;
    assert_eq!(stage.counts(), (1, 0));
    // Every minute, at most.
    let asked = stage.directory.asked().len();
    assert!((250..=303).contains(&asked), "{asked}");
    sleep(HOUR * 2).await;
    assert_eq!(stage.counts(), (2, 0));
    sleep(DAY).await;
    assert!(stage.counts().0 <= 6, "{:?}", stage.counts());
}

/// Then it is as if nothing was suggested.
#[tokio::test(start_paused = true)]
async fn windows_that_are_none() {
    let moment = |now: &Now, days: u32| now() + DAY * days;
    type Suggest = fn(&dyn Fn(u32) -> SystemTime) -> Renewal;
    let check = async |what: &str, suggest: Suggest, each_day: usize| {
        let stage = Stage::set(&["a.test"], |directory, now| {
            directory.issue_for(DAY * 30);
            directory.suggest(suggest(&|days| moment(now, days)));
        });
        sleep(HOUR).await;
        stage.directory.asked();
        sleep(DAY).await;
        let asked = stage.directory.asked().len();
        assert!(asked.abs_diff(each_day) <= 1, "{what}: asked {asked} times");
        sleep(DAY * 17).await;
        assert_eq!(stage.counts(), (1, 0), "{what}");
        sleep(DAY * 2).await;
        assert_eq!(stage.counts(), (2, 0), "{what}");
    };
    check("backwards", |day| Renewal::Window(day(3), day(2), Some("21600")), 4).await;
    check("empty", |day| Renewal::Window(day(3), day(3), Some("21600")), 4).await;
    check("after the end", |day| Renewal::Window(day(40), day(41), Some("21600")), 4).await;
    check("without a time to ask again", |day| Renewal::Window(day(40), day(41), None), 4).await;
    check("seldom", |day| Renewal::Window(day(40), day(41), Some("99999999999999999999")), 1).await;
    // Retried as other failures are: 1, 2, 4 ... 256, 360, 360 minutes, and up to a quarter more.
    check("garbage", |_| Renewal::Answers(200, "what"), 6).await;
    check("an error", |_| Renewal::Answers(500, r#"{"type": "about:blank"}"#), 6).await;
    check("no window", |_| Renewal::Answers(200, r#"{"suggestedWindow": {"start": 1, "end": "x"}}"#), 6).await;
}

/// An authority that has the predecessor replaced already is asked without.
#[tokio::test(start_paused = true)]
async fn what_has_been_replaced_already() {
    let stage = Stage::set(&["a.test"], |directory, now| {
        directory.suggest(Renewal::Window(now() + DAY, now() + DAY * 2, Some("21600")));
    });
    sleep(HOUR).await;
    stage.directory.asked();
    stage.directory.behave(Manner::Refuses("alreadyReplaced", None));
    sleep(DAY * 2).await;
    assert_eq!(stage.counts().1, 0);
    let asked = stage.directory.asked();
    let orders: Vec<_> = asked.iter().filter(|line| line.starts_with("new-order")).take(2).collect();
    assert!(orders.len() == 2 && orders[0].contains(" for ") && orders[1] == "new-order a.test", "{orders:?}");
}
