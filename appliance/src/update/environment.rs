//! The environment: which slot is started, in GRUB's own form, so that GRUB reads and writes it too. Where the firmware of a Raspberry Pi
//! starts the slots it is our own notebook: `trial` stays empty, and the initial root ([`super::early`]) counts, as GRUB does, the starts
//! of the slot that the firmware is told to start.
//!
//! It is [`BLOCK_BYTES`] long, whatever it holds: a first line that says what it is, `NAME=VALUE` lines, and `#` up to the end (GRUB
//! manual, "The GRUB environment block"). It is written in its place: GRUB writes to the very sectors that it found the file in.
//!
//! | name | value |
//! |---|---|
//! | `slot` | `a` or `b`: what is started |
//! | `trial` | what is started the next time only; GRUB empties it before it does so |
//! | `tried` | what `trial` was last; empty once that is kept |
//! | `version_a`, `version_b` | the version that the slot holds; empty where it holds none, or half of one |
//! | `starts` | an `x` that GRUB adds for each start of `slot`, emptied once that is up; at `xxx` GRUB starts the other slot first |

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::UpdateError;
use super::disk::Slot;

/// How long the file is.
const BLOCK_BYTES: usize = 1024;

/// What GRUB takes for a kept slot that does not come up.
const MOST_STARTS: &str = "xxx";

/// What is left of that while the other slot has its turn: unless that one comes up, the start after is for the first one again.
const ONE_MORE_START: &str = "xx";

const HEADER: &str = "# GRUB Environment Block\n";

/// The environment, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    path: PathBuf,
    values: Vec<(String, String)>,
}

impl Environment {
    /// Reads it.
    ///
    /// # Errors
    /// It is not there, or something else.
    pub fn read(path: &Path) -> Result<Self, UpdateError> {
        let bytes = fs::read(path).map_err(UpdateError::system(path))?;
        let wrong = |why| UpdateError::Environment { path: path.to_owned(), why };
        if bytes.len() != BLOCK_BYTES {
            return Err(wrong("it is not 1024 bytes long"));
        }
        let text = str::from_utf8(&bytes).map_err(|_| wrong("it is no text"))?;
        let lines = text.strip_prefix(HEADER).ok_or_else(|| wrong("its first line is another one"))?;
        let values = lines.lines().filter_map(|line| line.split_once('=')).filter(|(name, _)| !name.starts_with('#'));
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(Self { path: path.to_owned(), values })
    }

    /// The slot that is started unless another one is tried. Whatever else stands there means the first one, as it does to GRUB.
    #[must_use]
    pub fn kept(&self) -> Slot {
        self.slot("slot").unwrap_or(Slot::A)
    }

    /// The slot that the next start tries.
    #[must_use]
    pub fn trial(&self) -> Option<Slot> {
        self.slot("trial")
    }

    /// The slot that was tried last and is not kept yet.
    #[must_use]
    pub fn tried(&self) -> Option<Slot> {
        self.slot("tried")
    }

    /// The version that a slot holds.
    #[must_use]
    pub fn version(&self, slot: Slot) -> Option<&str> {
        self.get(version_name(slot))
    }

    /// Whether starts are counted that have come to nothing so far. A trial begins with none.
    #[must_use]
    pub fn is_counting(&self) -> bool {
        self.get("starts").is_some()
    }

    /// What a person should know of the slots while this one runs.
    #[must_use]
    pub fn fault(&self, running: Slot, is_trial: bool) -> Option<String> {
        let (kept, other) = (self.kept(), running.other());
        let Some(version) = self.version(other) else {
            return Some(format!(
                "slot {other} holds no system, so there is nothing to fall back to; an update was cut off: `sluice update FILE` again"
            ));
        };
        if self.tried() == Some(other) {
            return Some(format!(
                "version {version} was tried and the box did not come up healthy with it, so the version from before runs again; bring \
                 another one with `sluice update FILE`, or see what was wrong with `sluice update --try` and the console"
            ));
        }
        (kept != running && !is_trial).then(|| {
            format!("slot {running} runs because slot {kept} could not be started; bring its system again with `sluice update FILE`")
        })
    }

    /// What [`Self::come_up`] writes, if there is something to write: where `starts` is empty, nobody counts, or a trial runs.
    #[must_use]
    pub fn starts_after(&self, running: Slot, counted: Slot) -> Option<&'static str> {
        let before = self.get("starts")?;
        let starts = if running == counted { "" } else { MOST_STARTS };
        // A slot that was tried and not kept is none to go on with.
        let counts = running == counted || self.tried() != Some(running);
        (counts && starts != before).then_some(starts)
    }

    /// The slot that runs is up: if it is the one whose starts are counted they are counted anew, and if it runs in its place it goes on to.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn come_up(&mut self, running: Slot, counted: Slot) -> Result<(), UpdateError> {
        self.starts_after(running, counted).map_or(Ok(()), |starts| self.write(&[("starts", starts)]))
    }

    /// Counts a start of this slot where GRUB does not; whether it is the other one's turn instead, as it is after three that came to nothing.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn count_start(&mut self, starting: Slot) -> Result<bool, UpdateError> {
        if self.get("starts") == Some(MOST_STARTS) && self.give_way(starting)? {
            return Ok(true);
        }
        let starts = match self.get("starts").unwrap_or_default() {
            "" => "x",
            "x" => ONE_MORE_START,
            _ => MOST_STARTS,
        };
        self.write(&[("starts", starts)]).map(|()| false)
    }

    /// This slot cannot be started, so it is the other one's turn, once; whether that holds a system.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn give_way(&mut self, starting: Slot) -> Result<bool, UpdateError> {
        if self.version(starting.other()).is_none() {
            return Ok(false);
        }
        self.write(&[("starts", ONE_MORE_START)]).map(|()| true)
    }

    /// A slot is about to be written: it holds nothing and is not started, and nothing is tried.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin(&mut self, slot: Slot) -> Result<(), UpdateError> {
        let other = slot.other().name();
        self.write(&[("slot", other), (version_name(slot), ""), ("trial", ""), ("tried", ""), ("starts", "")])
    }

    /// A slot is whole.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn complete(&mut self, slot: Slot, version: &str) -> Result<(), UpdateError> {
        self.write(&[(version_name(slot), version)])
    }

    /// The slot that the next start begins with unless another one is tried: the kept one, if it came up lately.
    #[must_use]
    pub fn started(&self) -> Slot {
        if self.get("starts") == Some(MOST_STARTS) { self.kept().other() } else { self.kept() }
    }

    /// The next start tries a slot, and the one after that starts the other one, which runs now; where the firmware is told of the trial in
    /// another way, this only remembers it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn try_once(&mut self, slot: Slot, firmware_is_told: bool) -> Result<(), UpdateError> {
        let trial = if firmware_is_told { "" } else { slot.name() };
        self.write(&[("slot", slot.other().name()), ("trial", trial), ("tried", slot.name()), ("starts", "")])
    }

    /// A slot is started from now on.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&mut self, slot: Slot) -> Result<(), UpdateError> {
        self.write(&[("slot", slot.name()), ("trial", ""), ("tried", ""), ("starts", "")])
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.values.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        found.filter(|value| !value.is_empty())
    }

    fn slot(&self, name: &str) -> Option<Slot> {
        self.get(name).and_then(Slot::from_name)
    }

    fn write(&mut self, changes: &[(&str, &str)]) -> Result<(), UpdateError> {
        for (name, value) in changes {
            match self.values.iter_mut().find(|(known, _)| known == name) {
                Some((_, old)) => (*value).clone_into(old),
                None => self.values.push(((*name).to_owned(), (*value).to_owned())),
            }
        }
        let lines: String = self.values.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        let block = format!("{:#<BLOCK_BYTES$}", format!("{HEADER}{lines}"));
        if block.len() != BLOCK_BYTES {
            return Err(UpdateError::Environment { path: self.path.clone(), why: "it is full" });
        }
        let written = OpenOptions::new().write(true).open(&self.path).and_then(|mut file| {
            file.write_all(block.as_bytes())?;
            file.sync_all()
        });
        written.map_err(UpdateError::system(&self.path))
    }
}

const fn version_name(slot: Slot) -> &'static str {
    match slot {
        Slot::A => "version_a",
        Slot::B => "version_b",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::store::test_directory::TestDirectory;

    /// An environment with these lines, as `grub-editenv` makes it.
    pub(in super::super) fn environment(folder: &Path, lines: &str) -> PathBuf {
        let path = folder.join("grubenv");
        fs::write(&path, format!("{:#<1024}", format!("{HEADER}{lines}"))).unwrap();
        path
    }

    #[test]
    fn a_slot_is_tried_once_and_then_kept_or_not() {
        let folder = TestDirectory::new("environment");
        let path = environment(folder.path(), "slot=a\nversion_a=1.0\n");
        let mut environment = Environment::read(&path).unwrap();
        environment.begin(Slot::B).unwrap();
        environment.complete(Slot::B, "1.1").unwrap();
        assert_eq!((environment.kept(), environment.trial(), environment.tried()), (Slot::A, None, None));
        environment.try_once(Slot::B, false).unwrap();
        let mut environment = Environment::read(&path).unwrap();
        assert_eq!(
            (environment.kept(), environment.trial(), environment.tried()),
            (Slot::A, Some(Slot::B), Some(Slot::B))
        );
        assert_eq!((environment.version(Slot::A), environment.version(Slot::B)), (Some("1.0"), Some("1.1")));
        environment.keep(Slot::B).unwrap();
        let environment = Environment::read(&path).unwrap();
        assert_eq!((environment.kept(), environment.trial(), environment.tried()), (Slot::B, None, None));
    }

    /// An environment in which slot a is kept and GRUB has counted so, with these lines beside.
    fn counted(folder: &TestDirectory, starts: &str, lines: &str) -> Environment {
        Environment::read(&environment(folder.path(), &format!("slot=a\nstarts={starts}\n{lines}"))).unwrap()
    }

    #[test]
    fn a_kept_slot_that_comes_up_is_counted_anew_and_one_that_runs_in_its_place_goes_on_to() {
        let folder = TestDirectory::new("starts");
        let after = |starts: &str, lines: &str, running| {
            let mut environment = counted(&folder, starts, lines);
            environment.come_up(running, Slot::A).unwrap();
            let after = Environment::read(&environment.path).unwrap();
            (after.get("starts").map(str::to_owned), after.started())
        };
        let (most, some) = (Some("xxx".to_owned()), Some("xx".to_owned()));
        assert_eq!(after("x", "", Slot::A), (None, Slot::A));
        assert_eq!(after("xxx", "tried=b\n", Slot::A), (None, Slot::A));
        assert_eq!(after("xx", "", Slot::B), (most, Slot::B));
        assert_eq!(after("", "", Slot::B), (None, Slot::A), "nobody counts");
        // A trial says nothing of the kept slot, and nobody stays with what was tried and not kept.
        assert_eq!(after("", "tried=b\n", Slot::B), (None, Slot::A));
        assert_eq!(after("xx", "tried=b\n", Slot::B), (some, Slot::A));
    }

    #[test]
    fn the_fourth_start_is_the_other_slots_turn_and_the_fifth_is_not() {
        let folder = TestDirectory::new("starts-counted");
        let mut environment = counted(&folder, "", "version_a=1.0\nversion_b=1.1\n");
        for (turn, starts) in [(false, "x"), (false, "xx"), (false, "xxx"), (true, "xx"), (false, "xxx"), (true, "xx")]
        {
            assert_eq!(environment.count_start(Slot::A).unwrap(), turn);
            let written = Environment::read(&environment.path).unwrap();
            assert_eq!((written.get("starts"), written.kept()), (Some(starts), Slot::A));
        }
        for anything in ["xxxx", "3"] {
            assert!(!counted(&folder, anything, "version_b=1.1\n").count_start(Slot::A).unwrap(), "{anything}");
        }
    }

    #[test]
    fn a_slot_gives_way_at_once_where_it_cannot_be_started_but_to_nothing() {
        let folder = TestDirectory::new("starts-given-way");
        let mut environment = counted(&folder, "x", "version_b=1.1\n");
        assert!(environment.give_way(Slot::A).unwrap());
        assert!(!environment.count_start(Slot::A).unwrap(), "unless the other one comes up it is tried again");
        // An update was cut off: the other slot is empty.
        let mut environment = counted(&folder, "xxx", "version_a=1.0\nversion_b=\n");
        assert!(!environment.give_way(Slot::A).unwrap());
        assert!(!environment.count_start(Slot::A).unwrap());
        assert_eq!(environment.get("starts"), Some("xxx"));
    }

    #[test]
    fn a_person_is_told_what_is_wrong_with_the_other_slot() {
        let folder = TestDirectory::new("faults");
        let fault = |lines: &str, running, is_trial| {
            let lines = format!("slot=a\n{lines}");
            Environment::read(&environment(folder.path(), &lines)).unwrap().fault(running, is_trial).unwrap_or_default()
        };
        let both = |tried: &str| format!("version_a=1.0\nversion_b=1.1\ntried={tried}\n");
        assert_eq!(fault(&both(""), Slot::A, false), "");
        assert_eq!(fault(&both("b"), Slot::B, true), "", "it is not over yet");
        assert!(fault(&both("b"), Slot::A, false).starts_with("version 1.1 was tried"));
        for tried in ["", "b"] {
            assert!(fault(&both(tried), Slot::B, false).starts_with("slot b runs because slot a could not be started"));
        }
        let cut_off = fault("version_a=1.0\nversion_b=\n", Slot::A, false);
        assert!(cut_off.starts_with("slot b holds no system, so there is nothing to fall back to"), "{cut_off}");
    }

    #[test]
    fn whoever_chooses_a_slot_has_its_starts_counted_anew() {
        let folder = TestDirectory::new("starts-anew");
        for deed in 0..3 {
            // Slot b runs because a did not come up: b is what the next start falls back to.
            let mut environment = counted(&folder, "xxx", "");
            assert_eq!((environment.kept(), environment.started()), (Slot::A, Slot::B));
            match deed {
                0 => environment.begin(Slot::A).unwrap(),
                1 => environment.try_once(Slot::A, false).unwrap(),
                _ => environment.keep(Slot::B).unwrap(),
            }
            let environment = Environment::read(&environment.path).unwrap();
            assert_eq!((environment.kept(), environment.started()), (Slot::B, Slot::B), "{deed}");
        }
    }

    #[test]
    fn the_file_stays_as_grub_wants_it_and_keeps_what_others_wrote() {
        let folder = TestDirectory::new("environment");
        let path = environment(folder.path(), "theirs=1\nslot=a\n");
        Environment::read(&path).unwrap().try_once(Slot::B, false).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.len(), 1024);
        assert!(
            text.starts_with("# GRUB Environment Block\ntheirs=1\nslot=a\ntrial=b\ntried=b\nstarts=\n####"),
            "{text}"
        );
        assert!(text.ends_with('#'));
    }

    #[test]
    fn what_is_no_environment_is_refused_and_what_is_full_is_not_written() {
        let folder = TestDirectory::new("environment");
        let path = environment(folder.path(), "slot=a\n");
        let whole = fs::read(&path).unwrap();
        let full = Environment::read(&path).unwrap().complete(Slot::B, &"9".repeat(1024)).unwrap_err();
        assert!(full.to_string().contains("full"), "{full}");
        assert_eq!(fs::read(&path).unwrap(), whole);
        for wrong in [&whole[1..], &whole[..1023], &[b'#'; 1024], &[0xff; 1024]] {
            fs::write(&path, wrong).unwrap();
            assert!(matches!(Environment::read(&path), Err(UpdateError::Environment { .. })), "{wrong:?}");
        }
    }
}
