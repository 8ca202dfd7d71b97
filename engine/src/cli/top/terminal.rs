//! The terminal: it shows the picture, hears keys, and is as it was before when `corecast top` ends.

use std::io;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::feed::{Asked, Feed};
use super::screen::{View, draw};
use super::state::State;
use super::tables::{List, Tab};
use super::told::News;
use crate::cli::failure::Failure;

/// How long a key or a change may wait to be seen.
const TICK: Duration = Duration::from_millis(100);

/// Rows that a page key moves.
const PAGE: usize = 20;

/// Shows it until a key ends it.
pub(super) fn run(asked: Asked) -> Result<(), Failure> {
    let state = State::new(&asked.url);
    let view = View::new();
    let feed = Feed::start(asked, view.tab).map_err(Failure::outside)?;
    let mut terminal = ratatui::try_init().map_err(Failure::outside)?;
    let ended = Shown { state, view, feed }.run(&mut terminal);
    ratatui::restore();
    ended.map_err(Failure::outside)?.map_or(Ok(()), |why| Err(Failure::outside(why)))
}

struct Shown {
    state: State,
    view: View,
    feed: Feed,
}

impl Shown {
    /// Returns why the server tells nothing, if that is the end.
    fn run(mut self, terminal: &mut DefaultTerminal) -> io::Result<Option<String>> {
        loop {
            terminal.draw(|frame| draw(&self.state, self.view, frame.area(), frame.buffer_mut()))?;
            while let Some(news) = self.feed.next(Duration::ZERO) {
                if let News::Ended(why) = news {
                    return Ok(Some(why));
                }
                self.state.take(news);
            }
            // A change of the size is an event too: it is drawn anew.
            if event::poll(TICK)?
                && let Event::Key(key) = event::read()?
                && key.kind != KeyEventKind::Release
                && !self.obey(key)
            {
                return Ok(None);
            }
        }
    }

    /// Does what a key asks for. Returns false if that is the end.
    fn obey(&mut self, key: KeyEvent) -> bool {
        let rows = || List::of(&self.state, self.view.tab).rows.len();
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return false,
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return false,
            KeyCode::Tab | KeyCode::Right => self.show(1),
            KeyCode::BackTab | KeyCode::Left => self.show(Tab::ALL.len() - 1),
            KeyCode::Down => self.view.from = (self.view.from + 1).min(rows().saturating_sub(1)),
            KeyCode::PageDown => self.view.from = (self.view.from + PAGE).min(rows().saturating_sub(1)),
            KeyCode::Up => self.view.from = self.view.from.saturating_sub(1),
            KeyCode::PageUp => self.view.from = self.view.from.saturating_sub(PAGE),
            KeyCode::Home => self.view.from = 0,
            KeyCode::Char('s') => self.view.column += 1,
            KeyCode::Char('r') => self.view.reversed = !self.view.reversed,
            _ => {}
        }
        true
    }

    fn show(&mut self, further: usize) {
        let tab = self.view.tab.moved(further);
        self.view.show(tab);
        self.feed.show(tab);
    }
}
