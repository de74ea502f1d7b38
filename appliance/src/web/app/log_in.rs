//! Logging in and out.

use core::net::IpAddr;

use traffic::time::Timestamp;

use super::{App, COOKIE, Visitor, out_of_date, plain_page};
use crate::web::http::{Answer, Caller, Incoming};
use crate::web::sessions::IDLE;

/// Longest part of a refused name that the audit log keeps.
const NAME_KEPT_CHARACTERS: usize = 32;

impl App {
    pub(super) fn log_in(&self, request: &Incoming, now: Timestamp) -> Answer {
        // Whoever uses the socket is an administrator already.
        let Caller::Network(peer) = request.caller else { return Answer::see("/") };
        if !request.has_type("application/x-www-form-urlencoded") {
            return plain_page(415, "Send the form of the page.");
        }
        if !self.attempts().allow(peer, now) {
            return Answer::see("/?login=wait");
        }
        let name = Incoming::field(&request.body, "name");
        let password = Incoming::field(&request.body, "password");
        match self.store.check_password(&name, &password) {
            Ok(true) => self.welcome(request, peer, &name, now),
            Ok(false) => {
                let kept: String = name.chars().take(NAME_KEPT_CHARACTERS).collect();
                // Quoted and escaped: the name is whatever a stranger likes to write.
                self.record(now, &peer.to_string(), format!("was refused a log-in as {kept:?}"));
                Answer::see("/?login=refused")
            }
            Err(error) => {
                log::warn!("cannot check a password: {error}");
                plain_page(503, "The users cannot be read; see the daemon's log.")
            }
        }
    }

    pub(super) fn welcome(&self, request: &Incoming, peer: IpAddr, name: &str, now: Timestamp) -> Answer {
        let Ok(Some(changed)) = self.store.password_changed(name) else {
            return plain_page(503, "The users cannot be read; see the daemon's log.");
        };
        self.attempts().forget(peer);
        let mut sessions = self.sessions();
        // A new session replaces the browser's old one, or that would live on unseen.
        sessions.end(request.cookie_value(COOKIE).unwrap_or_default());
        match sessions.begin(name, changed, now) {
            Ok(cookie) => {
                self.record(now, name, format!("logged in from {peer}"));
                with_cookie(Answer::see("/"), &cookie)
            }
            Err(error) => plain_page(503, &format!("The system gives no random numbers: {error}")),
        }
    }

    pub(super) fn log_out(&self, request: &Incoming, now: Timestamp) -> Answer {
        let visitor = self.visitor(request, now);
        if let (Visitor::User(session), Caller::Network(peer)) = (&visitor, request.caller) {
            if !visitor.proves_form(&Incoming::field(&request.body, "token")) {
                return out_of_date();
            }
            self.end_session(request.cookie_value(COOKIE).unwrap_or_default(), peer);
            self.record(now, &session.user, "logged out".to_owned());
        }
        Answer::see("/").with("Set-Cookie", format!("{COOKIE}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0"))
    }
}

/// Not `Secure`: the page speaks plain HTTP inside the house.
pub(super) fn with_cookie(answer: Answer, value: &str) -> Answer {
    let age = IDLE.as_secs();
    answer.with("Set-Cookie", format!("{COOKIE}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={age}"))
}

/// What the page says after a refused log-in; the query only chooses among these.
pub(super) fn notice(outcome: &str) -> Option<String> {
    let words = match outcome {
        "ended" => "Your log-in has ended, and nothing was done. Log in again.",
        "refused" => "That name and password do not belong together.",
        "wait" => "Too many log-ins from your device. Wait a minute, then try again.",
        _ => return None,
    };
    Some(words.to_owned())
}
