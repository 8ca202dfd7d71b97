//! What a panic does: the process ends.

use std::thread;

/// Makes a panic on any thread end the process, after one line with thread and place: a server that lost one shard is
/// worse than one that is restarted.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = thread::current();
        let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
        let what = panic.payload_as_str().unwrap_or("panic");
        let name = thread.name().unwrap_or("without name");
        logging::finish_with(format_args!("thread {name} ends the process{place}: {what}"));
        std::process::abort();
    }));
}
