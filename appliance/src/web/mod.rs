//! The page, its JSON, and the same for the commands on this box.
//!
//! Two ways lead in. The unix socket ([`socket`]) is private to the administrators of the box: `sluice status`, `block`
//! and `unblock` come this way through [`Client`], and need no log-in. The [`door`] faces the network, is wary of
//! everybody, and hands checked requests on to the socket with the peer's address in a header that only it can set.
//! Behind both, [`app`] answers: the page as HTML that works without JavaScript, and as JSON `/api/state`, an alert in words
//! (`/api/alerts/17`) and the last ones about somebody (`/api/alerts?of=203.0.113.9`).
//!
//! A stranger on the network sees whether the box is well, and no addresses; alerts, blocks and the button that ends one
//! need a log-in. There is no default password: whoever knows the set-up code of this start ([`set_up`]), or root by
//! `sluice passwd`, sets the first.

mod alert_page;
pub mod api;
mod app;
mod asked;
mod client;
mod deadline;
mod door;
pub mod explanation;
mod guard;
mod http;
mod model_state;
mod page;
mod sessions;
mod set_up;
mod socket;
mod words;

use core::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::control::{Handle, Library};
use crate::store::{Store, Writer};

pub use asked::{LabelWord, MAX_BECAUSE_CHARACTERS};
pub use client::{Client, ClientError};

/// Where the daemon listens for the commands.
pub const DEFAULT_SOCKET: &str = "/run/sluice/sluice.sock";

/// What the page needs to know.
#[derive(Clone, Debug)]
pub struct WebConfig {
    /// The unix socket; its directory is made where it is missing.
    pub socket_path: PathBuf,
    /// Names by which the page may be opened, besides addresses and `localhost`.
    pub host_names: Vec<String>,
}

/// The running page; it stops when dropped.
pub struct WebServer {
    // Dropped first: nobody new is let in while the server behind ends.
    door: Option<door::Door>,
    app: Arc<app::App>,
    _server: socket::Server,
    socket_path: PathBuf,
}

/// Begins to answer on the unix socket. The page is reachable from the network once [`WebServer::open_door`] was called.
///
/// # Errors
/// The socket cannot be made, or another daemon answers there.
pub fn serve(
    handle: Handle,
    library: Arc<Library>,
    store: Arc<Store>,
    writer: Arc<Writer>,
    config: WebConfig,
) -> Result<WebServer, WebError> {
    let app = Arc::new(app::App::new(handle, library, store, writer, config.host_names));
    let server = socket::Server::start(&config.socket_path, &app)?;
    // Once it answers, so that whoever reads this in the log finds it in the status too.
    app.announce_set_up();
    Ok(WebServer { door: None, app, _server: server, socket_path: config.socket_path })
}

impl WebServer {
    /// Opens the door at the address, in the place of one that was open before; returns where it listens. The address
    /// may not be there yet while the bridge comes up: then this fails, and may be tried again.
    ///
    /// # Errors
    /// The address cannot be listened at.
    pub fn open_door(&mut self, address: SocketAddr) -> Result<SocketAddr, WebError> {
        self.door = None;
        let door = door::Door::open(address, self.socket_path.clone(), door::Limits::default())
            .map_err(|cause| WebError::Listen { address, cause })?;
        Ok(self.door.insert(door).address())
    }

    /// Closes the door: the page can no longer be reached from the network.
    pub fn close_door(&mut self) {
        self.door = None;
    }

    /// Puts other names by which the page may be opened in the place of the last.
    pub fn set_host_names(&self, names: Vec<String>) {
        self.app.set_host_names(names);
    }

    /// Requests that the door refused so far: malformed, too large, too slow, or too many at once.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.door.as_ref().map_or(0, door::Door::refused)
    }
}

/// Why the page cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The socket's directory.
    #[error("cannot make the directory {path}: {cause}")]
    MakeDirectory {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// Two daemons would fight over the bridge.
    #[error("another daemon answers at {path}; stop it first")]
    AlreadyRunning {
        /// Where.
        path: PathBuf,
    },
    /// A file of something else stands in the way.
    #[error("{path} is there already and is no socket; move it away")]
    NotASocket {
        /// Which.
        path: PathBuf,
    },
    /// The socket itself.
    #[error("cannot listen at {path}: {cause}")]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The address on the network.
    #[error("cannot listen at {address}: {cause}; is it an address of the bridge, and is its port free?")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        cause: std::io::Error,
    },
    /// The threads that answer.
    #[error("cannot start the page's threads: {cause}")]
    Thread {
        /// Why.
        cause: std::io::Error,
    },
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod page_tests;
#[cfg(test)]
mod set_up_tests;
#[cfg(test)]
mod tests;
