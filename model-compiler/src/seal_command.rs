//! `model-compiler keygen` and `seal`: a pair of keys, and a model file that is signed with it.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result};
use clap::Args;
use model_compiler::json;
use model_compiler::sealed::{KEY_BYTES, ModelId, SecretKey, open, seal};

/// What `keygen` takes.
#[derive(Args)]
pub(super) struct KeygenArguments {
    /// The file of the secret key, which must not be there yet. Whoever has it can sign models.
    key: PathBuf,
}

/// What `seal` takes.
#[derive(Args)]
pub(super) struct SealArguments {
    /// Folder of the model.
    model: PathBuf,
    /// The file of the secret key, as `keygen` wrote it.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Which version of the model this is: a higher number for each that is given away.
    #[arg(long, value_name = "N")]
    version: u32,
    /// The file to write, for `sluice model load`.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Makes a secret key, and prints the public one.
pub(super) fn keygen(arguments: &KeygenArguments) -> Result<()> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(|cause| anyhow::anyhow!("no random numbers from the kernel: {cause}"))?;
    let key = SecretKey::from_random(bytes);
    let path = &arguments.key;
    // What is there is never overwritten: models may have been signed with it.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("cannot make {}", path.display()))?;
    file.write_all(key.to_text().as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{}", key.public());
    eprintln!("{} holds the secret key: keep it to yourself; the line above goes into model.keys", path.display());
    Ok(())
}

/// Signs a model, and reads the file again as the appliance does.
pub(super) fn seal_model(arguments: &SealArguments) -> Result<()> {
    let SealArguments { model: folder, key, version, out } = arguments;
    let file = folder.join("model.json");
    let model = json::read(&text(&file)?).with_context(|| format!("cannot use {}", file.display()))?;
    let secret = SecretKey::from_text(&text(key)?);
    let secret = secret.with_context(|| format!("{} is no key file of `model-compiler keygen`", key.display()))?;
    let written = fs::metadata(&file).and_then(|about| about.modified());
    let written = written.with_context(|| format!("cannot tell when {} was written", file.display()))?;
    let made_s = written.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let sealed =
        seal(&model, *version, made_s, &secret).with_context(|| format!("cannot seal {}", folder.display()))?;
    let payload = open(&sealed, &[secret.public()]).context("what was sealed cannot be opened again")?;
    fs::write(out, &sealed).with_context(|| format!("cannot write {}", out.display()))?;
    eprintln!("{}: {}, {} bytes, signed with {}", out.display(), ModelId::of(&payload), sealed.len(), secret.public());
    Ok(())
}

fn text(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
