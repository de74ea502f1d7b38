//! The page: one, made here whole, so that it works without JavaScript. A little of that keeps `#live` fresh.

use core::time::Duration;

use maud::{DOCTYPE, Markup, html};

use super::api::{AlertRow, BlockRow, Events, ModelState, ObservedRow, State};
use super::sessions::Notice;
use super::words;
use crate::hardware::lights::Light;
use crate::policy::{Action, BlockState, Mode, Subject};
use crate::store::MIN_PASSWORD_CHARACTERS;

/// For how long the buttons allow somebody, in seconds, and what they are called.
const ALLOWANCES: [(&str, Option<u32>); 3] =
    [("Allow for an hour", Some(3_600)), ("Allow for a day", Some(86_400)), ("Allow for good", None)];

/// How long the button of the page pauses.
const PAUSE_S: u32 = 600;

/// The files that belong to the page.
pub(super) const STYLE: &str = include_str!("style.css");
pub(super) const SCRIPT: &str = include_str!("live.js");
pub(super) const ICON: &str = include_str!("icon.svg");

/// For whom the page is made.
#[derive(Clone, Debug)]
pub(super) enum Reader<'a> {
    /// Logged in, or on the unix socket.
    Administrator {
        name: &'a str,
        /// Stands in each form.
        form_token: &'a str,
        /// Said once, about what was done last.
        notice: Option<&'a Notice>,
    },
    /// Anybody else.
    Stranger {
        /// By which form he comes in.
        entry: Entry,
        /// Why that was refused the last time.
        notice: Option<&'a str>,
    },
}

/// The form for strangers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Name and password.
    LogIn,
    /// There is no password yet: the set-up code, and a password to be.
    SetUp,
}

pub(super) fn render(state: &State, reader: &Reader<'_>) -> String {
    let user = if let Reader::Administrator { name, .. } = reader { name } else { "" };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                (head_of(headline(state).1))
                script src="/live.js" defer {}
                @if !user.is_empty() {
                    // Only where nothing is typed, which a reload would wipe out.
                    noscript { meta http-equiv="refresh" content="15"; }
                }
            }
            body data-user=(user) {
                (top(state, reader))
                main {
                    p id="silent" class="note bad" role="alert" hidden { "The box does not answer. What you see may be old." }
                    (notice(reader))
                    div id="live" { (live(state, reader)) }
                    @if let Reader::Stranger { entry, .. } = reader { (enter(*entry)) }
                }
                footer {
                    "Model " (state.model) " · bridge " (state.bridge) " (" (state.ports[0]) ", " (state.ports[1]) "): "
                    (state.orientation()) " · "
                    a href="/api/state" { "this as JSON" }
                }
            }
        }
    };
    page.into_string()
}

/// A line in the place of the page, and the way back to it.
pub(super) fn told(line: &str) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head { (head_of("a message")) }
            body {
                main {
                    p class="note" { (line) }
                    p { a href="/" { "Open the page" } }
                }
            }
        }
    };
    page.into_string()
}

/// What the head of every page holds.
pub(super) fn head_of(title: &str) -> Markup {
    html! {
        meta charset="utf-8";
        meta name="viewport" content="width=device-width, initial-scale=1";
        meta name="color-scheme" content="light dark";
        title { "Sluice – " (title) }
        link rel="icon" href="/icon.svg" type="image/svg+xml";
        link rel="stylesheet" href="/style.css";
    }
}

fn notice(reader: &Reader<'_>) -> Markup {
    let (words, blocked, form_token) = match reader {
        Reader::Administrator { notice: Some(notice), form_token, .. } => {
            (notice.words.as_str(), notice.blocked, *form_token)
        }
        Reader::Stranger { notice: Some(words), .. } => (*words, None, ""),
        Reader::Administrator { notice: None, .. } | Reader::Stranger { notice: None, .. } => return html! {},
    };
    html! {
        div class="note" role="status" {
            p { (words) }
            @if let Some(subject) = blocked {
                @let address = subject.to_string();
                div class="buttons" {
                    (button("/unblock", &address, form_token, "Unblock", None))
                    @if !matches!(subject, Subject::Service(_)) { (allow_buttons(&address, form_token)) }
                }
            }
        }
    }
}

fn top(state: &State, reader: &Reader<'_>) -> Markup {
    html! {
        header {
            h1 { img src="/icon.svg" alt="" width="28" height="28"; "Sluice" }
            @if let Reader::Administrator { name, form_token, .. } = reader {
                form method="post" action="/logout" {
                    span class="who" { (name) }
                    // Without a session, on the unix socket, there is nothing to log out of.
                    @if !form_token.is_empty() {
                        input type="hidden" name="token" value=(form_token);
                        button class="quiet" { "Log out" }
                    }
                }
            } @else {
                span class="who" { "on " (state.bridge) }
            }
        }
    }
}

/// The part that changes.
fn live(state: &State, reader: &Reader<'_>) -> Markup {
    html! {
        (status(state))
        (numbers(state))
        @if let (Some(events), Reader::Administrator { form_token, .. }) = (&state.events, reader) {
            (modes(state, form_token))
            (pause(state, form_token))
            (blocks(events, form_token))
            (allowances(events, form_token))
            (models(&state.model, &events.models))
            (alerts(events, form_token))
        }
    }
}

/// Class and words of the large line.
fn headline(state: &State) -> (&'static str, &'static str) {
    match (state.faults.is_empty(), Mode::from_name(&state.mode)) {
        (false, _) => ("bad", "Needs you"),
        (true, _) if state.paused_left_s.is_some() => ("watch", "Pausing"),
        (true, Some(Mode::Enforce)) => ("good", "Protecting"),
        (true, Some(Mode::Approve)) => ("watch", "Asking first"),
        (true, _) => ("watch", "Observing"),
    }
}

fn status(state: &State) -> Markup {
    let (class, words) = headline(state);
    html! {
        section class={ "status " (class) } {
            h2 { (words) }
            p { (state.summary) }
            @if let Some(left_s) = state.paused_left_s { p class="hint" { "For " (spoken(left_s)) " yet." } }
            @for (class, mode) in &state.class_modes {
                p class="hint" { "For " (class) ": " (mode) "." }
            }
            @if !state.faults.is_empty() {
                ul { @for fault in &state.faults { li { (fault) } } }
            }
        }
    }
}

/// What is done with decisions, and the buttons that change it.
fn modes(state: &State, form_token: &str) -> Markup {
    let meaning = |mode| match mode {
        Mode::Observe => "only say",
        Mode::Approve => "ask me first",
        Mode::Enforce => "stop attackers",
    };
    html! {
        form method="post" action="/mode" class="modes" {
            input type="hidden" name="token" value=(form_token);
            span class="fine" { "Where somebody attacks:" }
            @for mode in Mode::ALL {
                @let is_on = state.mode == mode.name() && state.class_modes.is_empty();
                button name="mode" value=(mode.name()) class="quiet" aria-pressed=(is_on) disabled[is_on] { (meaning(mode)) }
            }
        }
    }
}

/// The button that has nothing stopped for a while, or ends that; and the one that quiets the light of the box.
fn pause(state: &State, form_token: &str) -> Markup {
    html! {
        div class="buttons" {
            @if state.paused_left_s.is_some() {
                (plain_button("/resume", form_token, "Stop attackers again", None))
            } @else if state.mode != Mode::Observe.name() || !state.class_modes.is_empty() {
                (plain_button("/pause", form_token, "Stop nothing for 10 min", Some(PAUSE_S)))
            }
            @if state.light == Light::AttackNow.name() {
                (plain_button("/acknowledge", form_token, "I know of this attack", None))
            }
        }
    }
}

/// A form of one button about the box as a whole.
fn plain_button(action: &str, form_token: &str, words: &str, ttl_s: Option<u32>) -> Markup {
    html! {
        form method="post" action=(action) {
            input type="hidden" name="token" value=(form_token);
            @if let Some(ttl_s) = ttl_s { input type="hidden" name="ttl_s" value=(ttl_s); }
            button class="quiet" { (words) }
        }
    }
}

fn numbers(state: &State) -> Markup {
    html! {
        dl class="numbers" {
            (number(&words::count(state.dropped_packets), "packets stopped"))
            (number(&words::count(state.packets), "packets seen"))
            (number(&words::bytes(state.bytes), "seen"))
            (number(&words::count(state.flows), "flows now"))
            (number(&spoken(state.uptime_s), "running"))
            (number(&words::count(state.ring_drops.saturating_add(state.passed_over)), "packets missed"))
        }
    }
}

fn number(value: &str, name: &str) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

/// What waits for an approval first, then what is done, then what would be done.
fn blocks(events: &Events, form_token: &str) -> Markup {
    let of =
        |state: BlockState| events.blocks.iter().filter(move |block| block.state == state.name()).collect::<Vec<_>>();
    let (proposed, enforced, observed) = (of(BlockState::Proposed), of(BlockState::Enforced), of(BlockState::Observed));
    html! {
        @if !proposed.is_empty() {
            section {
                h2 { "Waiting for you " span class="count" { (words::count(events.blocks_proposed)) } }
                @for block in &proposed { (block_card(block, form_token)) }
            }
        }
        section {
            h2 { "Blocked now " span class="count" { (words::count(events.blocks_standing)) } }
            @if enforced.is_empty() { p class="empty" { "Nobody is blocked." } }
            @for block in &enforced { (block_card(block, form_token)) }
            @let unlisted = events.blocks_standing.saturating_sub(enforced.len() as u64);
            @if unlisted > 0 {
                p class="empty" { "And " (words::count(unlisted)) " more: " code { "nft list table netdev sluice" } ", or bridge in place of netdev" }
            }
        }
        @if !observed.is_empty() {
            section {
                h2 { "Would be blocked " span class="count" { (words::count(events.blocks_observed)) } }
                @for block in &observed { (block_card(block, form_token)) }
            }
        }
        @if !events.observed.is_empty() {
            section {
                h2 { "Would have been blocked in the last 7 days" }
                @for row in &events.observed { (observed_card(row)) }
            }
        }
    }
}

fn observed_card(row: &ObservedRow) -> Markup {
    let ObservedRow { block, times } = row;
    html! {
        article {
            (block_head(block))
            p class="fine" {
                (ago(&block.since, block.age_s)) ", until " time datetime=(block.until) { (block.until) }
                @if *times > 1 { " · " (times) " times" }
                " · " (block.measure)
            }
        }
    }
}

fn block_card(block: &BlockRow, form_token: &str) -> Markup {
    let is_proposed = block.state == BlockState::Proposed.name();
    html! {
        article {
            (block_head(block))
            p class="fine" {
                (ago(&block.since, block.age_s)) " by " (block.actor)
                @if is_proposed { " · asks for " } @else { " · ends in " }
                time datetime=(block.until) title=(block.until) { (spoken(block.left_s)) }
                " · " (block.measure)
            }
            (block_buttons(block, form_token))
        }
    }
}

/// Who, what it is called, the brief reason, and the way to the long one.
fn block_head(block: &BlockRow) -> Markup {
    html! {
        div class="what" {
            strong class="address" { (block.whom()) }
            span class="tag" { (block.deed) }
        }
        p class="because" {
            (words::brief(&block.because))
            @if let Some(alert) = block.alert { " · " a href={ "/alerts/" (alert) } { "why?" } }
        }
    }
}

/// What can be done about a block.
pub(super) fn block_buttons(block: &BlockRow, form_token: &str) -> Markup {
    let (is_proposed, is_enforced) =
        (block.state == BlockState::Proposed.name(), block.state == BlockState::Enforced.name());
    html! {
        div class="buttons" {
            @if is_proposed { (button("/approve", &block.address, form_token, "Block", None)) }
            @if is_enforced { (button("/unblock", &block.address, form_token, "Unblock", None)) }
            @if is_proposed { (button("/unblock", &block.address, form_token, "Dismiss", None)) }
            @if block.action != Action::Limit.name() { (allow_buttons(&block.address, form_token)) }
        }
    }
}

/// Have somebody never blocked, for a while or for good.
pub(super) fn allow_buttons(address: &str, form_token: &str) -> Markup {
    html! {
        @for (words, ttl_s) in ALLOWANCES { (button("/allow", address, form_token, words, ttl_s)) }
    }
}

/// A form of one button about one address.
fn button(action: &str, address: &str, form_token: &str, words: &str, ttl_s: Option<u32>) -> Markup {
    html! {
        form method="post" action=(action) {
            input type="hidden" name="token" value=(form_token);
            input type="hidden" name="address" value=(address);
            @if let Some(ttl_s) = ttl_s { input type="hidden" name="ttl_s" value=(ttl_s); }
            button aria-label={ (words) ": " (address) } { (words) }
        }
    }
}

fn allowances(events: &Events, form_token: &str) -> Markup {
    html! {
        @if !events.allowances.is_empty() {
            section {
                h2 { "Allowed for a while" }
                @for allowance in &events.allowances {
                    article {
                        div class="what" { strong class="address" { (allowance.who) } }
                        p class="fine" {
                            "by " (allowance.actor) " · "
                            @match allowance.left_s {
                                Some(left_s) => { "ends in " (spoken(left_s)) }
                                None => { "until it is taken back" }
                            }
                        }
                        div class="buttons" {
                            (button("/disallow", &allowance.who, form_token, "No longer", None))
                        }
                    }
                }
            }
        }
    }
}

fn alerts(events: &Events, form_token: &str) -> Markup {
    html! {
        section {
            h2 { "Alerts" }
            @if events.alerts.is_empty() { p class="empty" { "Nothing has happened yet." } }
            @for alert in &events.alerts { (alert_card(alert, form_token)) }
        }
    }
}

fn alert_card(alert: &AlertRow, form_token: &str) -> Markup {
    html! {
        article {
            div class="what" {
                strong class="address" {
                    (alert.source)
                    @if let Some(device) = &alert.device { " (" (device) ")" }
                }
                span class="tag" { (alert.deed) }
            }
            p class="because" { (words::brief(&alert.because)) }
            p class="fine" {
                "alert " (alert.number) " · " (ago(&alert.time, alert.age_s)) " · to " span class="address" { (alert.destination) }
                @if let Some(port) = alert.port { " port " (port) }
                " · " (words::sureness(alert.confidence)) " sure · "
                a href={ "/alerts/" (alert.number) } { "why?" }
            }
            (label_buttons(alert, form_token))
        }
    }
}

/// Two buttons that say whether an alert was right, or one that takes back what was said.
pub(super) fn label_buttons(alert: &AlertRow, form_token: &str) -> Markup {
    let button = |label: &str, words: &str| {
        html! {
            form method="post" action="/label" {
                input type="hidden" name="token" value=(form_token);
                input type="hidden" name="alert" value=(alert.number);
                button class="quiet" name="label" value=(label) aria-label={ (words) ": alert " (alert.number) } { (words) }
            }
        }
    };
    html! {
        div class="buttons" {
            @if let Some(label) = &alert.label {
                span class="fine" { (alert.labelled_by.as_deref().unwrap_or_default()) " says: " (label) }
                (button("none", "Take it back"))
            } @else {
                (button(&alert.class, "Right"))
                (button("benign", "Wrong"))
            }
        }
    }
}

/// What the shadow model would have decided, and how unlike the training data the traffic is.
fn models(active: &str, models: &ModelState) -> Markup {
    let ModelState { shadow, shadow_flows, shadow_disagreed, disagreements, drift, .. } = models;
    html! {
        section {
            h2 { "Model" }
            p class="fine" { (active) " decides. The traffic is " (drift.words()) "." }
            @if let Some(shadow) = shadow {
                p class="fine" {
                    (shadow) " judges beside it and decides nothing: of " (words::count(*shadow_flows)) " connections it would take "
                    (words::count(*shadow_disagreed)) " for something else."
                }
                @if !disagreements.is_empty() {
                    table {
                        tr { th { (active) " says" } th { (shadow) " says" } th { "connections" } }
                        @for row in disagreements {
                            tr { td { (row.active) } td { (row.shadow) } td { (words::count(row.flows)) } }
                        }
                    }
                }
            }
            @if !drift.features.is_empty() {
                table {
                    tr { th { "what differs most from what it learnt" } th { "by" } th { "never seen" } }
                    @for row in &drift.features {
                        tr { td { (row.meaning) } td { (format!("{:.2}", row.index)) } td { (share(row.outside)) } }
                    }
                }
            }
        }
    }
}

fn share(share: f32) -> String {
    format!("{:.1} %", share * 100.0)
}

fn enter(entry: Entry) -> Markup {
    html! {
        section class="log-in" {
            @match entry {
                Entry::LogIn => { (log_in()) }
                Entry::SetUp => { (set_up()) }
            }
        }
    }
}

fn log_in() -> Markup {
    html! {
        h2 { "Log in" }
        p { "Alerts and blocks, and the button that ends a block, are for the people of this house." }
        form method="post" action="/login" {
            label { "Name" input name="name" value="admin" autocomplete="username" autocapitalize="none" required; }
            label { "Password" input name="password" type="password" autocomplete="current-password" required; }
            button { "Log in" }
        }
    }
}

/// The name stands in it for those who let their browser keep passwords.
fn set_up() -> Markup {
    let password = |words: &str, name: &str| {
        html! {
            label {
                (words)
                input name=(name) type="password" autocomplete="new-password" minlength=(MIN_PASSWORD_CHARACTERS) required;
            }
        }
    };
    html! {
        h2 { "Set a password" }
        p {
            "There is none yet. Run " code { "sudo sluice status" } " on the box for the set-up code; an image shows it on its screen too. "
            code { "sudo sluice passwd" } " sets a password without it."
        }
        form method="post" action="/setup" {
            label { "Set-up code" input name="code" autocomplete="off" autocapitalize="none" spellcheck="false" required; }
            input name="name" value="admin" autocomplete="username" hidden;
            (password("New password", "password"))
            (password("Once more", "again"))
            button { "Set it and log in" }
        }
    }
}

fn ago(date: &str, age_s: u64) -> Markup {
    html! { time datetime=(date) title=(date) { (spoken(age_s)) " ago" } }
}

fn spoken(seconds: u64) -> String {
    words::duration(Duration::from_secs(seconds))
}
