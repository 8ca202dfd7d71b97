//! soketi's file: JSON whose objects may be nested, or written as one key with dots.

use super::given::{Given, Keys};
use super::said::{Entry, Said};
use super::soketi_keys::{APPS, canonical, is_leaf};
use crate::config::fault::Fault;
use crate::config::layer::Origin;

/// Adds the keys of a file; messages call it `name`.
pub(super) fn add_file(keys: &mut Keys, name: &str, text: &str) -> Result<(), Fault> {
    let text = text.trim_start_matches('\u{feff}');
    let entries = Said::of_json(text)
        .map_err(|error| Fault::of(name, &format!("this is not a file of soketi's: {error}")))?;
    let mut file = File { name, text, keys };
    file.add_entries("", entries);
    Ok(())
}

struct File<'a> {
    name: &'a str,
    text: &'a str,
    keys: &'a mut Keys,
}

impl File<'_> {
    fn add_entries(&mut self, above: &str, entries: Vec<(String, Entry)>) {
        for (key, entry) in entries {
            self.add(&format!("{above}{key}"), entry);
        }
    }

    fn add(&mut self, path: &str, Entry { at, said }: Entry) {
        let path = canonical(path);
        match said {
            Said::Object(entries) if !is_leaf(&path) => self.add_entries(&format!("{path}."), entries),
            Said::List(list) if path == APPS => {
                for (index, entry) in list.into_iter().enumerate() {
                    self.add(&format!("{path}.{index}"), entry);
                }
            }
            said => {
                let place = format!("{}:{}: {path}", self.name, self.line(at));
                self.keys.set(Given { key: path.clone(), path, place, origin: Origin::File, said });
            }
        }
    }

    /// The line of this byte, counted from 1.
    fn line(&self, at: usize) -> usize {
        1 + self.text.bytes().take(at).filter(|byte| *byte == b'\n').count()
    }
}
