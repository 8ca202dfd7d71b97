//! The queue of lines and the thread that writes them.
//!
//! The thread may be stuck in a write for ever; the queue then fills and lines are counted instead of kept. What must
//! never happen here: a sender that waits, but for [`Door::finish`] and its time.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use rustix::io::Errno;

use crate::format::Line;
use crate::level::{Level, level};
use crate::limits::{LINE_BYTES_MAX, LINES_MAX};

/// How often a pipe that does not block is tried again while it is full.
const RETRY: Duration = Duration::from_millis(10);
/// How long the thread leaves lines to gather when it has written all there were: to be woken for each of many costs more
/// than the lines.
const GATHER: Duration = Duration::from_millis(5);
/// A loss is told at most so often.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What lines go into.
#[derive(Debug)]
pub(crate) struct Door {
    queue: Sender<Entry>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Entry {
    Line(String),
    /// Write this, if anything, and say that it is done.
    Last(Option<String>, Sender<()>),
}

impl Door {
    /// Starts the thread that writes to `out`.
    pub(crate) fn open(out: impl AsFd + Send + 'static) -> io::Result<Self> {
        let (queue, entries) = bounded(LINES_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let mut writer = Writer { out, dropped: Arc::clone(&dropped), told: 0, told_at: None };
        thread::Builder::new().name("log".to_owned()).spawn(move || writer.run(&entries))?;
        Ok(Self { queue, dropped })
    }

    /// Takes a line, or counts it where there is no room.
    pub(crate) fn send(&self, line: String) {
        if self.queue.try_send(Entry::Line(line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all that was sent is written, and this line after it; false when the time is over before.
    pub(crate) fn finish(&self, last: Option<String>, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        let (done, written) = bounded(1);
        self.queue.send_deadline(Entry::Last(last, done), end).is_ok() && written.recv_deadline(end).is_ok()
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

struct Writer<F> {
    out: F,
    dropped: Arc<AtomicU64>,
    /// How many lost lines the log speaks of.
    told: u64,
    told_at: Option<Instant>,
}

impl<F: AsFd> Writer<F> {
    fn run(&mut self, entries: &Receiver<Entry>) {
        let mut last = None;
        while let Some(first) = last.take().or_else(|| entries.recv().ok()) {
            match first {
                Entry::Line(mut lines) => {
                    let count = 1 + gather(entries, &mut lines, &mut last);
                    self.write(&lines, count);
                    if last.is_none() && entries.is_empty() {
                        thread::sleep(GATHER);
                    }
                }
                Entry::Last(line, done) => {
                    line.into_iter().for_each(|line| self.write(&line, 1));
                    // The caller may have waited long enough.
                    let _ = done.try_send(());
                }
            }
        }
    }

    fn write(&mut self, lines: &str, count: u64) {
        self.tell_losses();
        if self.write_all(lines.as_bytes()).is_err() {
            self.dropped.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// A line about lost lines is not counted itself when it is lost.
    fn tell_losses(&mut self) {
        let dropped = self.dropped.load(Ordering::Relaxed);
        let is_time = self.told_at.is_none_or(|at| at.elapsed() >= TELL_EVERY);
        if dropped == self.told || !is_time || level() < Level::Warn {
            return;
        }
        self.told_at = Some(Instant::now());
        let count = dropped - self.told;
        let text = format_args!("{count} log lines were lost: standard error did not take them");
        let mut line = Line::new("lines_dropped", text);
        line.raw("count", count);
        if self.write_all(line.finish(Level::Warn).as_bytes()).is_ok() {
            self.told = dropped;
        }
    }

    fn write_all(&self, mut rest: &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            match rustix::io::write(&self.out, rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => rest = rest.get(length..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => thread::sleep(RETRY),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Appends further lines that wait, as far as one write may be long. Returns how many; what comes next and is not one of
/// them is in `last`.
fn gather(entries: &Receiver<Entry>, lines: &mut String, last: &mut Option<Entry>) -> u64 {
    let mut count = 0;
    while lines.len() < LINE_BYTES_MAX {
        match entries.try_recv() {
            Ok(Entry::Line(line)) if lines.len() + line.len() <= LINE_BYTES_MAX => {
                lines.push_str(&line);
                count += 1;
            }
            Ok(other) => {
                *last = Some(other);
                break;
            }
            Err(_) => break,
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{BufRead, BufReader, PipeReader, PipeWriter, pipe};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// A pipe that takes no further byte until it is read.
    fn full_pipe() -> (PipeReader, PipeWriter) {
        let (reader, writer) = pipe().unwrap();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        while rustix::io::write(&writer, b"#\n").is_ok() {}
        rustix::io::ioctl_fionbio(&writer, false).unwrap();
        (reader, writer)
    }

    /// More lines than the queue holds, none of which waits.
    fn overfill(door: &Door) -> u64 {
        let started = Instant::now();
        let lines = LINES_MAX as u64 + 1_000;
        (0..lines).for_each(|number| door.send(format!("{number:0100}\n")));
        assert!(started.elapsed() < Duration::from_secs(5), "a sender waited");
        lines
    }

    fn lines_behind_the_filling(reader: PipeReader) -> Vec<String> {
        BufReader::new(reader).lines().map(Result::unwrap).filter(|line| line != "#").collect()
    }

    #[test]
    fn lines_are_written_in_order_and_the_end_waits_for_them() {
        let (reader, writer) = pipe().unwrap();
        let door = Door::open(writer).unwrap();
        (0..100).for_each(|number| door.send(format!("{number}\n")));
        assert!(door.finish(Some("last\n".to_owned()), LONG));
        drop(door);
        let lines: Vec<String> = BufReader::new(reader).lines().map(Result::unwrap).collect();
        let wanted: Vec<String> = (0..100).map(|n| n.to_string()).chain(["last".to_owned()]).collect();
        assert_eq!(lines, wanted);
    }

    #[test]
    fn a_pipe_that_nobody_reads_costs_lines_and_nobody_waits() {
        for blocks in [true, false] {
            let (reader, writer) = full_pipe();
            rustix::io::ioctl_fionbio(&writer, !blocks).unwrap();
            let door = Door::open(writer).unwrap();
            let lines = overfill(&door);
            let dropped = door.dropped();
            // The writer holds what it writes at once and one more, if it was quick enough.
            let held = (LINE_BYTES_MAX / 101 + 1) as u64;
            assert!((1_000 - held..=1_000).contains(&dropped), "{dropped}");
            let started = Instant::now();
            assert!(!door.finish(None, Duration::from_millis(50)), "a full pipe was written");
            assert!(started.elapsed() < LONG / 2);
            let reading = thread::spawn(move || lines_behind_the_filling(reader));
            assert!(door.finish(Some("last\n".to_owned()), LONG));
            drop(door);
            let told = reading.join().unwrap();
            assert_eq!(told.last().map(String::as_str), Some("last"));
            assert!(told.iter().any(|line| line.contains("log lines were lost")), "nothing tells the loss");
            let numbers: Vec<u64> = told.iter().filter_map(|line| line.parse().ok()).collect();
            assert!(numbers.is_sorted() && numbers.len() as u64 == lines - dropped, "{}", numbers.len());
        }
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let doors = [Door::open(writer), Door::open(File::options().write(true).open("/dev/full").unwrap())];
        for door in doors.map(Result::unwrap) {
            (0..10).for_each(|_| door.send("x\n".to_owned()));
            assert!(door.finish(None, LONG));
            assert_eq!(door.dropped(), 10);
        }
    }
}
