//! What is asked for, from JSON or from a form of the page, and what is said when it is done.

use core::fmt::{self, Display};
use core::str::FromStr;
use core::time::Duration;

use serde::de::DeserializeOwned;
use traffic::features::ThreatClass;

use super::api::{
    AllowRequest, BlockRequest, DisallowRequest, LabelRequest, ModeRequest, ModelChange, NothingElse, PauseRequest,
    SubjectRequest,
};
use super::http::Incoming;
use crate::control::{LONGEST_PAUSE, ModelRequest, Request, Snapshot};
use crate::policy::{LONGEST_BLOCK, Mode, Modes};

/// Longest reason.
pub const MAX_BECAUSE_CHARACTERS: usize = 200;

/// What takes a label back.
const NO_LABEL: &str = "none";

/// What a person says that an alert was, as a word: a class, or `none`, which takes back what was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelWord(pub Option<ThreatClass>);

impl Display for LabelWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.map_or(NO_LABEL, ThreatClass::name))
    }
}

impl FromStr for LabelWord {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let class = ThreatClass::from_name(word);
        if class.is_some() || word == NO_LABEL {
            return Ok(Self(class));
        }
        let names = ThreatClass::ALL.map(ThreatClass::name).join(", ");
        Err(format!("`{word}` is none of {names}, {NO_LABEL}"))
    }
}

/// A status and its reason in words.
pub(super) type Problem = (u16, String);

/// What can be asked for at `/api/NAME`.
pub(super) const NAMES: [&str; 10] =
    ["block", "unblock", "approve", "allow", "disallow", "label", "mode", "pause", "resume", "acknowledge"];

/// What of it no form at `/NAME` can ask for.
pub(super) const WITHOUT_FORM: &str = "block";

/// What a body in JSON asks for; `name` is one of [`NAMES`].
pub(super) fn by_json(name: &str, request: &Incoming) -> Result<Request, Problem> {
    match name {
        "block" => body_of(request).and_then(|asked| block(&asked)),
        "unblock" => body_of(request).and_then(|asked| unblock(&asked)),
        "approve" => body_of(request).and_then(|asked| approve(&asked)),
        "allow" => body_of(request).and_then(|asked| allow(&asked)),
        "disallow" => body_of(request).and_then(|asked| disallow(&asked)),
        "label" => body_of(request).and_then(|asked| label(&asked)),
        "pause" => body_of(request).and_then(|asked| pause(&asked)),
        "resume" => body_of(request).map(|NothingElse {}| Request::Resume),
        "acknowledge" => body_of(request).map(|NothingElse {}| Request::Acknowledge),
        _ => body_of(request).and_then(|asked| mode(&asked)),
    }
}

/// What a body in JSON asks for about models.
pub(super) fn about_models(request: &Incoming) -> Result<ModelRequest, Problem> {
    body_of(request).and_then(|asked| model(&asked))
}

/// What a form of the page asks for.
pub(super) fn by_form(name: &str, request: &Incoming) -> Result<Request, Problem> {
    let field = |field: &str| Incoming::field(&request.body, field);
    let ttl_s = || field("ttl_s").parse().map_err(|_| (400, String::from("ttl_s must be a number of seconds")));
    match name {
        "unblock" => unblock(&SubjectRequest { address: field("address") }),
        "approve" => approve(&SubjectRequest { address: field("address") }),
        // Without a time it is for good, as in JSON.
        "allow" => {
            let ttl_s = if field("ttl_s").is_empty() { None } else { Some(ttl_s()?) };
            allow(&AllowRequest { who: field("address"), ttl_s })
        }
        "disallow" => disallow(&DisallowRequest { who: field("address") }),
        "label" => {
            let alert =
                field("alert").parse().map_err(|_| (400, String::from("alert must be the number of an alert")))?;
            label(&LabelRequest { alert, label: field("label") })
        }
        "pause" => pause(&PauseRequest { ttl_s: ttl_s()? }),
        "resume" => Ok(Request::Resume),
        "acknowledge" => Ok(Request::Acknowledge),
        _ => mode(&ModeRequest { mode: field("mode"), class: Some(field("class")).filter(|class| !class.is_empty()) }),
    }
}

/// What is said when it is done; `whom` is what the control thread answered, between these two states of the box.
pub(super) fn said(request: &Request, whom: &str, before: &Snapshot, after: &Snapshot) -> String {
    match request {
        Request::Block { ttl, .. } => format!("{whom} is blocked for {}.", super::words::duration(*ttl)),
        Request::Approve { .. } => format!("{whom} is blocked."),
        Request::Unblock { subject } if !before.blocks.iter().any(|it| it.subject == *subject && it.is_enforced()) => {
            format!("The block of {whom} is dismissed.")
        }
        Request::Unblock { .. } => format!("{whom} is unblocked."),
        Request::Allow { ttl: None, .. } => format!("{whom} is allowed for good."),
        Request::Allow { ttl: Some(ttl), .. } => format!("{whom} is allowed for {}.", super::words::duration(*ttl)),
        Request::Disallow { .. } => format!("{whom} is no longer allowed."),
        Request::Label { class: Some(class), .. } => format!("{whom} is labelled {}.", class.name()),
        Request::Label { class: None, .. } => format!("The label of {whom} is taken back."),
        Request::SetMode { mode, .. } => format!("The mode for {whom} is {} now.", mode.name()),
        Request::Pause { ttl } => format!("Nothing is stopped for {}.", super::words::duration(*ttl)),
        Request::Resume => String::from(resumed(&after.modes)),
        Request::Acknowledge => String::from("The light shows the next attack."),
    }
}

/// What the modes make of the end of a pause.
fn resumed(modes: &Modes) -> &'static str {
    match modes.general {
        Mode::Enforce => "Attackers are stopped again.",
        Mode::Approve => "What you have approved is stopped again.",
        Mode::Observe if modes.may_block() => "What the modes of single classes stop is stopped again.",
        Mode::Observe => "The pause is over. Nothing is stopped all the same: the mode is observe.",
    }
}

/// The same about models.
pub(super) fn said_of_models(request: &ModelRequest, which: &str) -> String {
    match request {
        ModelRequest::Load { .. } | ModelRequest::Shadow(Some(_)) => {
            format!("{which} judges beside the active model, and decides nothing.")
        }
        ModelRequest::Shadow(None) => String::from("No model judges beside the active one."),
        ModelRequest::Pin(_) | ModelRequest::Rollback => format!("The model {which} decides."),
        ModelRequest::Remove(_) => format!("{which} is removed."),
    }
}

/// Forms of other pages cannot send this type.
pub(super) fn is_json(request: &Incoming) -> Result<(), Problem> {
    if request.has_type("application/json") {
        return Ok(());
    }
    Err((415, "send Content-Type: application/json".to_owned()))
}

fn body_of<T: DeserializeOwned>(request: &Incoming) -> Result<T, Problem> {
    is_json(request)?;
    serde_json::from_slice(&request.body).map_err(|error| (400, format!("the body is not what is expected: {error}")))
}

fn block(asked: &BlockRequest) -> Result<Request, Problem> {
    let because = asked.because.trim();
    if because.chars().count() > MAX_BECAUSE_CHARACTERS || because.chars().any(char::is_control) {
        return Err((400, format!("because must be one line of at most {MAX_BECAUSE_CHARACTERS} characters")));
    }
    let because = if because.is_empty() { "by hand" } else { because };
    let ttl = time(asked.ttl_s)?;
    Ok(Request::Block { subject: parsed(&asked.address)?, ttl, because: because.to_owned() })
}

fn unblock(asked: &SubjectRequest) -> Result<Request, Problem> {
    Ok(Request::Unblock { subject: parsed(&asked.address)? })
}

fn approve(asked: &SubjectRequest) -> Result<Request, Problem> {
    Ok(Request::Approve { subject: parsed(&asked.address)? })
}

fn allow(asked: &AllowRequest) -> Result<Request, Problem> {
    Ok(Request::Allow { allowed: parsed(&asked.who)?, ttl: asked.ttl_s.map(time).transpose()? })
}

fn disallow(asked: &DisallowRequest) -> Result<Request, Problem> {
    Ok(Request::Disallow { allowed: parsed(&asked.who)? })
}

fn label(asked: &LabelRequest) -> Result<Request, Problem> {
    let LabelWord(class) = asked.label.parse().map_err(|why| (400, why))?;
    Ok(Request::Label { alert: asked.alert, class })
}

fn mode(asked: &ModeRequest) -> Result<Request, Problem> {
    let names = Mode::ALL.map(Mode::name).join(", ");
    let mode = Mode::from_name(&asked.mode).ok_or_else(|| (400, format!("mode must be one of {names}")))?;
    let class = asked.class.as_deref().map(attack).transpose()?;
    Ok(Request::SetMode { class, mode })
}

fn pause(asked: &PauseRequest) -> Result<Request, Problem> {
    let ttl = Duration::from_secs(asked.ttl_s);
    if (Duration::from_secs(1)..=LONGEST_PAUSE).contains(&ttl) {
        return Ok(Request::Pause { ttl });
    }
    Err((400, format!("ttl_s must be from 1 to {} seconds: a pause lasts a day at most", LONGEST_PAUSE.as_secs())))
}

fn model(asked: &ModelChange) -> Result<ModelRequest, Problem> {
    let name = asked.model.as_str();
    Ok(match asked.action.as_str() {
        "load" => ModelRequest::Load { path: name.into() },
        "shadow" if name == "off" => ModelRequest::Shadow(None),
        "shadow" => ModelRequest::Shadow(Some(named(name)?)),
        "pin" => ModelRequest::Pin(named(name)?),
        "rollback" => ModelRequest::Rollback,
        "remove" => ModelRequest::Remove(named(name)?),
        other => return Err((400, format!("{other:?} is none of load, shadow, pin, rollback, remove"))),
    })
}

fn named<T: FromStr<Err = String>>(name: &str) -> Result<T, Problem> {
    name.parse().map_err(|error| (400, error))
}

fn attack(name: &str) -> Result<ThreatClass, Problem> {
    ThreatClass::attack_from_name(name).ok_or_else(|| (400, format!("{name:?} is no class of attacks")))
}

fn time(seconds: u64) -> Result<Duration, Problem> {
    if (1..=LONGEST_BLOCK.as_secs()).contains(&seconds) {
        return Ok(Duration::from_secs(seconds));
    }
    Err((400, format!("ttl_s must be from 1 to {} seconds", LONGEST_BLOCK.as_secs())))
}

fn parsed<T: FromStr<Err: Display>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error| (400, format!("{text:?}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::BlockState;
    use crate::web::fixture::snapshot;

    #[test]
    fn what_is_said_is_true_of_what_stood_and_of_the_mode() {
        let mut state = snapshot(crate::clock::now());
        let subject = state.blocks[0].subject;
        for (block, told) in [
            (BlockState::Enforced, "it is unblocked."),
            (BlockState::Proposed, "The block of it is dismissed."),
            (BlockState::Observed, "The block of it is dismissed."),
        ] {
            state.blocks[0].state = block;
            assert_eq!(said(&Request::Unblock { subject }, "it", &state, &state), told);
        }
        for (general, scans, told) in [
            (Mode::Enforce, Mode::Enforce, "Attackers are stopped again."),
            (Mode::Approve, Mode::Approve, "What you have approved is stopped again."),
            (Mode::Observe, Mode::Enforce, "What the modes of single classes stop is stopped again."),
            (Mode::Observe, Mode::Observe, "The pause is over. Nothing is stopped all the same: the mode is observe."),
        ] {
            state.modes = Modes::all(general);
            state.modes.set(Some(ThreatClass::Scan), scans);
            assert_eq!(said(&Request::Resume, "it", &state, &state), told);
        }
    }
}
