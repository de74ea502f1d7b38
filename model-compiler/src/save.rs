//! Writes a model into its folder.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::model::Model;
use crate::{form, json};

/// Writes `model.json`, and gives its path. What was measured of the model that was there before goes: it says nothing about
/// another one.
///
/// # Errors
/// The folder or the file cannot be written, or the model cannot be read again.
pub fn save(model: &Model, folder: &Path) -> Result<PathBuf> {
    let text = json::write(model)?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let measured = folder.join(form::FILE);
    match fs::remove_file(&measured) {
        Err(why) if why.kind() != ErrorKind::NotFound => {
            return Err(why).with_context(|| format!("cannot remove {}", measured.display()));
        }
        _ => {}
    }
    let path = folder.join("model.json");
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
