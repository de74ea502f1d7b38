//! Setting the first password, with the set-up code that the box shows to its administrators.

use core::net::IpAddr;

use traffic::time::Timestamp;

use super::{App, plain_page};
use crate::store::{PasswordError, check_password_text};
use crate::web::http::{Answer, Caller, Incoming};
use crate::web::set_up::Typed;

/// Whose password it is.
const USER: &str = "admin";

impl App {
    pub(super) fn set_up(&self, request: &Incoming, now: Timestamp) -> Answer {
        // Whoever uses the socket has `sluice passwd`.
        let Caller::Network(peer) = request.caller else { return Answer::see("/") };
        if !request.has_type("application/x-www-form-urlencoded") {
            return plain_page(415, "Send the form of the page.");
        }
        let [code, password, again] = ["code", "password", "again"].map(|name| Incoming::field(&request.body, name));
        // What is wrong whatever the code is costs no try.
        if let Some(outcome) = refusal(&password, &again) {
            return Answer::see(outcome);
        }
        if !self.attempts().allow(peer, now) {
            return Answer::see("/?setup=wait");
        }
        if !self.set_up.is_open() {
            return Answer::see("/?setup=over");
        }
        match self.set_up.try_code(&code) {
            Typed::Right => self.set_first_password(request, peer, &password, now),
            Typed::Wrong => {
                self.record(now, &peer.to_string(), String::from("was refused a set-up code"));
                Answer::see("/?setup=refused")
            }
            Typed::Replaced => {
                self.record(now, &peer.to_string(), String::from("was refused a set-up code"));
                self.record(now, "sluice", String::from("made another set-up code: too many wrong ones were tried"));
                Answer::see("/?setup=replaced")
            }
        }
    }

    fn set_first_password(&self, request: &Incoming, peer: IpAddr, password: &str, now: Timestamp) -> Answer {
        match self.store.set_first_password(USER, password, now, &peer.to_string()) {
            Ok(true) => self.welcome(request, peer, USER, now),
            Ok(false) => Answer::see("/?setup=over"),
            Err(error) => {
                log::warn!("the first password stays unset: {error}");
                plain_page(503, "The password cannot be written; see the daemon's log.")
            }
        }
    }
}

/// Where somebody is sent whose password will not do.
fn refusal(password: &str, again: &str) -> Option<&'static str> {
    if password != again {
        return Some("/?setup=differ");
    }
    match check_password_text(password) {
        Ok(()) => None,
        Err(PasswordError::TooLong) => Some("/?setup=long"),
        Err(_) => Some("/?setup=short"),
    }
}

/// What the page says after a refused set-up; the query only chooses among these.
pub(super) fn notice(outcome: &str) -> Option<String> {
    let words = match outcome {
        "refused" => "That is not the set-up code.",
        "replaced" => "That is not the set-up code, and too many were wrong: the box has made another one.",
        "wait" => "Too many codes from your device. Wait a minute, then try again.",
        "differ" => "The two passwords are not the same.",
        "short" => return Some(PasswordError::TooShort.to_string()),
        "long" => return Some(PasswordError::TooLong.to_string()),
        "over" => "A password is set already: log in with it.",
        _ => return None,
    };
    Some(words.to_owned())
}
