//! Hands what the engine makes up to the check of its name: names of channels.
#![no_main]

#[path = "../checks/channel_name.rs"]
mod channel_name;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    channel_name::check(input);
});
