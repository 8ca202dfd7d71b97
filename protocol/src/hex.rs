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
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        let value = char::from(*high).to_digit(16)? << 4 | char::from(*low).to_digit(16)?;
        *byte = u8::try_from(value).ok()?;
    }
    Some(bytes)
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
