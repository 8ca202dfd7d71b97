//! The shards, and what a driver has for each: its sockets, their slots, a doorbell, and its end of the mesh.
//!
//! Knows no client and no check: it moves bytes and batches when it is told to.

use corecast_machines::cores::{self, CoreId};
use corecast_machines::machine::{Door, Machine, Now, Token};
use corecast_machines::mesh::{Answer, Leaf, Root};
use corecast_machines::readings::stats::Stats;
use corecast_machines::shard::Shard;
use protocol::address::Address;

use crate::inputs::TurnInputs;
use crate::mesh::{Lane, Port};
use crate::rng::Rng;
use crate::socket::{Reader, Socket};

pub struct Cores {
    shards: Vec<Shard>,
    /// By shard.
    sockets: Vec<Vec<Socket>>,
    /// By shard, the driver's slots: generation, and whether it has a tenant or its shard keeps something of the last one.
    slots: Vec<Vec<(u32, bool)>>,
    awake: Vec<bool>,
    roots: Lane<Root>,
    leaves: Lane<Leaf>,
}

impl Cores {
    pub fn new(shards: Vec<Shard>) -> Self {
        let count = shards.len();
        let layout = cores::Cores::new(count);
        let (roots, leaves) = (Lane::new(layout), Lane::new(layout));
        let sockets = (0..count).map(|_| Vec::new()).collect();
        Self { shards, sockets, slots: vec![Vec::new(); count], awake: vec![false; count], roots, leaves }
    }

    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    pub fn shard(&self, index: usize) -> &Shard {
        &self.shards[index]
    }

    pub fn shard_mut(&mut self, index: usize) -> &mut Shard {
        &mut self.shards[index]
    }

    /// Says something to all shards, which wakes them.
    pub fn tell_all(&mut self, tell: impl FnMut(&mut Shard)) {
        self.shards.iter_mut().for_each(tell);
        self.awake.fill(true);
    }

    pub fn stats(&self) -> Stats {
        let mut total = Stats::default();
        for shard in &self.shards {
            total.add(&shard.stats());
        }
        total
    }

    // ---- sockets

    /// A socket is opened. Returns its index among those of its shard.
    pub fn open(&mut self, shard: usize, reader: Reader, head: &[u8], secure: bool, now: Now) -> usize {
        let slots = &mut self.slots[shard];
        let slot = slots.iter().position(|(_, used)| !used).unwrap_or_else(|| {
            slots.push((0, false));
            slots.len() - 1
        });
        slots[slot].0 += 1;
        slots[slot].1 = true;
        let token = Token { slot: slot as u32, generation: slots[slot].0 };
        let mut socket = Socket::new(token, reader);
        socket.inbound.extend(head);
        self.sockets[shard].push(socket);
        self.shards[shard].handle_open(token, Door::Public, secure, now);
        self.awake[shard] = true;
        self.sockets[shard].len() - 1
    }

    /// Its peer is there.
    pub fn tell_peer(&mut self, shard: usize, socket: usize, address: Address) {
        let socket = &mut self.sockets[shard][socket];
        socket.whereabouts = Some(address);
        self.shards[shard].handle_peer(socket.token, Some(address));
    }

    pub fn sockets(&self, shard: usize) -> &[Socket] {
        &self.sockets[shard]
    }

    pub fn sockets_mut(&mut self, shard: usize) -> &mut [Socket] {
        &mut self.sockets[shard]
    }

    /// Its peer sends something.
    pub fn send(&mut self, shard: usize, socket: usize, bytes: &[u8]) {
        self.sockets[shard][socket].inbound.extend(bytes);
        self.awake[shard] = true;
    }

    /// Its peer closes it.
    pub fn hang_up(&mut self, shard: usize, socket: usize) {
        self.sockets[shard][socket].hung_up = true;
        self.awake[shard] = true;
    }

    /// The socket behind a token, even if it is closed.
    pub fn socket_of(&mut self, shard: usize, token: Token) -> Option<&mut Socket> {
        self.sockets[shard].iter_mut().find(|socket| socket.token == token)
    }

    pub fn open_socket_of(&mut self, shard: usize, token: Token) -> Option<&mut Socket> {
        self.socket_of(shard, token).filter(|socket| !socket.closed)
    }

    /// The index of the socket behind a token.
    pub fn index_of(&self, shard: usize, token: Token) -> Result<usize, String> {
        let index = self.sockets[shard].iter().position(|socket| socket.token == token);
        index.ok_or_else(|| "a token of nobody".into())
    }

    /// Its shard keeps nothing of a closed connection: the driver's slot is free for another one.
    pub fn free_slot(&mut self, shard: usize, token: Token) -> Result<(), String> {
        let socket = self.index_of(shard, token)?;
        if !self.sockets[shard][socket].closed {
            return Err("the slot of an open connection is free".into());
        }
        match &mut self.slots[shard][token.slot as usize] {
            (generation, used) if *generation == token.generation && *used => *used = false,
            _ => return Err("a slot is free twice".into()),
        }
        Ok(())
    }

    /// How many slots have no room for another connection.
    pub fn used_slots(&self, shard: usize) -> usize {
        self.slots[shard].iter().filter(|(_, used)| *used).count()
    }

    pub fn drain_sockets(&mut self, shard: usize) {
        self.sockets[shard].iter_mut().for_each(Socket::drain);
    }

    /// The kernel says which sockets can be written again.
    pub fn tell_writable(&mut self, shard: usize) -> bool {
        let mut any = false;
        for socket in self.sockets[shard].iter_mut().filter(|socket| socket.waits_writable && !socket.closed)
        {
            if socket.room() > 0 {
                socket.waits_writable = false;
                self.shards[shard].handle_writable(socket.token);
                socket.refused = waiting_bytes(&self.shards[shard], socket.token);
                self.awake[shard] = true;
                any = true;
            }
        }
        any
    }

    /// A second passes in which peers are silent.
    pub fn grow_silent(&mut self) {
        for socket in self.sockets.iter_mut().flatten() {
            socket.grow_old();
            if socket.paused {
                socket.hear();
            } else {
                socket.silent_s += 1;
            }
        }
    }

    // ---- doorbells

    pub fn is_awake(&self, shard: usize) -> bool {
        self.awake[shard]
    }

    pub fn wake(&mut self, shard: usize) {
        self.awake[shard] = true;
    }

    pub fn clear_doorbell(&mut self, shard: usize) {
        self.awake[shard] = false;
    }

    /// Wakes the shards that have something due.
    pub fn wake_due(&mut self, now_ms: u64) {
        for (shard, awake) in self.shards.iter().zip(&mut self.awake) {
            *awake |= shard.poll_deadline().is_some_and(|due| due <= now_ms);
        }
    }

    // ---- the mesh

    /// One batch comes to a core. Returns whether there was one on its way.
    pub fn arrive(&mut self, to: CoreId, roots: bool) -> bool {
        let any = if roots { self.roots.arrive(to) } else { self.leaves.arrive(to) };
        if any && let CoreId::Shard(number) = to {
            self.awake[usize::from(number)] = true;
        }
        any
    }

    /// True when no batch is on its way or waits to be taken.
    pub fn is_mesh_empty(&self) -> bool {
        self.roots.is_empty() && self.leaves.is_empty()
    }

    /// The API core's end of the mesh.
    pub fn api_port(&mut self) -> Port<'_> {
        Port { me: CoreId::Api, roots: &mut self.roots, leaves: &mut self.leaves }
    }

    /// A batch of answers that has arrived at the API core.
    pub fn next_answers(&mut self) -> Option<Vec<Answer>> {
        let (from, batch) = self.leaves.next(CoreId::Api)?;
        self.leaves.release(from, CoreId::Api);
        if let CoreId::Shard(number) = from {
            self.awake[usize::from(number)] = true;
        }
        let answer = |leaf| match leaf {
            Leaf::Answer(answer) => *answer,
            other => panic!("the API core got {other:?}"),
        };
        Some(batch.into_iter().map(answer).collect())
    }

    // ---- the two things that a turn borrows

    pub fn inputs<'a>(&'a mut self, me: usize, rng: &'a mut Rng) -> (&'a mut Shard, TurnInputs<'a>) {
        let port = Port { me: CoreId::Shard(me as u16), roots: &mut self.roots, leaves: &mut self.leaves };
        let inputs = TurnInputs::new(port, &mut self.sockets[me], &mut self.awake, rng);
        (&mut self.shards[me], inputs)
    }

    pub fn mesh(&mut self, me: usize) -> (&mut Shard, Port<'_>) {
        (
            &mut self.shards[me],
            Port { me: CoreId::Shard(me as u16), roots: &mut self.roots, leaves: &mut self.leaves },
        )
    }
}

/// What waits for the connection behind this token, in bytes, without the largest private item.
fn waiting_bytes(shard: &Shard, token: Token) -> usize {
    let mut outboxes = shard.fanout().outboxes();
    outboxes.find(|outbox| outbox.token == token).map_or(0, |outbox| outbox.backlog.bytes)
}
