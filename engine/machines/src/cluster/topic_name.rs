//! What a topic is called on a server: `APP/cCHANNEL` or `APP/uUSER`.
//!
//! `%`, `/` and NUL of an app's id, and `%` and NUL of a user's id, are written as `%25`, `%2F` and `%00`. So a name holds
//! no NUL, which ends a topic where a member follows it, and the app ends at the first `/`. Names of channels hold none of
//! them.

use protocol::app::App;

use crate::topic::{Topic, TopicKey};

/// The name of a topic.
pub fn topic_name(topic: &Topic) -> Vec<u8> {
    name_of(&topic.app, topic.key.as_deref())
}

/// What an app is called in the names of its topics.
pub fn app_name(app: &App) -> Vec<u8> {
    let mut name = Vec::with_capacity(app.id.len());
    escape(&mut name, &app.id, b"%/\0");
    name
}

/// The name of the topic that is `key` of `app`.
pub fn name_of(app: &App, key: TopicKey<&str>) -> Vec<u8> {
    let mut name = app_name(app);
    name.push(b'/');
    match key {
        TopicKey::Channel { name: channel, .. } => {
            name.push(b'c');
            name.extend_from_slice(channel.as_bytes());
        }
        TopicKey::User { id } => {
            name.push(b'u');
            escape(&mut name, id, b"%\0");
        }
    }
    name
}

/// What a name of a topic names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Named {
    /// A channel.
    Channel(Box<str>),
    /// A user.
    User(Box<str>),
}

/// The id of the app, and what of it a name names; nothing where no node writes such a name.
pub fn read_name(name: &[u8]) -> Option<(Box<str>, Named)> {
    let slash = name.iter().position(|byte| *byte == b'/')?;
    let app = unescape(name.get(..slash)?)?;
    match name.get(slash + 1..)?.split_first()? {
        (b'c', channel) => Some((app, Named::Channel(std::str::from_utf8(channel).ok()?.into()))),
        (b'u', user) => Some((app, Named::User(unescape(user)?))),
        _ => None,
    }
}

fn unescape(text: &[u8]) -> Option<Box<str>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        let digits = [*rest.next()?, *rest.next()?];
        out.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    String::from_utf8(out).ok().map(Into::into)
}

fn escape(out: &mut Vec<u8>, text: &str, reserved: &[u8]) {
    for byte in text.bytes() {
        if reserved.contains(&byte) {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        } else {
            out.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(app: &str, key: TopicKey<&str>) -> String {
        String::from_utf8(name_of(&App::new(app, "k", "s"), key)).unwrap()
    }

    #[test]
    fn a_channel_and_a_user_of_the_same_name_are_two_topics() {
        assert_eq!(name("1", TopicKey::of("presence-a")), "1/cpresence-a");
        assert_eq!(name("1", TopicKey::User { id: "presence-a" }), "1/upresence-a");
    }

    #[test]
    fn names_are_read_as_they_are_written_and_others_not_at_all() {
        let channel = name_of(&App::new("a/%b", "k", "s"), TopicKey::of("c"));
        assert_eq!(read_name(&channel), Some(("a/%b".into(), Named::Channel("c".into()))));
        let user = name_of(&App::new("1", "k", "s"), TopicKey::User { id: "b/%\0c" });
        assert_eq!(read_name(&user), Some(("1".into(), Named::User("b/%\0c".into()))));
        for other in ["", "1", "1/", "1/xa", "%/ca", "%2/ca", "%ZZ/ca"] {
            assert_eq!(read_name(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn an_app_ends_at_the_first_slash_and_no_name_holds_a_nul() {
        assert_eq!(name("a/%b\0", TopicKey::of("c")), "a%2F%25b%00/cc");
        assert_eq!(name("a", TopicKey::User { id: "b/%\0c" }), "a/ub/%25%00c");
    }
}
