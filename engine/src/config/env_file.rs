//! The lines of an environment file, as Docker Compose, systemd and the dotenv libraries write them: `NAME=VALUE`, with or
//! without quotes and `export`. Empty lines and lines that begin with `#` are skipped. Nothing is expanded.

/// A variable and the line where it stands, counted from 1.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Line<'a> {
    pub(super) number: usize,
    pub(super) name: &'a str,
    pub(super) value: String,
}

/// All variables, or the number of the line that is none.
pub(super) fn env_lines(text: &str) -> Result<Vec<Line<'_>>, usize> {
    let lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    let lines = lines.map(|(index, line)| (index + 1, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines.map(|(number, line)| env_line(number, line).ok_or(number)).collect()
}

fn env_line(number: usize, line: &str) -> Option<Line<'_>> {
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=')?;
    let name = name.trim();
    let is_name =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    let value = unquoted(value.trim())?;
    is_name.then_some(Line { number, name, value })
}

fn unquoted(value: &str) -> Option<String> {
    if let Some(rest) = value.strip_prefix('\'') {
        let (inside, after) = rest.split_once('\'')?;
        return is_comment(after).then(|| inside.to_owned());
    }
    let Some(rest) = value.strip_prefix('"') else {
        // A `#` within a word belongs to it: secrets have any character.
        let end = value.find(" #").unwrap_or(value.len());
        return Some(value[..end].trim_end().to_owned());
    };
    let mut inside = String::new();
    let mut characters = rest.chars();
    loop {
        match characters.next()? {
            '"' => return is_comment(characters.as_str()).then_some(inside),
            '\\' => match characters.next()? {
                'n' => inside.push('\n'),
                escaped @ ('"' | '\\' | '$') => inside.push(escaped),
                other => inside.extend(['\\', other]),
            },
            other => inside.push(other),
        }
    }
}

/// Whether nothing follows that means anything.
fn is_comment(after: &str) -> bool {
    let after = after.trim_start();
    after.is_empty() || after.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_name_and_a_value_in_the_usual_ways_to_write_them() {
        let table = [
            ("A=b", Some(("A", "b"))),
            ("export A = b ", Some(("A", "b"))),
            ("A=", Some(("A", ""))),
            ("A=b=c#d # comment", Some(("A", "b=c#d"))),
            ("A='b # \"c' # d", Some(("A", "b # \"c"))),
            ("A=\"b \\\"c\\\" \\$d\\n\\x\"", Some(("A", "b \"c\" $d\n\\x"))),
            ("A", None),
            ("=b", None),
            ("A B=c", None),
            ("A='b", None),
            ("A=\"b", None),
            ("A='b'c", None),
        ];
        for (text, expected) in table {
            let read = env_lines(text).ok().map(|lines| (lines[0].name, lines[0].value.clone()));
            let expected = expected.map(|(name, value)| (name, value.to_owned()));
            assert_eq!(read, expected, "{text}");
        }
    }

    #[test]
    fn lines_are_counted_with_those_that_say_nothing() {
        let lines = env_lines("\u{feff}# a\n\nA=1\r\n  # b\nB=2").unwrap();
        let read: Vec<_> = lines.iter().map(|line| (line.number, line.name, &*line.value)).collect();
        assert_eq!(read, [(3, "A", "1"), (5, "B", "2")]);
        assert_eq!(env_lines("A=1\n\nB\n"), Err(3));
    }
}
