//! One shard in its turn, with all around it that the turn touches. Takes the steps of a driver, with sockets that take
//! some of what they are offered, and checks after each what must hold there.

use std::io::IoSlice;

use corecast_machines::machine::{Effect, Machine, Now, Token};
use corecast_machines::outbox::parting::Parting;
use corecast_machines::shard::Shard;
use corecast_machines::turn::Core;

use crate::bounds::Bounds;
use crate::client::Client;
use crate::clients::Clients;
use crate::cores::Cores;
use crate::counts::CountsModel;
use crate::deeds::Deeds;
use crate::hooks::HooksCore;
use crate::inputs::TurnInputs;
use crate::lookups::Lookups;
use crate::mesh::Port;
use crate::model::{Done, Model};
use crate::rng::Rng;
use crate::socket::Reader;
use crate::users::Users;

pub struct Turning<'a> {
    pub me: usize,
    pub now_ms: u64,
    pub cores: &'a mut Cores,
    pub clients: &'a mut Clients,
    pub bounds: &'a Bounds,
    pub deeds: &'a Deeds,
    pub model: &'a mut Model,
    pub counts: &'a mut CountsModel,
    pub users: &'a mut Users,
    pub hooks: &'a mut HooksCore,
    pub lookups: &'a mut Lookups,
    pub rng: &'a mut Rng,
    /// How many outboxes are written together.
    pub flush_slice: usize,
    /// Times that a flush slice ended with connections still dirty.
    pub slices_cut: &'a mut u64,
    pub draining: bool,
}

impl Turning<'_> {
    fn meet_deadline(&mut self, now: Now) -> bool {
        let due = self.cores.shard(self.me).poll_deadline().is_some_and(|due| due <= now.mono_ms);
        if due {
            for socket in self.cores.sockets_mut(self.me) {
                socket.judged_s = if socket.paused { 0 } else { socket.silent_s };
                socket.judged_taken = socket.inbound.is_empty() && !socket.paused;
            }
            self.cores.shard_mut(self.me).handle_deadline(now);
        }
        due
    }

    /// Writes a chunk of outboxes together: all are tried before the shard is told of any, and it hears of what was
    /// taken before it judges those that took nothing.
    fn write_slice(&mut self, now: Now) -> Result<bool, String> {
        let mut attempts: Vec<(Token, usize)> = Vec::new();
        while attempts.len() < self.flush_slice
            && let Some(token) = self.cores.shard_mut(self.me).poll_dirty()
        {
            if attempts.iter().any(|(other, _)| *other == token) {
                return Err("dirty twice".into());
            }
            attempts.push((token, 0));
        }
        for (token, taken) in &mut attempts {
            *taken = self.write(*token)?.ok_or("dirty, but nothing to write")?;
        }
        let wrote = !attempts.is_empty();
        attempts.sort_by_key(|(_, taken)| *taken == 0);
        let mut rest = Vec::new();
        for (token, taken) in attempts {
            if taken == 0 {
                self.refuse(token, now);
            } else if self.cores.shard_mut(self.me).handle_written(token, taken, now) {
                rest.push(token);
            }
        }
        for token in rest {
            self.write_on(token, now)?;
        }
        *self.slices_cut += u64::from(!self.cores.shard(self.me).fanout().is_clean());
        Ok(wrote)
    }

    /// Offers what waits to a socket, or less. None: nothing waits.
    fn write(&mut self, token: Token) -> Result<Option<usize>, String> {
        let mut slices = [IoSlice::new(&[]); 4];
        let filled = self.cores.shard_mut(self.me).outbox(token, &mut slices);
        let bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect();
        if bytes.is_empty() {
            return Ok(None);
        }
        let offered = if self.rng.chance(30) { self.rng.between(1, bytes.len()) } else { bytes.len() };
        let socket = self.cores.socket_of(self.me, token);
        let socket = socket.ok_or("dirty, but unknown")?;
        socket.refused = 0;
        Ok(Some(socket.write(&bytes[..offered])))
    }

    fn write_on(&mut self, token: Token, now: Now) -> Result<(), String> {
        while let Some(taken) = self.write(token)? {
            if taken == 0 {
                self.refuse(token, now);
                break;
            }
            if !self.cores.shard_mut(self.me).handle_written(token, taken, now) {
                break;
            }
        }
        Ok(())
    }

    fn refuse(&mut self, token: Token, now: Now) {
        if let Some(socket) = self.cores.socket_of(self.me, token) {
            socket.waits_writable = true;
        }
        self.cores.shard_mut(self.me).handle_blocked(token, now);
    }

    fn carry_out(&mut self) -> Result<bool, String> {
        let mut any = false;
        while let Some(effect) = self.cores.shard_mut(self.me).poll_effect() {
            any = true;
            match effect {
                Effect::Drop { token, .. } => {
                    self.cores.open_socket_of(self.me, token).ok_or("closed twice")?.closed = true;
                }
                Effect::Notice(_) => return Err("nobody reads notices".into()),
                Effect::Introduce(introduction) => {
                    self.cores.shard_mut(self.me).handle_introduced(*introduction);
                }
                Effect::AskForApp(question) => self.lookups.ask(self.me, question)?,
                Effect::Client { token, address } => {
                    let socket = self.cores.open_socket_of(self.me, token);
                    socket.ok_or("told of the client of a closed connection")?.whereabouts = address;
                }
                Effect::Reset(token) => self.reset(token)?,
                Effect::HandOver { .. } => return Err("nothing here is plain HTTP".into()),
                Effect::Resume(token) => {
                    if let Some(socket) = self.cores.open_socket_of(self.me, token) {
                        socket.paused = false;
                        socket.hear();
                        self.cores.wake(self.me);
                    }
                }
                Effect::Close { token, last } => self.close(token, last)?,
                Effect::Free(token) => self.cores.free_slot(self.me, token)?,
            }
        }
        Ok(any)
    }

    fn reset(&mut self, token: Token) -> Result<(), String> {
        let socket = self.cores.open_socket_of(self.me, token).ok_or("closed twice")?;
        if !socket.waits_writable {
            return Err("reset, and the kernel had not refused it".into());
        }
        socket.closed = true;
        self.client_of(token)?.leaving = true;
        Ok(())
    }

    /// Whose connection this is.
    fn client_of(&mut self, token: Token) -> Result<&mut Client, String> {
        self.clients.of_socket(self.me, self.cores.index_of(self.me, token)?)
    }

    fn close(&mut self, token: Token, parting: Parting) -> Result<(), String> {
        let last = parting.to_vec();
        let slow = last.windows(8).any(|eight| eight == b"Too slow");
        let unanswered = last.windows(10).any(|ten| ten == b"Pong reply");
        let silence_s_min = self.bounds.silence_s_min();
        let socket = self.cores.open_socket_of(self.me, token).ok_or("closed twice")?;
        if unanswered && socket.judged_s < silence_s_min {
            return Err(format!("closed after {} s of silence", socket.judged_s));
        }
        let judged_taken = socket.judged_taken;
        let may_be_silent = socket.reader == Reader::Dead;
        let shed = last.windows(18).any(|text| text == b"outboxes_bytes_max");
        if shed && !socket.waits_writable {
            return Err("closed for the budget of all, and the kernel had not refused it".into());
        }
        if slow && !shed && socket.room() > 0 {
            return Err(format!("closed as too slow, while the kernel would take {} bytes", socket.room()));
        }
        socket.closed = true;
        socket.parting = Some(parting);
        socket.write_parting();
        let draining = self.draining;
        let (now_ms, timeout_ms) = (self.now_ms, self.bounds.authorization_timeout_ms());
        let is_sure = !self.clients.is_tight();
        let client = self.client_of(token)?;
        let unauthorized = last.windows(17).any(|text| text == b"authorized within");
        if unauthorized && (timeout_ms == 0 || now_ms < client.connected_ms + timeout_ms) {
            return Err("closed as not authorized before its time".into());
        }
        if unauthorized && is_sure && judged_taken && client.authorized {
            return Err("closed as not authorized, which it was".into());
        }
        let silent = unanswered && (client.silent || may_be_silent);
        let drained = draining && last.windows(10).any(|ten| ten == b"restarting");
        let terminated = last.windows(12).any(|twelve| twelve == b"disconnected");
        if terminated && !client.may_be_terminated {
            return Err("closed as one whose user must go, which it need not".into());
        }
        let lost = last.windows(15).any(|fifteen| fifteen == b"App is disabled");
        if lost && !client.may_lose_app && !client.leaving {
            return Err("closed for its app, which is there and enabled".into());
        }
        if !client.leaving && !slow && !silent && !drained && !terminated && !lost && !unauthorized {
            return Err(format!("closed for no reason: {:?}", String::from_utf8_lossy(&last)));
        }
        client.leaving = true;
        Ok(())
    }
}

impl Core for Turning<'_> {
    type Machine = Shard;
    type Inputs<'a>
        = TurnInputs<'a>
    where
        Self: 'a;
    type Mesh<'a>
        = Port<'a>
    where
        Self: 'a;
    type Error = String;

    fn inputs(&mut self) -> (&mut Shard, TurnInputs<'_>) {
        self.cores.inputs(self.me, self.rng)
    }

    fn mesh(&mut self) -> (&mut Shard, Port<'_>) {
        self.cores.mesh(self.me)
    }

    fn clear_doorbell(&mut self) {
        self.cores.clear_doorbell(self.me);
    }

    fn gather(&mut self, now: Now) -> Result<bool, String> {
        Ok(self.meet_deadline(now))
    }

    fn decided(&mut self) -> Result<(), String> {
        self.bounds.check_phase(self.me, self.cores.shard(self.me))
    }

    fn sealed(&mut self) -> Result<(), String> {
        let (shard, sockets) = (self.cores.shard(self.me), self.cores.sockets(self.me));
        self.bounds.check_gains(shard, sockets)?;
        self.bounds.check_holds(shard, self.now_ms)?;
        self.bounds.check_budget(shard, sockets)
    }

    fn tell_hooks(&mut self, now: Now) -> Result<(), String> {
        self.counts.begin_phase();
        for (channel, done, hooked) in self.deeds.take() {
            self.model.done(self.me, &channel, &done, self.now_ms)?;
            self.counts.done(&channel, &done, self.now_ms)?;
            if matches!(done, Done::Online | Done::Offline) {
                let user = channel.trim_start_matches("#server-to-user-");
                self.users.turned(user, matches!(done, Done::Online), self.now_ms)?;
            }
            self.hooks.done(&channel, &done, hooked, self.now_ms);
        }
        self.hooks.listen(now.mono_ms);
        self.cores.shard_mut(self.me).tell_hooks(self.hooks, now);
        self.hooks.heard()
    }

    fn perform(&mut self, _now: Now) -> Result<bool, String> {
        self.carry_out()
    }

    fn flush(&mut self, now: Now) -> Result<bool, String> {
        self.write_slice(now)
    }

    fn finish(&mut self, _now: Now) -> Result<bool, String> {
        Ok(false)
    }
}
