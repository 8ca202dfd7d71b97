//! The files of the console's page: the same for everybody, signed in or not, so nothing of the server is in them.

use std::hash::{DefaultHasher, Hash, Hasher};

use protocol::http::Head;

use super::FOLDER;
use crate::answer::Answer;
use crate::refused::Refused;

/// The page itself.
const INDEX: &str = "index.html";

/// Nothing comes from anywhere else, and nobody else shows the page in a frame of theirs.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// All files of the page.
#[derive(Debug, Default)]
pub struct Files(Vec<File>);

#[derive(Debug)]
struct File {
    name: &'static str,
    text: &'static str,
    /// Its version, as `ETag` names it.
    tag: String,
}

impl Files {
    /// Of these names and texts.
    pub fn new(files: &[(&'static str, &'static str)]) -> Self {
        let file = |(name, text): &(&'static str, &'static str)| {
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            File { name, text, tag: format!("\"{:016x}\"", hasher.finish()) }
        };
        Self(files.iter().map(file).collect())
    }

    /// The file of a path, or that the caller has it already; None: there is none.
    pub fn answer(&self, head: &Head<'_>) -> Option<Result<Answer<'_>, Refused>> {
        let name = if head.path == "/" { Some(INDEX) } else { head.path.strip_prefix(FOLDER) };
        let file = self.0.iter().find(|file| Some(file.name) == name)?;
        if !matches!(head.method, "GET" | "HEAD") {
            return Some(Err(Refused::method("GET, HEAD")));
        }
        let headers = vec![
            ("ETag", &*file.tag),
            ("Cache-Control", "no-cache"),
            ("Content-Security-Policy", POLICY),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
        ];
        Some(Ok(Answer {
            status: if file.is_known(head) { 304 } else { 200 },
            headers: headers.into(),
            ..Answer::text(content_type(file.name), file.text.as_bytes())
        }))
    }
}

impl File {
    /// Whether the caller has this version (RFC 9110 §13.1.2).
    fn is_known(&self, head: &Head<'_>) -> bool {
        let tags = head.header_values("If-None-Match").flat_map(|value| value.split(','));
        let mut tags = tags.map(|tag| tag.trim().trim_start_matches("W/"));
        tags.any(|tag| tag == "*" || tag == self.tag)
    }
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::http::{RequestParse, parse_request};

    type Got = (u16, &'static str, Vec<(&'static str, String)>);

    fn asked(lines: &str) -> Option<Got> {
        let files = Files::new(&[("index.html", "<p>"), ("a.js", "1")]);
        let bytes = format!("{lines}\r\n\r\n").into_bytes();
        let RequestParse::Complete { request, .. } = parse_request(&bytes) else { panic!("{lines}") };
        Some(match files.answer(&request.head)? {
            Ok(answer) => {
                let headers = answer.headers.iter().map(|(name, value)| (*name, (*value).to_owned()));
                (answer.status, answer.content_type, headers.collect())
            }
            Err(refused) => (refused.status, "", Vec::new()),
        })
    }

    #[test]
    fn files_are_found_by_name_and_known_by_their_tag() {
        let (status, kind, headers) = asked("GET / HTTP/1.1\r\nHost: h").unwrap();
        assert_eq!((status, kind), (200, "text/html; charset=utf-8"));
        assert!(headers.contains(&("Content-Security-Policy", POLICY.to_owned())));
        let tag = headers.iter().find(|(name, _)| *name == "ETag").unwrap().1.clone();
        let again = format!("GET / HTTP/1.1\r\nHost: h\r\nIf-None-Match: W/{tag}");
        assert_eq!(asked(&again).unwrap().0, 304);
        assert_eq!(
            asked("HEAD /console/a.js HTTP/1.1\r\nHost: h").unwrap().1,
            "text/javascript; charset=utf-8"
        );
        assert_eq!(asked("POST /console/a.js HTTP/1.1\r\nHost: h\r\nContent-Length: 0").unwrap().0, 405);
        for path in ["/console/", "/console/b.js", "/a.js", "/console/../a.js", "/console/A.js"] {
            assert!(asked(&format!("GET {path} HTTP/1.1\r\nHost: h")).is_none(), "{path}");
        }
    }
}
