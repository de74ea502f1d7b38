//! Writes the corpus into `corpus/`, one folder for each part, in place of what is there.

use std::fs;
use std::io;
use std::path::Path;

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    if corpus.exists() {
        fs::remove_dir_all(&corpus)?;
    }
    for case in traffic_fuzz::cases() {
        let folder = corpus.join(case.target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(case.name), case.bytes)?;
    }
    Ok(())
}
