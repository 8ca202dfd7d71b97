//! Rust text seen as code: comments and the insides of literals blanked, lines kept, so that a rule about code is
//! broken by code alone and can name its own words in strings.
//!
//! A small lexer, not a parser. Only the rules of the tidy test call it.

/// The text with every comment and the content of every string and character literal turned into spaces.
pub(crate) fn code_of(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (kept, blanked) = next_piece(rest, out.chars().next_back());
        out.push_str(&rest[..kept]);
        out.extend(rest[kept..kept + blanked].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &rest[kept + blanked..];
    }
    out
}

/// The numbered lines of a text, from 1.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

/// Whether a line has this name, or path of names, not as a part of a longer name.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_name) && !after.is_some_and(is_name)
    })
}

/// The names in a line.
pub(crate) fn names(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|name| !name.is_empty())
}

/// How many bytes come next as they are, and how many after them are to be blanked.
fn next_piece(rest: &str, before: Option<char>) -> (usize, usize) {
    if rest.starts_with("//") {
        return (0, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (0, block_comment(rest));
    }
    let starts_name = !before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if let Some((open, hashes)) = raw_open(rest).filter(|_| starts_name) {
        let close = format!("\"{}", "#".repeat(hashes));
        let content = rest[open..].find(&close).map_or(rest.len() - open, |at| at + close.len());
        return (open, content);
    }
    match rest.as_bytes()[0] {
        b'"' => (1, until_quote(&rest[1..], b'"')),
        b'\'' if is_character(rest) => (1, until_quote(&rest[1..], b'\'')),
        _ => (rest.chars().next().map_or(1, char::len_utf8), 0),
    }
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        match rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of `r"`, `r#"`, `br##"` and their like, if one stands here, and how many hashes close it.
fn raw_open(rest: &str) -> Option<(usize, usize)> {
    let prefix = ["br", "cr", "r"].into_iter().find(|prefix| rest.starts_with(prefix))?;
    let hashes = rest[prefix.len()..].bytes().take_while(|byte| *byte == b'#').count();
    let quote = prefix.len() + hashes;
    (rest.as_bytes().get(quote) == Some(&b'"')).then_some((quote + 1, hashes))
}

/// A character literal, not a lifetime: a quote follows the one character, or a backslash begins it.
fn is_character(rest: &str) -> bool {
    let mut chars = rest.chars().skip(1);
    match chars.next() {
        Some('\\') => true,
        Some(_) => chars.next() == Some('\''),
        None => false,
    }
}

/// The bytes up to and including the closing quote.
fn until_quote(rest: &str, quote: u8) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 0;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

#[test]
fn comments_and_literals_are_blanked_and_lines_stay() {
    let cases = [
        ("let a = 1; // await", "let a = 1; "),
        ("/* await /* deep */ await */ b", " b"),
        (r#"f("await \" await") + c"#, "f(\" ) + c"),
        ("r#\"await \" await\"# + d", "r#\" + d"),
        (r"let q = '\''; await", "let q = ' ; await"),
        ("fn f<'a>(x: &'a str) { await }", "fn f<'a>(x: &'a str) { await }"),
        ("let c = '\"'; await; // x", "let c = ' ; await; "),
        ("let c = 'é'; await", "let c = ' ; await"),
        ("for\"x\"", "for\" "),
        ("br\"\\\" + await", "br\" + await"),
    ];
    for (text, wanted) in cases {
        assert_eq!(squeezed(&code_of(text)), wanted, "of {text}");
    }
    assert_eq!(code_of("\"a\nb\"\nc").lines().count(), 3);
}

/// Every run of spaces as one.
#[cfg(test)]
fn squeezed(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c != ' ' || !out.ends_with(' ') {
            out.push(c);
        }
    }
    out
}

#[test]
fn words_are_whole_names() {
    assert!(has_word("x.await;", "await"));
    assert!(!has_word("awaiting", "await"));
    assert!(!has_word("deny(unsafe_code)", "unsafe"));
    assert!(has_word("use crate::driver::turn;", "crate::driver"));
    assert!(!has_word("use crate::drivers;", "crate::driver"));
}
