//! What the page answers: from a whole request, the time, and who asks, to an answer. No socket in sight.

mod api_calls;
mod explain;
mod log_in;
mod set_up;

use core::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use traffic::time::Timestamp;

use super::api::{OBSERVED_LISTED, OBSERVED_SHOWN, ObservedRow, State};
use super::asked;
use super::guard;
use super::http::{Answer, Caller, Incoming, Method};
use super::page::{self, Entry, Reader};
use super::sessions::{Attempts, IDLE, Session, Sessions, same_token};
use super::set_up::SetUp;
use crate::control::{Handle, Library, Order, Snapshot};
use crate::store::{Event, Store, Writer};

const COOKIE: &str = "sluice_session";

/// How the audit log names whoever uses the unix socket.
const LOCAL: &str = "local";

/// Everything that answers need.
pub(super) struct App {
    handle: Handle,
    library: Arc<Library>,
    store: Arc<Store>,
    writer: Arc<Writer>,
    host_names: Mutex<Vec<String>>,
    sessions: Mutex<Sessions>,
    attempts: Mutex<Attempts>,
    set_up: SetUp,
}

/// Who asks, once the session is known.
enum Visitor {
    /// On the unix socket: an administrator of the box.
    Local,
    /// Logged in.
    User(Session),
    /// Anybody else on the network.
    Stranger,
}

impl Visitor {
    const fn is_administrator(&self) -> bool {
        matches!(self, Self::Local | Self::User(_))
    }

    /// Whether a form came from our page. On the socket there is no session; there the Origin was checked, if one was
    /// sent at all.
    fn proves_form(&self, token: &str) -> bool {
        match self {
            Self::Local => true,
            Self::User(session) => same_token(&session.form_token, token),
            Self::Stranger => false,
        }
    }

    fn actor(&self) -> &str {
        match self {
            Self::Local | Self::Stranger => LOCAL,
            Self::User(session) => &session.user,
        }
    }
}

/// By which way something is asked for, and its name; or the number of an alert that is to be explained.
enum Way<'a> {
    Api(&'static str),
    Form(&'static str),
    Models,
    Order(Order),
    Alert(&'a str),
    AlertPage(&'a str),
}

/// What is asked for at a path. Blocks are made, models chosen, and orders given, by JSON only.
fn asked_for(path: &str) -> Option<Way<'_>> {
    let named = |name: &str| asked::NAMES.into_iter().find(|known| *known == name);
    let path = path.strip_prefix('/')?;
    match path.strip_prefix("api/") {
        Some("model") => Some(Way::Models),
        Some("reload") => Some(Way::Order(Order::Reload)),
        Some("restart") => Some(Way::Order(Order::Restart)),
        Some(name) => name.strip_prefix("alerts/").map(Way::Alert).or_else(|| named(name).map(Way::Api)),
        None => {
            let form = || named(path).filter(|name| *name != asked::WITHOUT_FORM).map(Way::Form);
            path.strip_prefix("alerts/").map(Way::AlertPage).or_else(form)
        }
    }
}

/// What a person is told in the place of the page, with the way back to it.
fn plain_page(status: u16, line: &str) -> Answer {
    Answer { status, ..Answer::html(page::told(line)) }
}

/// The form of a page that was there before, or of somebody else's.
fn out_of_date() -> Answer {
    plain_page(403, "This form is out of date, or came from elsewhere.")
}

fn only_get() -> Answer {
    Answer::text(405, "Only GET is answered here.").with("Allow", "GET, HEAD".to_owned())
}

impl App {
    pub(super) fn new(
        handle: Handle,
        library: Arc<Library>,
        store: Arc<Store>,
        writer: Arc<Writer>,
        host_names: Vec<String>,
    ) -> Self {
        Self {
            handle,
            library,
            set_up: SetUp::new(Arc::clone(&store)),
            store,
            writer,
            host_names: Mutex::new(host_names),
            sessions: Mutex::default(),
            attempts: Mutex::default(),
        }
    }

    /// Says the set-up code in the log, where there is no password yet.
    pub(super) fn announce_set_up(&self) {
        let _ = self.set_up.code();
    }

    /// Puts other names of the page in the place of the last.
    pub(super) fn set_host_names(&self, names: Vec<String>) {
        *self.host_names() = names;
    }

    fn host_names(&self) -> MutexGuard<'_, Vec<String>> {
        self.host_names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn answer(&self, request: &Incoming, now: Timestamp) -> Answer {
        if !guard::is_own_host(&request.host, &self.host_names(), &guard::machine_name()) {
            let line = "Open this page by the box's address, or add its name to host_names in sluice.toml.";
            return Answer::text(421, line);
        }
        if request.origin.as_deref().is_some_and(|origin| !guard::is_same_origin(origin, &request.host)) {
            return Answer::text(403, "Another page sent this; nothing was done.");
        }
        match request.method {
            Method::Get => self.get(request, now),
            Method::Post => self.post(request, now),
        }
    }

    fn get(&self, request: &Incoming, now: Timestamp) -> Answer {
        match request.path.as_str() {
            "/" => self.page(request, now),
            "/api/state" => Answer::json(200, &self.state(&self.visitor(request, now), now)),
            "/style.css" => Answer::file("text/css; charset=utf-8", page::STYLE),
            "/live.js" => Answer::file("text/javascript; charset=utf-8", page::SCRIPT),
            "/icon.svg" => Answer::file("image/svg+xml", page::ICON),
            "/api/alerts" => self.explain_all_of(request, now),
            "/login" | "/logout" | "/setup" => Answer::see("/"),
            other => match asked_for(other) {
                Some(Way::AlertPage(number)) => self.alert_page(number, request, now),
                Some(Way::Alert(number)) => self.explain(number, request, now),
                Some(Way::Form(_)) => Answer::see("/"),
                Some(Way::Api(_) | Way::Models | Way::Order(_)) => {
                    Answer::text(405, "Only POST is answered here.").with("Allow", "POST".to_owned())
                }
                None => plain_page(404, "There is nothing here."),
            },
        }
    }

    fn post(&self, request: &Incoming, now: Timestamp) -> Answer {
        match request.path.as_str() {
            "/login" => self.log_in(request, now),
            "/logout" => self.log_out(request, now),
            "/setup" => self.set_up(request, now),
            "/" | "/api/state" | "/api/alerts" | "/style.css" | "/live.js" | "/icon.svg" => only_get(),
            other => match asked_for(other) {
                Some(Way::AlertPage(_) | Way::Alert(_)) => only_get(),
                Some(Way::Form(name)) => self.form(name, request, now),
                Some(Way::Api(name)) => self.api_call(name, request, now),
                Some(Way::Models) => self.change_models(request, now),
                Some(Way::Order(order)) => self.order(order, request, now),
                None => plain_page(404, "There is nothing here."),
            },
        }
    }

    fn state(&self, visitor: &Visitor, now: Timestamp) -> State {
        let snapshot = self.handle.snapshot();
        let mut state = State::of(&snapshot, now, visitor.is_administrator());
        if let Some(events) = &mut state.events {
            events.setup_code = self.set_up.code();
            events.observed = self.observed(&snapshot, now);
        }
        state
    }

    /// Who would have been blocked of late.
    fn observed(&self, snapshot: &Snapshot, now: Timestamp) -> Vec<ObservedRow> {
        match self.store.observed(now.minus(OBSERVED_SHOWN), OBSERVED_LISTED) {
            Ok(observed) => observed.iter().map(|block| ObservedRow::of(block, snapshot, now)).collect(),
            Err(error) => {
                log::warn!("{error}");
                Vec::new()
            }
        }
    }

    fn page(&self, request: &Incoming, now: Timestamp) -> Answer {
        let visitor = self.visitor(request, now);
        let state = self.state(&visitor, now);
        match &visitor {
            Visitor::Local => {
                let reader = Reader::Administrator { name: LOCAL, form_token: "", notice: None };
                Answer::html(page::render(&state, &reader))
            }
            Visitor::User(session) => {
                let cookie = request.cookie_value(COOKIE).unwrap_or_default();
                let notice = self.sessions().find(cookie, now).and_then(|session| session.notice.take());
                let (name, form_token) = (session.user.as_str(), session.form_token.as_str());
                let reader = Reader::Administrator { name, form_token, notice: notice.as_ref() };
                // The cookie's time begins anew with each page, as the session's does.
                log_in::with_cookie(Answer::html(page::render(&state, &reader)), cookie)
            }
            Visitor::Stranger => {
                let said = |form: &str| Incoming::field(request.query.as_bytes(), form);
                let (entry, notice) = if self.set_up.is_open() {
                    (Entry::SetUp, set_up::notice(&said("setup")))
                } else {
                    (Entry::LogIn, log_in::notice(&said("login")).or_else(|| set_up::notice(&said("setup"))))
                };
                Answer::html(page::render(&state, &Reader::Stranger { entry, notice: notice.as_deref() }))
            }
        }
    }

    /// Who asks. A session whose password was changed since, or whose user is gone, has ended.
    fn visitor(&self, request: &Incoming, now: Timestamp) -> Visitor {
        let Caller::Network(peer) = request.caller else { return Visitor::Local };
        let cookie = request.cookie_value(COOKIE).unwrap_or_default();
        let Some(session) = self.sessions().find(cookie, now).map(|session| session.clone()) else {
            return Visitor::Stranger;
        };
        match self.store.password_changed(&session.user) {
            Ok(changed) if changed == Some(session.password_changed) => {
                self.handle.managers.seen(peer, now.plus(IDLE));
                Visitor::User(session)
            }
            Ok(_) => {
                self.end_session(cookie, peer);
                Visitor::Stranger
            }
            Err(error) => {
                log::warn!("cannot check a session: {error}");
                Visitor::Stranger
            }
        }
    }

    fn end_session(&self, cookie: &str, peer: IpAddr) {
        self.sessions().end(cookie);
        self.handle.managers.gone(peer);
    }

    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, time: Timestamp, actor: &str, what: String) {
        let event = Event::Audit { time, actor: actor.to_owned(), what };
        if let Err(error) = self.writer.send(event) {
            log::warn!("an audit row is missing: {error}");
        }
    }
}

#[cfg(test)]
mod tests;
