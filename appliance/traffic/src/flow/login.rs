//! Whether the initiator was let in by a service with passwords, as far as that shows on the wire.
//!
//! FTP, Telnet, SMB, MQTT and the web say it ([`Word`]). SSH is encrypted, but its messages are as long as what is in them: after
//! NEWKEYS the initiator asks for the service `ssh-userauth`, and the responder accepts with a message of the same length (RFC 4253
//! section 10); a refusal names the methods that can go on and is never shorter, while the message that lets the initiator in holds
//! nothing (RFC 4252 section 5.1) and is shorter in every cipher. Zeek tells log-ins by lengths too. Most ask first how they may log in,
//! by a message with which nobody gets in (section 5.2), so that the answer shows how long a refusal is: as long is that of each
//! password after it. The question for a password (RFC 4256 section 3.2) may be as long too, so that each second one counts. Whatever
//! does not go this way, because messages share a segment or get lost, stays [`Login::Unclear`].

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
    Begun(Ssh),
    /// SSH: the initiator has sent what may be a password, and is not in so far.
    Guessed(Ssh),
    /// SSH, FTP and Telnet: the initiator has tried, and is not in so far.
    Pending(Ssh),
    /// The same of others, whose programs may well try it again and again with an old password.
    Refused,
    /// The initiator was let in.
    LetIn,
    /// It cannot be told.
    Unclear,
}

/// What is known of SSH's messages on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ssh {
    /// Length of the message that accepted the service: a shorter one lets the initiator in.
    accepted_bytes: u8,
    /// Length of a refusal; 0 where it is not known.
    refused_bytes: u8,
    /// How many messages that may be passwords were answered by one so long.
    refusals: u8,
}

/// Length of NEWKEYS, which is sent in the clear: 4 of length, 1 of padding's length, 1 of type, 10 of padding (RFC 4253 section 6).
const NEWKEYS_BYTES: u32 = 16;

/// The shortest encrypted message: length, one block of 8 bytes, and the shortest code of authentication that is in use.
const SHORTEST_BYTES: u32 = 28;

/// `ssh-userauth` makes no longer message in any cipher that is in use: 4 of length, 32 of blocks, 64 of SHA-512.
const LONGEST_ASKED_BYTES: u32 = 100;

/// The offer of a key is longer (RFC 4252 section 7): 107 bytes for the shortest, ed25519's, besides the name of who logs in, and at
/// least 25 around them. Who holds many keys has most of them refused. OpenSSH and PuTTY make a password as long as that.
const LONGEST_PASSWORD_BYTES: u32 = 128;

impl Login {
    /// Takes a segment with payload in: how long it is, and what it says. Returns what the responder says by it to the initiator, which has
    /// tried to get in or asked the web for something.
    pub fn see(&mut self, dialect: LoginDialect, is_forward: bool, len_bytes: u32, word: Word) -> Word {
        let answer;
        (*self, answer) = match dialect {
            // The version line may be as long as NEWKEYS.
            LoginDialect::Ssh if word == Word::SshVersion => (*self, Word::None),
            LoginDialect::Ssh => self.after_ssh(is_forward, len_bytes),
            _ => {
                let is_awaited = !is_forward && matches!(self, Self::Asked(_));
                (self.after_word(dialect, is_forward, word), if is_awaited { word } else { Word::None })
            }
        };
        answer
    }

    /// What it is where the connection goes on after a reset that nobody heeded, and what failed by then was counted.
    #[must_use]
    pub fn resumed(self) -> Self {
        match self {
            Self::Guessed(ssh) | Self::Pending(ssh) if ssh != Ssh::default() => Self::Begun(ssh),
            Self::Pending(_) | Self::Refused => Self::Unseen,
            _ => self,
        }
    }

    /// The initiator tried and was not let in.
    #[must_use]
    pub const fn has_failed(self) -> bool {
        self.is_pending() || matches!(self, Self::Refused)
    }

    /// The same of SSH, FTP and Telnet, where a connection that ends so counts as one.
    #[must_use]
    pub const fn is_pending(self) -> bool {
        matches!(self, Self::Pending(_) | Self::Guessed(_))
    }

    fn after_word(self, dialect: LoginDialect, is_forward: bool, word: Word) -> Self {
        match (self, is_forward, word) {
            (Self::LetIn | Self::Unclear, _, _) => self,
            (_, false, Word::Hidden) => Self::Unclear,
            // Each request of the web is a try of its own.
            (_, false, Word::Accepted | Word::Missing) if matches!(dialect, LoginDialect::Http) => Self::Unseen,
            (_, false, Word::Accepted) => Self::LetIn,
            (_, true, Word::Tried) => Self::Asked(0),
            (Self::Asked(_), false, Word::Refused) => match dialect {
                LoginDialect::Ftp | LoginDialect::Telnet => Self::Pending(Ssh::default()),
                _ => Self::Refused,
            },
            (so_far, _, _) => so_far,
        }
    }

    fn after_ssh(self, is_forward: bool, len_bytes: u32) -> (Self, Word) {
        let is_short = (SHORTEST_BYTES..=LONGEST_ASKED_BYTES).contains(&len_bytes);
        let len = u8::try_from(len_bytes).unwrap_or(u8::MAX);
        let now = match (self, is_forward) {
            (Self::Unseen, true) if len_bytes == NEWKEYS_BYTES => Self::Keyed,
            (Self::Keyed, true) if is_short => Self::Asked(len),
            // Sent again.
            (Self::Keyed, true) if len_bytes == NEWKEYS_BYTES => self,
            (Self::Asked(asked), true) if len == asked => self,
            (Self::Keyed | Self::Asked(_), true) => Self::Unclear,
            (Self::Asked(asked), false) if len == asked => Self::Accepted(asked),
            // What is short asks only how to get in.
            (Self::Accepted(accepted_bytes), true) => {
                let ssh = Ssh { accepted_bytes, ..Ssh::default() };
                if len_bytes <= LONGEST_ASKED_BYTES { Self::Begun(ssh) } else { Self::Pending(ssh) }
            }
            (Self::Begun(ssh) | Self::Guessed(ssh) | Self::Pending(ssh), true) => {
                if len_bytes <= LONGEST_PASSWORD_BYTES { Self::Guessed(ssh) } else { Self::Pending(ssh) }
            }
            (Self::Begun(ssh) | Self::Guessed(ssh) | Self::Pending(ssh), false)
                if len_bytes >= SHORTEST_BYTES && len < ssh.accepted_bytes =>
            {
                // It makes up for its own refusals alone: a server may be made to say something short.
                return (Self::LetIn, if ssh.refusals > 1 { Word::Accepted } else { Word::None });
            }
            // A greeting may come before it.
            (Self::Begun(ssh), false) => Self::Begun(Ssh { refused_bytes: len, ..ssh }),
            // The question was sent again.
            (Self::Guessed(ssh), false) if ssh.refused_bytes == 0 => Self::Guessed(Ssh { refused_bytes: len, ..ssh }),
            (Self::Guessed(ssh), false) if len == ssh.refused_bytes && len < u8::MAX => {
                let refusals = ssh.refusals.saturating_add(1);
                let word = if refusals.is_multiple_of(2) { Word::Refused } else { Word::None };
                return (Self::Pending(Ssh { refusals, ..ssh }), word);
            }
            (so_far, _) => so_far,
        };
        (now, Word::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths as they were on the wire, the initiator's (C) and the responder's (S): how far it came, and what was answered.
    fn ssh_answers(lengths: &str) -> (Login, Vec<Word>) {
        let mut login = Login::default();
        let answers = lengths.split(' ').map(|message| {
            let (from, len) = message.split_at(1);
            login.see(LoginDialect::Ssh, from == "C", len.parse().expect("a length"), Word::None)
        });
        let said = answers.filter(|answer| *answer != Word::None).collect();
        (login, said)
    }

    fn ssh(lengths: &str) -> Login {
        ssh_answers(lengths).0
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
    fn each_second_password_that_ssh_refuses_counts_and_no_key_does() {
        let begin = "S41 C904 S1088 C48 S524 C16 C44 S44 C60";
        for (who, lengths, refused) in [
            ("libssh, six passwords", "S76 C84 S76 C84 S76 C92 S76 C84 S76 C84 S76 C84 S76", 3),
            ("its answer comes twice, and so does a password", "S76 C84 C84 S76 S76 C84 S76 S76", 1),
            ("the question how to get in is sent again", "C60 S76 C84 S76 C84 S76", 1),
            ("a greeting before the refusal", "S212 S76 C84 S76 C84 S76", 1),
            ("a greeting too long to be told from others", "S300 C84 S301 C84 S301", 0),
            ("OpenSSH, three passwords as long as keys", "S76 C148 S76 C148 S76 C148 S76", 0),
            ("three keys of an agent, of ed25519, ECDSA and RSA", "S76 C132 S76 C204 S76 C500 S76", 0),
            ("a key that is taken, and its signature", "S76 C140 S100 C308 S28", 0),
            ("two passwords that are asked for (RFC 4256)", "S76 C84 S60 C52 S76 C84 S60 C52 S76", 1),
            ("the same, where the question is as long as a refusal", "S68 C100 S68 C84 S68 C100 S68 C84 S68", 2),
            ("who leaves when asked for a password", "S76 C52", 0),
        ] {
            let (_, answers) = ssh_answers(&format!("{begin} {lengths}"));
            assert_eq!(answers, vec![Word::Refused; refused], "{who}");
        }
    }

    #[test]
    fn who_is_let_in_by_ssh_makes_up_for_its_own_refusals_alone() {
        let begin = "S41 C904 S1088 C48 S524 C16 C44 S44 C60 S76";
        let (login, answers) = ssh_answers(&format!("{begin} C84 S76 C84 S76 C92 S28 C84 S76"));
        assert_eq!((login, answers), (Login::LetIn, vec![Word::Refused, Word::Accepted]), "what follows is a shell's");
        for lengths in ["C84 S28", "C84 S76 C92 S28", "C36 S36"] {
            assert_eq!(ssh_answers(&format!("{begin} {lengths}")), (Login::LetIn, vec![]), "{lengths}");
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
