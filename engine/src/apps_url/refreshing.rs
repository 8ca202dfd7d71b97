//! The threads that ask the source again for the apps that it has given, when the time of each is over.
//!
//! An app is gone when the source has no app for what it was first asked by, nor for its id: a key that was replaced takes
//! nobody's app away. A source that fails is asked again soon, and its apps stay.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use protocol::app::{App, AppQuestion};

use super::desk::Desk;
use super::limits::{IDLE_MAX, LOOK_EVERY, QUESTION_MAX, REFRESHING_THREADS, RETRY_AFTER};
use super::source::Said;
use crate::driver::apps::{AppSource, AppsControl};

/// Starts them. They end with the server.
pub(super) fn start(desk: &Arc<Desk>) -> io::Result<()> {
    for _ in 0..REFRESHING_THREADS {
        let desk = Arc::clone(desk);
        thread::Builder::new().name("apps-url-again".to_owned()).spawn(move || run(&desk))?;
    }
    Ok(())
}

fn run(desk: &Desk) {
    while let Some(apps) = desk.apps() {
        let due = desk.lock().known.take_due(Instant::now());
        let went_well = due.is_some_and(|(id, question)| refresh(desk, &apps, &id, &question));
        drop(apps);
        if !went_well {
            thread::sleep(LOOK_EVERY);
        }
    }
}

/// Asks again for one app. Returns whether the source has answered.
fn refresh(desk: &Desk, apps: &AppsControl, id: &str, question: &AppQuestion) -> bool {
    let current = apps.current().by_id(id).cloned();
    let Some(app) = current.filter(|_| apps.has(AppSource::Url, id)) else {
        // It is in the file or in a store by now.
        desk.lock().known.forget(id);
        return true;
    };
    let now = Instant::now();
    let unused = desk.lock().known.unused_since(id, app.connections(), app.admitted(), now);
    if unused.is_some_and(|since| now.duration_since(since) >= IDLE_MAX) {
        desk.remove(apps, id);
        return true;
    }
    let (next, answered) = match ask(desk, id, question) {
        Said::App(app) => {
            desk.put_again(apps, *app);
            (desk.ttl, true)
        }
        Said::Nothing => {
            desk.remove(apps, id);
            (desk.ttl, true)
        }
        Said::Fault(_) => (desk.ttl.min(RETRY_AFTER), false),
    };
    desk.lock().known.set_due(id, Instant::now() + next);
    answered
}

/// What the source says of an app now.
fn ask(desk: &Desk, id: &str, question: &AppQuestion) -> Said {
    let is_it = |app: &App| *app.id == *id;
    match desk.ask(question, QUESTION_MAX) {
        Said::App(app) if is_it(&app) => Said::App(app),
        fault @ Said::Fault(_) => fault,
        // Its key is another app's by now, or nobody's.
        Said::App(_) | Said::Nothing => match AppQuestion::of_id(id).filter(|by_id| by_id != question) {
            Some(by_id) => desk.ask(&by_id, QUESTION_MAX),
            None => Said::Nothing,
        },
    }
}
