//! Holds what subscribers have seen against what publishers were told.

use std::collections::{BTreeMap, HashMap, HashSet};

/// What became of a message, as its publisher was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It is at this offset.
    Acknowledged(u64),
    /// It is published, or not.
    Unknown,
    /// It is not published.
    Refused,
}

/// What a subscriber has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It has begun behind this offset, and whatever was before does not matter to it.
    Began(u64),
    /// It has come back, and nothing is missing.
    Resumed,
    /// There is nothing up to this offset but what it has had.
    Reached(u64),
    /// Some may be missing here.
    Gap,
    Message {
        number: u64,
        offset: u64,
    },
}

/// What all subscribers of a run have come to.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    pub(super) delivered: usize,
    pub(super) resumed: usize,
    pub(super) gaps: usize,
    /// Of those that may be published or not: how many were.
    pub(super) unknown_came: usize,
}

/// Looks at the log of one subscriber; what is wrong with it.
pub(super) fn check(told: &BTreeMap<u64, Told>, seen: &[Seen], sum: &mut Sum) -> Result<(), String> {
    let by_offset: BTreeMap<u64, u64> = told
        .iter()
        .filter_map(|(number, told)| match told {
            Told::Acknowledged(offset) => Some((*offset, *number)),
            _ => None,
        })
        .collect();
    let (mut had, mut last, mut began) = (HashSet::new(), 0, None);
    let mut gaps: HashMap<u64, ()> = HashMap::new();
    for one in seen {
        match *one {
            Seen::Began(offset) => {
                began.get_or_insert(offset);
                last = last.max(offset);
            }
            Seen::Resumed => sum.resumed += 1,
            Seen::Reached(offset) => {
                unsaid(&by_offset, last, offset + 1, gaps.contains_key(&last))?;
                last = last.max(offset);
            }
            Seen::Gap => {
                sum.gaps += 1;
                gaps.insert(last, ());
            }
            Seen::Message { number, offset } => {
                sum.delivered += 1;
                if !had.insert(number) {
                    return Err(format!("message {number} came twice, at last at {offset}"));
                }
                if offset <= last {
                    return Err(format!("message {number} at {offset} came behind the one at {last}"));
                }
                match told.get(&number) {
                    None => return Err(format!("nobody has published {number}")),
                    Some(Told::Refused) => {
                        return Err(format!(
                            "message {number} came, and its publisher was told that it is not published"
                        ));
                    }
                    Some(Told::Acknowledged(at)) if *at != offset => {
                        return Err(format!("message {number} came at {offset}, and was acknowledged at {at}"));
                    }
                    Some(Told::Acknowledged(_)) => {}
                    Some(Told::Unknown) => sum.unknown_came += 1,
                }
                unsaid(&by_offset, last, offset, gaps.contains_key(&last))?;
                last = offset;
            }
        }
    }
    if began.is_none() {
        return Err("it never began".to_owned());
    }
    match by_offset.range(last + 1..).next() {
        Some((at, number)) => Err(format!("message {number} at {at} did not come at the end")),
        None => Ok(()),
    }
}

/// What is missing behind `last` and before `end` is missing, unless that was said.
fn unsaid(by_offset: &BTreeMap<u64, u64>, last: u64, end: u64, is_said: bool) -> Result<(), String> {
    match by_offset.range(last + 1..end.max(last + 1)).next() {
        Some((at, number)) if !is_said => Err(format!("message {number} at {at} did not come, and nobody has said so")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A checker that finds nothing proves nothing.
    #[test]
    fn what_is_wrong_is_found() {
        let told = BTreeMap::from([
            (1, Told::Acknowledged(10)),
            (2, Told::Unknown),
            (3, Told::Acknowledged(30)),
            (4, Told::Refused),
            (5, Told::Acknowledged(50)),
        ]);
        let message = |number, offset| Seen::Message { number, offset };
        let check = |seen: &[Seen], expected: &str| {
            let result = check(&told, &[&[Seen::Began(0)], seen].concat(), &mut Sum::default());
            match expected {
                "" => assert_eq!(result, Ok(()), "{seen:?}"),
                expected => assert!(result.as_ref().is_err_and(|why| why.contains(expected)), "{seen:?}: {result:?}"),
            }
        };
        check(&[message(1, 10), message(3, 30), message(5, 50)], "");
        check(&[message(1, 10), message(2, 20), message(3, 30), message(5, 50)], "");
        check(&[message(1, 10), Seen::Resumed, message(3, 30), message(5, 50)], "");
        check(&[message(1, 10), Seen::Gap, message(5, 50)], "");
        check(&[message(1, 10), Seen::Reached(29), message(3, 30), Seen::Reached(40), message(5, 50)], "");
        check(&[message(1, 10), Seen::Gap, Seen::Reached(30), message(5, 50)], "");
        check(&[message(1, 10), Seen::Reached(30), message(5, 50)], "message 3 at 30 did not come, and nobody");
        check(&[message(1, 10), message(5, 50)], "did not come, and nobody");
        check(&[message(1, 10), message(3, 30)], "did not come at the end");
        check(&[message(1, 10), message(1, 30), message(3, 30)], "came twice");
        check(&[message(3, 30), message(1, 10)], "message 1");
        check(&[message(1, 10), message(2, 20), message(2, 21)], "came twice");
        check(&[message(1, 10), message(4, 20)], "told that it is not");
        check(&[message(1, 11)], "acknowledged at 10");
        check(&[message(9, 11)], "nobody has published");
    }
}
