//! Who else changed the table: the kernel tells of every change of nftables, and by whose socket it came.

use crate::linux::netlink::{NetlinkError, Protocol, Reply, Socket, attributes, read_be_u32};

use super::batch::{TABLE, message_type};
use super::numbers::{GROUP, generation, message};

/// A socket that hears of changes which another than the enforcer's socket made.
#[derive(Debug)]
pub struct Watch {
    socket: Socket,
    heard: Heard,
}

impl Watch {
    pub(super) fn open(own_port: u32) -> Result<Self, NetlinkError> {
        let socket = Socket::listen(Protocol::Netfilter, GROUP)?;
        Ok(Self { socket, heard: Heard { own_port, touched: false, by: None } })
    }

    /// Waits until somebody else changed the table; who that was, as `nft (process 77)`. A change that the kernel could
    /// not tell of, because too much happened at once, is one as well.
    ///
    /// # Errors
    /// The socket failed.
    pub fn wait(&mut self) -> Result<String, NetlinkError> {
        loop {
            let heard = &mut self.heard;
            if !self.socket.hear(|event| heard.take(event))? {
                return Ok(String::from("somebody"));
            }
            if let Some(by) = self.heard.by.take() {
                return Ok(by);
            }
        }
    }
}

/// What was heard so far. A change is a train of messages, the last of which names the program.
#[derive(Debug)]
struct Heard {
    own_port: u32,
    touched: bool,
    by: Option<String>,
}

impl Heard {
    fn take(&mut self, event: Reply<'_>) {
        if event.port == self.own_port {
            return;
        }
        if event.kind != message_type(message::NEW_GENERATION) {
            self.touched |= is_of_our_table(&event);
        } else if core::mem::take(&mut self.touched) {
            self.by = Some(program(&event));
        }
    }
}

/// In all messages of nftables the first attribute is the name of the table.
fn is_of_our_table(event: &Reply<'_>) -> bool {
    let mut attributes = attributes(event.payload.get(4..).unwrap_or_default());
    attributes.any(|(kind, value)| kind == 1 && value.strip_suffix(&[0]) == Some(TABLE.as_bytes()))
}

fn program(event: &Reply<'_>) -> String {
    let (mut name, mut process) = (String::from("a program"), 0);
    for (kind, value) in attributes(event.payload.get(4..).unwrap_or_default()) {
        match kind {
            generation::PROCESS_NAME => {
                name = String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned();
            }
            generation::PROCESS => process = read_be_u32(value).unwrap_or_default(),
            _ => {}
        }
    }
    format!("{name} (process {process})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::netlink::{Request, replies};

    const OWN_PORT: u32 = 7;

    /// A message: its kind, the port of its sender, and attributes as texts.
    type Told<'a> = (u16, u32, &'a [(u16, &'a str)]);

    /// What is heard of these messages.
    fn heard(messages: &[Told<'_>]) -> Option<String> {
        let mut heard = Heard { own_port: OWN_PORT, touched: false, by: None };
        for (kind, port, texts) in messages {
            let mut request = Request::new();
            request.message(message_type(*kind), 0, &[5, 0, 0, 0]);
            for (kind, text) in *texts {
                request.text(*kind, text);
            }
            let event = replies(request.finish()).next().unwrap();
            heard.take(Reply { port: *port, ..event });
        }
        heard.by
    }

    #[test]
    fn only_what_others_do_to_our_table_is_heard() {
        const END: u16 = message::NEW_GENERATION;
        let end: &[(u16, &str)] = &[(generation::PROCESS_NAME, "nft")];
        assert_eq!(heard(&[(2, 9, &[(1, "sluice")]), (END, 9, end)]).unwrap(), "nft (process 0)");
        assert_eq!(heard(&[(2, 9, &[(1, "sluices")]), (END, 9, end)]), None);
        assert_eq!(heard(&[(2, OWN_PORT, &[(1, "sluice")]), (END, OWN_PORT, end)]), None);
        assert_eq!(heard(&[(2, 9, &[(1, "sluice")])]), None, "not before it is complete");
    }
}
