//! Hands what the engine makes up to the check of its name: what a client says.
#![no_main]

#[path = "../checks/client_message.rs"]
mod client_message;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    client_message::check(input);
});
