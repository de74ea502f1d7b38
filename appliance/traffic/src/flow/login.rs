//! Whether the initiator was let in by a service with passwords, as far as that shows on the wire.
//!
//! FTP, Telnet, SMB, MQTT and the web say it ([`Word`]). SSH is encrypted, but its messages are as long as what is in them: after
//! NEWKEYS the initiator asks for the service `ssh-userauth`, and the responder accepts with a message of the same length (RFC 4253
//! section 10); a refusal names the methods that can go on and is never shorter, while the message that lets the initiator in holds
//! nothing (RFC 4252 section 5.1) and is shorter in every cipher. Zeek tells log-ins by lengths too. Whatever does not go this
//! way, because messages share a segment or get lost, stays [`Login::Unclear`].

use crate::decode::Word;
use crate::services::LoginDialect;

/// How far a log-in has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Login {
    /// Nothing was seen of it.
    #[default]
    Unseen,
    /// SSH: the initiator's next message is encrypted.
    Keyed,
    /// SSH: the initiator has asked for something by a message of so many bytes. Others: it has tried to get in.
    Asked(u8),
    /// SSH: the responder will hear log-ins. A shorter message than this will say that the initiator is in.
    Accepted(u8),
    /// SSH: the initiator has asked how it may log in.
    Begun(u8),
    /// SSH, FTP and Telnet: the initiator has tried, and is not in so far.
    Pending(u8),
    /// The same of others, whose programs may well try it again and again with an old password.
    Refused,
    /// The initiator was let in.
    LetIn,
    /// It cannot be told.
    Unclear,
}

/// Length of NEWKEYS, which is sent in the clear: 4 of length, 1 of padding's length, 1 of type, 10 of padding (RFC 4253 section 6).
const NEWKEYS_BYTES: u32 = 16;

/// The shortest encrypted message: length, one block of 8 bytes, and the shortest code of authentication that is in use.
const SHORTEST_BYTES: u32 = 28;

/// `ssh-userauth` makes no longer message in any cipher that is in use: 4 of length, 32 of blocks, 64 of SHA-512.
const LONGEST_ASKED_BYTES: u32 = 100;

impl Login {
    /// Takes a segment with payload in: how long it is, and what it says.
    pub fn see(&mut self, dialect: LoginDialect, is_forward: bool, len_bytes: u32, word: Word) {
        *self = match dialect {
            // The version line may be as long as NEWKEYS.
            LoginDialect::Ssh if word == Word::SshVersion => *self,
            LoginDialect::Ssh => self.after_ssh(is_forward, len_bytes),
            _ => self.after_word(dialect, is_forward, word),
        };
    }

    /// The initiator has tried to get in, and the answer is not there yet: a word of it would be one.
    #[must_use]
    pub const fn awaits_answer(self) -> bool {
        matches!(self, Self::Asked(_))
    }

    /// The initiator tried and was not let in.
    #[must_use]
    pub const fn has_failed(self) -> bool {
        matches!(self, Self::Pending(_) | Self::Refused)
    }

    /// The same of SSH, FTP and Telnet, where a connection that ends so counts as one.
    #[must_use]
    pub const fn is_pending(self) -> bool {
        matches!(self, Self::Pending(_))
    }

    const fn after_word(self, dialect: LoginDialect, is_forward: bool, word: Word) -> Self {
        match (self, is_forward, word) {
            (Self::LetIn | Self::Unclear, _, _) => self,
            (_, false, Word::Hidden) => Self::Unclear,
            // Each request of the web is a try of its own.
            (_, false, Word::Accepted | Word::Missing) if matches!(dialect, LoginDialect::Http) => Self::Unseen,
            (_, false, Word::Accepted) => Self::LetIn,
            (_, true, Word::Tried) => Self::Asked(0),
            (Self::Asked(_), false, Word::Refused) => match dialect {
                LoginDialect::Ftp | LoginDialect::Telnet => Self::Pending(0),
                _ => Self::Refused,
            },
            (so_far, _, _) => so_far,
        }
    }

    const fn after_ssh(self, is_forward: bool, len_bytes: u32) -> Self {
        let is_short = SHORTEST_BYTES <= len_bytes && len_bytes <= LONGEST_ASKED_BYTES;
        match (self, is_forward) {
            (Self::Unseen, true) if len_bytes == NEWKEYS_BYTES => Self::Keyed,
            (Self::Keyed, true) if is_short => Self::Asked(len_bytes as u8),
            // Sent again.
            (Self::Keyed, true) if len_bytes == NEWKEYS_BYTES => self,
            (Self::Asked(asked), true) if len_bytes == asked as u32 => self,
            (Self::Keyed | Self::Asked(_), true) => Self::Unclear,
            (Self::Asked(asked), false) if len_bytes == asked as u32 => Self::Accepted(asked),
            // Most ask first what is asked of them: a short message, with which nobody gets in.
            (Self::Accepted(asked), true) if len_bytes <= LONGEST_ASKED_BYTES => Self::Begun(asked),
            (Self::Accepted(asked) | Self::Begun(asked), true) => Self::Pending(asked),
            (Self::Accepted(asked) | Self::Begun(asked) | Self::Pending(asked), false)
                if SHORTEST_BYTES <= len_bytes && len_bytes < asked as u32 =>
            {
                Self::LetIn
            }
            (so_far, _) => so_far,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths as they were on the wire, the initiator's (C) and the responder's (S).
    fn ssh(lengths: &str) -> Login {
        let mut login = Login::default();
        for message in lengths.split(' ') {
            let (from, len) = message.split_at(1);
            login.see(LoginDialect::Ssh, from == "C", len.parse().expect("a length"), Word::None);
        }
        login
    }

    #[test]
    fn lengths_tell_who_is_let_in_by_ssh() {
        for (who, lengths) in [
            (
                "OpenSSH by password",
                "C41 S41 S1088 C1448 C112 C1208 S1448 S116 C16 C44 S44 C60 S76 C148 S28 C112 S116 S44",
            ),
            ("OpenSSH by key", "C41 S41 S1088 C1448 C112 C1208 S1448 S116 C16 C44 S44 C60 S76 C140 S100 C308 S28 C112"),
            ("OpenSSH at Dropbear", "C41 S538 C1560 C48 S428 C16 C44 S44 C60 S52 C140 S100 C228 S36 C52 S44"),
            (
                "libssh at the fifth try",
                "C23 S41 C904 S1088 C48 S524 C16 C44 S44 C60 S76 C84 S76 C84 S76 C84 S76 C84 S76 C92 S28",
            ),
            ("what is sent again", "C41 S41 C1208 S1448 S116 C16 C16 C44 C44 S44 S44 C60 S76 C148 S28"),
            ("Paramiko", "C25 S41 C1168 S1088 C48 S544 C16 C64 S64 C96 S96 C64 S64 C112 S48 S128"),
        ] {
            assert_eq!(ssh(lengths), Login::LetIn, "{who}");
        }
        for (who, lengths) in [
            ("OpenSSH with a wrong password", "C41 S41 S1088 C1448 C112 C1208 S1448 S116 C16 C44 S44 C60 S76 C148 S76"),
            ("OpenSSH at Dropbear", "C41 S538 C1560 C48 S428 C16 C44 S44 C60 S52 C140 S52"),
            ("libssh2", "C20 S41 S1088 C1128 C48 S208 C16 C64 S64 C80 S96 C96 S96 C80 S96 C64"),
            ("ncrack", "S41 C20 C1448 C400 S1088 C48 S208 C16 C44 S44 C148 S76 C148 S76"),
        ] {
            assert!(ssh(lengths).has_failed(), "{who}");
        }
    }

    #[test]
    fn what_does_not_go_by_the_book_is_unclear_for_good() {
        for (who, lengths) in [
            ("who only reads the version", "C23 S41"),
            ("who is asked for a password and gives none", "C41 S41 C1208 S1448 C16 C44 S44 C60 S76"),
            ("who leaves after the keys", "C20 S41 S1088 C1128 C48 S208 C16"),
            ("an answer of another length", "C23 S41 C904 S1088 C48 S524 C16 C44 S60 C60 S76 C36 S36 C36 S36"),
            ("NEWKEYS and the question in one segment", "C23 S41 C904 S1088 C48 S524 C60 S44 C60 S76 C36 S36"),
        ] {
            let login = ssh(lengths);
            assert!(!login.has_failed() && login != Login::LetIn, "{who}: {login:?}");
        }
    }

    /// Each word behind a try.
    fn after(dialect: LoginDialect, answers: &[Word]) -> Login {
        let mut login = Login::default();
        for answer in answers {
            login.see(dialect, true, 12, Word::Tried);
            login.see(dialect, false, 22, *answer);
        }
        login
    }

    #[test]
    fn words_say_it_and_a_wrong_one_later_changes_nothing() {
        use Word::{Accepted, Hidden, None, Refused, Tried};
        for dialect in [LoginDialect::Ftp, LoginDialect::Telnet] {
            assert!(after(dialect, &[None, None, Refused]).is_pending());
        }
        let smb = after(LoginDialect::Smb, &[None, Refused, None, Refused]);
        assert!(smb.has_failed() && !smb.is_pending());
        for dialect in [LoginDialect::Ftp, LoginDialect::Smb, LoginDialect::Mqtt] {
            assert_eq!(after(dialect, &[None, Refused, Accepted, Refused]), Login::LetIn);
            assert!(!after(dialect, &[None, None]).has_failed());
        }
        assert!(after(LoginDialect::Http, &[Accepted, Refused]).has_failed(), "a page for all, and one for few");
        let mut hidden = Login::default();
        for (is_forward, word) in [(false, Refused), (false, Hidden), (true, Tried), (false, Refused)] {
            hidden.see(LoginDialect::Ftp, is_forward, 22, word);
        }
        assert_eq!(hidden, Login::Unclear, "530 before AUTH refuses no password");
        let mut liar = Login::default();
        liar.see(LoginDialect::Ftp, true, 3, Accepted);
        assert!(!liar.has_failed() && liar != Login::LetIn, "who asks does not let itself in");
    }
}
