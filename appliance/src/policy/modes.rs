//! Modes: whether what is decided is only said, waits for a person, or is done; for each class of attack, and changed while
//! the box runs.

use traffic::features::ThreatClass;

use super::BlockState;

/// What the box does with its decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Says what it would block; blocks nothing.
    Observe,
    /// Asks a person, and blocks what is approved.
    Approve,
    /// Blocks.
    Enforce,
}

impl Mode {
    /// All of them, the mildest first.
    pub const ALL: [Self; 3] = [Self::Observe, Self::Approve, Self::Enforce];

    /// The name in the configuration and on the page.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Approve => "approve",
            Self::Enforce => "enforce",
        }
    }

    /// The mode of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }

    /// What a new block is in this mode.
    #[must_use]
    pub const fn state(self) -> BlockState {
        match self {
            Self::Observe => BlockState::Observed,
            Self::Approve => BlockState::Proposed,
            Self::Enforce => BlockState::Enforced,
        }
    }

    /// Whether what was decided in another mode may go on in this one. What was only said, or not yet approved, is decided
    /// anew where the box has become stricter: by now the attack may be over.
    #[must_use]
    pub const fn keeps(self, state: BlockState) -> bool {
        match self {
            Self::Observe => matches!(state, BlockState::Observed),
            Self::Approve => matches!(state, BlockState::Proposed | BlockState::Enforced),
            Self::Enforce => matches!(state, BlockState::Enforced),
        }
    }
}

/// The mode of each class of attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modes {
    /// For all classes that have none of their own, and for what people do by hand.
    pub general: Mode,
    of_class: [Option<Mode>; ThreatClass::ALL.len()],
}

impl Modes {
    /// One for all.
    #[must_use]
    pub const fn all(general: Mode) -> Self {
        Self { general, of_class: [None; ThreatClass::ALL.len()] }
    }

    /// The mode for attacks of a class; `None` stands for what is done by hand.
    #[must_use]
    pub fn of(&self, class: Option<ThreatClass>) -> Mode {
        class.and_then(|class| self.of_class[class.number()]).unwrap_or(self.general)
    }

    /// Sets the mode of a class, or that of all classes, which then have none of their own any more.
    pub fn set(&mut self, class: Option<ThreatClass>, mode: Mode) {
        match class {
            Some(class) => self.of_class[class.number()] = Some(mode),
            None => *self = Self::all(mode),
        }
    }

    /// The classes that have a mode of their own.
    pub fn own(&self) -> impl Iterator<Item = (ThreatClass, Mode)> {
        ThreatClass::ALL.into_iter().filter_map(|class| Some((class, self.of_class[class.number()]?)))
    }

    /// Whether anything may come to be blocked.
    #[must_use]
    pub fn may_block(&self) -> bool {
        self.general != Mode::Observe || self.own().any(|(_, mode)| mode != Mode::Observe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_has_its_own_mode_until_one_for_all_is_set() {
        let mut modes = Modes::all(Mode::Observe);
        assert!(!modes.may_block());
        modes.set(Some(ThreatClass::Scan), Mode::Enforce);
        assert_eq!(modes.of(Some(ThreatClass::Scan)), Mode::Enforce);
        assert_eq!((modes.of(Some(ThreatClass::Flood)), modes.of(None)), (Mode::Observe, Mode::Observe));
        assert!(modes.may_block());
        assert_eq!(modes.own().collect::<Vec<_>>(), [(ThreatClass::Scan, Mode::Enforce)]);
        modes.set(None, Mode::Approve);
        assert_eq!((modes.of(Some(ThreatClass::Scan)), modes.own().count()), (Mode::Approve, 0));
    }
}
