//! `POST /api/block` and `POST /api/unblock`: JSON in, JSON out.

use core::net::IpAddr;
use core::time::Duration;

use ipnet::IpNet;
use serde::de::DeserializeOwned;
use traffic::time::Timestamp;

use super::{App, Visitor};
use crate::control::ControlError;
use crate::policy::{LONGEST_BLOCK, Offender};
use crate::web::api::{BlockRequest, Done, Failed, UnblockRequest};
use crate::web::http::{Answer, Incoming};
use crate::web::sessions::same_token;

/// Longest reason.
const MAX_BECAUSE_CHARACTERS: usize = 200;

/// A status and its reason in words.
type Problem = (u16, String);

impl App {
    pub(super) fn api_block(&self, request: &Incoming, now: Timestamp) -> Answer {
        answer_of(self.authorized(request, now).and_then(|actor| {
            let asked: BlockRequest = body_of(request)?;
            let because = asked.because.trim();
            if !(1..=LONGEST_BLOCK.as_secs()).contains(&asked.ttl_s) {
                return Err((400, format!("ttl_s must be from 1 to {} seconds", LONGEST_BLOCK.as_secs())));
            }
            if because.chars().count() > MAX_BECAUSE_CHARACTERS || because.chars().any(char::is_control) {
                return Err((400, format!("because must be one line of at most {MAX_BECAUSE_CHARACTERS} characters")));
            }
            let because = if because.is_empty() { "by hand" } else { because };
            let address = address_of(&asked.address)?;
            done(self.handle.block(address, Duration::from_secs(asked.ttl_s), because, &actor))
        }))
    }

    pub(super) fn api_unblock(&self, request: &Incoming, now: Timestamp) -> Answer {
        answer_of(self.authorized(request, now).and_then(|actor| {
            let asked: UnblockRequest = body_of(request)?;
            self.unblock(&asked.address, &actor)
        }))
    }

    pub(super) fn unblock(&self, address: &str, actor: &str) -> Result<Done, Problem> {
        done(self.handle.unblock(address_of(address)?, actor))
    }

    /// Who may change things by JSON. A browser that was lured here sends the cookie too, but neither the token nor, from
    /// another page, our own Origin; that one was compared with the Host before.
    fn authorized(&self, request: &Incoming, now: Timestamp) -> Result<String, Problem> {
        let visitor = self.visitor(request, now);
        match &visitor {
            Visitor::Stranger => Err((401, "log in first".to_owned())),
            Visitor::User(session) if request.origin.is_none() && !same_token(&session.form_token, &request.token) => {
                Err((403, "send the page's Origin, or its token in the header X-Sluice-Token".to_owned()))
            }
            Visitor::Local | Visitor::User(_) => Ok(visitor.actor().to_owned()),
        }
    }
}

fn body_of<T: DeserializeOwned>(request: &Incoming) -> Result<T, Problem> {
    // Forms of other pages cannot send this type.
    if !request.has_type("application/json") {
        return Err((415, "send Content-Type: application/json".to_owned()));
    }
    serde_json::from_slice(&request.body).map_err(|error| (400, format!("the body is not what is expected: {error}")))
}

/// An address, or a block's network as the page shows it.
fn address_of(text: &str) -> Result<IpAddr, Problem> {
    let text = text.trim();
    let network =
        || text.parse::<IpNet>().ok().map(|network| Offender::of(network.addr()).network() == network.trunc());
    match text.parse() {
        Ok(address) => Ok(address),
        Err(_) if network() == Some(true) => {
            text.split_once('/').and_then(|(address, _)| address.parse().ok()).ok_or_else(|| not_an_address(text))
        }
        Err(_) => Err(not_an_address(text)),
    }
}

fn not_an_address(text: &str) -> Problem {
    (400, format!("{text:?} is neither an IPv4 nor an IPv6 address; networks other than an IPv6 /64 are not blocked"))
}

fn done(outcome: Result<Offender, ControlError>) -> Result<Done, Problem> {
    match outcome {
        Ok(offender) => Ok(Done { address: offender.to_string() }),
        Err(error) => {
            let status = match &error {
                ControlError::NotBlocked { .. } => 404,
                ControlError::Protected { .. } | ControlError::Observing | ControlError::Full => 409,
                ControlError::Enforce(_) => 500,
                ControlError::Unavailable => 503,
            };
            Err((status, error.to_string()))
        }
    }
}

fn answer_of(outcome: Result<Done, Problem>) -> Answer {
    match outcome {
        Ok(done) => Answer::json(200, &done),
        Err((status, error)) => Answer::json(status, &Failed { error }),
    }
}
