//! `sluice explain`: what led to an alert, what was done about it, and how to undo it.

use core::str::FromStr;
use std::io::{self, Write};
use std::path::Path;

use super::Failure;
use crate::policy::{NoSubject, Subject};
use crate::web::Client;
use crate::web::explanation::{About, Explanation};

/// What is to be explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The alert of that number.
    Alert(u64),
    /// The last alerts about somebody.
    Whom(Subject),
}

impl FromStr for What {
    type Err = NoSubject;

    fn from_str(text: &str) -> Result<Self, NoSubject> {
        text.parse().map(Self::Alert).or_else(|_| text.parse().map(Self::Whom))
    }
}

pub(super) fn explain(socket: &Path, what: What, json: bool) -> Result<(), Failure> {
    let client = Client::new(socket);
    let mut out = io::stdout().lock();
    match what {
        What::Alert(number) => {
            let explanation = client.explain(number)?;
            if json { write_json(&mut out, &explanation)? } else { write_alert(&mut out, &explanation)? }
        }
        What::Whom(subject) => {
            let about = client.explain_all_of(subject)?;
            if json { write_json(&mut out, &about)? } else { write_about(&mut out, &about)? }
        }
    }
    Ok(())
}

fn write_json(out: &mut impl Write, value: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

/// The newest alert in full, the others with a line each.
fn write_about(out: &mut impl Write, about: &About) -> io::Result<()> {
    let Some((newest, others)) = about.alerts.split_first() else {
        writeln!(out, "{}: no alert is kept.", about.who)?;
        return about.done.iter().try_for_each(|line| writeln!(out, "  {line}"));
    };
    write_alert(out, newest)?;
    if !others.is_empty() {
        writeln!(out, "Earlier alerts (`sluice explain` with the number says more):")?;
    }
    others.iter().try_for_each(|other| writeln!(out, "  {}: {}", other.alert.number, other.sentence()))
}

fn write_alert(out: &mut impl Write, explanation: &Explanation) -> io::Result<()> {
    writeln!(out, "Alert {}: {}", explanation.alert.number, explanation.sentence())?;
    write_list(out, "What it did", &explanation.did)?;
    write_list(out, "What decided", &explanation.decided)?;
    explanation.counted().iter().try_for_each(|line| writeln!(out, "    {line}"))?;
    write_list(out, "What was done", &explanation.done)?;
    let remedies: Vec<String> =
        explanation.remedies.iter().map(|remedy| format!("{}  ({})", remedy.command, remedy.effect)).collect();
    write_list(out, "What you can do", &remedies)?;
    explanation.labelled().map_or(Ok(()), |labelled| writeln!(out, "{labelled}"))
}

fn write_list(out: &mut impl Write, title: &str, lines: &[String]) -> io::Result<()> {
    if !lines.is_empty() {
        writeln!(out, "{title}:")?;
    }
    lines.iter().try_for_each(|line| writeln!(out, "  {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_an_alert_and_anything_else_somebody() {
        assert_eq!("17".parse(), Ok(What::Alert(17)));
        for whom in ["203.0.113.9", "2001:db8::1", "02:00:5e:10:00:01", "198.51.100.10:80/tcp"] {
            assert_eq!(whom.parse(), Ok(What::Whom(whom.parse().unwrap())));
        }
        assert_eq!("-1".parse::<What>(), Err(NoSubject));
    }
}
