//! `GET /apps/ID/channels/NAME/stats`: what was asked of a channel before 2012. Deprecated by Pusher; it is
//! `GET /apps/ID/channels/NAME` with all that there was to say then.

use std::borrow::Cow;
use std::sync::Arc;

use protocol::app::App;

use super::channels::{Channel, parse_name};
use crate::info::Info;
use crate::refused::Refused;

pub(crate) fn parse_stats<'a>(app: &'a Arc<App>, name: Cow<'a, str>) -> Result<Channel<'a>, Refused> {
    let kind = parse_name(app, &name)?;
    let info = Info { asked: true, user_count: kind.is_presence(), ..Info::default() };
    Ok(Channel { app, name, kind, info })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_counted_where_there_are_some() {
        let app = Arc::new(App::new("3", "key", "secret"));
        let info = |name: &'static str| parse_stats(&app, name.into()).map(|channel| channel.info);
        assert!(info("presence-a").unwrap().user_count);
        assert!(!info("a").unwrap().user_count);
        assert_eq!(info("a b").unwrap_err().status, 400);
    }
}
