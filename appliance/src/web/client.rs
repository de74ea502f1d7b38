//! The way of the commands to the daemon: one HTTP request over the unix socket.

use core::time::Duration;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::api::{
    AllowRequest, BlockRequest, DisallowRequest, Done, Failed, LabelRequest, ModeRequest, ModelChange, NothingElse,
    OrderDone, PauseRequest, State, SubjectRequest,
};
use super::asked::LabelWord;
use super::deadline::{Deadline, read_some, write_all};
use super::explanation::{About, Explanation};
use crate::control::{ModelRequest, Order, Request};
use crate::policy::Subject;

/// Time for one question. The daemon itself gives up after 5 s.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Time for an order. The daemon itself gives up after 25 s.
const ORDER_TIMEOUT: Duration = Duration::from_secs(30);

/// The status of an answer that tells of a mistake in the configuration.
pub(super) const MISTAKE: u16 = 422;

/// Longest answer that is taken: many times the longest that is sent.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

const MAX_HEADERS: usize = 32;

/// Asks the daemon whose socket is at a path.
#[derive(Clone, Debug)]
pub struct Client {
    socket_path: PathBuf,
}

/// Why the daemon did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no daemon answers at {path}; start it with `sluice run`")]
    NoDaemon {
        /// Where.
        path: PathBuf,
    },
    /// The socket belongs to somebody else.
    #[error("no right to open {path}; run as root")]
    NotPermitted {
        /// Where.
        path: PathBuf,
    },
    /// The conversation broke off.
    #[error("the daemon at {path} broke off: {cause}; see its log")]
    BrokenOff {
        /// Where.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The answer makes no sense.
    #[error("what answers at {path} is not this version of Sluice ({what}); restart the daemon")]
    Malformed {
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The daemon said no, and why.
    #[error("{0}")]
    Refused(String),
    /// The configuration cannot be used: file, line, key, and remedy.
    #[error("{0}")]
    Mistake(String),
}

impl Client {
    /// For the daemon at that socket; nothing is opened yet.
    #[must_use]
    pub fn new(socket_path: &Path) -> Self {
        Self { socket_path: socket_path.to_owned() }
    }

    /// The state with alerts and blocks.
    ///
    /// # Errors
    /// No daemon answers.
    pub fn state(&self) -> Result<State, ClientError> {
        self.ask("GET", "/api/state", "", TIMEOUT)
    }

    /// An alert in words.
    ///
    /// # Errors
    /// No daemon answers, or there is no such alert.
    pub fn explain(&self, alert: u64) -> Result<Explanation, ClientError> {
        self.ask("GET", &format!("/api/alerts/{alert}"), "", TIMEOUT)
    }

    /// The last alerts about somebody in words, and what was done.
    ///
    /// # Errors
    /// No daemon answers, or it knows nothing of that one.
    pub fn explain_all_of(&self, subject: Subject) -> Result<About, ClientError> {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("of", &subject.to_string()).finish();
        self.ask("GET", &format!("/api/alerts?{query}"), "", TIMEOUT)
    }

    /// Asks for something, and waits until it is done.
    ///
    /// # Errors
    /// No daemon answers, or it refuses: the text says why.
    pub fn ask_for(&self, request: &Request) -> Result<Done, ClientError> {
        match request {
            Request::Block { subject, ttl, because } => {
                let (address, because) = (subject.to_string(), because.clone());
                self.post("/api/block", &BlockRequest { address, ttl_s: ttl.as_secs(), because })
            }
            Request::Unblock { subject } => self.post("/api/unblock", &SubjectRequest { address: subject.to_string() }),
            Request::Approve { subject } => self.post("/api/approve", &SubjectRequest { address: subject.to_string() }),
            Request::Allow { allowed, ttl } => {
                self.post("/api/allow", &AllowRequest { who: allowed.to_string(), ttl_s: ttl.map(|ttl| ttl.as_secs()) })
            }
            Request::Disallow { allowed } => self.post("/api/disallow", &DisallowRequest { who: allowed.to_string() }),
            Request::Label { alert, class } => {
                let label = LabelWord(*class).to_string();
                self.post("/api/label", &LabelRequest { alert: *alert, label })
            }
            Request::SetMode { class, mode } => {
                let class = class.map(|class| class.name().to_owned());
                self.post("/api/mode", &ModeRequest { mode: mode.name().to_owned(), class })
            }
            Request::Pause { ttl } => self.post("/api/pause", &PauseRequest { ttl_s: ttl.as_secs() }),
            Request::Resume => self.post("/api/resume", &NothingElse {}),
            Request::Acknowledge => self.post("/api/acknowledge", &NothingElse {}),
        }
    }

    /// Asks for something about models, and waits until it is done.
    ///
    /// # Errors
    /// As [`Self::ask_for`].
    pub fn change_models(&self, request: &ModelRequest) -> Result<Done, ClientError> {
        self.post("/api/model", &change(request))
    }

    /// Orders something of the daemon as a whole.
    ///
    /// # Errors
    /// No daemon answers, or it refuses: the text says why, and everything is as it was.
    pub fn order(&self, order: Order) -> Result<OrderDone, ClientError> {
        let path = match order {
            Order::Reload => "/api/reload",
            Order::Restart => "/api/restart",
        };
        self.ask("POST", path, "{}", ORDER_TIMEOUT)
    }

    fn post(&self, path: &str, body: &impl Serialize) -> Result<Done, ClientError> {
        let body = serde_json::to_string(body).map_err(|error| self.malformed(error.to_string()))?;
        self.ask("POST", path, &body, TIMEOUT)
    }

    fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &str,
        timeout: Duration,
    ) -> Result<T, ClientError> {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let answer = self.exchange(request.as_bytes(), timeout)?;
        let (status, body) = self.split(&answer)?;
        if (200..300).contains(&status) {
            return serde_json::from_slice(body).map_err(|error| self.malformed(error.to_string()));
        }
        Err(match serde_json::from_slice::<Failed>(body) {
            Ok(failed) if status == MISTAKE => ClientError::Mistake(failed.error),
            Ok(failed) => ClientError::Refused(failed.error),
            Err(_) => self.malformed(format!("status {status}: {}", String::from_utf8_lossy(body).trim())),
        })
    }

    fn exchange(&self, request: &[u8], timeout: Duration) -> Result<Vec<u8>, ClientError> {
        let deadline = Deadline::after(timeout);
        let mut socket = UnixStream::connect(&self.socket_path).map_err(|cause| self.not_connected(cause))?;
        let broken = |cause| ClientError::BrokenOff { path: self.socket_path.clone(), cause };
        write_all(&mut socket, request, deadline).map_err(broken)?;
        let (mut answer, mut chunk) = (Vec::new(), [0; 8192]);
        loop {
            let len = read_some(&mut socket, &mut chunk, deadline).map_err(broken)?;
            if len == 0 {
                return Ok(answer);
            }
            if answer.len() + len > MAX_ANSWER_BYTES {
                return Err(self.malformed("the answer has no end".to_owned()));
            }
            answer.extend_from_slice(chunk.get(..len).unwrap_or_default());
        }
    }

    /// Status and body; the body must be as long as was said, or the daemon died in the middle of it.
    fn split<'a>(&self, answer: &'a [u8]) -> Result<(u16, &'a [u8]), ClientError> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let head_len = match response.parse(answer) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) => return Err(self.malformed("the answer is cut short".to_owned())),
            Err(error) => return Err(self.malformed(error.to_string())),
        };
        let body = answer.get(head_len..).unwrap_or_default();
        let stated = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("Content-Length"));
        let stated = stated.and_then(|header| core::str::from_utf8(header.value).ok()?.parse::<usize>().ok());
        match (response.code, stated) {
            (Some(code), Some(len)) if len == body.len() => Ok((code, body)),
            _ => Err(self.malformed("the answer is cut short".to_owned())),
        }
    }

    fn not_connected(&self, cause: io::Error) -> ClientError {
        let path = self.socket_path.clone();
        match cause.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NoDaemon { path },
            io::ErrorKind::PermissionDenied => ClientError::NotPermitted { path },
            _ => ClientError::BrokenOff { path, cause },
        }
    }

    fn malformed(&self, what: String) -> ClientError {
        ClientError::Malformed { path: self.socket_path.clone(), what }
    }
}

fn change(request: &ModelRequest) -> ModelChange {
    let (action, model) = match request {
        ModelRequest::Load { path } => ("load", path.display().to_string()),
        ModelRequest::Shadow(id) => ("shadow", id.as_ref().map_or_else(|| String::from("off"), ToString::to_string)),
        ModelRequest::Pin(choice) => ("pin", choice.to_string()),
        ModelRequest::Rollback => ("rollback", String::new()),
        ModelRequest::Remove(id) => ("remove", id.to_string()),
    };
    ModelChange { action: action.to_owned(), model }
}
