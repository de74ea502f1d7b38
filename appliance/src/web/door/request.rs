//! What the door lets through: one plain request, rebuilt from its checked parts.
//!
//! Nothing of the client's head is passed on as it came. The door and the server behind it therefore cannot understand
//! the same bytes differently, which is what request smuggling lives on.

use core::fmt::Write as _;
use core::net::IpAddr;

/// Longest request line and headers together.
pub(crate) const MAX_HEAD_BYTES: usize = 8 * 1024;

/// Most header lines.
const MAX_HEADERS: usize = 64;

/// Longest body.
pub(crate) const MAX_BODY_BYTES: usize = 64 * 1024;

/// The header that carries the peer's address to the server behind; a client's own is never passed on.
pub(crate) const PEER_HEADER: &str = "X-Sluice-Peer";

/// The headers that are passed on, all that the server behind looks at. Each may stand once.
const PASSED_ON: [&str; 6] = ["Host", "Cookie", "Origin", "Content-Type", "Accept", "X-Sluice-Token"];

/// A checked head.
#[derive(Debug)]
pub(super) struct Head {
    /// The head to send on, with its empty line.
    pub(super) rebuilt: String,
    /// How many of the received bytes were the head.
    pub(super) len_bytes: usize,
    /// How many bytes of body follow; what comes after these is never read.
    pub(super) body_len_bytes: usize,
}

/// Why a request is not let through. The text is the answer to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("This is not an HTTP request.")]
    Malformed,
    #[error("The address asked for must begin with a slash.")]
    Target,
    #[error("Exactly one Host header is needed.")]
    Host,
    #[error("A header stands twice, or holds characters that are not plain text.")]
    Header,
    #[error("The Content-Length makes no sense.")]
    Length,
    #[error("A POST needs a Content-Length.")]
    LengthNeeded,
    #[error("The body is larger than 64 KiB.")]
    BodyTooLarge,
    #[error("The headers are larger than 8 KiB, or more than 64.")]
    HeadTooLarge,
    #[error("Only GET, HEAD and POST are answered.")]
    Method,
    #[error("Transfer-Encoding is not supported; send a Content-Length.")]
    TransferEncoding,
    #[error("Only HTTP/1.0 and HTTP/1.1 are spoken here.")]
    Version,
    #[error("The request took too long to arrive.")]
    TooSlow,
    #[error("The page is busy; try again in a moment.")]
    Busy,
    #[error("The page does not answer; see the daemon's log.")]
    Unavailable,
}

impl Refusal {
    /// The status line's number and words.
    pub(super) const fn status(self) -> &'static str {
        match self {
            Self::Malformed | Self::Target | Self::Host | Self::Header | Self::Length => "400 Bad Request",
            Self::Method => "405 Method Not Allowed",
            Self::TooSlow => "408 Request Timeout",
            Self::LengthNeeded => "411 Length Required",
            Self::BodyTooLarge => "413 Content Too Large",
            Self::HeadTooLarge => "431 Request Header Fields Too Large",
            Self::TransferEncoding => "501 Not Implemented",
            Self::Unavailable => "502 Bad Gateway",
            Self::Busy => "503 Service Unavailable",
            Self::Version => "505 HTTP Version Not Supported",
        }
    }
}

/// Checks what has arrived so far; `None` while the head is not whole yet.
pub(super) fn parse(received: &[u8], peer: IpAddr) -> Result<Option<Head>, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let len_bytes = match request.parse(received) {
        Ok(httparse::Status::Complete(len)) if len <= MAX_HEAD_BYTES => len,
        Ok(httparse::Status::Partial) if received.len() < MAX_HEAD_BYTES => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(Refusal::HeadTooLarge),
        Err(httparse::Error::Version) => return Err(Refusal::Version),
        Err(_) => return Err(Refusal::Malformed),
    };
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Err(Refusal::Malformed);
    };
    if !matches!(method, "GET" | "HEAD" | "POST") {
        return Err(Refusal::Method);
    }
    if !target.starts_with('/') || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Refusal::Target);
    }
    let body_len_bytes = body_len(method, request.headers)?;
    let mut rebuilt = format!("{method} {target} HTTP/1.{version}\r\n");
    pass_on(request.headers, &mut rebuilt)?;
    // Writing to a String cannot fail.
    let _ = write!(rebuilt, "{PEER_HEADER}: {peer}\r\nContent-Length: {body_len_bytes}\r\nConnection: close\r\n\r\n");
    Ok(Some(Head { rebuilt, len_bytes, body_len_bytes }))
}

fn pass_on(headers: &[httparse::Header<'_>], rebuilt: &mut String) -> Result<(), Refusal> {
    for name in PASSED_ON {
        match (only(headers, name), name) {
            (Ok(Some(value)), _) => {
                let text = plain_text(value).ok_or(Refusal::Header)?;
                let _ = write!(rebuilt, "{name}: {text}\r\n");
            }
            (Ok(None), "Host") | (Err(Twice), "Host") => return Err(Refusal::Host),
            (Ok(None), _) => {}
            (Err(Twice), _) => return Err(Refusal::Header),
        }
    }
    Ok(())
}

fn body_len(method: &str, headers: &[httparse::Header<'_>]) -> Result<usize, Refusal> {
    if !matches!(only(headers, "Transfer-Encoding"), Ok(None)) {
        return Err(Refusal::TransferEncoding);
    }
    let Some(value) = only(headers, "Content-Length").map_err(|Twice| Refusal::Length)? else {
        return if method == "POST" { Err(Refusal::LengthNeeded) } else { Ok(0) };
    };
    // Digits only: a number's parser would also take "+5".
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::Length);
    }
    let len = plain_text(value).and_then(|text| text.parse().ok()).unwrap_or(usize::MAX);
    match method {
        _ if len > MAX_BODY_BYTES => Err(Refusal::BodyTooLarge),
        "POST" => Ok(len),
        _ if len == 0 => Ok(0),
        _ => Err(Refusal::Length),
    }
}

/// A header stands more than once.
struct Twice;

/// The value of a header that may stand once at most.
fn only<'a>(headers: &[httparse::Header<'a>], name: &str) -> Result<Option<&'a [u8]>, Twice> {
    let mut values = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value);
    let value = values.next();
    if values.next().is_some() { Err(Twice) } else { Ok(value) }
}

fn plain_text(value: &[u8]) -> Option<&str> {
    let plain = value.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    if plain { core::str::from_utf8(value).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(request: &str) -> Result<Option<Head>, Refusal> {
        parse(request.as_bytes(), "192.0.2.1".parse().unwrap())
    }

    fn refusal(request: &str) -> Refusal {
        check(request).expect_err(request)
    }

    #[test]
    fn a_plain_request_is_rebuilt_with_the_peer_and_nothing_else() {
        let request = "POST /login?x=1 HTTP/1.1\r\nhost: box\r\nUser-Agent: x\r\nX-Sluice-Peer: 6.6.6.6\r\nx-sluice-peer: 7.7.7.7\r\n\
                       Connection: keep-alive\r\nUpgrade: h2c\r\nExpect: 100-continue\r\ncontent-length: 5\r\n\r\na=bcdGET / HTTP/1.1";
        let head = check(request).unwrap().unwrap();
        assert_eq!(
            head.rebuilt,
            "POST /login?x=1 HTTP/1.1\r\nHost: box\r\nX-Sluice-Peer: 192.0.2.1\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(head.body_len_bytes, 5);
        assert!(request[head.len_bytes..].starts_with("a=bcd"));
    }

    #[test]
    fn a_head_that_is_not_whole_is_waited_for() {
        let whole = "GET / HTTP/1.1\r\nHost: box\r\nCookie: a=b\r\n\r\n";
        for end in 0..whole.len() {
            assert!(check(&whole[..end]).unwrap().is_none(), "{end}");
        }
        assert!(check(whole).unwrap().is_some());
    }

    #[test]
    fn each_kind_of_malformed_request_is_refused() {
        let with = |header: &str| refusal(&format!("POST / HTTP/1.1\r\nHost: box\r\n{header}\r\n\r\n"));
        assert_eq!(refusal("\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03"), Refusal::Malformed);
        assert_eq!(refusal("GET / HTTP/1.1\r\n Host: box\r\n\r\n"), Refusal::Malformed);
        assert_eq!(refusal("GET / HTTP/1.1\r\nHost : box\r\n\r\n"), Refusal::Malformed);
        assert_eq!(refusal("GET / HTTP/1.1\r\nHost: box\r\nA: b\r\n folded\r\n\r\n"), Refusal::Malformed);
        assert_eq!(refusal("GET / HTTP/1.1\r\nHost: bo\0x\r\n\r\n"), Refusal::Malformed);
        assert_eq!(refusal("GET / HTTP/2.0\r\nHost: box\r\n\r\n"), Refusal::Version);
        assert_eq!(refusal("GET http://box/ HTTP/1.1\r\nHost: box\r\n\r\n"), Refusal::Target);
        assert_eq!(refusal("GET * HTTP/1.1\r\nHost: box\r\n\r\n"), Refusal::Target);
        assert_eq!(refusal("GET / HTTP/1.1\r\n\r\n"), Refusal::Host);
        assert_eq!(refusal("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n"), Refusal::Host);
        assert_eq!(with("Cookie: a\r\nCookie: b\r\nContent-Length: 0"), Refusal::Header);
        assert_eq!(with("Cookie: \u{e4}\r\nContent-Length: 0"), Refusal::Header);
        assert_eq!(with("Cookie: a\tb\r\nContent-Length: 0"), Refusal::Header);
        for method in ["PUT", "DELETE", "CONNECT", "TRACE", "OPTIONS", "get"] {
            assert_eq!(refusal(&format!("{method} / HTTP/1.1\r\nHost: box\r\n\r\n")), Refusal::Method, "{method}");
        }
    }

    #[test]
    fn lengths_that_two_programs_could_read_differently_are_refused() {
        let with = |header: &str| refusal(&format!("POST / HTTP/1.1\r\nHost: box\r\n{header}\r\n\r\n"));
        for length in ["-1", "+5", "5 5", "5,5", "0x5", "", "٥", "5;a"] {
            assert_eq!(with(&format!("Content-Length: {length}")), Refusal::Length, "{length:?}");
        }
        assert_eq!(with("Content-Length: 5\r\nContent-Length: 5"), Refusal::Length);
        assert_eq!(with("Content-Length: 5\r\nContent-length: 6"), Refusal::Length);
        assert_eq!(with("X: y"), Refusal::LengthNeeded);
        assert_eq!(with("Content-Length: 65537"), Refusal::BodyTooLarge);
        assert_eq!(with("Content-Length: 99999999999999999999999999"), Refusal::BodyTooLarge);
        assert_eq!(refusal("GET / HTTP/1.1\r\nHost: box\r\nContent-Length: 5\r\n\r\n"), Refusal::Length);
        for encoding in ["chunked", "Chunked", "identity", "gzip, chunked", "\x0bchunked"] {
            let expected = if encoding.starts_with('\x0b') { Refusal::Malformed } else { Refusal::TransferEncoding };
            assert_eq!(with(&format!("Transfer-Encoding: {encoding}\r\nContent-Length: 5")), expected, "{encoding:?}");
            assert_eq!(with(&format!("Content-Length: 5\r\ntransfer-encoding: {encoding}")), expected, "{encoding:?}");
        }
        assert_eq!(with("Transfer-Encoding: a\r\nTransfer-Encoding: b"), Refusal::TransferEncoding);
    }

    #[test]
    fn heads_that_are_too_large_are_refused_before_they_end() {
        let lines = |count: usize| (0..count).map(|number| format!("A{number}: b\r\n")).collect::<String>();
        assert_eq!(refusal(&format!("GET / HTTP/1.1\r\nHost: box\r\n{}", lines(65))), Refusal::HeadTooLarge);
        assert!(check(&format!("GET / HTTP/1.1\r\nHost: box\r\n{}\r\n", lines(63))).unwrap().is_some());
        assert_eq!(refusal(&format!("GET /{}", "a".repeat(MAX_HEAD_BYTES))), Refusal::HeadTooLarge);
        let whole = format!("GET / HTTP/1.1\r\nHost: box\r\nA: {}\r\n\r\n", "a".repeat(MAX_HEAD_BYTES));
        assert_eq!(refusal(&whole), Refusal::HeadTooLarge);
    }

    /// Lines that requests and attacks are made of, and anything else.
    fn any_request() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![
            Just(b"GET / HTTP/1.1\r\n".to_vec()),
            Just(b"POST /login HTTP/1.0\n".to_vec()),
            Just(b"Host: box\r\n".to_vec()),
            Just(b"Content-Length: 3\r\n".to_vec()),
            Just(b"content-length:3\r\n".to_vec()),
            Just(b"Content-Length : 3\r\n".to_vec()),
            Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
            Just(b"X-Sluice-Peer: 6.6.6.6\r\n".to_vec()),
            Just(b"Cookie: a=b\r\n".to_vec()),
            Just(b"Origin: x\rHost: y\r\n".to_vec()),
            Just(b"Accept: a\n folded\r\n".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"\n".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..12),
        ];
        proptest::collection::vec(line, 0..8).prop_map(|lines| lines.concat())
    }

    proptest! {
        /// Whatever comes, what is handed on is one request that can be read in one way only, with our word on the peer.
        #[test]
        fn what_is_handed_on_has_one_meaning(tail in any_request(), plain in any::<bool>()) {
            let mut request = if plain { b"POST / HTTP/1.1\r\nHost: box\r\n".to_vec() } else { Vec::new() };
            request.extend(tail);
            let Ok(Some(head)) = parse(&request, "192.0.2.1".parse().unwrap()) else { return Ok(()) };
            prop_assert!(head.len_bytes <= request.len());
            let text = head.rebuilt.strip_suffix("\r\n\r\n").unwrap();
            prop_assert!(!text.replace("\r\n", "").contains(['\r', '\n']) && !text.contains("\r\n\r\n"));
            let mut lines = text.split("\r\n");
            let first = lines.next().unwrap();
            prop_assert!(["GET /", "HEAD /", "POST /"].iter().any(|start| first.starts_with(start)), "{first}");
            let mut names: Vec<_> = lines.map(|line| line.split_once(": ").unwrap().0).collect();
            let known = |name: &&str| PASSED_ON.contains(name) || [PEER_HEADER, "Content-Length", "Connection"].contains(name);
            prop_assert!(names.iter().all(known), "{names:?}");
            names.sort_unstable();
            prop_assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
            prop_assert!(text.contains("\r\nX-Sluice-Peer: 192.0.2.1\r\n") && names.contains(&"Host"));
            let length = format!("\r\nContent-Length: {}\r\n", head.body_len_bytes);
            prop_assert!(text.contains(&length));
        }
    }
}
