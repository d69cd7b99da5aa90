//! A second, plain decoder of DEFLATE, <https://www.rfc-editor.org/rfc/rfc1951>: it tells which distances a stream
//! uses, which zlib-rs does not check.

use std::collections::HashMap;

/// Decodes a stream of whole blocks that ends at a byte; returns the output and the largest distance in it.
pub(super) fn decode(stream: &[u8]) -> (Vec<u8>, usize) {
    let mut bits = Bits { stream, position: 0 };
    let (mut output, mut largest) = (Vec::new(), 0);
    while bits.position.div_ceil(8) < stream.len() {
        bits.take(1); // BFINAL: what follows is another stream
        match bits.take(2) {
            0 => stored(&mut bits, &mut output),
            1 => {
                let lengths: Vec<_> = (0..288)
                    .map(|symbol| {
                        [8, 9, 7, 8][usize::from(symbol > 143) + usize::from(symbol > 255) + usize::from(symbol > 279)]
                    })
                    .collect();
                block(&mut bits, &codes(&lengths), &codes(&[5; 30]), &mut output, &mut largest);
            }
            2 => {
                let (literals, distances) = dynamic(&mut bits);
                block(&mut bits, &literals, &distances, &mut output, &mut largest);
            }
            _ => panic!("reserved block type"),
        }
    }
    (output, largest)
}

/// A code and its length to the symbol it stands for.
type Codes = HashMap<(usize, usize), usize>;

struct Bits<'s> {
    stream: &'s [u8],
    position: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> usize {
        let bit = |at: usize| usize::from(self.stream[at / 8] >> (at % 8) & 1);
        let value = (0..count).map(|index| bit(self.position + index) << index).sum();
        self.position += count;
        value
    }

    fn symbol(&mut self, codes: &Codes) -> usize {
        let mut code = 0;
        (1..=15)
            .find_map(|length| {
                code = code << 1 | self.take(1);
                codes.get(&(length, code)).copied()
            })
            .expect("a code of the table")
    }
}

/// Section 3.2.2: codes in order of their lengths, then of their symbols.
fn codes(lengths: &[usize]) -> Codes {
    let mut codes = Codes::new();
    let mut code = 0;
    for length in 1..=15 {
        for symbol in (0..lengths.len()).filter(|&symbol| lengths[symbol] == length) {
            codes.insert((length, code), symbol);
            code += 1;
        }
        code <<= 1;
    }
    codes
}

fn stored(bits: &mut Bits<'_>, output: &mut Vec<u8>) {
    bits.position = bits.position.next_multiple_of(8);
    let length = bits.take(16);
    assert_eq!(bits.take(16), !length & 0xffff);
    output.extend((0..length).map(|_| bits.take(8) as u8));
}

/// Section 3.2.7: the two tables of a dynamic block.
fn dynamic(bits: &mut Bits<'_>) -> (Codes, Codes) {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let (literals, distances, count) = (bits.take(5) + 257, bits.take(5) + 1, bits.take(4) + 4);
    let mut lengths = [0; 19];
    for symbol in &ORDER[..count] {
        lengths[*symbol] = bits.take(3);
    }
    let table = codes(&lengths);
    let mut lengths: Vec<usize> = Vec::new();
    while lengths.len() < literals + distances {
        let (length, times) = match bits.symbol(&table) {
            16 => (lengths[lengths.len() - 1], 3 + bits.take(2)),
            17 => (0, 3 + bits.take(3)),
            18 => (0, 11 + bits.take(7)),
            length => (length, 1),
        };
        lengths.extend(std::iter::repeat_n(length, times));
    }
    (codes(&lengths[..literals]), codes(&lengths[literals..]))
}

fn block(bits: &mut Bits<'_>, literals: &Codes, distances: &Codes, output: &mut Vec<u8>, largest: &mut usize) {
    loop {
        let length = match bits.symbol(literals) {
            literal @ 0..=255 => {
                output.push(literal as u8);
                continue;
            }
            256 => return,
            285 => 258,
            symbol => 3 + spread(bits, symbol - 257, 4),
        };
        let symbol = bits.symbol(distances);
        let distance = 1 + spread(bits, symbol, 2);
        assert!(distance <= output.len(), "a distance to before the stream");
        *largest = distance.max(*largest);
        for _ in 0..length {
            output.push(output[output.len() - distance]);
        }
    }
}

/// Section 3.2.5: after the first 2 x `step` symbols, each further `step` of them take one extra bit more.
fn spread(bits: &mut Bits<'_>, symbol: usize, step: usize) -> usize {
    let extra = (symbol / step).saturating_sub(1);
    if extra == 0 { symbol } else { ((step + symbol % step) << extra) + bits.take(extra) }
}
