//! Frames for one connection alone, and what the kernel says to the writing of outboxes. A consumer is slow by what
//! remains when the kernel takes no more, never by what nobody has tried to write.

use std::rc::Rc;

use protocol::close::Close;
use protocol::object_form::in_form;

use crate::invariant::Expected;
use crate::machine::Token;
use crate::outbox::run::Run;
use crate::outbox::{Backlog, Range};
use crate::shard::fanout::Fanout;

impl Fanout {
    /// Tells a connection what the server says of its own, in the form that it takes.
    pub(in crate::shard) fn reply(&mut self, id: Token, frames: Vec<u8>) {
        let frames = in_form(frames, self.form_of(id));
        self.push_private(id, Run::private(frames));
    }

    /// Puts a private frame, or several, into a connection's outbox.
    pub(in crate::shard) fn push_private(&mut self, id: Token, run: Rc<Run>) {
        let (bytes, frames) = (run.bytes().len(), run.frames(0, run.end()));
        run.charge(&self.held);
        let connection = self.connections.by_id(id);
        let Some(connection) = connection.expected("only a connection is answered") else { return };
        self.stats.replies += frames as u64;
        self.traffic.of(connection.app()).sent += frames as u64;
        connection.outbox.push(Range::whole(run), &mut self.flush.tails);
        if connection.blocked {
            self.charge(id, bytes, frames);
        } else {
            self.flush.mark_private(id, connection, bytes);
        }
    }

    /// Puts a control frame in behind the frame that is being written.
    pub(in crate::shard) fn push_urgent(&mut self, id: Token, run: Rc<Run>) {
        let bytes = run.bytes().len();
        let connection = self.connections.by_id(id);
        let Some(connection) = connection.expected("only a connection is answered") else { return };
        if !connection.blocked {
            self.push_private(id, run);
            return;
        }
        self.stats.replies += 1;
        self.traffic.of(connection.app()).sent += 1;
        run.charge(&self.held);
        connection.outbox.push_urgent(Range::whole(run), &mut self.flush.tails);
        self.charge(id, bytes, 1);
    }

    /// A blocked connection has gained so much. Past its limit it is tried once more: that attempt judges it.
    pub(super) fn charge(&mut self, id: Token, bytes: usize, frames: usize) {
        let Some(backlog) = self.flush.backlogs.add(id.slot, bytes, frames) else { return };
        if self.excess(backlog).is_some()
            && let Some(connection) = self.connections.by_id(id)
        {
            self.flush.mark(id, connection);
        }
    }

    /// The connection that is to be written next.
    pub(in crate::shard) fn poll_dirty(&mut self) -> Option<Token> {
        while let Some(slot) = self.flush.pop() {
            // Closed since it became dirty.
            let Some((id, connection)) = self.connections.at(slot) else { continue };
            if !connection.dirty {
                continue;
            }
            connection.dirty = false;
            connection.private_gain = 0;
            // Ranges to which nothing was added before sealing are dropped here.
            if connection.outbox.advance_by(0, &mut self.flush.tails) {
                return Some(id);
            }
        }
        None
    }

    /// The kernel took so many bytes. Returns whether more waits.
    pub(in crate::shard) fn handle_written(&mut self, id: Token, bytes: usize) -> bool {
        // The judgement of another connection may have closed this one.
        let Some(connection) = self.connections.by_id(id) else { return false };
        self.traffic.of(connection.app()).sent_bytes += bytes as u64;
        let more = connection.outbox.advance_by(bytes, &mut self.flush.tails);
        if !more && connection.late {
            connection.late = false;
            self.flush.backlogs.end_wait(id.slot);
        }
        if !more && connection.blocked {
            connection.blocked = false;
            self.flush.backlogs.remove(id.slot);
        }
        more
    }

    /// The kernel takes no more. If the connection is too slow, judged by what remains, returns how it is to be closed.
    pub(in crate::shard) fn handle_blocked(&mut self, id: Token) -> Option<Close> {
        let connection = self.connections.by_id(id)?;
        if !connection.blocked {
            connection.blocked = true;
            self.stats.blocked += 1;
        }
        if !connection.late {
            connection.late = true;
            self.flush.backlogs.begin_wait(id.slot, self.flush.phase_ms);
        }
        let backlog = connection.outbox.backlog();
        self.flush.backlogs.insert(id.slot, backlog);
        let excess = self.excess(backlog);
        self.stats.slow_consumers += u64::from(excess.is_some());
        excess
    }

    /// What more waits of than is allowed.
    fn excess(&self, backlog: Backlog) -> Option<Close> {
        if backlog.bytes > self.limits.outbox_bytes_max {
            Some(Close::SLOW_CONSUMER)
        } else {
            (backlog.frames > self.limits.outbox_frames_max).then_some(Close::SLOW_CONSUMER_FRAMES)
        }
    }

    /// The socket can be written again.
    pub(in crate::shard) fn handle_writable(&mut self, id: Token) {
        let Some(connection) = self.connections.by_id(id) else { return };
        if connection.blocked {
            connection.blocked = false;
            self.flush.backlogs.remove(id.slot);
            self.flush.mark(id, connection);
        }
    }
}
