//! What may reach a terminal or a log. Text of peers, of back ends and of commands may hold escapes that move the cursor,
//! name the window, or turn the order of what a reader sees.

use std::borrow::Cow;

/// False for control characters (C0, DEL, C1), for those that reorder text (bidirectional marks, embeddings, overrides
/// and isolates), and for the two separators that some viewers break a line at.
pub fn is_printable(c: char) -> bool {
    let reorders =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks = matches!(c, '\u{2028}' | '\u{2029}');
    !(c.is_control() || reorders || breaks)
}

/// The text with a space for each character that is not printable.
pub fn blanked(text: &str) -> Cow<'_, str> {
    // Almost all that is logged, and many bytes at a time.
    let is_plain = text.bytes().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'));
    if is_plain || text.chars().all(is_printable) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if is_printable(c) { c } else { ' ' }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_blanked() {
        for c in (0..0x20).chain(0x7f..0xa0).chain(0x202a..0x202f).chain(0x2066..0x206a) {
            let c = char::from_u32(c).unwrap();
            assert_eq!(blanked(&format!("a{c}b")), "a b", "{c:?}");
        }
        for c in ['\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}'] {
            assert_eq!(blanked(&format!("a{c}b")), "a b", "{c:?}");
        }
    }

    #[test]
    fn text_of_any_language_stays() {
        for text in ["", "hello, world", "Grüße 日本語 שלום 👩‍👩‍👧", "nbsp\u{a0}soft\u{ad}"]
        {
            assert!(matches!(blanked(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }
}
