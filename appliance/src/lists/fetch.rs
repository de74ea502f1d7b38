//! One request for a list, by http:// or https://.

use core::time::Duration;
use std::io::{self, Read, Write};

use ureq::http::{HeaderMap, header};
use ureq::{Agent, Body};

use super::copies::Note;
use crate::verdict::lists::MOST_BYTES;

/// How long each step may take, and all of it: 32 MiB over a line of 1 Mbit/s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const WHOLE_TIMEOUT: Duration = Duration::from_secs(300);

/// Lists move, but not often.
const MOST_REDIRECTS: u32 = 5;

const USER_AGENT: &str = concat!("sluice/", env!("CARGO_PKG_VERSION"));

/// What came of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The list is as it was noted.
    Unchanged,
    /// The list was written out, and is to be noted so.
    Fetched(Note),
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// The server could not be asked, or did not answer to the end.
    #[error("{0}")]
    Connection(#[from] ureq::Error),
    /// The answer broke off.
    #[error("the answer broke off: {0}")]
    BrokenOff(io::Error),
    /// The server answered something else.
    #[error("the server answered with status {0}")]
    Status(u16),
    /// It is larger than any list.
    #[error("the answer is larger than {} MiB", MOST_BYTES >> 20)]
    TooLarge,
    /// What came could not be written.
    #[error("{0}")]
    Write(io::Error),
}

/// Asks for a list and writes it out; asks only whether there is another one where something was noted.
pub(super) fn fetch(url: &str, noted: &Note, into: &mut impl Write) -> Result<Answer, FetchError> {
    let mut request = agent(url).get(url);
    for (header, mark) in [(header::IF_NONE_MATCH, &noted.etag), (header::IF_MODIFIED_SINCE, &noted.last_modified)] {
        if let Some(mark) = mark {
            request = request.header(header, mark);
        }
    }
    let answer = request.call()?;
    match answer.status().as_u16() {
        200 => {
            let mark = |name| text(answer.headers(), &name);
            let note = Note { etag: mark(header::ETAG), last_modified: mark(header::LAST_MODIFIED), confirmed_s: None };
            write_out(answer.into_body(), into)?;
            Ok(Answer::Fetched(note))
        }
        304 if noted.etag.is_some() || noted.last_modified.is_some() => Ok(Answer::Unchanged),
        status => Err(FetchError::Status(status)),
    }
}

/// Whoever asks by https:// is not led on to http://, where anybody on the way could write the list.
fn agent(url: &str) -> Agent {
    Agent::config_builder()
        .https_only(url.starts_with("https://"))
        .http_status_as_error(false)
        .max_redirects(MOST_REDIRECTS)
        .user_agent(USER_AGENT)
        // Where the environment names a proxy, that is meant for whoever started the program by hand.
        .proxy(None)
        .timeout_resolve(Some(CONNECT_TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(ANSWER_TIMEOUT))
        .timeout_global(Some(WHOLE_TIMEOUT))
        .build()
        .into()
}

fn text(headers: &HeaderMap, name: &header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn write_out(body: Body, into: &mut impl Write) -> Result<(), FetchError> {
    // One byte more than is allowed tells what is too large from what just fits.
    let mut reader = body.into_with_config().limit(u64::MAX).reader().take(MOST_BYTES + 1);
    let mut buffer = vec![0; 16 * 1024];
    let mut taken = 0;
    loop {
        let len = reader.read(&mut buffer).map_err(FetchError::BrokenOff)?;
        taken += len as u64;
        if taken > MOST_BYTES {
            return Err(FetchError::TooLarge);
        }
        match buffer.get(..len) {
            None | Some([]) => return Ok(()),
            Some(bytes) => into.write_all(bytes).map_err(FetchError::Write)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Server, answer};
    use super::*;

    fn fetched(server: &Server, noted: &Note) -> (Result<Answer, FetchError>, String) {
        let mut out = Vec::new();
        let came = fetch(&server.url(), noted, &mut out);
        (came, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_list_is_written_out_and_its_marks_are_noted_and_sent_the_next_time() {
        let server = Server::start(vec![
            answer("200 OK", "ETag: \"one\"\r\nLast-Modified: Wed, 25 Nov 2026 22:00:00 GMT\r\n", "203.0.113.9\n"),
            answer("304 Not Modified", "", ""),
        ]);
        let (came, text) = fetched(&server, &Note::default());
        let Ok(Answer::Fetched(note)) = came else { panic!("{came:?}") };
        assert_eq!((note.etag.as_deref(), text.as_str()), (Some("\"one\""), "203.0.113.9\n"));
        let (came, text) = fetched(&server, &note);
        assert!(matches!(came, Ok(Answer::Unchanged)), "{came:?}");
        assert_eq!(text, "");
        let [first, second] = &server.requests()[..] else { panic!("two requests") };
        assert!(first.starts_with("GET /list HTTP/1.1\r\n") && first.contains("user-agent: sluice/"), "{first}");
        assert!(!first.contains("if-none-match"), "{first}");
        assert!(second.contains("if-none-match: \"one\"\r\n"), "{second}");
        assert!(second.contains("if-modified-since: Wed, 25 Nov 2026 22:00:00 GMT\r\n"), "{second}");
    }

    #[test]
    fn whatever_else_the_server_answers_is_an_error_that_says_so() {
        let server = Server::start(vec![
            answer("404 Not Found", "", "203.0.113.9\n"),
            answer("304 Not Modified", "", ""),
            answer("206 Partial Content", "", "203.0.113.9\n"),
        ]);
        for status in [404, 304, 206] {
            let told = fetched(&server, &Note::default()).0.unwrap_err().to_string();
            assert_eq!(told, format!("the server answered with status {status}"));
        }
        let cut = Server::start(vec![String::from("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n203.0.113.9\n")]);
        let told = fetched(&cut, &Note::default()).0.unwrap_err().to_string();
        assert!(told.starts_with("the answer broke off: "), "{told}");
    }

    #[test]
    fn a_redirect_is_followed_and_one_from_https_to_http_is_not() {
        let target = Server::start(vec![answer("200 OK", "", "203.0.113.9\n")]);
        let moved = format!("Location: {}\r\n", target.url());
        let server = Server::start(vec![answer("301 Moved Permanently", &moved, "")]);
        assert_eq!(fetched(&server, &Note::default()).1, "203.0.113.9\n");
        // Each step is checked alike, so the first one shows what becomes of a later one.
        let refused = agent("https://lists.example/list").get(&target.url()).call();
        assert!(matches!(refused, Err(ureq::Error::RequireHttpsOnly(_))), "{refused:?}");
    }

    #[cfg(feature = "tls")]
    #[test]
    fn a_server_that_does_not_speak_tls_is_an_error_where_https_was_asked_for() {
        let server = Server::start(vec![answer("200 OK", "", "203.0.113.9\n")]);
        let mut out = Vec::new();
        let url = server.url().replace("http://", "https://");
        // What it sends instead of a handshake is never taken for the list.
        let came = fetch(&url, &Note::default(), &mut out);
        assert!(matches!(came, Err(FetchError::Connection(_))) && out.is_empty(), "{came:?}");
    }

    #[test]
    fn an_answer_that_does_not_end_is_left_at_the_largest_size() {
        let endless = answer("200 OK", "", &"203.0.113.9 and so on\n".repeat(2_000_000));
        assert!(endless.len() as u64 > MOST_BYTES);
        let server = Server::start(vec![endless]);
        let came = fetch(&server.url(), &Note::default(), &mut io::sink());
        assert!(matches!(came, Err(FetchError::TooLarge)), "{came:?}");
    }

    #[test]
    fn a_server_that_is_not_there_is_an_error_with_its_cause() {
        let gone = Server::start(Vec::new()).url();
        let told = fetch(&gone, &Note::default(), &mut io::sink()).unwrap_err().to_string();
        assert!(told.contains("refused") || told.contains("closed") || told.contains("reset"), "{told}");
    }
}
