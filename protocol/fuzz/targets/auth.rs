//! Hands what the engine makes up to the check of its name: what signs a subscription or a REST request.
#![no_main]

#[path = "../checks/auth.rs"]
mod auth;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    auth::check(input);
});
