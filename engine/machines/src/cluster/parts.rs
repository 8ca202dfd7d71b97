//! Values of several parts: each part is its length in four bytes, the highest first, and so many bytes.

/// Appends a part.
pub fn push_part(out: &mut Vec<u8>, part: &[u8]) {
    out.extend_from_slice(&(part.len() as u32).to_be_bytes());
    out.extend_from_slice(part);
}

/// The parts of a value, one after another.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a>(
    /// What is left of the value.
    pub &'a [u8],
);

impl<'a> Parts<'a> {
    /// The next part. None: there is none, or it is cut off.
    pub fn next_part(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let (part, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        self.0 = rest;
        Some(part)
    }

    /// The same as text.
    pub fn next_text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.next_part()?).ok()
    }

    /// The same as a number.
    pub fn next_number(&mut self) -> Option<u64> {
        number(self.next_part()?)
    }

    /// True when nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A decimal number.
pub fn number(bytes: &[u8]) -> Option<u64> {
    let digits = bytes.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(bytes).ok().filter(|_| digits)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back_as_they_were_and_nothing_cut_off_is_one() {
        let mut value = Vec::new();
        push_part(&mut value, b"12");
        push_part(&mut value, b"");
        push_part(&mut value, "\u{e9}".as_bytes());
        let mut parts = Parts(&value);
        assert_eq!((parts.next_number(), parts.next_part()), (Some(12), Some(&b""[..])));
        assert_eq!((parts.next_text(), parts.is_empty(), parts.next_part()), (Some("\u{e9}"), true, None));
        for length in 0..value.len() {
            let mut parts = Parts(value.get(..length).unwrap());
            while parts.next_part().is_some() {}
            assert!(parts.0.len() < 4 + 2);
        }
    }

    #[test]
    fn a_number_is_digits_alone() {
        assert_eq!(number(b"0018446744073709551615"), Some(u64::MAX));
        for other in ["", "+1", "-1", "1.0", " 1", "18446744073709551616"] {
            assert_eq!(number(other.as_bytes()), None, "{other}");
        }
    }
}
