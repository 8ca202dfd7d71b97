//! push.js, the client for browsers, and what it is for uni-app and for WeChat: files that pages load from the server.
//!
//! All are one source. push.js ends with the part that is about its platform, and the others have a part of their own in
//! its place. They are at the paths from which pages of webman-push-server and of webman/push load theirs.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use protocol::http::Head;

use crate::answer::Answer;
use crate::refused::Refused;

const PUSH: &str = include_str!("../assets/push.js");
const MINI_PROGRAMS: &str = include_str!("../assets/platforms/mini_programs.js");
const UNI_APP: &str = include_str!("../assets/platforms/uniapp.js");
const WECHAT: &str = include_str!("../assets/platforms/wechat.js");

/// The line of push.js with which its own platform begins.
const PLATFORM_MARK: &str = "// ---- The browser";

const METHODS: &str = "GET, HEAD, OPTIONS";

const FOLDERS: [&str; 2] = ["/plugin/workbunny/webman-push-server/", "/plugin/webman/push/"];

/// A file that pages load.
#[derive(Debug, PartialEq, Eq)]
pub struct Asset {
    text: String,
    /// Its version, as `ETag` names it.
    tag: String,
}

static PUSH_JS: LazyLock<Asset> = LazyLock::new(|| Asset::new(PUSH.to_owned()));
static PUSH_UNIAPP_JS: LazyLock<Asset> = LazyLock::new(|| Asset::new(elsewhere(UNI_APP)));
static PUSH_MINIPROGRAM_JS: LazyLock<Asset> = LazyLock::new(|| Asset::new(elsewhere(WECHAT)));

impl Asset {
    fn new(text: String) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let tag = format!("\"{:016x}\"", hasher.finish());
        Self { text, tag }
    }

    /// The asset of this path.
    pub fn of(path: &str) -> Option<&'static Self> {
        let name = FOLDERS.iter().find_map(|folder| path.strip_prefix(folder))?;
        match name {
            "push.js" => Some(&PUSH_JS),
            "push-uniapp.js" => Some(&PUSH_UNIAPP_JS),
            "push-miniprogram.js" => Some(&PUSH_MINIPROGRAM_JS),
            _ => None,
        }
    }

    /// Whether its path is asked for with a method that it has.
    pub fn check_method(&self, head: &Head<'_>) -> Result<(), Refused> {
        if matches!(head.method, "GET" | "HEAD" | "OPTIONS") { Ok(()) } else { Err(Refused::method(METHODS)) }
    }

    /// The file, or that the caller has it already.
    pub fn answer(&'static self, head: &Head<'_>) -> Result<Answer<'static>, Refused> {
        self.check_method(head)?;
        if head.method == "OPTIONS" {
            return Ok(Answer { headers: vec![("Allow", METHODS)].into(), ..Answer::text("", b"") });
        }
        let headers = vec![
            ("ETag", &*self.tag),
            // For some minutes a page asks for nothing, and a new version of the server is still soon in use.
            ("Cache-Control", "public, max-age=600"),
            // A page of another origin may load it as a module.
            ("Access-Control-Allow-Origin", "*"),
        ];
        Ok(Answer {
            status: if self.is_known(head) { 304 } else { 200 },
            headers: headers.into(),
            ..Answer::text("text/javascript; charset=utf-8", self.text.as_bytes())
        })
    }

    /// Whether the caller has this version (RFC 9110 §13.1.2).
    fn is_known(&self, head: &Head<'_>) -> bool {
        let tags = head.header_values("If-None-Match").flat_map(|value| value.split(','));
        let mut tags = tags.map(|tag| tag.trim().trim_start_matches("W/"));
        tags.any(|tag| tag == "*" || tag == self.tag)
    }
}

// push.js for another platform than the browser.
fn elsewhere(platform: &str) -> String {
    let (client, _) = PUSH.split_once(PLATFORM_MARK).unwrap_or((PUSH, ""));
    [client, MINI_PROGRAMS, platform].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::http::{RequestParse, parse_request};

    #[test]
    fn push_js_is_short_and_ends_with_its_platform() {
        assert!(PUSH.lines().count() <= 250);
        assert_eq!(PUSH.matches(PLATFORM_MARK).count(), 1);
        for path in ["push-uniapp.js", "push-miniprogram.js"] {
            let asset = Asset::of(&format!("/plugin/webman/push/{path}")).unwrap();
            assert!(asset.text.contains("class Push") && !asset.text.contains("new WebSocket"), "{path}");
        }
    }

    #[test]
    fn both_folders_have_all_three_files_and_no_others() {
        let [workbunny, webman] = FOLDERS;
        let names = ["push.js", "push-uniapp.js", "push-miniprogram.js"];
        let found = names.map(|name| Asset::of(&format!("{workbunny}{name}")).unwrap());
        assert_eq!(found, names.map(|name| Asset::of(&format!("{webman}{name}")).unwrap()));
        assert!(found[0].tag != found[1].tag && found[1].tag != found[2].tag && found[0].tag != found[2].tag);
        for path in
            ["/push.js", "/plugin/webman/push/", "/plugin/webman/push/push.js/", "/plugin/webman/push/x"]
        {
            assert!(Asset::of(path).is_none(), "{path}");
        }
    }

    #[test]
    fn a_version_is_known_by_its_tag() {
        let asset = Asset::of("/plugin/webman/push/push.js").unwrap();
        let tag = &asset.tag;
        let table = [
            (String::new(), false),
            (format!("If-None-Match: {tag}\r\n"), true),
            (format!("if-none-match: \"a\", W/{tag}\r\n"), true),
            (format!("If-None-Match: \"a\"\r\nIf-None-Match: {tag}\r\n"), true),
            ("If-None-Match: *\r\n".to_owned(), true),
            ("If-None-Match: \"a\"\r\n".to_owned(), false),
        ];
        for (lines, known) in table {
            let bytes = format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n").into_bytes();
            let RequestParse::Complete { request, .. } = parse_request(&bytes) else { panic!("{lines}") };
            assert_eq!(asset.is_known(&request.head), known, "{lines}");
        }
    }
}
