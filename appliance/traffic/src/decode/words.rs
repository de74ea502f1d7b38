//! What a TCP segment says to a service or for it, read from its first bytes: that somebody tries to get in, or asks the web for
//! something, and what comes of it.
//!
//! Segments that go on with a message that another began say nothing; each of these messages begins a segment wherever question and
//! answer take turns.

use crate::services::LoginDialect;

/// The little that is understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Word {
    /// Something else.
    #[default]
    None,
    /// The initiator tries to get in. A request of the web is one too: whether it brings a password is not looked at.
    Tried,
    /// The responder lets it in, or serves it.
    Accepted,
    /// The responder does not, because of who it is or what its password is.
    Refused,
    /// The responder of the web has no such thing.
    Missing,
    /// What follows is encrypted.
    Hidden,
    /// The version line of SSH.
    SshVersion,
}

/// The word that a segment from and to these ports begins with.
#[inline]
pub(super) fn word(source_port: u16, destination_port: u16, payload: Option<&[u8]>) -> Word {
    let Some(payload) = payload.filter(|payload| !payload.is_empty()) else { return Word::None };
    match (LoginDialect::at(destination_port), LoginDialect::at(source_port)) {
        (None, None) => Word::None,
        (Some(dialect), _) => asked(dialect, payload),
        (None, Some(dialect)) => answered(dialect, payload),
    }
}

/// What the initiator says.
#[inline(never)]
fn asked(dialect: LoginDialect, payload: &[u8]) -> Word {
    /// CONNECT (MQTT 3.1.1 section 3.1).
    const MQTT_CONNECT: u8 = 0x10;
    const TELNET_COMMAND: u8 = 0xff;
    let is_tried = match dialect {
        LoginDialect::Ftp => payload.first_chunk().is_some_and(|verb: &[u8; 4]| verb.eq_ignore_ascii_case(b"PASS")),
        LoginDialect::Ssh => return ssh_version(payload),
        // What it types, and not what its program negotiates (RFC 854).
        LoginDialect::Telnet => payload.first() != Some(&TELNET_COMMAND),
        LoginDialect::Smb => matches!(session_setup(payload), Some(SessionSetup::Request)),
        LoginDialect::Mqtt => payload.first() == Some(&MQTT_CONNECT),
        // A method (RFC 9110 section 9.1).
        LoginDialect::Http => {
            payload.first_chunk().is_some_and(|verb: &[u8; 3]| verb.iter().all(u8::is_ascii_uppercase))
        }
    };
    if is_tried { Word::Tried } else { Word::None }
}

/// What the responder says.
#[inline(never)]
fn answered(dialect: LoginDialect, payload: &[u8]) -> Word {
    match dialect {
        LoginDialect::Ftp => ftp_reply(payload),
        LoginDialect::Ssh => ssh_version(payload),
        LoginDialect::Telnet => telnet_answer(payload),
        LoginDialect::Smb => session_setup(payload).map_or(Word::None, SessionSetup::word),
        LoginDialect::Mqtt => mqtt_answer(payload),
        LoginDialect::Http => http_status(payload),
    }
}

/// RFC 4253 section 4.2.
fn ssh_version(payload: &[u8]) -> Word {
    if payload.starts_with(b"SSH") { Word::SshVersion } else { Word::None }
}

/// RFC 959 section 5.4, RFC 4217 section 4.
fn ftp_reply(payload: &[u8]) -> Word {
    match payload.first_chunk() {
        Some(b"230" | b"232") => Word::Accepted,
        Some(b"430" | b"530") => Word::Refused,
        Some(b"234") => Word::Hidden,
        _ => Word::None,
    }
}

/// A line of its own, in the words of login(1).
fn telnet_answer(payload: &[u8]) -> Word {
    const NO: &[u8] = b"Login incorrect";
    let line = payload.trim_ascii_start();
    let is_no = line.get(..NO.len()).is_some_and(|words| words.eq_ignore_ascii_case(NO));
    if is_no { Word::Refused } else { Word::None }
}

/// CONNACK: what it is, its length, its flags, and its code (MQTT 3.1.1 section 3.2.2.3, MQTT 5 section 3.2.2.2).
fn mqtt_answer(payload: &[u8]) -> Word {
    /// A length of more than this goes on in the next byte (MQTT 5 section 1.5.5).
    const LONGEST_IN_A_BYTE: u8 = 0x7f;
    let code = match payload {
        [0x20, ..=LONGEST_IN_A_BYTE, _, code, ..] | [0x20, _, ..=LONGEST_IN_A_BYTE, _, code, ..] => *code,
        _ => return Word::None,
    };
    match code {
        0 => Word::Accepted,
        // A bad name or password, and not authorized.
        4 | 5 | 0x86 | 0x87 => Word::Refused,
        _ => Word::None,
    }
}

/// 401 and 407 ask for a password, or for another one; 404 and 410 are of what is not there; 2xx and 3xx are what was asked for
/// (RFC 9110 section 15).
fn http_status(payload: &[u8]) -> Word {
    match payload {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', _, b' ', status @ ..] => match status {
            [b'4', b'0', b'1' | b'7', ..] => Word::Refused,
            [b'4', b'0', b'4', ..] | [b'4', b'1', b'0', ..] => Word::Missing,
            [b'2' | b'3', ..] => Word::Accepted,
            _ => Word::None,
        },
        _ => Word::None,
    }
}

/// The message that begins a session of SMB.
#[derive(Clone, Copy)]
enum SessionSetup {
    Request,
    /// With the status of Windows (MS-ERREF section 2.3.1).
    Response(u32),
}

impl SessionSetup {
    const fn word(self) -> Word {
        /// The server wants to hear more before it decides.
        const MORE_PROCESSING_REQUIRED: u32 = 0xc000_0016;
        /// Both highest bits of a status that is an error.
        const ERROR: u32 = 0b11 << 30;
        match self {
            Self::Response(0) => Word::Accepted,
            Self::Response(status) if status & ERROR == ERROR && status != MORE_PROCESSING_REQUIRED => Word::Refused,
            Self::Request | Self::Response(_) => Word::None,
        }
    }
}

/// A session setup, of SMB 2 and 3 (MS-SMB2 section 2.2.1) or of SMB 1 (MS-CIFS section 2.2.3.1), behind the four bytes that say how long
/// the message is.
fn session_setup(payload: &[u8]) -> Option<SessionSetup> {
    const SMB2_SESSION_SETUP: u16 = 1;
    const SMB1_SESSION_SETUP_ANDX: u8 = 0x73;
    let (is_setup, is_response, status) = match payload.get(4..)? {
        [0xfe, b'S', b'M', b'B', _, _, _, _, s0, s1, s2, s3, c0, c1, _, _, flags, ..] => {
            let is_setup = u16::from_le_bytes([*c0, *c1]) == SMB2_SESSION_SETUP;
            (is_setup, flags & 1 != 0, [*s0, *s1, *s2, *s3])
        }
        [0xff, b'S', b'M', b'B', command, s0, s1, s2, s3, flags, ..] => {
            (*command == SMB1_SESSION_SETUP_ANDX, flags & 0x80 != 0, [*s0, *s1, *s2, *s3])
        }
        _ => return None,
    };
    match (is_setup, is_response) {
        (false, _) => None,
        (true, false) => Some(SessionSetup::Request),
        (true, true) => Some(SessionSetup::Response(u32::from_le_bytes(status))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: u16 = 40_000;

    fn from_client(port: u16, payload: &[u8]) -> Word {
        word(CLIENT, port, Some(payload))
    }

    fn from_server(port: u16, payload: &[u8]) -> Word {
        word(port, CLIENT, Some(payload))
    }

    fn smb2(status: u32, flags: u8, command: u8) -> Vec<u8> {
        let mut message = vec![0, 0, 0, 72, 0xfe, b'S', b'M', b'B', 64, 0, 1, 0];
        message.extend(status.to_le_bytes());
        message.extend([command, 0, 1, 0, flags, 0, 0, 0]);
        message
    }

    #[test]
    fn smb_says_what_became_of_a_session() {
        assert_eq!(from_client(445, &smb2(0, 0, 1)), Word::Tried);
        assert_eq!(from_client(445, &smb2(0, 0, 3)), Word::None, "a tree is connected to");
        for (status, word) in [
            (0, Word::Accepted),
            (0xc000_0016, Word::None),
            (0xc000_006d, Word::Refused), // wrong name or password
            (0xc000_0234, Word::Refused), // locked out
        ] {
            assert_eq!(from_server(445, &smb2(status, 1, 1)), word, "{status:#x}");
        }
        let smb1 =
            |status: [u8; 4], flags| [&[0, 0, 0, 35, 0xff, b'S', b'M', b'B', 0x73][..], &status, &[flags]].concat();
        assert_eq!(from_client(445, &smb1([0; 4], 0x18)), Word::Tried);
        assert_eq!(from_server(445, &smb1([0x6d, 0, 0, 0xc0], 0x98)), Word::Refused);
        assert_eq!(from_server(445, &smb1([0; 4], 0x98)), Word::Accepted);
        assert_eq!(from_server(445, &smb2(0xc000_006d, 1, 1)[..20]), Word::None, "cut before its flags");
    }

    #[test]
    fn mqtt_of_both_versions_says_who_is_refused() {
        assert_eq!(from_client(1883, b"\x10\x1e\0\x04MQTT\x04"), Word::Tried);
        assert_eq!(from_client(1883, b"\x30\x1e\0\x04a/b/"), Word::None);
        assert_eq!(from_server(1883, &[0x20, 2, 0, 0]), Word::Accepted);
        assert_eq!(from_server(1883, &[0x20, 2, 0, 5]), Word::Refused);
        assert_eq!(from_server(1883, &[0x20, 3, 0, 0x87, 0]), Word::Refused);
        assert_eq!(from_server(1883, &[0x20, 0x85, 1, 0, 0x87, 0x82, 1]), Word::Refused, "with a long reason");
        assert_eq!(from_server(1883, &[0x20, 2, 0, 3]), Word::None, "not available: nothing is said of who asks");
    }

    #[test]
    fn telnet_says_it_in_a_line_of_its_own() {
        for port in [23, 2323] {
            assert_eq!(from_client(port, b"secret\r\0"), Word::Tried);
            assert_eq!(from_client(port, b"\xff\xfb\x22"), Word::None);
            assert_eq!(from_server(port, b"\r\nLogin incorrect\r\nlogin: "), Word::Refused);
            assert_eq!(from_server(port, b"Last login: today\r\n"), Word::None);
        }
    }

    #[test]
    fn ftp_and_the_web_say_it_by_their_codes() {
        assert_eq!(from_client(21, b"pass secret\r\n"), Word::Tried);
        assert_eq!(from_client(21, b"PASV\r\n"), Word::None);
        assert_eq!(from_server(21, b"530 Login incorrect.\r\n"), Word::Refused);
        assert_eq!(from_server(21, b"230 Come in.\r\n"), Word::Accepted);
        assert_eq!(from_server(21, b"234 Go on.\r\n"), Word::Hidden);
        assert_eq!(from_client(80, b"GET / HTTP/1.1\r\n"), Word::Tried);
        assert_eq!(from_client(443, b"GET / HTTP/1.1\r\n"), Word::None, "what is said there is encrypted");
        for (line, word) in [
            (&b"HTTP/1.1 401 Unauthorized\r\n"[..], Word::Refused),
            (b"HTTP/1.1 407 Proxy Authentication Required\r\n", Word::Refused),
            (b"HTTP/1.0 200 OK\r\n", Word::Accepted),
            (b"HTTP/1.1 302 Found\r\n", Word::Accepted),
            (b"HTTP/1.1 404 Not Found\r\n", Word::Missing),
            (b"HTTP/1.1 403 Forbidden\r\n", Word::None),
            (b"HTTP/1.1 4", Word::None),
        ] {
            assert_eq!(from_server(8080, line), word, "{line:?}");
        }
    }

    #[test]
    fn whoever_asks_gives_no_answers_and_other_ports_say_nothing() {
        assert_eq!(from_client(21, b"530 I refuse myself\r\n"), Word::None);
        assert_eq!(from_client(1883, &[0x20, 2, 0, 5]), Word::None);
        assert_eq!(word(21, 21, Some(b"530 both\r\n")), Word::None);
        assert_eq!(word(CLIENT, CLIENT, Some(b"530 neither\r\n")), Word::None);
        assert_eq!(word(CLIENT, 21, None), Word::None);
    }
}
