//! Where a light, a button or a relay is: an LED that the kernel knows by name, or a line of a GPIO chip.

use core::fmt::{self, Display};
use core::str::FromStr;

use serde::{Deserialize, Deserializer, de};

/// How the names of GPIO chips begin.
pub(super) const CHIP: &str = "gpiochip";

/// Where something is that is lit or switched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An LED, by its name below `/sys/class/leds`.
    Led(String),
    /// A line of a chip.
    Line(Line),
}

/// A line of a GPIO chip, such as `gpiochip0:17`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Name of the chip below `/dev`.
    pub chip: String,
    /// Number of the line, counted by the chip from 0.
    pub offset: u32,
}

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Led(name) => f.write_str(name),
            Self::Line(line) => line.fmt(f),
        }
    }
}

impl Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.chip, self.offset)
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with(CHIP) {
            return text.parse().map(Self::Line);
        }
        if text.is_empty() || text.starts_with('.') || text.contains('/') {
            return Err(format!(
                "`{text}` is neither the name of an LED below /sys/class/leds (ACT) nor a line of a GPIO chip (gpiochip0:17)"
            ));
        }
        Ok(Self::Led(text.to_owned()))
    }
}

impl FromStr for Line {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_chip = |chip: &&str| {
            let number = chip.strip_prefix(CHIP);
            number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let line = text.split_once(':').filter(|(chip, _)| is_chip(chip));
        line.and_then(|(chip, offset)| Some(Self { chip: chip.to_owned(), offset: offset.parse().ok()? })).ok_or_else(
            || format!("`{text}` is no line of a GPIO chip; give one such as gpiochip0:17 (`gpioinfo` lists them)"),
        )
    }
}

/// What the configuration says; an empty text is none.
pub(crate) fn optional<'de, D: Deserializer<'de>, T: FromStr<Err = String>>(from: D) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(from)?;
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(de::Error::custom) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_led_or_a_line_and_reads_as_it_was_written() {
        for text in ["ACT", "green:status", "led0", "gpiochip0:17", "gpiochip12:0"] {
            let place: Place = text.parse().unwrap();
            assert_eq!(place.to_string(), text);
            assert_eq!(matches!(place, Place::Line(_)), text.starts_with("gpiochip"), "{text}");
        }
        for wrong in ["", "a/b", "..", "gpiochip0", "gpiochip:1", "gpiochip0:x", "gpiochip0:-1", "gpiochipx:1"] {
            let told = wrong.parse::<Place>().unwrap_err();
            assert!(told.contains("gpiochip0:17"), "{told}");
        }
        assert!("ACT".parse::<Line>().is_err());
    }
}
