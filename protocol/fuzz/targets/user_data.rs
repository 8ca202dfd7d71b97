//! Hands what the engine makes up to the check of its name: what a back end says of a user.
#![no_main]

#[path = "../checks/user_data.rs"]
mod user_data;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    user_data::check(input);
});
