//! Messages through a decompressor.

use rikki_proto::Error;
use rikki_proto::deflate::{Decompressor, SCRATCH_SIZE, Scratch};

/// Decompresses messages that come in pieces, the first of which refers to none; an error ends them.
pub fn decompress<'a, P>(
    decompressor: &mut Decompressor,
    messages: impl IntoIterator<Item = P>,
    limit: usize,
) -> Result<Vec<Vec<u8>>, Error>
where
    P: IntoIterator<Item = &'a [u8]>,
{
    let mut scratch = [0; SCRATCH_SIZE];
    decompressor.reset();
    let each = messages.into_iter().map(|pieces| decompress_one(decompressor, pieces, &mut scratch, limit));
    let messages = each.collect::<Result<_, _>>()?;
    assert!(decompressor.finish(&mut scratch).is_err(), "nothing of a message is left to be taken for the next");
    Ok(messages)
}

fn decompress_one<'a>(
    decompressor: &mut Decompressor,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    scratch: &mut Scratch,
    limit: usize,
) -> Result<Vec<u8>, Error> {
    let mut output = Vec::new();
    let result = pieces.into_iter().try_for_each(|piece| {
        decompressor.push(piece, scratch, limit, |bytes| {
            assert!(!bytes.is_empty());
            output.extend_from_slice(bytes);
            Ok(())
        })
    });
    assert!(output.len() <= limit, "{} bytes, limit {limit}", output.len());
    result.and_then(|()| decompressor.finish(scratch)).map(|()| output)
}
