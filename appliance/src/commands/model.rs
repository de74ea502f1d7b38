//! `sluice model`: which models there are, which judge, and what is said of them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use model_compiler::sealed::ModelId;

use super::{DaemonArgs, Failure};
use crate::control::ModelRequest;
use crate::registry::Choice;
use crate::web::Client;
use crate::web::api::{DisagreementRow, DriftRow, DriftState, Events, ModelState, State};

#[derive(Debug, Subcommand)]
pub(super) enum ModelCommand {
    /// Lists the models, how the shadow differs from the active one, and how the traffic differs from what that has learnt
    List,
    /// Takes a signed model file into the registry, and lets it judge as the shadow: it decides nothing
    Load {
        /// The file, as `model-compiler seal` made it
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Lets another model of the registry judge beside the active one, or none
    Shadow {
        /// Which, or `off`
        #[arg(value_name = "NAME@VERSION|off", value_parser = shadow)]
        model: Shadow,
    },
    /// Lets another model decide, at once and until the configuration says something else than now
    Pin {
        /// Which, or the one that the program was built with
        #[arg(value_name = "NAME@VERSION|built-in")]
        model: Choice,
    },
    /// Lets the model decide that did before
    Rollback,
    /// Removes a model that does not judge from the registry
    Remove {
        /// Which
        #[arg(value_name = "NAME@VERSION")]
        model: ModelId,
    },
}

/// The model that judges beside the active one. A type of its own, because clap takes an `Option` for an argument that may be
/// left out.
#[derive(Clone, Debug)]
pub(super) struct Shadow(Option<ModelId>);

fn shadow(text: &str) -> Result<Shadow, String> {
    if text == "off" { Ok(Shadow(None)) } else { text.parse().map(|id| Shadow(Some(id))) }
}

pub(super) fn model(daemon: &DaemonArgs, command: ModelCommand) -> Result<(), Failure> {
    let socket = daemon.socket()?;
    let request = match command {
        ModelCommand::List => return list(&socket),
        // The daemon has another working directory.
        ModelCommand::Load { file } => {
            let path = std::path::absolute(&file).map_err(|cause| anyhow::anyhow!("{}: {cause}", file.display()))?;
            ModelRequest::Load { path }
        }
        ModelCommand::Shadow { model: Shadow(id) } => ModelRequest::Shadow(id),
        ModelCommand::Pin { model } => ModelRequest::Pin(model),
        ModelCommand::Rollback => ModelRequest::Rollback,
        ModelCommand::Remove { model } => ModelRequest::Remove(model),
    };
    let done = Client::new(&socket).change_models(&request)?;
    println!("{}", done.said);
    Ok(())
}

fn list(socket: &Path) -> Result<(), Failure> {
    let State { model, events, .. } = Client::new(socket).state()?;
    // Whoever may open the socket sees everything.
    let Some(Events { models, .. }) = events else { return Ok(()) };
    let mut out = io::stdout().lock();
    writeln!(out, "{model} decides; chosen: {}", models.active)?;
    if let Some(before) = &models.before {
        writeln!(out, "before it: {before}")?;
    }
    write_shadow(&mut out, &models)?;
    writeln!(out, "{} files in the registry", models.stored.len())?;
    for file in &models.stored {
        writeln!(out, "  {} ({} bytes)", file.model, file.bytes)?;
    }
    Ok(write_drift(&mut out, &models.drift)?)
}

/// How the shadow model differs from the active one.
pub(super) fn write_shadow(out: &mut impl Write, models: &ModelState) -> io::Result<()> {
    let ModelState { shadow, shadow_flows, shadow_disagreed, disagreements, .. } = models;
    let Some(shadow) = shadow else { return writeln!(out, "no model judges beside it") };
    writeln!(
        out,
        "{shadow} judges beside it and decides nothing: of {shadow_flows} flows it would take {shadow_disagreed} for something else"
    )?;
    for DisagreementRow { active, shadow: other, flows } in disagreements {
        writeln!(out, "  {flows} flows: taken for {active}, by {shadow} for {other}")?;
    }
    Ok(())
}

/// How the traffic differs from what the active model has learnt.
pub(super) fn write_drift(out: &mut impl Write, drift: &DriftState) -> io::Result<()> {
    writeln!(out, "the traffic is {}", drift.words())?;
    for DriftRow { feature, index, outside, .. } in &drift.features {
        let outside = outside * 100.0;
        writeln!(out, "  {feature}: stability index {index:.2}, {outside:.1} % never seen in training")?;
    }
    Ok(())
}
