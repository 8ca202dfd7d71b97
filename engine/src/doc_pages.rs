//! The pages that people read, for the tests that hold what they show to what is so.

use std::fs;
use std::path::Path;

/// Name and text of each page in Markdown, of the root and of docs/.
pub(crate) fn pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let in_folder =
        |folder: &str| fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
    ["", "docs"]
        .into_iter()
        .flat_map(in_folder)
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap()))
        .collect()
}
