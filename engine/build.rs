//! Lists the files of the console's page, which the server has in itself.

use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

const FOLDER: &str = "console";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={FOLDER}");
    let root = env::var("CARGO_MANIFEST_DIR")?;
    let mut names = Vec::new();
    for entry in fs::read_dir(Path::new(&root).join(FOLDER))? {
        let name = entry?.file_name().into_string().map_err(|name| format!("{name:?} is not UTF-8"))?;
        if ["html", "css", "js"].iter().any(|kind| name.ends_with(&format!(".{kind}"))) {
            names.push(name);
        }
    }
    names.sort_unstable();
    let mut list = "&[\n".to_owned();
    for name in names {
        let path = Path::new(&root).join(FOLDER).join(&name);
        writeln!(list, "    ({name:?}, include_str!({path:?})),")?;
    }
    list.push_str("]\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("console_files.rs"), list)?;
    Ok(())
}
