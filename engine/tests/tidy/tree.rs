//! The project's own text files: what git knows or would take, or, without git, all but what builds leave behind.
//!
//! Paths are from the root, with `/`. What is not UTF-8 is not text and is left out. Only the tidy test calls this.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of the project.
pub(crate) struct File {
    /// From the root of the project.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
}

/// Every text file of the project.
pub(crate) fn files() -> Vec<File> {
    let root = root();
    let mut paths = known_to_git(&root).unwrap_or_else(|| walked(&root));
    paths.sort();
    paths.into_iter().filter_map(|path| read(&root, path)).collect()
}

/// Whether the project has this picture, which is no text.
pub(crate) fn has_picture(path: &str) -> bool {
    path.ends_with(".png") && root().join(path).is_file()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(root: &Path, path: String) -> Option<File> {
    let text = fs::read_to_string(root.join(&path)).ok()?;
    Some(File { path, text })
}

/// New files count before they are committed, and what .gitignore names does not.
fn known_to_git(root: &Path) -> Option<Vec<String>> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(arguments).current_dir(root).output().ok()?;
    if !output.status.success() || output.stdout.is_empty() {
        return None;
    }
    let names = String::from_utf8(output.stdout).ok()?;
    Some(names.split_terminator('\0').map(str::to_owned).collect())
}

fn walked(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).expect("a folder of the project can be read").flatten()
        {
            let name = entry.file_name();
            let path = folder.join(&name);
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            match name.to_str() {
                Some("target" | "node_modules" | ".git" | ".venv" | "__pycache__") => {}
                Some(_) if is_folder => folders.push(path),
                _ => found.extend(path.to_str().map(str::to_owned)),
            }
        }
    }
    found
}

#[test]
fn walking_finds_what_git_knows() {
    let walked = walked(&root());
    for path in known_to_git(&root()).unwrap_or_default() {
        // A file that is deleted but not yet committed is known to git alone.
        assert!(walked.contains(&path) || !root().join(&path).exists(), "{path} was not walked");
    }
    assert!(walked.contains(&"engine/tests/tidy.rs".to_owned()));
}
