//! A Redis that lies: between its clients and a real redis-server, it changes what is answered, or breaks it off.
//!
//! Commands and answers are read as RESP, one answer for one command, so a lie is about one answer and nothing else. What
//! must never happen here: an honest moment in which an answer is changed.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// What becomes of an answer: other bytes, or none and the end of the connection.
pub(crate) type Lie = fn(command: &str, answer: &Answer) -> Told;

pub(crate) enum Told {
    Truth,
    Instead(Vec<u8>),
    /// These bytes, and then the connection is closed.
    BreakOff(Vec<u8>),
}

/// An answer in RESP 2.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// A line with its kind: a status, an error, a number, or a nil.
    Line(Vec<u8>),
    Bulk(Vec<u8>),
    Array(Vec<Self>),
}

pub(crate) struct Liar {
    port: u16,
    lie: Arc<Mutex<Option<Lie>>>,
    told: Arc<AtomicU64>,
    ending: Arc<AtomicBool>,
    peers: Arc<Mutex<Vec<TcpStream>>>,
}

impl Liar {
    /// Stands on this port before the redis-server on that one.
    pub(crate) fn start(port: u16, server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let liar = Self {
            port,
            lie: Arc::default(),
            told: Arc::default(),
            ending: Arc::default(),
            peers: Arc::default(),
        };
        let (lie, told) = (Arc::clone(&liar.lie), Arc::clone(&liar.told));
        let (ending, peers) = (Arc::clone(&liar.ending), Arc::clone(&liar.peers));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if ending.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let copies = [client.try_clone(), server.try_clone()];
                peers.lock().unwrap().extend(copies.into_iter().flatten());
                let (lie, told) = (Arc::clone(&lie), Arc::clone(&told));
                thread::spawn(move || {
                    let _ = talk(&client, &server, &lie, &told);
                    let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
                });
            }
        });
        liar
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// From now on this lie is told.
    pub(crate) fn tell(&self, lie: Lie) {
        self.told.store(0, Ordering::SeqCst);
        *self.lie.lock().unwrap() = Some(lie);
    }

    /// How many answers the last lie has changed.
    pub(crate) fn told(&self) -> u64 {
        self.told.load(Ordering::SeqCst)
    }

    pub(crate) fn be_honest(&self) {
        *self.lie.lock().unwrap() = None;
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        for peer in self.peers.lock().unwrap().drain(..) {
            let _ = peer.shutdown(Shutdown::Both);
        }
    }
}

fn talk(
    mut client: &TcpStream,
    mut server: &TcpStream,
    lie: &Mutex<Option<Lie>>,
    told: &AtomicU64,
) -> io::Result<()> {
    let (mut commands, mut answers) = (BufReader::new(client), BufReader::new(server));
    loop {
        let command = Answer::read(&mut commands)?;
        server.write_all(&command.bytes())?;
        let answer = Answer::read(&mut answers)?;
        let lie = *lie.lock().unwrap();
        match lie.map_or(Told::Truth, |lie| lie(&command.name(), &answer)) {
            Told::Truth => client.write_all(&answer.bytes())?,
            Told::Instead(bytes) => {
                told.fetch_add(1, Ordering::SeqCst);
                client.write_all(&bytes)?;
            }
            Told::BreakOff(bytes) => {
                told.fetch_add(1, Ordering::SeqCst);
                return client.write_all(&bytes);
            }
        }
    }
}

impl Answer {
    fn read(from: &mut impl BufRead) -> io::Result<Self> {
        let mut line = Vec::new();
        if from.read_until(b'\n', &mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let number = || std::str::from_utf8(&line[1..]).ok()?.trim().parse::<i64>().ok();
        match (line[0], number()) {
            (b'$', Some(length @ 0..)) => {
                let mut bytes = vec![0; length as usize + 2];
                from.read_exact(&mut bytes)?;
                bytes.truncate(length as usize);
                Ok(Self::Bulk(bytes))
            }
            (b'*', Some(length @ 0..)) => {
                (0..length).map(|_| Self::read(from)).collect::<Result<_, _>>().map(Self::Array)
            }
            _ => Ok(Self::Line(line)),
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Line(line) => line.clone(),
            Self::Bulk(bytes) => [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat(),
            Self::Array(parts) => {
                let head = format!("*{}\r\n", parts.len()).into_bytes();
                parts.iter().fold(head, |all, part| [all, part.bytes()].concat())
            }
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Array(words) => match words.first() {
                Some(Self::Bulk(name)) => String::from_utf8_lossy(name).to_uppercase(),
                _ => String::new(),
            },
            _ => String::new(),
        }
    }

    /// Changes every list of entries in it: an entry is an array of an id and an array.
    pub(crate) fn with_entries(&self, change: &dyn Fn(Vec<Self>) -> Vec<Self>) -> Self {
        let is_entry = |it: &Self| matches!(it, Self::Array(parts) if matches!(&parts[..], [Self::Bulk(id), Self::Array(_)] if id.contains(&b'-')));
        match self {
            Self::Array(parts) if !parts.is_empty() && parts.iter().all(is_entry) => {
                Self::Array(change(parts.clone()))
            }
            Self::Array(parts) => Self::Array(parts.iter().map(|part| part.with_entries(change)).collect()),
            other => other.clone(),
        }
    }

    /// Changes every id of an entry in it.
    pub(crate) fn with_ids(&self, id: &str) -> Self {
        self.with_entries(&|entries| {
            let renamed = |entry: Self| match entry {
                Self::Array(mut parts) => {
                    parts[0] = Self::Bulk(id.as_bytes().to_vec());
                    Self::Array(parts)
                }
                other => other,
            };
            entries.into_iter().map(renamed).collect()
        })
    }
}
