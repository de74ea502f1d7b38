//! An LED that the kernel knows by name: a folder below `/sys/class/leds` with the files `brightness`, `max_brightness` and
//! `trigger`. What drove the LED before (the kernel's trigger)
//! does not come back at the end: a heartbeat would look as if Sluice ran.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use embedded_hal::digital::{ErrorType, OutputPin};

use super::pins::PinError;

/// Where the kernel keeps them.
pub const FOLDER: &str = "/sys/class/leds";

/// The trigger of an LED that nobody but us drives.
const NO_TRIGGER: &str = "none";

/// One of them. High is lit, whatever the board's wiring: the kernel knows that.
#[derive(Debug)]
pub struct Led {
    folder: PathBuf,
    /// `brightness` when it is lit.
    brightest: String,
}

impl Led {
    /// Takes it over from whatever drives it; `leds` is the folder of all of them.
    ///
    /// # Errors
    /// There is none of that name, or it cannot be written.
    pub fn open(leds: &Path, name: &str) -> Result<Self, PinError> {
        let folder = leds.join(name);
        if !folder.join("brightness").exists() {
            return Err(PinError::NoLed { name: name.to_owned(), leds: leds.to_owned(), present: names(leds) });
        }
        let brightest = fs::read_to_string(folder.join("max_brightness")).unwrap_or_else(|_| String::from("1"));
        let led = Self { folder, brightest };
        // A kernel without triggers has no such file.
        if led.folder.join("trigger").exists() {
            led.write("trigger", NO_TRIGGER)?;
        }
        Ok(led)
    }

    /// Never makes a file: where one is missing, the LED is gone.
    fn write(&self, file: &str, text: &str) -> Result<(), PinError> {
        let path = self.folder.join(file);
        let file = OpenOptions::new().write(true).truncate(true).open(&path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|cause: io::Error| PinError::Write { path, cause })
    }
}

impl ErrorType for Led {
    type Error = PinError;
}

impl OutputPin for Led {
    fn set_low(&mut self) -> Result<(), PinError> {
        self.write("brightness", "0")
    }

    fn set_high(&mut self) -> Result<(), PinError> {
        self.write("brightness", self.brightest.trim())
    }
}

/// Names of the LEDs that are there, in their order.
fn names(leds: &Path) -> Vec<String> {
    let entries = fs::read_dir(leds).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::store::test_directory::TestDirectory;

    /// A folder that looks like that of an LED.
    pub fn make(leds: &Path, name: &str) {
        let folder = leds.join(name);
        fs::create_dir(&folder).unwrap();
        for (file, text) in [("brightness", "0\n"), ("max_brightness", "255\n"), ("trigger", "none [mmc0] timer\n")] {
            fs::write(folder.join(file), text).unwrap();
        }
    }

    pub fn read(leds: &Path, name: &str, file: &str) -> String {
        fs::read_to_string(leds.join(name).join(file)).unwrap().trim().to_owned()
    }

    #[test]
    fn it_is_taken_over_and_lit() {
        let directory = TestDirectory::new("led");
        let leds = directory.path();
        make(leds, "ACT");
        let mut led = Led::open(leds, "ACT").unwrap();
        assert_eq!(read(leds, "ACT", "trigger"), "none");
        led.set_high().unwrap();
        assert_eq!(read(leds, "ACT", "brightness"), "255");
        led.set_low().unwrap();
        assert_eq!(read(leds, "ACT", "brightness"), "0");
        drop(led);
        assert_eq!(read(leds, "ACT", "trigger"), "none");
    }

    #[test]
    fn one_without_triggers_or_grades_is_lit_all_the_same() {
        let directory = TestDirectory::new("plain-led");
        let leds = directory.path();
        make(leds, "ACT");
        fs::remove_file(leds.join("ACT/trigger")).unwrap();
        fs::remove_file(leds.join("ACT/max_brightness")).unwrap();
        let mut led = Led::open(leds, "ACT").unwrap();
        led.set_high().unwrap();
        assert_eq!(read(leds, "ACT", "brightness"), "1");
        drop(led);
        assert!(!leds.join("ACT/trigger").exists());
    }

    #[test]
    fn a_wrong_name_is_told_with_those_that_are_there_and_one_that_vanishes_is_an_error() {
        let directory = TestDirectory::new("no-led");
        let leds = directory.path();
        make(leds, "PWR");
        make(leds, "ACT");
        let told = Led::open(leds, "led0").unwrap_err().to_string();
        assert_eq!(told, format!("no LED `led0` in {}; there are: ACT, PWR", leds.display()));
        let told = Led::open(&leds.join("nowhere"), "ACT").unwrap_err().to_string();
        assert!(told.ends_with("there are: none"), "{told}");
        let mut led = Led::open(leds, "ACT").unwrap();
        fs::remove_dir_all(leds.join("ACT")).unwrap();
        assert!(led.set_high().unwrap_err().to_string().contains("ACT/brightness"));
        drop(led);
        assert!(!leds.join("ACT").exists(), "nothing is made in its place");
    }
}
