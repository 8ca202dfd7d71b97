//! The page of `corecast dev`: a client in a browser that shows its connection and the events of its channels.
//!
//! It is made of push.js, is authorized by a sample endpoint, and loads nothing from elsewhere, so it works without internet.
//! The key of an app is all that it knows: what can be read in a page is no secret.

use crate::answer::Answer;

const PAGE: &str = include_str!("../assets/page.html");

/// Where the key goes.
const KEY_MARK: &str = "{{key}}";

/// The page, for the app of this key.
pub fn demo_page(key: &str) -> String {
    PAGE.replace(KEY_MARK, &escape_html(key))
}

/// A page, where somebody asks for `/`.
pub fn answer_page(page: &str) -> Answer<'_> {
    Answer::text("text/html; charset=utf-8", page.as_bytes())
}

fn escape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_text_whatever_is_in_it() {
        let page = demo_page("a\"b'<script>&amp;");
        assert!(page.contains("data-key=\"a&quot;b&#39;&lt;script&gt;&amp;amp;\""), "{page}");
        assert_eq!(page.matches("<script").count(), PAGE.matches("<script").count());
        assert!(!page.contains(KEY_MARK));
    }

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        for outside in ["http://", "https://", "@import", "url("] {
            assert!(!PAGE.contains(outside), "{outside}");
        }
        let sources: Vec<_> = PAGE.split("src=\"").skip(1).map(|rest| rest.split('"').next()).collect();
        assert_eq!(sources, [Some("/plugin/workbunny/webman-push-server/push.js")]);
    }
}
