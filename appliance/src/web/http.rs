//! Requests and answers as the page's code sees them: plain values, apart from any socket.

use core::net::IpAddr;

/// Who asks, as far as the way of the request tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// Somebody who may open the unix socket: an administrator of this box.
    Local,
    /// Somebody on the network, through the door.
    Network(IpAddr),
}

/// What is done to a path. HEAD is a GET whose body the server leaves away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
}

/// A request that has arrived whole.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    pub(super) caller: Caller,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) host: String,
    pub(super) origin: Option<String>,
    pub(super) cookie: String,
    pub(super) content_type: String,
    /// The header `X-Sluice-Token`.
    pub(super) token: String,
    pub(super) body: Vec<u8>,
}

impl Incoming {
    /// A field of a form that was posted, or of the query; empty where it is missing.
    pub(super) fn field(encoded: &[u8], name: &str) -> String {
        form_urlencoded::parse(encoded)
            .find(|(key, _)| key == name)
            .map_or_else(String::new, |(_, value)| value.into_owned())
    }

    /// Whether the body is of that type, whatever its parameters.
    pub(super) fn has_type(&self, wanted: &str) -> bool {
        let stated = self.content_type.split(';').next().unwrap_or_default();
        stated.trim().eq_ignore_ascii_case(wanted)
    }

    /// The value of a cookie.
    pub(super) fn cookie_value(&self, name: &str) -> Option<&str> {
        self.cookie.split(';').find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
    }
}

/// An answer to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

/// Nothing from elsewhere, nothing inline, nowhere framed.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
     img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

impl Answer {
    fn new(status: u16, content_type: &str, cache: &str, body: String) -> Self {
        let headers = vec![
            ("Content-Type", content_type.to_owned()),
            ("Cache-Control", cache.to_owned()),
            ("Content-Security-Policy", CONTENT_SECURITY_POLICY.to_owned()),
            ("X-Content-Type-Options", "nosniff".to_owned()),
            ("X-Frame-Options", "DENY".to_owned()),
            // Not "no-referrer": with that, browsers send our own forms with the Origin "null".
            ("Referrer-Policy", "same-origin".to_owned()),
            ("Cross-Origin-Resource-Policy", "same-origin".to_owned()),
        ];
        Self { status, headers, body }
    }

    pub(super) fn html(body: String) -> Self {
        Self::new(200, "text/html; charset=utf-8", "no-store", body)
    }

    /// A file that is part of the program.
    pub(super) fn file(content_type: &str, body: &str) -> Self {
        Self::new(200, content_type, "max-age=300", body.to_owned())
    }

    pub(super) fn text(status: u16, line: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", "no-store", format!("{line}\n"))
    }

    pub(super) fn json(status: u16, value: &impl serde::Serialize) -> Self {
        match serde_json::to_string(value) {
            Ok(body) => Self::new(status, "application/json", "no-store", body),
            Err(error) => Self::text(500, &format!("cannot write the answer: {error}")),
        }
    }

    /// Back to the page, by GET.
    pub(super) fn see(location: &str) -> Self {
        Self::text(303, "See the page.").with("Location", location.to_owned())
    }

    pub(super) fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}
