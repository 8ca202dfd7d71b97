//! Hands what the engine makes up to the check of its name: signed REST calls.
#![no_main]

#[path = "../checks/rest_body.rs"]
mod rest_body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    rest_body::check(input);
});
