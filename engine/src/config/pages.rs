//! The settings of the file for what web pages get besides the protocol.

use super::fault::Fault;
use super::section::Section;
use crate::settings::Pages;

pub(super) fn parse_pages(top: &mut Section<'_>) -> Result<Pages, Fault> {
    let mut pages = Pages::default();
    if let Some(value) = top.take("assets") {
        pages.assets = value.boolean()?;
    }
    if let Some(value) = top.take("sample_endpoints") {
        pages.sample_endpoints = value.boolean()?;
    }
    Ok(pages)
}
