//! Who is on a presence channel: its home is asked.

use api::answer::{Answer, Manner};
use api::endpoints::users::{Users, answer_users};

use crate::api_core::ApiCore;
use crate::api_core::open_call::OpenCall;
use crate::machine::{Now, Token};
use crate::mesh::Ask;
use crate::topic::TopicKey;

/// The members, by their ids.
#[derive(Debug)]
pub(in crate::api_core) struct Pending {
    ids: Vec<Box<str>>,
    of_webman: bool,
}

impl Pending {
    pub(super) fn take(&mut self, ids: Vec<Box<str>>) {
        self.ids = ids;
    }

    pub(super) fn respond(self) -> Answer<'static> {
        answer_users(&self.ids, self.of_webman)
    }
}

impl ApiCore {
    /// Asks a presence channel's home for its members.
    pub(in crate::api_core) fn ask_users(
        &mut self,
        token: Token,
        manner: Manner,
        users: &Users<'_>,
        now: Now,
    ) {
        let (id, mut call) = (self.calls.name(), OpenCall::new(token, manner));
        let topic = self.topics.topic(users.app, TopicKey::of(&users.name));
        self.ask(id, &mut call, self.topics.home(topic.hash), 0, Ask::Users { topic });
        let pending = Pending { ids: Vec::new(), of_webman: users.of_webman };
        self.answer_now_or_later(id, call, super::Pending::Users(pending), now);
    }
}
