//! Hands what the engine makes up to the check of its name: requests on a connection.
#![no_main]

#[path = "../checks/http_request.rs"]
mod http_request;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    http_request::check(input);
});
