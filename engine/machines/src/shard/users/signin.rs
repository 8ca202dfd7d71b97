//! Signing in. The client is told at once, by an answer that has its own `user_data`; who is refused stays what it was,
//! and is told twice: every SDK shows `pusher:error`, and pusher-js hands `pusher:signin_error` to what waits for it.

use protocol::close::WATCHLIST;
use protocol::message::MessageError;
use protocol::server_event;
use protocol::signin::{SigninError, check_signin};
use protocol::user_data::UserData;

use crate::invariant::Expected;
use crate::machine::Token;
use crate::notices::{Explanation, What};
use crate::shard::Shard;

impl Shard {
    /// A connection wants to be a user's.
    pub(in crate::shard) fn signin(&mut self, id: Token, user_data: &str, auth: &str) {
        let sender = self.fanout.app_of(id).cloned().zip(self.fanout.socket_id(id));
        let Some((app, socket_id)) = sender.expected("only a connection signs in") else { return };
        let signed_in = self.users.user_id_of(id);
        let mut data = match check_signin(&app, socket_id, user_data, auth, signed_in) {
            Ok(data) => data,
            Err(error) => {
                let (kind, status) = error.kind_and_status();
                if self.notices.ends() {
                    let mut why = match &error {
                        SigninError::Auth(error) => self.explain(id, error, ":user::USER_DATA"),
                        SigninError::UserData(_) | SigninError::OtherUser => {
                            Explanation::of(error.to_string())
                        }
                    };
                    why.reason.to_mut().insert_str(0, "sign-in: ");
                    self.tell_explained(id, What::Connection, None, why);
                }
                return self.refuse_signin(id, kind, status, &error.to_string());
            }
        };
        let too_long = if app.watchlist_events { self.cut_watchlist(&mut data) } else { None };
        if !app.watchlist_events {
            data.watchlist.clear();
        }
        self.users.sign_in(id, &app, &self.hash, data);
        self.note_authorized(id);
        let mut bytes = Vec::new();
        server_event::encode_signin_success(&mut bytes, user_data);
        if let Some(text) = too_long {
            server_event::encode_error(&mut bytes, Some(WATCHLIST), &text);
        }
        self.fanout.reply(id, bytes);
    }

    /// Leaves of a watchlist what there is room for. Returns what the client is told if that is not all: it keeps its sign-in.
    fn cut_watchlist(&mut self, data: &mut UserData) -> Option<String> {
        let most = self.limits.subscriptions_per_shard_max.unwrap_or(usize::MAX);
        let room = most.saturating_sub(self.fanout.subscriptions() + self.users.watches());
        if data.watchlist.len() <= room {
            return data.watchlist_error();
        }
        self.users.stats.watchlists_cut += 1;
        data.watchlist.truncate(room);
        Some(format!(
            "This shard of the server has room for {room} more users to watch, so the others are not watched \
             (subscriptions_per_shard_max). Watched are: {}",
            data.watchlist.join(", ")
        ))
    }

    /// What should be a sign-in is none.
    pub(in crate::shard) fn refuse_bad_signin(&mut self, id: Token, error: &MessageError) {
        self.refuse_signin(id, "AuthError", 401, &error.to_string());
    }

    fn refuse_signin(&mut self, id: Token, kind: &str, status: u16, text: &str) {
        self.users.stats.signins_refused += 1;
        let mut bytes = Vec::new();
        server_event::encode_error(&mut bytes, None, text);
        server_event::encode_signin_error(&mut bytes, kind, text, status);
        self.fanout.reply(id, bytes);
    }
}
