//! The io_uring of one core, and the few calls that no library makes safe: the only file with `unsafe`.
//!
//! Owns the submission and completion queues. What must never happen here: an operation that points into memory which may
//! move or go away while the kernel may look at it (the doorbell's word lives for ever; sends are over when their batch
//! has been submitted; all others carry none), or a decision. A descriptor with an armed operation may be closed only
//! after that operation's last completion, since the operation holds the file. Called by the driver, from the ring's own
//! thread.
#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

// Brings the allocator's library, whose header has more than its crate.
use libmimalloc_sys as _;

use io_uring::{IoUring, cqueue, opcode, squeue, types};
use rustix::event::EventfdFlags;

use machines::machine::Token;

use super::limits::SUBMISSION_TRIES_MAX;

/// How many entries a ring has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sizes {
    /// Operations that fit between two submissions.
    pub submissions: u32,
    /// Completions that fit before the kernel keeps the rest in its own list.
    pub completions: u32,
    /// Sends that fit in one batch, on a ring of their own; 0: there is none.
    pub sends: u32,
}

/// What an operation is for. The values stand in the top byte of its user data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// Multishot poll of a connection for input.
    Readable = 1,
    /// One-shot poll of a connection for room to write.
    Writable = 2,
    /// Multishot poll of a listener.
    Listener = 3,
    /// Read of the doorbell's eventfd.
    Doorbell = 4,
    /// A cancellation; completes visibly only when it found nothing.
    Cancel = 5,
}

/// Names one operation in flight: packed in 64 bits as kind (8), generation (32), slot (24).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Operation {
    /// What it is for.
    pub kind: Kind,
    /// Whose it is.
    pub token: Token,
}

/// The kernel's word about an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Completion {
    /// Which operation.
    pub operation: Operation,
    /// A count, a poll mask, or a negated errno.
    pub result: i32,
    /// The operation stays armed. Without it this is its last completion.
    pub more: bool,
}

/// What a poll is armed for besides errors, which are always reported.
const INPUT_EVENTS: u32 = (libc::POLLIN | libc::POLLRDHUP) as u32;

/// The mask bits after which a read must go on until it finds the end, whatever was read before.
const ENDING_EVENTS: i32 = (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) as i32;

/// How long a ring's memory may be missing: a killed process gives back its share late.
const SETUP_PATIENCE: Duration = Duration::from_secs(2);

const SLOT_BITS: u32 = 24;

/// One core's ring. Lives and dies on the thread that made it.
pub struct Ring {
    ring: IoUring,
    /// Operations that found the submission queue full while the kernel would not take it.
    backlog: VecDeque<squeue::Entry>,
    doorbell_word: *mut u64,
}

impl Ring {
    /// Makes a ring of these sizes, waiting up to 2 s for its memory.
    pub fn new(sizes: Sizes) -> io::Result<Self> {
        let give_up = Instant::now() + SETUP_PATIENCE;
        loop {
            match set_up(sizes, Wakes::WhenEntered) {
                Err(error) if error.raw_os_error() == Some(libc::ENOMEM) && Instant::now() < give_up => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(error) => return Err(error),
                Ok(ring) => return Ok(Self::over(ring)),
            }
        }
    }

    fn over(ring: IoUring) -> Self {
        // Eight bytes per core, never given back: the kernel may write them until the ring is wholly gone, which is
        // later than its drop.
        let doorbell_word = Box::into_raw(Box::new(0u64));
        Self { ring, backlog: VecDeque::new(), doorbell_word }
    }

    /// Polls a connection or a listener for input until cancelled; like an edge, a completion comes for what is new.
    pub fn poll_input(&mut self, fd: BorrowedFd<'_>, operation: Operation) {
        let poll = opcode::PollAdd::new(types::Fd(fd.as_raw_fd()), INPUT_EVENTS).multi(true).build();
        self.push(poll.user_data(operation.pack()));
    }

    /// Waits once for room to write.
    pub fn poll_room(&mut self, fd: BorrowedFd<'_>, operation: Operation) {
        let poll = opcode::PollAdd::new(types::Fd(fd.as_raw_fd()), libc::POLLOUT as u32).build();
        self.push(poll.user_data(operation.pack()));
    }

    /// Reads the doorbell's eventfd once. At most one such read may be in flight.
    pub fn read_doorbell(&mut self, fd: BorrowedFd<'_>) {
        let word = self.doorbell_word.cast();
        let read = opcode::Read::new(types::Fd(fd.as_raw_fd()), word, size_of::<u64>() as u32).build();
        self.push(read.user_data(Operation::DOORBELL.pack()));
    }

    /// Asks for the end of an operation, which then completes for the last time.
    pub fn cancel(&mut self, operation: Operation) {
        let cancel = opcode::AsyncCancel::new(operation.pack()).build();
        let done = Operation { kind: Kind::Cancel, token: operation.token };
        self.push(cancel.user_data(done.pack()).flags(squeue::Flags::SKIP_SUCCESS));
    }

    /// Gives the kernel what is queued and lets it post what it has, without waiting. Enters it only if there is
    /// something to give or to fetch.
    pub fn submit(&mut self) -> io::Result<()> {
        self.drain_backlog();
        let queue = self.ring.submission();
        let needless = queue.is_empty() && !queue.taskrun() && !queue.cq_overflow();
        drop(queue);
        if needless { Ok(()) } else { entered(self.ring.submit()) }
    }

    /// Submits, then waits up to `patience` for a completion.
    pub fn wait(&mut self, patience: Duration) -> io::Result<()> {
        self.drain_backlog();
        if self.has_completions() {
            return Ok(());
        }
        let patience = types::Timespec::from(patience);
        let args = types::SubmitArgs::new().timespec(&patience);
        entered(self.ring.submitter().submit_with_args(1, &args))
    }

    /// True when `reap` would find something.
    pub fn has_completions(&mut self) -> bool {
        !self.ring.completion().is_empty()
    }

    /// Appends what has completed, at most as many as the queue holds.
    pub fn reap(&mut self, completions: &mut Vec<Completion>) {
        completions.extend(self.ring.completion().filter_map(|entry| Completion::of(&entry)));
    }

    fn push(&mut self, entry: squeue::Entry) {
        if !self.backlog.is_empty() || !self.try_push(&entry) {
            self.backlog.push_back(entry);
            self.drain_backlog();
        }
    }

    fn drain_backlog(&mut self) {
        while let Some(entry) = self.backlog.front().cloned() {
            if !self.try_push(&entry) {
                // A refusal (the completion queue overflows) is cured by the next reap; the entry stays in line.
                let _ = entered(self.ring.submit());
                if !self.try_push(&entry) {
                    return;
                }
            }
            self.backlog.pop_front();
        }
    }

    fn try_push(&mut self, entry: &squeue::Entry) -> bool {
        // SAFETY: polls, cancellations and no-ops carry no pointer; the doorbell's read points to a word that is
        // never freed. Descriptors are plain numbers to the kernel: a stale one can fail, not corrupt.
        unsafe { self.ring.submission().push(entry).is_ok() }
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("backlog", &self.backlog.len()).finish_non_exhaustive()
    }
}

/// A ring for sends alone, many of them with one system call.
///
/// It is apart from the core's ring because that one may not be let down: when a batch cannot be submitted, this ring
/// is dropped, and with it all that the kernel has not seen. Nothing is left in it between two batches.
pub struct SendRing {
    /// None once it has failed.
    ring: Option<IoUring>,
    /// What messages of several slices point to. Never moves.
    headers: Box<[libc::msghdr]>,
    iovecs: Box<[libc::iovec]>,
}

/// Sends that go out together. All that they point to is borrowed until they are submitted.
pub struct Batch<'r, 'a> {
    sends: &'r mut SendRing,
    headers_used: usize,
    iovecs_used: usize,
    borrowed: PhantomData<(BorrowedFd<'a>, &'a [u8])>,
}

/// Takes what fits, at once; only with WAITALL a part that was taken counts as a failure and is told.
const SEND_FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_WAITALL | libc::MSG_NOSIGNAL;

/// Slices of all messages of a batch that have several, per send.
const IOVECS_PER_SEND: usize = 4;

impl SendRing {
    /// A ring for batches of up to `sends`; the error is the kernel's, `Unsupported` if sends are not as told here.
    pub fn new(sends: u32) -> io::Result<Self> {
        let size = Sizes { submissions: sends, completions: 2 * sends, sends };
        // SAFETY: all zeroes is a message header without name, data and control.
        let header: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
        let iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        let mut ring = Self {
            ring: Some(set_up(size, Wakes::Sleeper)?),
            headers: vec![header; sends as usize].into_boxed_slice(),
            iovecs: vec![iovec; sends as usize * IOVECS_PER_SEND].into_boxed_slice(),
        };
        if ring.keeps_its_word()? { Ok(ring) } else { Err(io::ErrorKind::Unsupported.into()) }
    }

    /// Begins a batch; None when the ring has failed.
    pub fn batch<'a>(&mut self) -> Option<Batch<'_, 'a>> {
        // What a batch has left behind that was never submitted may point anywhere by now.
        self.ring.take_if(|ring| !ring.submission().is_empty());
        self.ring.is_some().then_some(Batch {
            sends: self,
            headers_used: 0,
            iovecs_used: 0,
            borrowed: PhantomData,
        })
    }

    /// Tries on pairs of sockets that success is silent, a part is told exactly, and a refusal at once; with one slice and
    /// with several, which are two operations of the kernel.
    fn keeps_its_word(&mut self) -> io::Result<bool> {
        Ok(self.sends_as_told(1)? && self.sends_as_told(2)?)
    }

    fn sends_as_told(&mut self, slices: usize) -> io::Result<bool> {
        let (near, far) = socket2::Socket::pair(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
        near.set_send_buffer_size(4 << 10)?;
        let block = [0; 64 << 10];
        let mut seen = Vec::new();
        for bytes in [&block[..2], &block, &block] {
            let Some(mut batch) = self.batch() else { return Ok(false) };
            let pieces: Vec<IoSlice<'_>> = bytes.chunks(bytes.len() / slices).map(IoSlice::new).collect();
            batch.push(0, near.as_fd(), &pieces);
            batch.submit(|_, sent| seen.push(sent.ok()));
        }
        let [Some(part), None] = seen[..] else { return Ok(false) };
        drop(near);
        let arrived = io::copy(&mut &far, &mut io::sink())?;
        Ok(part > 0 && part < block.len() && arrived == 2 + part as u64)
    }
}

impl<'a> Batch<'_, 'a> {
    /// Adds a send of at least one slice, number `at` of its caller's; false: the batch has no room for it.
    pub fn push(&mut self, at: usize, socket: BorrowedFd<'a>, slices: &[IoSlice<'a>]) -> bool {
        let fd = types::Fd(socket.as_raw_fd());
        let entry = if let [bytes] = slices
            && let Ok(length) = u32::try_from(bytes.len())
        {
            opcode::Send::new(fd, bytes.as_ptr(), length).flags(SEND_FLAGS).build()
        } else if let Some(header) = self.message(slices) {
            opcode::SendMsg::new(fd, header).flags(SEND_FLAGS as u32).build()
        } else {
            return false;
        };
        let entry = entry.flags(squeue::Flags::SKIP_SUCCESS).user_data(at as u64);
        let Some(ring) = &mut self.sends.ring else { return false };
        // SAFETY: descriptor and bytes are borrowed for longer than this batch, header and slices lie in boxes of its
        // ring. `submit` returns with that ring only when the kernel has taken every entry, and a send with
        // MSG_DONTWAIT is over when it has been taken: it is never put off. A batch that is never submitted leaves its
        // entries to the next one, which drops the ring with them.
        unsafe { ring.submission().push(&entry).is_ok() }
    }

    /// Sends all. `fell_short` is told the number of each send that did not go through as a whole, and what the socket
    /// took before it was full, or its error; `WouldBlock` if it took nothing. Returns how many sends, the last of
    /// them, the kernel has not seen and never will.
    pub fn submit(self, mut fell_short: impl FnMut(usize, io::Result<usize>)) -> usize {
        let Some(mut ring) = self.sends.ring.take() else { return 0 };
        for _ in 0..SUBMISSION_TRIES_MAX {
            let entered = entered(ring.submit());
            for completion in ring.completion() {
                fell_short(completion.user_data() as usize, sent(completion.result()));
            }
            if entered.is_err() || ring.submission().is_empty() {
                break;
            }
        }
        let left = ring.submission().len();
        if left == 0 {
            self.sends.ring = Some(ring);
        }
        left
    }

    fn message(&mut self, slices: &[IoSlice<'a>]) -> Option<*const libc::msghdr> {
        let end = self.iovecs_used + slices.len();
        let iovecs = self.sends.iovecs.get_mut(self.iovecs_used..end)?;
        let header = self.sends.headers.get_mut(self.headers_used)?;
        for (iovec, slice) in iovecs.iter_mut().zip(slices) {
            // The kernel does not write through it.
            *iovec = libc::iovec { iov_base: slice.as_ptr().cast_mut().cast(), iov_len: slice.len() };
        }
        header.msg_iov = iovecs.as_mut_ptr();
        header.msg_iovlen = iovecs.len() as _;
        self.iovecs_used = end;
        self.headers_used += 1;
        Some(header)
    }
}

fn sent(result: i32) -> io::Result<usize> {
    match result {
        // An interruption before the first byte: nothing was taken, and nothing is wrong.
        result if result == -libc::EINTR => Ok(0),
        result => usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result)),
    }
}

impl fmt::Debug for SendRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendRing").field("failed", &self.ring.is_none()).finish_non_exhaustive()
    }
}

impl Operation {
    /// The one read of the doorbell.
    const DOORBELL: Self = Self { kind: Kind::Doorbell, token: Token { slot: 0, generation: 0 } };

    fn pack(self) -> u64 {
        assert!(self.token.slot < 1 << SLOT_BITS, "slot {} out of range", self.token.slot);
        (self.kind as u64) << 56 | u64::from(self.token.generation) << SLOT_BITS | u64::from(self.token.slot)
    }

    fn unpack(packed: u64) -> Option<Self> {
        let kind = match packed >> 56 {
            1 => Kind::Readable,
            2 => Kind::Writable,
            3 => Kind::Listener,
            4 => Kind::Doorbell,
            5 => Kind::Cancel,
            _ => return None,
        };
        let slot = packed as u32 & ((1 << SLOT_BITS) - 1);
        Some(Self { kind, token: Token { slot, generation: (packed >> SLOT_BITS) as u32 } })
    }
}

impl Completion {
    fn of(entry: &cqueue::Entry) -> Option<Self> {
        let operation = Operation::unpack(entry.user_data())?;
        Some(Self { operation, result: entry.result(), more: cqueue::more(entry.flags()) })
    }

    /// True when this poll saw the peer's end or an error: reading goes on until it finds that.
    pub fn is_ending(&self) -> bool {
        self.result >= 0 && self.result & ENDING_EVENTS != 0
    }
}

/// Whom a completion wakes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wakes {
    /// Its thread, wherever that sleeps.
    Sleeper,
    /// Its thread only while that waits in the ring: elsewhere it sleeps on, and what has happened is put off until the
    /// ring is entered.
    WhenEntered,
}

fn set_up(sizes: Sizes, wakes: Wakes) -> io::Result<IoUring> {
    // Newest first. Completions are deferred from Linux 6.1 on; cooperative task running spares interrupts (5.19), a
    // single issuer spares locks (6.0).
    let mut newest = builder(sizes);
    match wakes {
        Wakes::Sleeper => newest.setup_coop_taskrun(),
        Wakes::WhenEntered => newest.setup_defer_taskrun(),
    };
    let newest = newest.setup_taskrun_flag().setup_single_issuer().build(sizes.submissions);
    let newer = or_if_unknown(newest, || {
        builder(sizes).setup_coop_taskrun().setup_taskrun_flag().build(sizes.submissions)
    });
    or_if_unknown(newer, || builder(sizes).build(sizes.submissions))
}

fn builder(sizes: Sizes) -> io_uring::Builder {
    let mut builder = IoUring::builder();
    builder.setup_cqsize(sizes.completions).setup_clamp();
    builder
}

fn or_if_unknown(
    made: io::Result<IoUring>,
    older: impl FnOnce() -> io::Result<IoUring>,
) -> io::Result<IoUring> {
    match made {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => older(),
        made => made,
    }
}

/// Interruptions, timeouts and a full completion queue are ordinary: the caller reaps and comes back.
///
/// EBADR is not: the queue was full and the kernel had no memory for its own list, so completions are lost for good. Each
/// may have been the only news of a descriptor that can be closed now, of another core's bell, or of a listener that must
/// be polled again. A core that goes on would forget connections without a sign, so it ends, and says why. A ring of sends
/// never meets it: its queue holds twice what a batch can complete, and is emptied after each.
fn entered(result: io::Result<usize>) -> io::Result<()> {
    match result {
        Ok(_) => Ok(()),
        Err(error) => match error.raw_os_error() {
            Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
            _ => Err(error),
        },
    }
}

/// Tries what the driver needs of io_uring on a ring of its own: setup, multishot poll, and successes that stay silent.
/// The errors are the kernel's, `Unsupported` for a kernel that is too old.
pub fn probe_io_uring() -> io::Result<()> {
    let sizes = Sizes { submissions: 8, completions: 16, sends: 0 };
    let mut ring = Ring::over(set_up(sizes, Wakes::WhenEntered)?);
    let too_old = || io::Error::from(io::ErrorKind::Unsupported);
    if !ring.ring.params().is_feature_skip_cqe_on_success() || !ring.ring.params().is_feature_ext_arg() {
        return Err(too_old());
    }
    let eventfd = rustix::event::eventfd(1, EventfdFlags::CLOEXEC)?;
    let poll = Operation { kind: Kind::Readable, token: Token { slot: 0, generation: 0 } };
    ring.poll_input(eventfd.as_fd(), poll);
    ring.push(opcode::Nop::new().build().user_data(poll.pack()).flags(squeue::Flags::SKIP_SUCCESS));
    ring.wait(Duration::from_secs(1))?;
    let mut completions = Vec::new();
    ring.reap(&mut completions);
    match completions.as_slice() {
        [seen] if seen.more && seen.result >= 0 => Ok(()),
        _ => Err(too_old()),
    }
}

/// The process at the other end of a Unix socket when that was made, and its user.
pub fn peer_of(socket: BorrowedFd<'_>) -> io::Result<(i32, u32)> {
    let mut who = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = size_of_val(&who) as libc::socklen_t;
    // SAFETY: the option's value is a ucred that is ours to write, and the length is its own.
    checked(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut who).cast(),
            &raw mut length,
        )
    })?;
    Ok((who.pid, who.uid))
}

/// How many bytes a TCP connection has had from its peer, and has sent, by the kernel's count (tcp_info of linux/tcp.h).
pub fn tcp_bytes(socket: BorrowedFd<'_>) -> Option<(u64, u64)> {
    const STATE: usize = 0;
    const RECEIVED: usize = 128;
    const NOT_SENT: usize = 144;
    const SENT: usize = 200;
    const SENT_AGAIN: usize = 208;
    // The peer's end counts as a byte in the states that come after it.
    const ENDED: [u8; 4] = [6, 8, 9, 11];
    let mut info = [0_u8; 216];
    let mut length = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the buffer is ours to write, and the length is its own.
    checked(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    })
    .ok()?;
    if (length as usize) < info.len() {
        return None;
    }
    let word = |at: usize| info.get(at..)?.first_chunk().copied().map(u64::from_ne_bytes);
    let not_sent = info.get(NOT_SENT..)?.first_chunk().copied().map(u32::from_ne_bytes)?;
    let end = u64::from(ENDED.contains(info.get(STATE)?));
    let went = word(SENT)?.saturating_sub(word(SENT_AGAIN)?) + u64::from(not_sent);
    Some((word(RECEIVED)?.saturating_sub(end), went))
}

/// A copy of a descriptor that this process was started with. The original is kept from programs that it starts.
pub fn inherit(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: it takes plain numbers; one that is no descriptor fails.
    checked(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: the same.
    let copy = checked(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 0) })?;
    // SAFETY: the kernel has just made it, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Gives memory that is free on this thread back to the system.
pub fn give_back_memory() {
    // SAFETY: it takes nothing, and may be called at any time.
    unsafe { mi_collect(true) };
}

// SAFETY: this is how mimalloc.h declares it.
unsafe extern "C" {
    fn mi_collect(force: bool);
}

/// Lets a connection be accepted only when its peer has spoken, or after about so many seconds.
pub fn defer_accept(listener: BorrowedFd<'_>, seconds: libc::c_int) -> io::Result<()> {
    // SAFETY: the option's value is a readable int.
    let set = checked(unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            size_of_val(&seconds) as libc::socklen_t,
        )
    });
    set.map(drop)
}

/// Gives each newcomer of this listener's group to the listener whose place in `cpus` is that of the processor that
/// received it. Listeners have their places in the order in which they began to listen. A processor that is not in
/// `cpus` leaves the choice to the kernel's hash, as it is without this.
pub fn steer_by_cpu(listener: BorrowedFd<'_>, cpus: &[usize]) -> io::Result<()> {
    let instruction = |code: u32, jf, k| libc::sock_filter { code: code as u16, jt: 0, jf, k };
    let mut program = vec![instruction(
        libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
        0,
        (libc::SKF_AD_OFF + libc::SKF_AD_CPU) as u32,
    )];
    for (place, cpu) in cpus.iter().enumerate() {
        program.push(instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, *cpu as u32));
        program.push(instruction(libc::BPF_RET | libc::BPF_K, 0, place as u32));
    }
    // No group is so large: the kernel takes a place that does not exist for «by hash».
    program.push(instruction(libc::BPF_RET | libc::BPF_K, 0, u32::MAX));
    let shown = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the option's value is a program header, whose pointer and length are those of a vector that outlives the
    // call; the kernel copies both.
    checked(unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const shown).cast(),
            size_of_val(&shown) as libc::socklen_t,
        )
    })
    .map(drop)
}

/// Takes away what `steer_by_cpu` gave this listener's group. Fine when there was nothing.
pub fn steer_by_nothing(listener: BorrowedFd<'_>) -> io::Result<()> {
    let none: libc::c_int = 0;
    // SAFETY: the option's value is a readable int, which the kernel ignores.
    let detached = checked(unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_DETACH_REUSEPORT_BPF,
            (&raw const none).cast(),
            size_of_val(&none) as libc::socklen_t,
        )
    });
    match detached {
        Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error),
        _ => Ok(()),
    }
}

/// A signal that asks something of the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// SIGTERM or SIGINT, with its number.
    Stop(i32),
    /// SIGHUP, with its number: the terminal was closed, or somebody wants a reload.
    Hangup(i32),
    /// One that means something to other servers; its name.
    Other(&'static str),
}

/// Keeps signals from interrupting this thread and all that it starts, or from ending them; `wait_for_signal` takes them.
/// A write beyond the limit of a file's size fails with EFBIG then, instead of ending the process by SIGXFSZ.
pub fn block_signals() -> io::Result<()> {
    let mut awaited: Vec<i32> = STOP_SIGNALS.to_vec();
    awaited.extend(OTHER_SIGNALS.map(|(signal, _)| signal));
    awaited.extend([libc::SIGHUP, libc::SIGXFSZ]);
    let set = signals(&awaited);
    // SAFETY: the set is initialised; the old mask is not asked for.
    match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Sleeps until a signal comes. They must be blocked in every thread.
pub fn wait_for_signal() -> io::Result<Signal> {
    let mut awaited: Vec<i32> = STOP_SIGNALS.to_vec();
    awaited.extend(OTHER_SIGNALS.map(|(signal, _)| signal));
    awaited.push(libc::SIGHUP);
    let set = signals(&awaited);
    let mut signal = 0;
    // SAFETY: both pointers are to locals of the right types.
    match unsafe { libc::sigwait(&raw const set, &raw mut signal) } {
        0 => {
            let other = OTHER_SIGNALS.into_iter().find(|(number, _)| *number == signal);
            Ok(match other {
                Some((_, name)) => Signal::Other(name),
                None if signal == libc::SIGHUP => Signal::Hangup(signal),
                None => Signal::Stop(signal),
            })
        }
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

const STOP_SIGNALS: [i32; 2] = [libc::SIGTERM, libc::SIGINT];

/// Their default is the end of the process.
const OTHER_SIGNALS: [(i32, &str); 2] = [(libc::SIGUSR1, "SIGUSR1"), (libc::SIGUSR2, "SIGUSR2")];

fn signals(numbers: &[i32]) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    for number in numbers {
        // SAFETY: the set is initialised, and the number is that of a signal.
        unsafe { libc::sigaddset(set.as_mut_ptr(), *number) };
    }
    // SAFETY: the set is initialised.
    unsafe { set.assume_init() }
}

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    const SMALL: Sizes = Sizes { submissions: 8, completions: 16, sends: 0 };

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    }

    fn operation(kind: Kind) -> Operation {
        Operation { kind, token: Token { slot: 7, generation: 3 } }
    }

    fn completions(ring: &mut Ring) -> Vec<Completion> {
        let mut found = Vec::new();
        let give_up = Instant::now() + Duration::from_secs(5);
        while found.is_empty() && Instant::now() < give_up {
            ring.wait(Duration::from_millis(50)).unwrap();
            ring.reap(&mut found);
        }
        found
    }

    #[test]
    fn an_operation_survives_packing() {
        for kind in [Kind::Readable, Kind::Writable, Kind::Listener, Kind::Doorbell, Kind::Cancel] {
            for (slot, generation) in
                [(0, 0), (1, u32::MAX), ((1 << SLOT_BITS) - 1, 0), (0x00ab_cdef, 0x89ab_cdef)]
            {
                let operation = Operation { kind, token: Token { slot, generation } };
                assert_eq!(Operation::unpack(operation.pack()), Some(operation));
            }
        }
        assert_eq!(Operation::unpack(0), None);
    }

    #[test]
    fn this_kernel_passes_the_probe() {
        probe_io_uring().unwrap();
    }

    #[test]
    fn a_poll_for_input_completes_for_each_arrival_and_stays_armed() {
        let (near, mut far) = pair();
        let mut ring = Ring::new(SMALL).unwrap();
        ring.poll_input(near.as_fd(), operation(Kind::Readable));
        for _ in 0..3 {
            far.write_all(b"x").unwrap();
            let found = completions(&mut ring);
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].operation, operation(Kind::Readable));
            assert!(found[0].more && !found[0].is_ending());
        }
        drop(far);
        assert!(completions(&mut ring)[0].is_ending());
    }

    #[test]
    fn a_cancelled_poll_completes_once_more_and_the_cancellation_is_silent() {
        let (near, _far) = pair();
        let mut ring = Ring::new(SMALL).unwrap();
        ring.poll_input(near.as_fd(), operation(Kind::Readable));
        ring.submit().unwrap();
        ring.cancel(operation(Kind::Readable));
        let found = completions(&mut ring);
        assert_eq!(
            found,
            [Completion { operation: operation(Kind::Readable), result: -libc::ECANCELED, more: false }]
        );
        ring.wait(Duration::from_millis(20)).unwrap();
        assert!(!ring.has_completions());
    }

    #[test]
    fn closing_a_polled_descriptor_sends_no_fin_before_the_poll_is_cancelled() {
        let (near, mut far) = pair();
        let mut ring = Ring::new(SMALL).unwrap();
        ring.poll_input(near.as_fd(), operation(Kind::Readable));
        ring.submit().unwrap();
        drop(near);
        far.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        assert_eq!(far.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        ring.cancel(operation(Kind::Readable));
        completions(&mut ring);
        far.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert_eq!(far.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn more_operations_than_the_queue_holds_are_all_submitted() {
        let (near, far) = pair();
        let mut ring = Ring::new(SMALL).unwrap();
        for generation in 0..100 {
            let token = Token { slot: 1, generation };
            ring.poll_room(near.as_fd(), Operation { kind: Kind::Writable, token });
        }
        let mut found = Vec::new();
        while found.len() < 100 {
            let more = completions(&mut ring);
            assert!(!more.is_empty(), "only {} of 100 completed", found.len());
            found.extend(more);
        }
        let mut generations: Vec<u32> = found.iter().map(|found| found.operation.token.generation).collect();
        generations.sort_unstable();
        assert_eq!(generations, (0..100).collect::<Vec<_>>());
        drop(far);
    }

    #[test]
    fn the_doorbell_completes_when_it_is_written() {
        let bell = rustix::event::eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        let mut ring = Ring::new(SMALL).unwrap();
        for _ in 0..2 {
            ring.read_doorbell(bell.as_fd());
            ring.submit().unwrap();
            rustix::io::write(&bell, &1u64.to_ne_bytes()).unwrap();
            assert_eq!(completions(&mut ring)[0].operation, Operation::DOORBELL);
        }
    }
}
