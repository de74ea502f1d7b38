//! `sluice passwd`: sets the password of a user of the page. The first one ends the set-up code.

use std::io::{IsTerminal, Read, stdin};

use anyhow::{Context, anyhow};

use super::Failure;
use crate::clock;
use crate::config::Config;
use crate::store::Store;

/// The most that is read of a password from standard input, in bytes.
const LONGEST_INPUT: u64 = 4_096;

pub(super) fn passwd(config: &Config, user: &str) -> Result<(), Failure> {
    let store = Store::join(&config.state_dir)?;
    let password = if stdin().is_terminal() { ask_twice(user)? } else { first_line()? };
    store.set_password(user, &password, clock::now(), "local")?;
    println!("The password of {user} is set.");
    Ok(())
}

fn ask_twice(user: &str) -> anyhow::Result<String> {
    let ask = |prompt: &str| rpassword::prompt_password(prompt).context("cannot read the password");
    let password = ask(&format!("New password for {user}: "))?;
    if ask("Once more: ")? == password {
        Ok(password)
    } else {
        Err(anyhow!("the two are not the same; nothing was changed"))
    }
}

fn first_line() -> anyhow::Result<String> {
    let mut text = String::new();
    stdin().take(LONGEST_INPUT).read_to_string(&mut text).context("cannot read the password from standard input")?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
