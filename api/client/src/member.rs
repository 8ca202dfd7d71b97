//! The users of presence channels.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A user in a presence channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The id of the user.
    pub id: String,
    /// What other members are told of the user; `null` if there is nothing.
    pub info: Value,
}

impl Member {
    /// A member of whom others know nothing but the id.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), info: Value::Null }
    }

    /// A member with something for others to know.
    pub fn with_info(id: impl Into<String>, info: Value) -> Self {
        Self { id: id.into(), info }
    }

    pub(crate) fn channel_data(&self) -> String {
        match &self.info {
            Value::Null => json!({ "user_id": self.id }).to_string(),
            info => json!({ "user_id": self.id, "user_info": info }).to_string(),
        }
    }
}

/// The members of a presence channel at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Members {
    me: Option<String>,
    all: BTreeMap<String, Value>,
}

impl Members {
    /// Reads what a subscription is answered with: `{"presence":{"ids":[…],"hash":{…}}}`. Servers in PHP may write the hash
    /// as a list, when the ids are 0, 1, 2 …
    pub(crate) fn read(data: &Value, me: Option<String>) -> Self {
        let presence = data.get("presence").unwrap_or(data);
        let mut all: BTreeMap<String, Value> = match presence.get("hash") {
            Some(Value::Object(hash)) => hash.iter().map(|(id, info)| (id.clone(), info.clone())).collect(),
            Some(Value::Array(list)) => {
                list.iter().enumerate().map(|(id, info)| (id.to_string(), info.clone())).collect()
            }
            _ => BTreeMap::new(),
        };
        let ids = presence.get("ids").and_then(Value::as_array);
        for id in ids.into_iter().flatten().filter_map(id_of) {
            all.entry(id).or_insert(Value::Null);
        }
        Self { me, all }
    }

    /// The id of this client's own user.
    pub fn me(&self) -> Option<&str> {
        self.me.as_deref()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// One of them, by id.
    pub fn get(&self, id: &str) -> Option<Member> {
        self.all.get(id).map(|info| Member { id: id.to_owned(), info: info.clone() })
    }

    /// All of them, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = Member> {
        self.all.iter().map(|(id, info)| Member { id: id.clone(), info: info.clone() })
    }

    pub(crate) fn add(&mut self, member: &Member) {
        self.all.insert(member.id.clone(), member.info.clone());
    }

    /// Takes a user out, with what was known of it.
    pub(crate) fn remove(&mut self, id: String) -> Member {
        let info = self.all.remove(&id).unwrap_or_default();
        Member { id, info }
    }
}

/// An id as a text. Some servers write numbers.
pub(crate) fn id_of(id: &Value) -> Option<String> {
    match id {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_in_the_shapes_of_several_servers() {
        let ids = |data: Value| {
            let members = Members::read(&data, None);
            members.iter().map(|member| (member.id, member.info)).collect::<Vec<_>>()
        };
        let (a, b) = (|| ("a".to_owned(), json!({"name": "A"})), || ("b".to_owned(), Value::Null));
        let pusher =
            json!({"presence": {"count": 2, "ids": ["a", "b"], "hash": {"a": {"name": "A"}, "b": null}}});
        assert_eq!(ids(pusher), [a(), b()]);
        assert_eq!(ids(json!({"presence": {"ids": ["b"], "hash": []}})), [b()]);
        let php = json!({"presence": {"ids": [0, 1], "hash": [{"name": "A"}, null]}});
        assert_eq!(ids(php), [("0".to_owned(), json!({"name": "A"})), ("1".to_owned(), Value::Null)]);
        assert_eq!(ids(json!({})), []);
    }

    #[test]
    fn members_come_and_go() {
        let mut members = Members::read(&json!({"presence": {"ids": ["me"]}}), Some("me".to_owned()));
        members.add(&Member::with_info("u", json!(1)));
        assert_eq!(
            (members.me(), members.count(), members.get("u")),
            (Some("me"), 2, Some(Member::with_info("u", json!(1))))
        );
        assert_eq!(members.remove("u".to_owned()), Member::with_info("u", json!(1)));
        assert_eq!((members.remove("u".to_owned()), members.get("u")), (Member::new("u"), None));
    }
}
