//! Who waits until what they offered is safe: committed or, where a stream takes the rows, in that stream.

use std::collections::VecDeque;

use crossbeam_channel::Sender;

/// Marks in the order of their rows.
#[derive(Debug)]
pub(super) struct Marks {
    /// The last row that is in the stream, where there is one.
    moved: Option<u64>,
    /// Each with the last row before it.
    waiting: VecDeque<(u64, Sender<()>)>,
}

impl Marks {
    /// None yet.
    pub(super) fn new(has_stream: bool) -> Self {
        Self { moved: has_stream.then_some(0), waiting: VecDeque::new() }
    }

    /// All rows up to this one are committed, and these marks stand behind them.
    pub(super) fn note_committed(&mut self, row: u64, marks: &mut Vec<Sender<()>>) {
        self.waiting.extend(marks.drain(..).map(|mark| (row, mark)));
        self.tell();
    }

    /// All rows up to this one are in the stream.
    pub(super) fn note_moved(&mut self, row: u64) {
        self.moved = Some(row);
        self.tell();
    }

    fn tell(&mut self) {
        let moved = self.moved.unwrap_or(u64::MAX);
        while let Some((_, mark)) = self.waiting.pop_front_if(|(row, _)| *row <= moved) {
            // Nobody may wait any more.
            let _ = mark.try_send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;

    use super::*;

    #[test]
    fn a_mark_is_told_at_the_commit_or_where_there_is_a_stream_when_its_rows_are_there() {
        for has_stream in [false, true] {
            let (mut marks, (mark, told)) = (Marks::new(has_stream), bounded(1));
            marks.note_committed(7, &mut vec![mark]);
            assert_eq!(told.try_recv().is_ok(), !has_stream);
            if has_stream {
                marks.note_moved(6);
                assert!(told.try_recv().is_err());
                marks.note_moved(7);
                assert!(told.try_recv().is_ok());
            }
        }
    }
}
