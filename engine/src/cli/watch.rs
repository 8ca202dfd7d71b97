//! `corecast watch`: the events of channels as they come, until it is told to stop.
//!
//! Events go to standard output, a line each; what happens to the connection is told on standard error. It connects as any
//! client does, and finds a server that was restarted.

use std::borrow::Cow;
use std::env;
use std::process;
use std::thread;
use std::time::Duration;

use clap::Args;
use corecast_client::{ConnectError, Event, Events, Member, Members, Message, WsClient, WsOptions};
use logging::say;
use protocol::json::encode_string;

use super::failure::Failure;
use super::output::{print, print_json_lines};
use super::target::TargetArgs;
use crate::server;

/// What a shell reports of a command that SIGINT has ended.
const EXIT_INTERRUPTED: i32 = 128 + 2;

const EXIT_CODES: &str = "\
Exit codes: 0 ended by Ctrl-C or SIGTERM; 1 the server cannot be reached at the start, or refuses the app or a channel;
78 a flag is wrong, or no app is given; 130 ended by a second Ctrl-C; 141 the reader of the output has gone.";

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct WatchArgs {
    /// The channels to watch; private and presence channels are signed for with the app's secret
    #[arg(required = true)]
    channel: Vec<String>,
    /// Also print who enters and leaves presence channels, and how many subscribers other channels have; USER_ID is who this
    /// command is on presence channels [default: corecast-watch-PID]
    #[arg(long, value_name = "USER_ID", num_args = 0..=1, require_equals = true)]
    presence: Option<Option<String>>,
    /// Print each event as an object of JSON, with event, channel, data and user_id
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: TargetArgs,
}

pub(super) fn run(args: WatchArgs) -> Result<(), Failure> {
    let target = args.target.find(env::var("PUSHER_URL").ok()).map_err(Failure::config)?;
    server::block_signals().map_err(Failure::outside)?;
    let me = args.presence.clone().flatten().unwrap_or_else(|| format!("corecast-watch-{}", process::id()));
    let options = WsOptions::new(&target.to.url(), &*target.app.oldest_key().name)
        .map_err(|error| Failure::config(error.to_string()))?
        .sign_with(target.credentials(), Member::new(me));
    let client = WsClient::connect(options).map_err(|error| unconnected(&error, &target.to.address))?;
    let events = client.events();
    for channel in &args.channel {
        client.subscribe(channel).map_err(Failure::outside)?;
    }
    stop_on_signal(client.clone()).map_err(Failure::outside)?;
    let mut watch = Watch { client, json: args.json, presence: args.presence.is_some(), count: 0 };
    watch.show(events)?;
    say!("{} event{}", watch.count, if watch.count == 1 { "" } else { "s" });
    Ok(())
}

/// The first signal ends the connection, and with it the events. A second one does not wait for them to be printed.
fn stop_on_signal(client: WsClient) -> std::io::Result<()> {
    let wait = move || {
        if server::wait_for_signal().is_ok() {
            client.disconnect();
        }
        if server::wait_for_signal().is_ok() {
            process::exit(EXIT_INTERRUPTED);
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop)
}

fn unconnected(error: &ConnectError, server: &str) -> Failure {
    Failure::outside(match error {
        ConnectError::Refused { .. } => format!("the server refused the connection: {error}"),
        other => format!("no answer from {server}: {other} (is the server running there?)"),
    })
}

struct Watch {
    client: WsClient,
    json: bool,
    presence: bool,
    count: u64,
}

impl Watch {
    /// Prints events until there are no more.
    fn show(&mut self, events: Events) -> Result<(), Failure> {
        for event in events {
            match event {
                Event::Message(message) => self.show_line(&Line::of_message(&message))?,
                Event::Subscribed { channel } => {
                    say!("watching {channel}");
                    let members = self.client.channel(&channel).members();
                    self.show_members(&channel, &members)?;
                }
                Event::MemberAdded { channel, member } => {
                    self.show_presence(&Line::of_member("pusher:member_added", &channel, &member))?;
                }
                Event::MemberRemoved { channel, member } => {
                    self.show_presence(&Line::of_member("pusher:member_removed", &channel, &member))?;
                }
                Event::SubscriptionCount { channel, count } => {
                    let data = format!("{{\"subscription_count\":{count}}}");
                    self.show_presence(&Line::new("pusher:subscription_count", &channel, data))?;
                }
                Event::SubscriptionFailed { channel, refusal } => {
                    return Err(Failure::outside(format!(
                        "the server refused the channel {channel}: {refusal}"
                    )));
                }
                Event::Connected { .. } => say!("connected again"),
                Event::Disconnected { code, reason, retry } => tell_of_end(code, &reason, retry)?,
                Event::Error { code: Some(code), message } => say!("the server reports: {message} ({code})"),
                Event::Error { code: None, message } => say!("the server reports: {message}"),
                _ => {}
            }
        }
        Ok(())
    }

    /// Who is there when the watch of a channel begins.
    fn show_members(&mut self, channel: &str, members: &Members) -> Result<(), Failure> {
        for member in members.iter() {
            self.show_presence(&Line::of_member("pusher:member", channel, &member))?;
        }
        Ok(())
    }

    fn show_presence(&mut self, line: &Line<'_>) -> Result<(), Failure> {
        if self.presence { self.show_line(line) } else { Ok(()) }
    }

    fn show_line(&mut self, line: &Line<'_>) -> Result<(), Failure> {
        if self.json {
            print_json_lines(&line.json())?;
        } else {
            print(&line.text())?;
        }
        self.count += 1;
        Ok(())
    }
}

/// An end that the client comes back from is told; any other that was not asked for is a failure.
fn tell_of_end(code: Option<u16>, reason: &str, retry: Option<Duration>) -> Result<(), Failure> {
    let why = code.map_or_else(|| reason.to_owned(), |code| format!("{reason} ({code})"));
    match retry {
        Some(pause) => say!("no connection: {why}; trying again in {:.1} s", pause.as_secs_f64()),
        None if code.is_some() => {
            return Err(Failure::outside(format!("the server has ended the connection for good: {why}")));
        }
        None => {}
    }
    Ok(())
}

/// What is printed of one event.
struct Line<'a> {
    event: &'a str,
    channel: &'a str,
    data: Cow<'a, str>,
    user_id: Option<&'a str>,
}

impl<'a> Line<'a> {
    fn new(event: &'a str, channel: &'a str, data: impl Into<Cow<'a, str>>) -> Self {
        Self { event, channel, data: data.into(), user_id: None }
    }

    fn of_message(message: &'a Message) -> Self {
        let user_id = message.user_id.as_deref();
        Self {
            user_id,
            ..Self::new(&message.event, message.channel.as_deref().unwrap_or_default(), &*message.data)
        }
    }

    /// The data is what others know of the member.
    fn of_member(event: &'a str, channel: &'a str, member: &'a Member) -> Self {
        let data = if member.info.is_null() { String::new() } else { member.info.to_string() };
        Self { user_id: Some(&member.id), ..Self::new(event, channel, data) }
    }

    fn json(&self) -> String {
        let mut line = Vec::new();
        let fields = [
            ("event", Some(self.event)),
            ("channel", Some(self.channel)),
            ("data", Some(&*self.data)),
            ("user_id", self.user_id),
        ];
        for (name, value) in fields {
            let Some(value) = value else { continue };
            line.extend_from_slice(if line.is_empty() { b"{" } else { b"," });
            encode_string(&mut line, name);
            line.push(b':');
            encode_string(&mut line, value);
        }
        line.extend_from_slice(b"}\n");
        String::from_utf8_lossy(&line).into_owned()
    }

    /// One line, whatever is in the data.
    fn text(&self) -> String {
        let from = self.user_id.map(|user| format!(" {user}")).unwrap_or_default();
        let line = format!("{} {}{from} {}", self.channel, self.event, self.data);
        line.trim_end().replace(['\n', '\r'], " ") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_as_text_and_as_json() {
        let message = Message {
            event: "e".to_owned(),
            channel: Some("presence-c".to_owned()),
            data: "a\n\"b\"".to_owned(),
            user_id: Some("u".to_owned()),
        };
        let line = Line::of_message(&message);
        assert_eq!(line.text(), "presence-c e u a \"b\"\n");
        let json: serde_json::Value = serde_json::from_str(&line.json()).unwrap();
        let wanted =
            serde_json::json!({"event": "e", "channel": "presence-c", "data": "a\n\"b\"", "user_id": "u"});
        assert_eq!((json, line.json().lines().count()), (wanted, 1));
        let member = Member::new("u");
        let line = Line::of_member("pusher:member_added", "presence-c", &member);
        assert_eq!(line.text(), "presence-c pusher:member_added u\n");
    }
}
