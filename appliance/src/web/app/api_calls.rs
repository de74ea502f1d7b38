//! Requests to change something: `POST /api/block` and its like, JSON in, JSON out; and the forms of the page.

use traffic::features::ThreatClass;
use traffic::time::Timestamp;

use super::{App, COOKIE, Visitor, out_of_date};
use crate::control::{ControlError, ModelRequest, Order, OrderError, Reply, Request};
use crate::registry::RegistryError;
use crate::web::api::{Done, Failed, OrderDone};
use crate::web::asked::{self, Problem};
use crate::web::client::MISTAKE;
use crate::web::http::{Answer, Caller, Incoming};
use crate::web::sessions::{Notice, same_token};

impl App {
    /// `name` is one of [`asked::NAMES`].
    pub(super) fn api_call(&self, name: &str, request: &Incoming, now: Timestamp) -> Answer {
        let outcome = self.authorized(request, now).and_then(|actor| {
            let asked = asked::by_json(name, request)?;
            self.ask(&asked, &actor)
        });
        told(outcome)
    }

    /// What concerns models: their files are read and written here, because the control thread must not wait for a disk.
    pub(super) fn change_models(&self, request: &Incoming, now: Timestamp) -> Answer {
        let outcome = self.authorized(request, now).and_then(|actor| {
            let asked = asked::about_models(request)?;
            let names_a_file = matches!(asked, ModelRequest::Load { .. });
            if names_a_file && matches!(request.caller, Caller::Network(_)) {
                return Err((403, String::from("files are loaded on the box itself: `sluice model load FILE`")));
            }
            let address = done(self.library.carry_out(asked.clone(), &self.handle, &actor))?;
            Ok(Done { said: asked::said_of_models(&asked, &address), address })
        });
        told(outcome)
    }

    /// What concerns the daemon as a whole.
    pub(super) fn order(&self, order: Order, request: &Incoming, now: Timestamp) -> Answer {
        let outcome = self.authorized(request, now).and_then(|actor| {
            asked::is_json(request)?;
            self.handle.order(order, &actor).map_err(|error| (status_of(&error), error.to_string()))
        });
        match outcome {
            Ok(done) => {
                let owned = |keys: Vec<&str>| keys.into_iter().map(str::to_owned).collect();
                let (changed, at_next_start) = (owned(done.changed), owned(done.at_next_start));
                Answer::json(200, &OrderDone { changed, at_next_start, page_fault: done.page_fault })
            }
            Err((status, error)) => Answer::json(status, &Failed { error }),
        }
    }

    /// The same as [`Self::api_call`] by a form; what became of it is said on the page that follows.
    pub(super) fn form(&self, name: &str, request: &Incoming, now: Timestamp) -> Answer {
        let visitor = self.visitor(request, now);
        if matches!(visitor, Visitor::Stranger) {
            // Whoever has the form was logged in; a restart ends all log-ins.
            return Answer::see("/?login=ended");
        }
        if !visitor.proves_form(&Incoming::field(&request.body, "token")) {
            return out_of_date();
        }
        let outcome = asked::by_form(name, request)
            .and_then(|asked| self.ask(&asked, visitor.actor()).map(|done| self.notice(&asked, done.said, now)));
        if let Some(session) = self.sessions().find(request.cookie_value(COOKIE).unwrap_or_default(), now) {
            session.notice = Some(outcome.unwrap_or_else(|(_, why)| Notice { words: why, blocked: None }));
        }
        Answer::see("/")
    }

    /// What is said when a form has done its work. Who says that an alert was wrong may not know that a block stands all the same.
    fn notice(&self, asked: &Request, words: String, now: Timestamp) -> Notice {
        let Request::Label { alert, class: Some(ThreatClass::Benign) } = asked else {
            return Notice { words, blocked: None };
        };
        match self.still_blocked(*alert, now) {
            Some(subject) => Notice {
                words: format!("{words} {subject} is still blocked: a label changes no block."),
                blocked: Some(subject),
            },
            None => Notice { words, blocked: None },
        }
    }

    fn ask(&self, asked: &Request, actor: &str) -> Result<Done, Problem> {
        // The control thread has no way to look an alert up, and must not wait for the disk.
        if let Request::Label { alert, .. } = asked {
            self.check_written(*alert)?;
        }
        let before = self.handle.snapshot();
        let address = done(self.handle.ask(asked.clone(), actor))?;
        let said = asked::said(asked, &address, &before, &self.handle.snapshot());
        Ok(Done { address, said })
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

fn told(outcome: Result<Done, Problem>) -> Answer {
    match outcome {
        Ok(done) => Answer::json(200, &done),
        Err((status, error)) => Answer::json(status, &Failed { error }),
    }
}

const fn status_of(error: &OrderError) -> u16 {
    match error {
        OrderError::Mistake(_) => MISTAKE,
        OrderError::Program(_) => 409,
        OrderError::Unavailable | OrderError::Unconfirmed => 503,
    }
}

fn done(outcome: Reply) -> Result<String, Problem> {
    outcome.map_err(|error| {
        let status = match &error {
            ControlError::NotBlocked { .. } | ControlError::NotProposed { .. } | ControlError::NotAllowed { .. } => 404,
            ControlError::Protected { .. }
            | ControlError::Observing
            | ControlError::NotPaused
            | ControlError::Full
            | ControlError::TooManyAllowances => 409,
            ControlError::Model(RegistryError::Unknown { .. } | RegistryError::NothingBefore) => 404,
            ControlError::Model(RegistryError::Write { .. }) => 500,
            ControlError::Model(RegistryError::Busy) => 503,
            ControlError::Model(_) => 409,
            ControlError::Enforce(_) => 500,
            ControlError::Unavailable => 503,
        };
        (status, error.to_string())
    })
}
