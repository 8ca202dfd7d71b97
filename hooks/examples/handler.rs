//! A complete consumer: prints what happens on the channels of one app, from the stream of a server with `redis_url`.
//!
//! cargo run -p corecast-hooks --example handler -- redis://127.0.0.1 1:key:secret

use hooks::sink::Batch;
use hooks::worker::{HookHandler, Worker, WorkerConfig};
use protocol::app::App;

struct Print;

impl HookHandler for Print {
    fn handle(&self, batch: &Batch) -> Result<(), String> {
        for row in &batch.rows {
            println!("{} {} on {}", row.id, row.event.name(), row.event.channel());
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(app)) = (arguments.next(), arguments.next()) else {
        return Err("two arguments are wanted: the URL of a Redis server, and ID:KEY:SECRET of an app".into());
    };
    let config = WorkerConfig::new(url, "handler-data");
    let worker = Worker::new(config, vec![App::parse(&app)?]).map_err(|error| error.to_string())?;
    worker.handler(Print).run()
}
