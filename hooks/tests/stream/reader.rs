//! A consumer of the stream that is none of ours: takes entries of a group, writes down their ids, acknowledges them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use redis::streams::StreamReadReply;
use redis::{Client, Connection, RedisResult, cmd};

pub(crate) struct Reader {
    ids: Arc<Mutex<Vec<u64>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    pub(crate) fn start(url: String) -> Self {
        let (ids, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (ids_of_thread, stopped) = (Arc::clone(&ids), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                // A server that is away comes back.
                let _ = read(&url, &ids_of_thread, &stopped);
                thread::sleep(Duration::from_millis(50));
            }
        });
        Self { ids, stop, thread: Some(thread) }
    }

    /// All ids so far, as they came.
    pub(crate) fn ids(&self) -> Vec<u64> {
        self.ids.lock().unwrap().clone()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn read(url: &str, ids: &Mutex<Vec<u64>>, stopped: &AtomicBool) -> RedisResult<()> {
    let mut connection = Client::open(url)?.get_connection_with_timeout(Duration::from_secs(1))?;
    connection.set_read_timeout(Some(Duration::from_secs(1)))?;
    // What was given to us and not acknowledged comes first.
    take(&mut connection, "0", ids)?;
    while !stopped.load(Ordering::Relaxed) {
        take(&mut connection, ">", ids)?;
    }
    Ok(())
}

fn take(connection: &mut Connection, from: &str, ids: &Mutex<Vec<u64>>) -> RedisResult<()> {
    let mut question = cmd("XREADGROUP");
    question.arg("GROUP").arg("corecast").arg("reader").arg("COUNT").arg(200);
    question.arg("BLOCK").arg(50).arg("STREAMS").arg("corecast:hooks").arg(from);
    let reply: Option<StreamReadReply> = question.query(connection)?;
    let mut done = cmd("XACK");
    done.arg("corecast:hooks").arg("corecast");
    let mut taken = 0;
    for entry in reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids) {
        let fields: &HashMap<_, _> = &entry.map;
        let id: String = redis::from_redis_value(fields["id"].clone())?;
        ids.lock().unwrap().push(id.parse().unwrap());
        done.arg(&entry.id);
        taken += 1;
    }
    if taken > 0 {
        done.exec(connection)?;
    }
    Ok(())
}
