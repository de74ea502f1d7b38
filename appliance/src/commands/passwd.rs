//! `sluice passwd` and `users`: who may log in at the page, and with which password. The first user ends the set-up code.

use std::io::{IsTerminal, Read, stdin};

use anyhow::{Context, anyhow};
use clap::Args;

use super::{ConfigArgs, Failure, check_rights, store};
use crate::clock;
use crate::config::Config;
use crate::store::Store;
use crate::store::date::iso;

/// In whose name it is done.
const ACTOR: &str = "local";

/// The most that is read of a password from standard input, in bytes.
const LONGEST_INPUT: u64 = 4_096;

#[derive(Debug, Args)]
pub(super) struct PasswdArgs {
    /// Who
    #[arg(value_name = "USER", default_value = "admin")]
    user: String,
    /// USER is a new one, beside those that there are; all may do everything
    #[arg(long)]
    new: bool,
    /// Removes a user instead, whose log-ins end
    #[arg(long, value_name = "USER", conflicts_with_all = ["user", "new"])]
    remove: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn passwd(args: &PasswdArgs) -> Result<(), Failure> {
    let config = Config::load(&args.config.config)?;
    check_rights(&config.state_dir)?;
    let store = Store::join(&config.state_dir)?;
    match &args.remove {
        Some(user) => {
            store.remove_user(user, clock::now(), ACTOR)?;
            println!("{user} is removed, and logged out.");
        }
        None => set(&store, &args.user, args.new)?,
    }
    Ok(())
}

fn set(store: &Store, user: &str, is_to_be_new: bool) -> anyhow::Result<()> {
    let users: Vec<String> = store.users()?.into_iter().map(|user| user.name).collect();
    match users.iter().any(|name| name == user) {
        true if is_to_be_new => {
            return Err(anyhow!("there is a user {user} already; leave --new out to set the password"));
        }
        false if !is_to_be_new && !users.is_empty() => {
            let users = users.join(", ");
            return Err(anyhow!(
                "there is no user {user} (there is {users}); with --new {user} is made one, who may do everything"
            ));
        }
        true | false => {}
    }
    let password = if stdin().is_terminal() { ask_twice(user)? } else { first_line()? };
    if store.set_password(user, &password, clock::now(), ACTOR)? {
        println!("The new user {user} may do everything; the password is set.");
    } else {
        println!("The password of {user} is set.");
    }
    Ok(())
}

/// Lists the users.
pub(super) fn users(config: &Config) -> Result<(), Failure> {
    let users = store(config)?.users()?;
    if users.is_empty() {
        println!(
            "There is no user yet: `sluice passwd` makes the first one, or the page by the code in `sluice status`."
        );
    }
    for user in users {
        println!("{}, whose password was set at {}", user.name, iso(user.changed));
    }
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
