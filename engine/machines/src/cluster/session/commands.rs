//! The commands of a session that are not acknowledged: each has the number that follows the one before it, and keeps it when
//! it is sent again.
//!
//! Some are questions: their answers come in the inbox. What they come to is bounded (the *window*), so that a node that tells
//! much anew does not fill its own inbox. A question that has no room waits, and everything behind it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::cluster::command::Command;
use crate::limits::ClusterLimits;
use crate::topic::Topic;

/// Commands in the order of their numbers.
#[derive(Debug)]
pub(super) struct Commands {
    commands_max: usize,
    bytes_max: usize,
    call_commands_max: usize,
    call_bytes_max: usize,
    window_bytes: u64,
    queue: VecDeque<Numbered>,
    bytes: usize,
    /// The number of the first.
    first: u64,
    /// How many of them were sent on this connection.
    sent: usize,
    /// The questions whose answers were not read, from the one that was asked first.
    asked: VecDeque<Question>,
    asked_bytes: u64,
    /// The number of the last question that was asked.
    asked_to: u64,
}

/// A command whose answer comes in the inbox.
#[derive(Clone, Debug)]
pub(super) struct Question {
    /// What it is about.
    pub(super) topic: Arc<Topic>,
    /// That, as servers call it.
    pub(super) name: Arc<[u8]>,
    /// What the answer comes to.
    pub(super) answer_bytes: u64,
}

#[derive(Debug)]
struct Numbered {
    command: Command,
    question: Option<Question>,
}

impl Commands {
    /// None.
    pub(super) fn new(limits: &ClusterLimits) -> Self {
        Self {
            commands_max: limits.commands_max,
            bytes_max: limits.commands_bytes_max,
            call_commands_max: limits.call_commands_max,
            call_bytes_max: limits.call_bytes_max,
            window_bytes: limits.inbox_bytes_max / 4,
            queue: VecDeque::new(),
            bytes: 0,
            first: 1,
            sent: 0,
            asked: VecDeque::new(),
            asked_bytes: 0,
            asked_to: 0,
        }
    }

    /// A session begins, or is over.
    pub(super) fn begin_anew(&mut self) {
        self.queue.clear();
        self.asked.clear();
        (self.bytes, self.first, self.sent, self.asked_bytes, self.asked_to) = (0, 1, 0, 0, 0);
    }

    /// True when nothing more may be taken.
    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= self.commands_max || self.bytes >= self.bytes_max
    }

    /// How many there are, and their bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.queue.len(), self.bytes)
    }

    /// The number of the last one.
    pub(super) fn last(&self) -> u64 {
        self.first + self.queue.len() as u64 - 1
    }

    /// The number of the last one that was sent on this connection, or is done.
    pub(super) fn sent_to(&self) -> u64 {
        self.first + self.sent as u64 - 1
    }

    /// Appends a command.
    pub(super) fn push(&mut self, command: Command, question: Option<Question>) {
        self.bytes += command.bytes();
        self.queue.push_back(Numbered { command, question });
    }

    /// The connection is another: nothing was sent on it.
    pub(super) fn send_again(&mut self) {
        self.sent = 0;
    }

    /// Commands up to this number are done.
    pub(super) fn acknowledge(&mut self, number: u64) {
        while self.first <= number
            && let Some(done) = self.queue.pop_front()
        {
            self.bytes -= done.command.bytes();
            self.sent = self.sent.saturating_sub(1);
            self.first += 1;
        }
    }

    /// An answer about this topic was read: it is to the oldest question. None: that is about another topic.
    pub(super) fn take_question(&mut self, name: &[u8]) -> Option<Arc<Topic>> {
        let question = self.asked.pop_front_if(|question| *question.name == *name)?;
        self.asked_bytes -= question.answer_bytes;
        Some(question.topic)
    }

    /// What goes out next, with the number of the first.
    pub(super) fn next_call(&mut self) -> Option<(u64, Vec<Command>)> {
        let first = self.first + self.sent as u64;
        let (mut call, mut bytes) = (Vec::new(), 0);
        while call.len() < self.call_commands_max
            && (call.is_empty() || bytes < self.call_bytes_max)
            && let Some(command) = self.next_command()
        {
            bytes += command.bytes();
            call.push(command);
        }
        (!call.is_empty()).then_some((first, call))
    }

    fn next_command(&mut self) -> Option<Command> {
        let next = self.queue.get(self.sent)?;
        let number = self.first + self.sent as u64;
        // One that is sent again was asked already.
        if let Some(question) = next.question.as_ref().filter(|_| number > self.asked_to) {
            if !self.asked.is_empty() && self.asked_bytes + question.answer_bytes > self.window_bytes {
                return None;
            }
            self.asked.push_back(question.clone());
            self.asked_bytes += question.answer_bytes;
            self.asked_to = number;
        }
        self.sent += 1;
        Some(next.command.clone())
    }
}

#[cfg(test)]
mod tests {
    use protocol::app::App;

    use super::*;
    use crate::cluster::epoch::Epoch;
    use crate::topic::{TopicHash, TopicKey};

    fn commands(limits: ClusterLimits) -> Commands {
        Commands::new(&limits)
    }

    fn push(commands: &mut Commands, name: u64, answer_bytes: u64) {
        let topic = TopicHash::new(1, 1).topic(&Arc::new(App::new("1", "k", "s")), TopicKey::of("c"));
        let question = Question { topic, name: (&b"1/cc"[..]).into(), answer_bytes };
        commands.push(Command::Retire { epoch: Epoch(name) }, Some(question).filter(|_| answer_bytes > 0));
    }

    fn next(commands: &mut Commands) -> Option<(u64, Vec<u64>)> {
        let (first, call) = commands.next_call()?;
        let name = |command: &Command| match command {
            Command::Retire { epoch } => epoch.0,
            _ => panic!("only those were pushed"),
        };
        Some((first, call.iter().map(name).collect()))
    }

    #[test]
    fn commands_keep_their_numbers_when_they_are_sent_again() {
        let mut commands = commands(ClusterLimits { call_commands_max: 2, ..ClusterLimits::default() });
        (1..=5).for_each(|name| push(&mut commands, name, 0));
        assert_eq!(next(&mut commands), Some((1, vec![1, 2])));
        assert_eq!(next(&mut commands), Some((3, vec![3, 4])));
        commands.acknowledge(1);
        commands.send_again();
        commands.acknowledge(3);
        assert_eq!(next(&mut commands), Some((4, vec![4, 5])));
        assert_eq!(next(&mut commands), None);
        commands.acknowledge(5);
        assert_eq!((commands.size(), commands.first), ((0, 0), 6));
    }

    #[test]
    fn a_question_without_room_waits_and_everything_behind_it() {
        let limits = ClusterLimits { inbox_bytes_max: 400, ..ClusterLimits::default() };
        let mut commands = commands(limits);
        [(1, 90), (2, 0), (3, 20), (4, 0)]
            .iter()
            .for_each(|(name, bytes)| push(&mut commands, *name, *bytes));
        assert_eq!(next(&mut commands), Some((1, vec![1, 2])));
        commands.send_again();
        assert_eq!(next(&mut commands), Some((1, vec![1, 2])));
        commands.acknowledge(2);
        assert_eq!(next(&mut commands), None);
        assert!(commands.take_question(b"1/cother").is_none());
        assert!(commands.take_question(b"1/cc").is_some());
        assert_eq!(next(&mut commands), Some((3, vec![3, 4])));
    }

    #[test]
    fn a_question_that_is_larger_than_the_window_is_asked_alone() {
        let mut commands = commands(ClusterLimits { inbox_bytes_max: 4, ..ClusterLimits::default() });
        push(&mut commands, 1, 90);
        push(&mut commands, 2, 90);
        assert_eq!(next(&mut commands), Some((1, vec![1])));
        assert!(commands.take_question(b"1/cc").is_some());
        assert_eq!(next(&mut commands), Some((2, vec![2])));
    }
}
