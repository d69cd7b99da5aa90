//! What few connections have: behind one word, which is all that the others have room for.

use crate::message::Message;

type Witness = dyn FnMut(&Message<'_>) + Send;

/// What few connections have.
#[derive(Default)]
pub(crate) struct Rare {
    /// The latest ping that could not be answered because writing was blocked.
    unanswered: Option<Box<[u8]>>,
    /// Who looks at what is sent.
    witness: Option<Box<Witness>>,
}

/// That of a connection, if it has any.
pub(crate) type Rarely = Option<Box<Rare>>;

impl Rare {
    /// Shows what is sent from now on to somebody.
    pub(crate) fn set_witness(rare: &mut Rarely, witness: impl FnMut(&Message<'_>) + Send + 'static) {
        rare.get_or_insert_default().witness = Some(Box::new(witness));
    }

    /// Shows a message that is about to be sent to who looks at them.
    #[inline(never)]
    pub(crate) fn show(rare: &mut Rarely, message: &Message<'_>) {
        if let Some(Self { witness: Some(witness), .. }) = rare.as_deref_mut() {
            witness(message);
        }
    }

    /// Keeps a ping in the place of an earlier one.
    pub(crate) fn keep_ping(rare: &mut Rarely, payload: &[u8]) {
        rare.get_or_insert_default().unanswered = Some(payload.into());
    }

    /// The ping that was kept; where nothing else is left, no memory is either.
    pub(crate) fn take_ping(rare: &mut Rarely) -> Option<Box<[u8]>> {
        let ping = rare.as_mut()?.unanswered.take();
        if rare.as_ref().is_some_and(|rare| rare.witness.is_none()) {
            *rare = None;
        }
        ping
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use crate::{CloseCode, Connection, Limits, Output, PreparedMessage};

    /// Whatever way a message takes, it is seen once, and nothing else is.
    #[test]
    fn a_witness_sees_what_is_sent() {
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let (mut connection, mut output) = (Connection::server(Limits::default()), Output::default());
        let into = seen.clone();
        connection.send("before", &mut output).unwrap();
        connection.set_witness(move |message| into.lock().unwrap().push(format!("{message:?}")));
        connection.send("a", &mut output).unwrap();
        connection.send_uncompressed("b", &mut output).unwrap();
        connection.send_prepared(&PreparedMessage::new(vec![1_u8, 2]), &mut output).unwrap();
        connection.ping(b"c", &mut output).unwrap();
        // Answered later, and no message.
        output.set_blocked(true);
        connection.next_event(&mut &mut [0x89, 0x80, 0, 0, 0, 0][..], &mut output).unwrap();
        connection.handle_unblocked(&mut output);
        connection.send_through("d".into(), &mut output, |_| 0).unwrap();
        connection.close(CloseCode::NORMAL, "", &mut output).unwrap();
        connection.send("after", &mut output).unwrap_err();
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 4, "{seen:?}");
        assert!(
            ["\"a\"", "\"b\"", "2", "\"d\""].iter().zip(&*seen).all(|(part, seen)| seen.contains(part)),
            "{seen:?}"
        );
    }
}
