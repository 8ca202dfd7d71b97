//! Hands what the engine makes up to the check of its name: a sign-in.
#![no_main]

#[path = "../checks/signin.rs"]
mod signin;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    signin::check(input);
});
