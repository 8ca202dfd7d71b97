//! Lower-case hexadecimal, as signatures and digests are written in this protocol. Decoding takes either case.
//! Used by `auth` alone; nothing here looks at secrets.

/// Appends two digits per byte.
pub(crate) fn encode_hex(out: &mut String, bytes: &[u8]) {
    let digit = |nibble: u8| char::from(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
    out.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
}

/// The bytes of exactly `2 * N` digits.
pub(crate) fn parse_hex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    if digits.len() != 2 * N {
        return None;
    }
    let (mut bytes, mut seen) = ([0; N], 0);
    for (byte, [high, low]) in bytes.iter_mut().zip(digits.as_bytes().as_chunks().0) {
        let (high, low) = (nibble(*high), nibble(*low));
        seen |= high | low;
        *byte = high << 4 | low;
    }
    (seen < NO_DIGIT).then_some(bytes)
}

/// In place of a digit's value.
const NO_DIGIT: u8 = 16;

// Asked for every digit of a signature: no branch, so all of them are looked at side by side.
fn nibble(digit: u8) -> u8 {
    let (number, letter) = (digit.wrapping_sub(b'0'), (digit | 0x20).wrapping_sub(b'a'));
    let letter = if letter < 6 { letter + 10 } else { NO_DIGIT };
    if number < 10 { number } else { letter }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_round_trip_and_bad_ones_are_refused() {
        let mut text = String::new();
        encode_hex(&mut text, &[0x00, 0x7f, 0xff, 0xa0]);
        assert_eq!(text, "007fffa0");
        assert_eq!(parse_hex::<4>(&text), Some([0x00, 0x7f, 0xff, 0xa0]));
        assert_eq!(parse_hex::<4>("007FFFA0"), Some([0x00, 0x7f, 0xff, 0xa0]));
        for bad in ["", "007fffa", "007fffa00", "007fffag", "+07fffa0", "éé7fff"] {
            assert_eq!(parse_hex::<4>(bad), None, "{bad}");
        }
    }
}
