//! TLS over TCP: what a connection has beside its socket.
//!
//! rustls does the protocol, on bytes that are given to it. What comes is opened in the buffer of the core's reads. What
//! goes out is sealed from the pieces of the outbox, all that is written at once in one record, and goes to the socket from
//! the core's room for that. A connection keeps bytes only of a record that has not come whole, and of records that its
//! socket has not taken: at most one, and what a handshake says. So an idle one has keys and nothing else. What must never
//! happen here: a record that is sealed twice or cut short, since the peer would take neither; or rustls asked without the
//! bytes that it has left with us, since it panics then.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, IoSlice};
use std::mem;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, ReadTraffic, UnbufferedStatus, WriteTraffic,
};
use rustls::{HandshakeKind, ServerConfig};

use super::plain;
use super::tls_counters::{Handshake, TlsCounters};
use crate::driver::limits::{TLS_RECORD_BYTES_MAX, TLS_UNSENT_BYTES_MAX};

/// What all connections of a listener with TLS share.
#[derive(Clone, Debug)]
pub struct TlsSetup {
    /// What peers are offered and shown.
    pub config: Arc<ServerConfig>,
    /// What metrics read.
    pub counters: Arc<TlsCounters>,
}

/// What a connection has beside its socket.
pub struct Session {
    connection: UnbufferedServerConnection,
    counters: Arc<TlsCounters>,
    stage: Stage,
    /// The peer has said that nothing more comes.
    peer_ended: bool,
    /// We have said so.
    ended: bool,
    /// The last read filled its room.
    filled: bool,
    /// The beginning of a record that has not come whole.
    partial: Vec<u8>,
    /// Records that the socket has not taken.
    unsent: Vec<u8>,
    /// How much of them it has taken.
    sent: usize,
    /// How much of what waits is in the counters.
    counted: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Handshake,
    Open,
    /// Nothing can be read or written.
    Failed,
}

/// Where a core gathers the pieces of a record, and seals it.
struct Room {
    gathered: Vec<u8>,
    sealed: Vec<u8>,
}

/// What a record is longer than what is in it, with a change of keys before it.
const RECORD_OVERHEAD: usize = 128;

thread_local! {
    static ROOM: RefCell<Room> = RefCell::new(Room {
        gathered: Vec::with_capacity(TLS_RECORD_BYTES_MAX),
        sealed: vec![0; TLS_RECORD_BYTES_MAX + RECORD_OVERHEAD],
    });
}

/// Nothing came for those above, and there may be more: it is asked again.
fn ask_again() -> io::Error {
    io::ErrorKind::Interrupted.into()
}

fn failed() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}

impl Session {
    /// Of a peer that has not spoken yet. None: rustls refuses the configuration, which cannot be.
    pub(super) fn new(setup: &TlsSetup) -> Option<Self> {
        let connection = UnbufferedServerConnection::new(Arc::clone(&setup.config)).ok()?;
        Some(Self {
            connection,
            counters: Arc::clone(&setup.counters),
            stage: Stage::Handshake,
            peer_ended: false,
            ended: false,
            filled: false,
            partial: Vec::new(),
            unsent: Vec::new(),
            sent: 0,
            counted: 0,
        })
    }

    /// True until both sides have the keys.
    pub fn is_handshaking(&self) -> bool {
        self.stage == Stage::Handshake
    }

    /// True when there may be more to read and the kernel will not say so.
    pub(super) fn may_have_more(&self) -> bool {
        self.filled || self.peer_ended || self.stage == Stage::Failed
    }

    /// How many bytes of records the socket has not taken.
    pub fn unsent(&self) -> usize {
        self.unsent.len() - self.sent
    }

    /// Reads once. 0 at the peer's end; `Interrupted` when what came was for TLS alone.
    pub(super) fn receive(&mut self, socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stage == Stage::Failed {
            return Err(failed());
        }
        if self.peer_ended {
            return Ok(0);
        }
        // Records come to the far half and go to the near one: what is opened is never longer.
        let (opened, sealed) = buffer.split_at_mut(buffer.len() / 2);
        let kept = self.partial.len();
        let room = sealed.get_mut(kept..).filter(|room| !room.is_empty());
        let Some(room) = room else { return Err(self.fail(socket)) };
        let received = match plain::receive(socket, room) {
            Ok(0) => {
                self.peer_ended = true;
                self.give_up_handshake(Handshake::Failed);
                return Ok(0);
            }
            received => received?,
        };
        self.filled = received == room.len();
        let sealed = &mut sealed[..kept + received];
        sealed[..kept].copy_from_slice(&self.partial);
        let Some(length) = self.open(sealed, opened) else { return Err(self.fail(socket)) };
        self.note_progress();
        if self.unsent() > TLS_UNSENT_BYTES_MAX {
            return Err(self.fail(socket));
        }
        match self.flush(socket) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ if length > 0 => Ok(length),
            _ => Err(ask_again()),
        }
    }

    /// Takes in what has come, and keeps the rest: how much was opened. None: it is not TLS.
    fn open(&mut self, sealed: &mut [u8], opened: &mut [u8]) -> Option<usize> {
        let mut used = 0;
        let length = self.open_records(sealed, &mut used, opened);
        self.partial = sealed.get(used..).unwrap_or_default().to_vec();
        length
    }

    fn open_records(&mut self, sealed: &mut [u8], used: &mut usize, opened: &mut [u8]) -> Option<usize> {
        let mut length = 0;
        loop {
            let UnbufferedStatus { discard, state, .. } =
                self.connection.process_tls_records(sealed.get_mut(*used..)?);
            let goes_on = match state {
                Ok(ConnectionState::ReadTraffic(traffic)) => {
                    take_records(traffic, opened, &mut length).map(|()| true)
                }
                Ok(ConnectionState::EncodeTlsData(data)) => append(&mut self.unsent, data).map(|()| true),
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    Some(true)
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.peer_ended = true;
                    Some(true)
                }
                Ok(
                    ConnectionState::BlockedHandshake
                    | ConnectionState::WriteTraffic(_)
                    | ConnectionState::Closed,
                ) => Some(false),
                _ => None,
            };
            *used += discard;
            if !goes_on? {
                return Some(length);
            }
        }
    }

    fn note_progress(&mut self) {
        if self.stage == Stage::Handshake && !self.connection.is_handshaking() {
            self.stage = Stage::Open;
            let resumed = self.connection.handshake_kind() == Some(HandshakeKind::Resumed);
            self.counters.note_ended(if resumed { Handshake::Resumed } else { Handshake::Full });
        }
    }

    /// A handshake that is not over is over now.
    fn give_up_handshake(&mut self, how: Handshake) {
        if self.stage == Stage::Handshake {
            self.stage = Stage::Failed;
            self.counters.note_ended(how);
        }
    }

    /// What came is not TLS, or not what TLS allows: the peer is told why, as far as its socket takes it.
    fn fail(&mut self, socket: &OwnedFd) -> io::Error {
        // Once: what is wrong was found in these bytes, and must not be found again.
        if let Ok(ConnectionState::EncodeTlsData(data)) =
            self.connection.process_tls_records(&mut self.partial).state
        {
            append(&mut self.unsent, data);
        }
        // A peer that does not hear it finds the connection closed.
        let _ = self.flush(socket);
        self.give_up_handshake(Handshake::Failed);
        self.stage = Stage::Failed;
        failed()
    }

    /// Seals what fits into a record, and writes it. What the socket does not take of it is kept, and nothing more is
    /// sealed before that has gone.
    pub(super) fn send(&mut self, socket: &OwnedFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.stage != Stage::Open {
            return Err(failed());
        }
        self.flush(socket)?;
        ROOM.with_borrow_mut(|room| {
            let (taken, sealed) = self.seal(slices, room).ok_or_else(failed)?;
            self.write(socket, &room.sealed[..sealed])?;
            Ok(taken)
        })
    }

    /// Seals the first bytes of these slices. Returns how many, and how long the record is.
    fn seal(&mut self, slices: &[IoSlice<'_>], room: &mut Room) -> Option<(usize, usize)> {
        let plain = first_bytes(slices, &mut room.gathered);
        let sealed = &mut room.sealed;
        let length = self.say(|mut traffic| traffic.encrypt(plain, sealed).ok())?;
        Some((plain.len(), length))
    }

    /// Says something on an open connection, after all that TLS itself has to say before.
    fn say(
        &mut self,
        say: impl FnOnce(WriteTraffic<'_, ServerConnectionData>) -> Option<usize>,
    ) -> Option<usize> {
        let mut say = Some(say);
        loop {
            // What has come of a record goes along: rustls knows where in it a message of several has begun.
            let UnbufferedStatus { discard, state, .. } =
                self.connection.process_tls_records(&mut self.partial);
            let said = match state.ok()? {
                ConnectionState::EncodeTlsData(data) => {
                    append(&mut self.unsent, data)?;
                    None
                }
                ConnectionState::TransmitTlsData(data) => {
                    data.done();
                    None
                }
                ConnectionState::PeerClosed => {
                    self.peer_ended = true;
                    None
                }
                ConnectionState::WriteTraffic(traffic) => Some(say.take()?(traffic)?),
                _ => return None,
            };
            self.partial.drain(..discard.min(self.partial.len()));
            if said.is_some() {
                return said;
            }
        }
    }

    /// Writes a record behind what waits. What the socket does not take waits, too.
    fn write(&mut self, socket: &OwnedFd, record: &[u8]) -> io::Result<()> {
        let sent = if self.unsent.is_empty() { send_some(socket, record)? } else { 0 };
        if sent < record.len() {
            self.unsent.extend_from_slice(&record[sent..]);
            self.count_unsent();
        }
        Ok(())
    }

    fn count_unsent(&mut self) {
        let now = self.unsent();
        self.counters.note_unsent(mem::replace(&mut self.counted, now), now);
    }

    /// Writes what waits; `WouldBlock` if some of it still does.
    pub(super) fn flush(&mut self, socket: &OwnedFd) -> io::Result<()> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        self.sent += send_some(socket, &self.unsent[self.sent..])?;
        let all_sent = self.unsent() == 0;
        if all_sent {
            (self.unsent, self.sent) = (Vec::new(), 0);
        }
        self.count_unsent();
        if all_sent { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    /// Tells the peer that nothing more comes; `WouldBlock` if its socket does not take that now.
    pub(super) fn end(&mut self, socket: &OwnedFd) -> io::Result<()> {
        if !mem::replace(&mut self.ended, true) {
            self.give_up_handshake(Handshake::Timeout);
            if self.stage == Stage::Open {
                let mut record = [0; RECORD_OVERHEAD];
                let length = self.say(|mut traffic| traffic.queue_close_notify(&mut record).ok());
                self.unsent.extend_from_slice(&record[..length.unwrap_or(0)]);
            }
        }
        self.flush(socket)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.give_up_handshake(Handshake::Failed);
        self.counters.note_unsent(self.counted, 0);
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("stage", &self.stage).finish_non_exhaustive()
    }
}

/// Copies what was opened behind what is there. None: it does not fit, which cannot be.
fn take_records(
    mut traffic: ReadTraffic<'_, '_, ServerConnectionData>,
    opened: &mut [u8],
    length: &mut usize,
) -> Option<()> {
    while let Some(record) = traffic.next_record() {
        let payload = record.ok()?.payload;
        opened.get_mut(*length..*length + payload.len())?.copy_from_slice(payload);
        *length += payload.len();
    }
    Some(())
}

/// Puts what TLS has to say behind what waits. None: it cannot be had, which cannot be.
fn append(unsent: &mut Vec<u8>, mut data: EncodeTlsData<'_, ServerConnectionData>) -> Option<()> {
    let Err(EncodeError::InsufficientSize(size)) = data.encode(&mut []) else { return None };
    let begin = unsent.len();
    unsent.resize(begin + size.required_size, 0);
    data.encode(&mut unsent[begin..]).ok().map(drop)
}

/// The first bytes of these slices, as many as a record has.
fn first_bytes<'a>(slices: &'a [IoSlice<'_>], gathered: &'a mut Vec<u8>) -> &'a [u8] {
    if let [only] = slices {
        return &only[..only.len().min(TLS_RECORD_BYTES_MAX)];
    }
    gathered.clear();
    for slice in slices {
        let room = TLS_RECORD_BYTES_MAX - gathered.len();
        gathered.extend_from_slice(&slice[..slice.len().min(room)]);
    }
    gathered
}

/// How much the socket takes now.
fn send_some(socket: &OwnedFd, bytes: &[u8]) -> io::Result<usize> {
    match plain::send(socket, &[IoSlice::new(bytes)]) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        sent => sent,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use rustls::pki_types::ServerName;
    use rustls::pki_types::pem::PemObject;
    use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

    use super::*;
    use crate::tls::ServerTls;
    use crate::tls::made::{make, remove};

    type Peer = StreamOwned<ClientConnection, TcpStream>;

    /// A connection, and its peer before the handshake.
    struct Rig {
        session: Session,
        socket: OwnedFd,
        peer: Peer,
        setup: TlsSetup,
    }

    impl Rig {
        /// The test's own name.
        fn new(test: &str) -> Self {
            let files = make(test, "localhost", 2);
            let setup = ServerTls::new(std::slice::from_ref(&files)).unwrap().setup();
            let mut roots = RootCertStore::empty();
            roots.add(rustls::pki_types::CertificateDer::from_pem_file(&files.cert).unwrap()).unwrap();
            remove(&files);
            let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
            config.enable_secret_extraction = true;
            let name = ServerName::try_from("localhost").unwrap();
            let connection = ClientConnection::new(Arc::new(config), name).unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let socket = listener.accept().unwrap().0;
            let session = Session::new(&setup).unwrap();
            Self { session, socket: socket.into(), peer: StreamOwned::new(connection, peer), setup }
        }

        /// The same with keys on both sides.
        fn open(test: &str) -> Self {
            let mut rig = Self::new(test);
            while rig.session.is_handshaking() || rig.peer.conn.is_handshaking() {
                if rig.peer.conn.wants_write() {
                    rig.peer.conn.write_tls(&mut rig.peer.sock).unwrap();
                }
                assert!(rig.receive().is_none_or(|read| read.is_err()));
                if rig.peer.conn.is_handshaking() {
                    rig.peer.conn.read_tls(&mut rig.peer.sock).unwrap();
                    rig.peer.conn.process_new_packets().unwrap();
                }
            }
            rig
        }

        /// What a read comes to; None: nothing is there, or nothing for the machine.
        fn receive(&mut self) -> Option<io::Result<Vec<u8>>> {
            let mut buffer = vec![0; 64 << 10];
            for _ in 0..100 {
                match self.session.receive(&self.socket, &mut buffer) {
                    Ok(length) => return Some(Ok(buffer[..length].to_vec())),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => return None,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    Err(error) => return Some(Err(error)),
                }
            }
            None
        }

        fn counted(&self) -> [u64; 4] {
            Handshake::ALL.map(|(how, _)| self.setup.counters.ended(how))
        }
    }

    #[test]
    fn an_idle_connection_keeps_no_bytes() {
        let mut rig = Rig::open("idle");
        rig.peer.write_all(b"hello").unwrap();
        assert_eq!(rig.receive().unwrap().unwrap(), b"hello");
        assert_eq!(rig.session.send(&rig.socket, &[IoSlice::new(b"wel"), IoSlice::new(b"come")]).unwrap(), 7);
        let mut heard = [0; 7];
        rig.peer.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"welcome");
        let Session { partial, unsent, .. } = &rig.session;
        assert_eq!((partial.capacity(), unsent.capacity()), (0, 0));
        assert_eq!(rig.counted(), [1, 0, 0, 0]);
    }

    #[test]
    fn a_hello_and_a_message_may_come_byte_by_byte() {
        let mut rig = Rig::new("bytes");
        let mut hello = Vec::new();
        rig.peer.conn.write_tls(&mut hello).unwrap();
        for byte in hello {
            rig.peer.sock.write_all(&[byte]).unwrap();
            assert!(rig.receive().is_none());
        }
        while rig.peer.conn.is_handshaking() {
            rig.peer.conn.complete_io(&mut rig.peer.sock).unwrap();
        }
        assert!(rig.receive().is_none() && !rig.session.is_handshaking());
        rig.peer.conn.writer().write_all(b"abc").unwrap();
        let mut record = Vec::new();
        rig.peer.conn.write_tls(&mut record).unwrap();
        let (last, first) = record.split_last().unwrap();
        for byte in first {
            rig.peer.sock.write_all(&[*byte]).unwrap();
            assert!(rig.receive().is_none());
        }
        assert_eq!(rig.session.partial.len(), first.len());
        rig.peer.sock.write_all(&[*last]).unwrap();
        assert_eq!(rig.receive().unwrap().unwrap(), b"abc");
    }

    #[test]
    fn at_most_one_record_waits_behind_a_full_socket_and_nothing_is_lost_or_comes_twice() {
        let mut rig = Rig::open("full");
        let data: Vec<u8> = (0..8_000_000u32).map(|byte| (byte % 251) as u8).collect();
        let (mut sent, mut waited_max) = (0, 0);
        let mut peer = Some(rig.peer);
        let mut reader = None;
        while sent < data.len() {
            match rig.session.send(&rig.socket, &[IoSlice::new(&data[sent..])]) {
                Ok(taken) => {
                    assert!((1..=TLS_RECORD_BYTES_MAX).contains(&taken));
                    sent += taken;
                }
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    assert!(rig.session.unsent() > 0, "it would not block otherwise");
                    waited_max = waited_max.max(rig.session.unsent());
                    assert_eq!(rig.setup.counters.unsent_bytes(), rig.session.unsent() as u64);
                    // Only now does anybody read.
                    if let Some(mut peer) = peer.take() {
                        let mut heard = vec![0; data.len()];
                        reader = Some(std::thread::spawn(move || {
                            peer.read_exact(&mut heard).unwrap();
                            heard
                        }));
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
        while rig.session.flush(&rig.socket).is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(reader.unwrap().join().unwrap() == data, "what was heard is not what was said");
        assert!((1..=TLS_RECORD_BYTES_MAX + RECORD_OVERHEAD).contains(&waited_max), "{waited_max}");
        assert_eq!(rig.setup.counters.unsent_bytes(), 0);
    }

    #[test]
    fn an_end_is_said_on_both_sides() {
        let mut rig = Rig::open("end");
        rig.session.end(&rig.socket).unwrap();
        assert_eq!(rig.peer.read(&mut [0; 4]).unwrap(), 0, "without close_notify this is an error");
        rig.peer.conn.send_close_notify();
        rig.peer.conn.write_tls(&mut rig.peer.sock).unwrap();
        let read = std::iter::repeat_with(|| rig.receive()).take(5).flatten().next();
        assert_eq!(read.unwrap().unwrap(), b"");
        assert_eq!(rig.receive().unwrap().unwrap(), b"", "and it stays so");
    }

    #[test]
    fn what_is_no_tls_is_told_so_and_counted_once() {
        let mut rig = Rig::new("garbage");
        rig.peer.sock.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        assert!(rig.receive().unwrap().is_err());
        assert!(rig.receive().unwrap().is_err());
        assert!(rig.session.send(&rig.socket, &[IoSlice::new(b"x")]).is_err());
        let mut alert = [0; 7];
        rig.peer.sock.read_exact(&mut alert).unwrap();
        assert_eq!((alert[0], alert[5]), (0x15, 2), "a fatal alert");
        let Rig { session, setup, .. } = rig;
        drop(session);
        assert_eq!(Handshake::ALL.map(|(how, _)| setup.counters.ended(how)), [0, 0, 1, 0]);
    }

    #[test]
    fn a_handshake_that_is_not_over_counts_as_what_ended_it() {
        let mut given_up = Rig::new("given-up");
        given_up.session.end(&given_up.socket).unwrap();
        assert_eq!(given_up.counted(), [0, 0, 0, 1]);
        let mut left = Rig::new("left");
        left.peer.sock.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(left.receive().unwrap().unwrap(), b"");
        assert_eq!(left.counted(), [0, 0, 1, 0]);
    }

    #[test]
    fn a_peer_that_asks_for_new_keys_and_reads_nothing_is_given_up() {
        let mut rig = Rig::open("keys");
        socket2::SockRef::from(&rig.socket).set_send_buffer_size(4_096).unwrap();
        socket2::SockRef::from(&rig.peer.sock).set_recv_buffer_size(4_096).unwrap();
        let refused = (0..20_000).find_map(|_| {
            rig.peer.conn.refresh_traffic_keys().unwrap();
            rig.peer.conn.write_tls(&mut rig.peer.sock).ok()?;
            let mut buffer = vec![0; 64 << 10];
            match rig.session.receive(&rig.socket, &mut buffer) {
                Err(error)
                    if !matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) =>
                {
                    Some(error)
                }
                _ => None,
            }
        });
        assert!(refused.is_some() || rig.session.unsent() <= TLS_UNSENT_BYTES_MAX);
        assert!(rig.session.unsent.len() <= TLS_UNSENT_BYTES_MAX + (64 << 10));
    }

    /// A record of TLS 1.3 as a peer with these keys would send it.
    fn sealed_record(
        keys: &rustls::ConnectionTrafficSecrets,
        number: u64,
        kind: u8,
        payload: &[u8],
    ) -> Vec<u8> {
        use ring::aead;
        let rustls::ConnectionTrafficSecrets::Aes256Gcm { key, iv } = keys else { panic!("another cipher") };
        let key = aead::UnboundKey::new(&aead::AES_256_GCM, key.as_ref()).unwrap();
        let mut nonce: [u8; 12] = iv.as_ref().try_into().unwrap();
        nonce[4..].iter_mut().zip(number.to_be_bytes()).for_each(|(byte, number)| *byte ^= number);
        let length = (payload.len() + 17) as u16;
        let header = [[0x17, 3, 3].as_slice(), &length.to_be_bytes()].concat();
        let mut bytes = [payload, &[kind]].concat();
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        let key = aead::LessSafeKey::new(key);
        key.seal_in_place_append_tag(nonce, aead::Aad::from(&header), &mut bytes).unwrap();
        [header, bytes].concat()
    }

    #[test]
    fn the_beginning_of_a_message_of_tls_itself_does_not_hinder_what_is_said_meanwhile() {
        let Rig { mut session, socket, peer, .. } = Rig::open("begun");
        let StreamOwned { conn, mut sock } = peer;
        let (number, keys) = conn.dangerous_extract_secrets().unwrap().tx;
        let mut buffer = vec![0; 64 << 10];
        // New keys for what the peer says, in three pieces.
        for (place, piece) in [&[24][..], &[0, 0], &[1, 0]].into_iter().enumerate() {
            sock.write_all(&sealed_record(&keys, number + place as u64, 0x16, piece)).unwrap();
            std::thread::sleep(Duration::from_millis(20));
            let read = session.receive(&socket, &mut buffer);
            assert_eq!(read.unwrap_err().kind(), io::ErrorKind::Interrupted, "{place}");
            assert_eq!(session.partial.is_empty(), place == 2);
            assert_eq!(session.send(&socket, &[IoSlice::new(b"meanwhile")]).unwrap(), 9);
        }
        session.end(&socket).unwrap();
    }

    #[test]
    fn no_bytes_of_a_peer_are_more_than_an_error() {
        let mut rig = Rig::new("any");
        let mut hello = Vec::new();
        rig.peer.conn.write_tls(&mut hello).unwrap();
        let files = make("any-more", "localhost", 2);
        let setup = ServerTls::new(std::slice::from_ref(&files)).unwrap().setup();
        remove(&files);
        let mut state = 7u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        let mut buffer = vec![0; 64 << 10];
        for _ in 0..2_000 {
            let (near, mut far) = std::os::unix::net::UnixStream::pair().unwrap();
            let near = OwnedFd::from(near);
            // Whoever was given up is not read any more.
            far.set_nonblocking(true).unwrap();
            let mut session = Session::new(&setup).unwrap();
            let mut bytes = Vec::new();
            for _ in 0..1 + random(4) {
                match random(5) {
                    0 => bytes.extend_from_slice(&hello),
                    1 => bytes.extend_from_slice(&hello[..random(hello.len())]),
                    2 => bytes.extend((0..random(40)).map(|_| random(256) as u8)),
                    // Records of any kind around pieces of messages.
                    _ => {
                        let payload: Vec<u8> = (0..random(60)).map(|_| [0, 1, 22, 255][random(4)]).collect();
                        bytes.extend([[20, 21, 22, 23, 24][random(5)], 3, 3, 0, payload.len() as u8]);
                        bytes.extend(payload);
                    }
                }
                if random(2) == 0 && !bytes.is_empty() {
                    let place = random(bytes.len());
                    bytes[place] = random(256) as u8;
                }
            }
            for piece in bytes.chunks(1 + random(300)) {
                let _ = far.write_all(piece);
                let _ = session.receive(&near, &mut buffer);
                let _ = session.send(&near, &[IoSlice::new(b"x")]);
            }
            let _ = session.end(&near);
        }
    }
}
