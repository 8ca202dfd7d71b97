//! What clients say that they are. Many say the same, so a connection keeps a number, and a text is kept once.
//!
//! What must never happen here: more texts than the bound, whatever clients say. Past it a client has no agent.

use std::collections::HashMap;

use super::limits::AGENTS_MAX;

/// The number of an agent; 0 is none.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Agent(u16);

/// The agents of a core's clients.
#[derive(Debug, Default)]
pub(super) struct Agents {
    /// Each with how many connections have it.
    known: Vec<(Box<str>, u32)>,
    by_text: HashMap<Box<str>, u16>,
    free: Vec<u16>,
}

impl Agents {
    /// One more connection has this agent.
    pub(super) fn enter(&mut self, text: Box<str>) -> Agent {
        let index = match self.by_text.get(&text) {
            Some(index) => *index,
            None => match self.add(text) {
                Some(index) => index,
                None => return Agent::default(),
            },
        };
        if let Some((_, connections)) = self.known.get_mut(usize::from(index)) {
            *connections += 1;
        }
        Agent(index + 1)
    }

    /// What it says.
    pub(super) fn text(&self, agent: Agent) -> Option<&str> {
        let index = usize::from(agent.0.checked_sub(1)?);
        self.known.get(index).map(|(text, _)| &**text)
    }

    /// A connection that had it has gone.
    pub(super) fn leave(&mut self, agent: Agent) {
        let Some(index) = agent.0.checked_sub(1) else { return };
        let Some((text, connections)) = self.known.get_mut(usize::from(index)) else { return };
        *connections = connections.saturating_sub(1);
        if *connections == 0 {
            self.by_text.remove(&*std::mem::take(text));
            self.free.push(index);
        }
    }

    fn add(&mut self, text: Box<str>) -> Option<u16> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.known.len() < AGENTS_MAX => {
                self.known.push((Box::default(), 0));
                (self.known.len() - 1) as u16
            }
            None => return None,
        };
        if let Some(place) = self.known.get_mut(usize::from(index)) {
            *place = (text.clone(), 0);
        }
        self.by_text.insert(text, index);
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_kept_once_up_to_a_bound_and_go_with_their_last_connection() {
        let mut agents = Agents::default();
        let all: Vec<Agent> = (0..AGENTS_MAX).map(|n| agents.enter(n.to_string().into())).collect();
        assert_eq!(agents.enter("7".into()), all[7]);
        let beyond = agents.enter("beyond".into());
        assert_eq!((beyond, agents.text(beyond)), (Agent::default(), None));
        agents.leave(beyond);
        agents.leave(all[7]);
        assert_eq!(agents.text(all[7]), Some("7"), "one has it still");
        agents.leave(all[7]);
        let next = agents.enter("next".into());
        assert_eq!((next, agents.text(next)), (all[7], Some("next")));
        assert_eq!(agents.known.len(), AGENTS_MAX);
    }
}
