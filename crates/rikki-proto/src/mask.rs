//! Masking of client payloads, [RFC 6455 section 5.3](https://www.rfc-editor.org/rfc/rfc6455#section-5.3).

/// The masking key of one frame, turned to where the payload has been read to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mask([u8; 4]);

impl Mask {
    pub(crate) fn new(key: [u8; 4]) -> Self {
        Self(key)
    }

    /// Masks or unmasks the next `data` of the frame in place: the operation is its own inverse.
    pub(crate) fn apply(&mut self, data: &mut [u8]) {
        let key = u32::from_ne_bytes(self.0);
        let wide = u64::from(key) << 32 | u64::from(key);
        // Words of eight bytes, which the compiler turns into vector instructions; what is left in one of four and
        // bytes.
        let (words, rest) = data.as_chunks_mut::<8>();
        for word in words {
            *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
        }
        let (half, rest) = rest.as_chunks_mut::<4>();
        if let [half] = half {
            *half = (u32::from_ne_bytes(*half) ^ key).to_ne_bytes();
        }
        for (byte, key) in rest.iter_mut().zip(self.0) {
            *byte ^= key;
        }
        self.0.rotate_left(rest.len());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the cuts, byte `i` is combined with key byte `i mod 4`: the sentence of section 5.3.
        #[test]
        fn follows_the_rfc_in_any_cuts(data: Vec<u8>, key: [u8; 4], cuts in prop::collection::vec(0usize..40, 0..8)) {
            let expected: Vec<u8> = data.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect();
            let mut masked = data.clone();
            let mut mask = Mask::new(key);
            let mut rest = &mut masked[..];
            for cut in cuts {
                let (now, later) = rest.split_at_mut(cut.min(rest.len()));
                mask.apply(now);
                rest = later;
            }
            mask.apply(rest);
            prop_assert_eq!(masked, expected);
        }
    }
}
