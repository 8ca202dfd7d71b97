//! Asks a server what it does, on a thread of its own: by its console's stream, or by its metrics where there is no token.
//! What comes goes into a bounded queue; the thread waits while that is full.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use serde_json::Value;

use super::scrape::Scrape;
use super::tables::Tab;
use super::told::{App, Channel, News, Sample, Slow, items};
use crate::limits::{TOP_ANSWER_BYTES_MAX, TOP_ANSWER_MAX, TOP_APPS_MAX, TOP_NEWS_MAX};

/// Between two scrapes, and before a server is asked again that did not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// Who is asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) url: String,
    pub(super) token: Option<String>,
    /// Everything, whatever is shown.
    pub(super) all: bool,
}

/// Why nothing more comes.
enum Stop {
    /// It may answer later.
    Fault(String),
    /// It will not.
    Refused(String),
    /// Nobody wants to know.
    Unheard,
}

/// The thread, from the other side.
#[derive(Debug)]
pub(super) struct Feed {
    news: Receiver<News>,
    tab: Arc<AtomicU8>,
}

impl Feed {
    /// Begins to ask. `tab` is what is shown at first.
    pub(super) fn start(asked: Asked, tab: Tab) -> io::Result<Self> {
        let (sender, news) = bounded(TOP_NEWS_MAX);
        let tab = Arc::new(AtomicU8::new(tab as u8));
        let asker = Asker { agent: agent(), asked, tab: Arc::clone(&tab), news: sender };
        thread::Builder::new().name("feed".to_owned()).spawn(move || asker.run())?;
        Ok(Self { news, tab })
    }

    /// The next thing that comes within this time.
    pub(super) fn next(&self, patience: Duration) -> Option<News> {
        match self.news.recv_timeout(patience) {
            Ok(news) => Some(news),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(News::Ended("nothing more comes".to_owned())),
        }
    }

    /// This is shown from now on.
    pub(super) fn show(&self, tab: Tab) {
        self.tab.store(tab as u8, Ordering::Relaxed);
    }
}

struct Asker {
    agent: ureq::Agent,
    asked: Asked,
    tab: Arc<AtomicU8>,
    news: Sender<News>,
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .timeout_connect(Some(TOP_ANSWER_MAX))
        .timeout_recv_response(Some(TOP_ANSWER_MAX));
    config.build().into()
}

impl Asker {
    fn run(self) {
        loop {
            let stopped = if self.asked.token.is_some() { self.follow() } else { self.scrape() };
            let told = match stopped {
                Err(Stop::Fault(why)) => self.news.send(News::Fault(why)),
                Err(Stop::Refused(why)) => {
                    // The screen may have ended.
                    let _ = self.news.send(News::Ended(why));
                    return;
                }
                Err(Stop::Unheard) => return,
                Ok(()) => self.news.send(News::Fault("the server has ended the stream".to_owned())),
            };
            if told.is_err() {
                return;
            }
            thread::sleep(PAUSE);
        }
    }

    fn tell(&self, news: News) -> Result<(), Stop> {
        self.news.send(news).map_err(|_| Stop::Unheard)
    }

    fn get(&self, path: &str) -> Result<ureq::http::Response<ureq::Body>, Stop> {
        let mut request = self.agent.get(format!("{}{path}", self.asked.url));
        if let Some(token) = &self.asked.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        request.call().map_err(|error| Stop::Fault(format!("no answer from {}: {error}", self.asked.url)))
    }

    /// Follows the console's stream to its end.
    fn follow(&self) -> Result<(), Stop> {
        let response = self.get("/console/stream")?;
        let url = &self.asked.url;
        match response.status().as_u16() {
            200 => {}
            401 | 403 => return Err(Stop::Refused(format!("{url} refuses the token"))),
            404 => {
                let why = format!("{url} has no console: set admin_token there, or leave out the token here");
                return Err(Stop::Refused(why));
            }
            status => return Err(Stop::Fault(format!("{url} answers {status}"))),
        }
        let mut reader = BufReader::new(response.into_body().into_reader());
        let (mut event, mut line) = (String::new(), String::new());
        loop {
            line.clear();
            let lost = |error| Stop::Fault(format!("the stream of {url} is lost: {error}"));
            if (&mut reader).take(TOP_ANSWER_BYTES_MAX).read_line(&mut line).map_err(lost)? == 0 {
                return Ok(());
            }
            let text = line.trim_end_matches(['\r', '\n']);
            if let Some(name) = text.strip_prefix("event:") {
                name.trim().clone_into(&mut event);
            } else if let Some(data) = text.strip_prefix("data:")
                && let Ok(data) = serde_json::from_str(data)
            {
                self.take(&event, &data)?;
            }
        }
    }

    fn take(&self, event: &str, data: &Value) -> Result<(), Stop> {
        match event {
            "history" => self.tell(News::History(items(data, "samples", Sample::read))),
            "sample" => self.tell(News::Sample(Sample::read(data))),
            "apps" => {
                let apps = items(data, "apps", App::read);
                let ids: Vec<String> = apps.iter().take(TOP_APPS_MAX).map(|app| app.id.clone()).collect();
                self.tell(News::Apps(apps))?;
                self.ask_lists(&ids)
            }
            _ => Ok(()),
        }
    }

    /// Asks for what is shown.
    fn ask_lists(&self, apps: &[String]) -> Result<(), Stop> {
        let shown = self.tab.load(Ordering::Relaxed);
        if self.asked.all || shown == Tab::Channels as u8 {
            let lists = apps.iter().map(|app| {
                let said = self.ask(&format!("/console/channels?app={app}"))?;
                Ok(items(&said, "channels", |channel| Channel::read(app, channel)))
            });
            let lists: Result<Vec<Vec<Channel>>, String> = lists.collect();
            self.tell(News::Channels(lists.map(|lists| lists.into_iter().flatten().collect())))?;
        }
        if self.asked.all || shown == Tab::Slow as u8 {
            let slow = self.ask("/console/slow").map(|said| items(&said, "connections", Slow::read));
            self.tell(News::Slow(slow))?;
        }
        Ok(())
    }

    /// What the console answers to a question.
    fn ask(&self, path: &str) -> Result<Value, String> {
        let response = self.get(path).map_err(|stop| match stop {
            Stop::Fault(why) | Stop::Refused(why) => why,
            Stop::Unheard => String::new(),
        })?;
        match response.status().as_u16() {
            200 => {}
            404 => return Err("this server does not tell them".to_owned()),
            status => return Err(format!("the server answers {status}")),
        }
        let text = read(response).map_err(|error| error.to_string())?;
        serde_json::from_str(&text).map_err(|error| format!("the server answers no JSON: {error}"))
    }

    /// Scrapes the metrics again and again.
    fn scrape(&self) -> Result<(), Stop> {
        let why = "only with a token (--token-file): /metrics has no names";
        self.tell(News::Channels(Err(why.to_owned())))?;
        self.tell(News::Slow(Err(why.to_owned())))?;
        let mut before: Option<(Instant, Scrape)> = None;
        loop {
            let response = self.get("/metrics")?;
            let status = response.status().as_u16();
            if status != 200 {
                return Err(Stop::Refused(format!("{} answers {status} to /metrics", self.asked.url)));
            }
            let text = read(response).map_err(|error| Stop::Fault(format!("no metrics: {error}")))?;
            let (at, now) = (Instant::now(), Scrape::parse(&text));
            if let Some((then, before)) = &before {
                self.tell(News::Sample(now.since(before, at - *then)))?;
            }
            self.tell(News::Apps(now.apps()))?;
            before = Some((at, now));
            thread::sleep(PAUSE);
        }
    }
}

fn read(mut response: ureq::http::Response<ureq::Body>) -> Result<String, ureq::Error> {
    response.body_mut().with_config().limit(TOP_ANSWER_BYTES_MAX).read_to_string()
}
