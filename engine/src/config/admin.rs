//! The admin settings of the file: the address of the admin listener, its names, the token of its console, and the prefix
//! of metrics.
//!
//! What must never happen here: the token in a message.

use super::fault::Fault;
use super::section::{Section, Value};
use crate::settings::{Admin, AdminAddress, AdminToken, parse_admin_host};

const PREFIX_BYTES_MAX: usize = 64;

pub(super) fn parse_admin(top: &mut Section<'_>) -> Result<Admin, Fault> {
    let mut admin = Admin::default();
    if let Some(value) = top.take("admin") {
        admin.address = address(&value)?;
    }
    if let Some(value) = top.take("admin_hosts") {
        admin.hosts = hosts(value)?;
    }
    if let Some(value) = top.take_or_read("admin_token", "admin_token_file")? {
        admin.token = Some(AdminToken::parse(value.text()?).map_err(|why| value.fault(&why))?);
    }
    if let Some(value) = top.take("metrics_prefix") {
        admin.metrics_prefix = prefix(&value)?;
    }
    Ok(admin)
}

fn address(value: &Value<'_>) -> Result<AdminAddress, Fault> {
    let text = value.text()?;
    text.parse().map_err(|why: String| value.wrong(&format!("{text:?}"), &why))
}

fn hosts(value: Value<'_>) -> Result<Vec<Box<str>>, Fault> {
    let host = |value: Value<'_>| {
        let text = value.text()?;
        parse_admin_host(text).map_err(|why| value.wrong(&format!("{text:?}"), &why))
    };
    value.texts()?.into_iter().map(host).collect()
}

fn prefix(value: &Value<'_>) -> Result<Box<str>, Fault> {
    let text = value.text()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let fits = text.len() <= PREFIX_BYTES_MAX && text.bytes().all(plain);
    if !fits || text.starts_with(|first: char| first.is_ascii_digit()) {
        let why = format!(
            "must be up to {PREFIX_BYTES_MAX} characters of a-z A-Z 0-9 _ and must not begin with a digit"
        );
        return Err(value.wrong(&format!("{text:?}"), &why));
    }
    Ok(text.into())
}
