//! The page of one alert: what it was decided from, and what was done, in the words of [`super::explanation`].

use maud::{DOCTYPE, Markup, html};

use super::explanation::Explanation;
use super::page;

/// `form_token` stands in each form.
pub(super) fn render(explanation: &Explanation, user: &str, form_token: &str) -> String {
    let number = explanation.alert.number;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head { (page::head_of(&format!("alert {number}"))) }
            body {
                header {
                    h1 { img src="/icon.svg" alt="" width="28" height="28"; a href="/" { "Sluice" } }
                    span class="who" { (user) }
                }
                main { (body(explanation, form_token)) }
                footer { a href={ "/api/alerts/" (number) } { "this as JSON" } }
            }
        }
    };
    page.into_string()
}

fn body(explanation: &Explanation, form_token: &str) -> Markup {
    html! {
        h2 { "Alert " (explanation.alert.number) }
        p class="because" { (explanation.sentence()) }
        @if !explanation.did.is_empty() { (list("What it did", &explanation.did)) }
        section {
            h2 { "What decided" }
            @for sentence in &explanation.decided { p class="because" { (sentence) } }
            ul { @for line in explanation.counted() { li { (line) } } }
            @if let Some(features) = &explanation.features {
                details {
                    summary { "All features" }
                    ul { @for (name, value) in features { li { code { (name) " " (value) } } } }
                }
            }
        }
        (list("What was done", &explanation.done))
        section {
            h2 { "What you can do" }
            @for block in &explanation.standing {
                p class="fine" { span class="address" { (block.whom()) } " · " (block.measure) }
                (page::block_buttons(block, form_token))
            }
            @if explanation.standing.iter().all(|block| block.address != explanation.offender) {
                p class="fine" { span class="address" { (explanation.offender) } }
                div class="buttons" { (page::allow_buttons(&explanation.offender, form_token)) }
            }
            @if let Some(labelled) = explanation.labelled() { p { (labelled) } }
            (page::label_buttons(&explanation.alert, form_token))
            details {
                summary { "The same as commands" }
                ul { @for remedy in &explanation.remedies { li { code { (remedy.command) } " " (remedy.effect) } } }
            }
        }
    }
}

fn list(title: &str, lines: &[String]) -> Markup {
    html! {
        section {
            h2 { (title) }
            ul { @for line in lines { li { (line) } } }
        }
    }
}
