//! What the entity tag of a small file is made of: its content, and nothing that differs between two copies of it.

use sha1::{Digest as _, Sha1};

/// The first 128 bits of the SHA-1 of a content.
///
/// That two contents of a name have the same one by chance is out of the question; who can write both of them needs no
/// collision to confuse a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest(pub(super) u128);

/// A digest in the making.
#[derive(Default)]
pub(super) struct Digesting(Sha1);

impl Digesting {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn end(self) -> Digest {
        let hash: [u8; 20] = self.0.finalize().into();
        Digest(hash.iter().take(16).fold(0, |number, &byte| number << 8 | u128::from(byte)))
    }
}

impl Digest {
    pub(super) fn of(content: &[u8]) -> Self {
        let mut digesting = Digesting::default();
        digesting.add(content);
        digesting.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From <https://www.rfc-editor.org/rfc/rfc3174#section-7.3>: a tag outlives this program.
    #[test]
    fn digests_stay_as_they_are() {
        assert_eq!(Digest::of(b"abc"), Digest(0xa999_3e36_4706_816a_ba3e_2571_7850_c26c));
        let mut digesting = Digesting::default();
        digesting.add(b"a");
        digesting.add(b"bc");
        assert_eq!(digesting.end(), Digest::of(b"abc"));
    }
}
