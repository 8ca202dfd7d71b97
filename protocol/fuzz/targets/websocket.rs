//! Hands what the engine makes up to the check of its name: frames of a client, cut into pieces.
#![no_main]

#[path = "../checks/websocket.rs"]
mod websocket;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    websocket::check(input);
});
