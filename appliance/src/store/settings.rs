//! Rows of what people set while the box runs: modes, models, allowances; and the addresses that names had last.

use core::net::IpAddr;
use std::collections::{BTreeSet, HashMap};

use rusqlite::{Connection, params};
use traffic::features::ThreatClass;
use traffic::time::Timestamp;

use super::rows::{from_sql_time, to_sql_time};
use crate::policy::{Allowance, Allowed, Mode, Modes};
use crate::registry::{Choices, ModelConfig};

/// The class under which the mode for all stands.
const ALL: &str = "";

/// Names that are kept. Full: no more are.
const NAMES: u32 = 1_000;

pub(super) fn set_mode(
    connection: &Connection,
    class: Option<ThreatClass>,
    mode: Mode,
    configured: Mode,
) -> rusqlite::Result<()> {
    if class.is_none() {
        connection.execute("DELETE FROM modes", [])?;
    }
    connection.execute(
        "INSERT OR REPLACE INTO modes (class, mode, configured) VALUES (?1, ?2, ?3)",
        params![class.map_or(ALL, ThreatClass::name), mode.name(), configured.name()],
    )?;
    Ok(())
}

/// The configured mode with the changes that were made to it. Those that were made to another one are forgotten, or they would
/// come back with it. Rows that make no sense are left out.
pub(super) fn modes(connection: &Connection, configured: Mode) -> rusqlite::Result<Modes> {
    connection.execute("DELETE FROM modes WHERE configured <> ?1", [configured.name()])?;
    let mut query = connection.prepare("SELECT class, mode FROM modes WHERE configured = ?1 ORDER BY class")?;
    let rows = query.query_map([configured.name()], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let mut modes = Modes::all(configured);
    // The mode for all comes first in this order, and so takes none of the others away.
    for row in rows {
        let (class, mode) = row?;
        match (class.as_str(), ThreatClass::from_name(&class), Mode::from_name(&mode)) {
            (ALL, _, Some(mode)) => modes.set(None, mode),
            (_, Some(class), Some(mode)) => modes.set(Some(class), mode),
            _ => {}
        }
    }
    Ok(modes)
}

/// What a model is chosen for.
const ACTIVE: &str = "active";
const SHADOW: &str = "shadow";
const BEFORE: &str = "before";

/// Writes down which models are chosen, and what the configuration says of them. No shadow is an empty name, as it is there.
pub(super) fn set_models(connection: &Connection, choices: &Choices, configured: &Choices) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM models", [])?;
    for (place, [chosen, configured]) in [
        (ACTIVE, [choices.active.to_string(), configured.active.to_string()]),
        (SHADOW, [choices, configured].map(shadow_name)),
        (BEFORE, [choices.before.as_ref().map(ToString::to_string).unwrap_or_default(), String::new()]),
    ] {
        connection.execute(
            "INSERT INTO models (place, chosen, configured) VALUES (?1, ?2, ?3)",
            params![place, chosen, configured],
        )?;
    }
    Ok(())
}

fn shadow_name(choices: &Choices) -> String {
    choices.shadow.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// The models that are chosen where the configuration says this: what it says anew holds, as after a reload. That is written down,
/// so that the next start knows what was said before.
pub(super) fn models(connection: &Connection, configured: &ModelConfig) -> rusqlite::Result<Choices> {
    let configured = Choices::of(configured);
    let stored = stored_models(connection)?;
    let is_as_written = stored.as_ref().is_some_and(|(_, before)| *before == configured);
    let mut choices = configured.clone();
    if let Some((chosen, before)) = stored {
        choices = chosen;
        choices.follow(&before, &configured);
    }
    if !is_as_written && let Err(error) = set_models(connection, &choices, &configured) {
        // A full disk keeps no daemon from starting.
        log::warn!("cannot write down which models the configuration names: {error}");
    }
    Ok(choices)
}

/// What was chosen, and what the configuration said then; none where nothing that makes sense was written down.
fn stored_models(connection: &Connection) -> rusqlite::Result<Option<(Choices, Choices)>> {
    let mut query = connection.prepare("SELECT place, chosen, configured FROM models")?;
    let rows = query.query_map([], |row| Ok((row.get::<_, String>(0)?, [row.get(1)?, row.get(2)?])))?;
    let rows: HashMap<String, [String; 2]> = rows.collect::<Result<_, _>>()?;
    let of = |column: usize| {
        let text = |place| rows.get(place)?.get(column);
        Some(Choices {
            active: text(ACTIVE)?.parse().ok()?,
            shadow: text(SHADOW).and_then(|shadow| shadow.parse().ok()),
            before: text(BEFORE).and_then(|before| before.parse().ok()),
        })
    };
    Ok(of(0).zip(of(1)))
}

pub(super) fn allow(connection: &Connection, allowance: &Allowance) -> rusqlite::Result<()> {
    let Allowance { allowed, until, actor } = allowance;
    connection.execute(
        "INSERT OR REPLACE INTO allowances (allowed, until, actor) VALUES (?1, ?2, ?3)",
        params![allowed.to_string(), until.map(to_sql_time), actor],
    )?;
    Ok(())
}

pub(super) fn disallow(connection: &Connection, allowed: &Allowed) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM allowances WHERE allowed = ?1", [allowed.to_string()])?;
    Ok(())
}

pub(super) fn allowances(connection: &Connection, now: Timestamp) -> rusqlite::Result<Vec<Allowance>> {
    let mut query =
        connection.prepare("SELECT allowed, until, actor FROM allowances WHERE until IS NULL OR until > ?1")?;
    let rows = query.query_map([to_sql_time(now)], |row| {
        let until = row.get::<_, Option<i64>>(1)?.map(from_sql_time);
        Ok((row.get::<_, String>(0)?, until, row.get::<_, String>(2)?))
    })?;
    let allowance =
        |(allowed, until, actor): (String, _, _)| Some(Allowance { allowed: allowed.parse().ok()?, until, actor });
    rows.filter_map(|row| row.map(allowance).transpose()).collect()
}

pub(super) fn resolve(connection: &Connection, name: &str, addresses: &[IpAddr]) -> rusqlite::Result<()> {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    connection.execute(
        "INSERT OR REPLACE INTO names (name, addresses) SELECT ?1, ?2 WHERE (SELECT count(*) FROM names) < ?3 \
         OR EXISTS (SELECT 1 FROM names WHERE name = ?1)",
        params![name, texts.join(" "), NAMES],
    )?;
    Ok(())
}

/// The last known addresses of these names. Those of others are forgotten, or in time they would take all the room.
pub(super) fn resolved(
    connection: &Connection,
    names: &BTreeSet<&str>,
) -> rusqlite::Result<Vec<(String, Vec<IpAddr>)>> {
    let mut query = connection.prepare("SELECT name, addresses FROM names")?;
    let rows = query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let addresses = |text: String| text.split(' ').filter_map(|address| address.parse().ok()).collect();
    let rows: Vec<(String, String)> = rows.collect::<Result<_, _>>()?;
    let (wanted, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(name, _)| names.contains(name.as_str()));
    for (name, _) in others {
        connection.execute("DELETE FROM names WHERE name = ?1", [name])?;
    }
    Ok(wanted.into_iter().map(|(name, text)| (name, addresses(text))).collect())
}
