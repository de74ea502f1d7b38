//! Whether the board is too hot or has too little power, as the kernel tells it below `/sys/class`: both make a box slow or lose its
//! USB adapter, and nobody would look for them.
//!
//! The firmware of a Raspberry Pi could be asked for both at once (`get_throttled`), but the kernel answers that with a warning in its
//! log, and would have its other driver asked: `rpi_volt` of hwmon. So heat is told by the temperature.

use core::time::Duration;
use std::fs;
use std::path::{Path, PathBuf};

use log::warn;

use crate::clock::Stopwatch;
use crate::health::Gauges;

/// Where the kernel tells it.
pub const FOLDER: &str = "/sys/class";

/// How often it is looked.
const INTERVAL: Duration = Duration::from_secs(5);

/// How long it is shown after it was last so: a weak supply fails for moments, when there is much to do.
const SHOWN: Duration = Duration::from_secs(600);

/// The kernel's driver for the supply of a Raspberry Pi.
const RASPBERRY_PI: &str = "rpi_volt";

/// From here on the firmware of a Raspberry Pi slows the processor down, of which the kernel knows nothing.
const RASPBERRY_PI_LIMIT_MILLICELSIUS: i32 = 80_000;

/// Trip points below are not for the processor, or are zeros that nobody has filled in.
const LEAST_LIMIT_MILLICELSIUS: i32 = 60_000;

/// Trip points at which the kernel slows down or switches off; `active` ones only start a fan.
const TRIPS_THAT_HURT: [&str; 3] = ["passive", "hot", "critical"];

/// Trip points of a zone that are looked at.
const MOST_TRIPS: u32 = 16;

/// Looks now and then, and remembers for a while.
#[derive(Debug)]
pub struct Board {
    class: PathBuf,
    shown: Duration,
    looked: Option<Stopwatch>,
    heat: Option<(Stopwatch, String)>,
    power: Option<(Stopwatch, String)>,
}

impl Board {
    /// Of the board whose kernel has this in the place of [`FOLDER`].
    #[must_use]
    pub fn new(class: &Path) -> Self {
        Self { class: class.to_owned(), shown: SHOWN, looked: None, heat: None, power: None }
    }

    /// Looks where it is time to, and tells what is wrong.
    pub fn tend(&mut self, gauges: &Gauges) {
        if self.looked.is_none_or(|looked| looked.elapsed() >= INTERVAL) {
            self.looked = Some(Stopwatch::start());
            gauges.board_faults.set(self.look());
        }
    }

    fn look(&mut self) -> Vec<String> {
        let supply = raspberry_pi(&self.class);
        remember(&mut self.heat, heat(&self.class, supply.is_some()), self.shown);
        remember(&mut self.power, supply.and_then(|supply| power(&supply)), self.shown);
        [&self.heat, &self.power].into_iter().flatten().map(|(_, fault)| fault.clone()).collect()
    }
}

/// What is wrong now takes the place of what was; that goes once it was not seen for so long.
fn remember(place: &mut Option<(Stopwatch, String)>, fault: Option<String>, shown: Duration) {
    if let Some(fault) = fault {
        if place.is_none() {
            warn!("{fault}");
        }
        *place = Some((Stopwatch::start(), fault));
    }
    place.take_if(|(seen, _)| seen.elapsed() >= shown);
}

/// The folder of a Raspberry Pi's supply; none on another board.
fn raspberry_pi(class: &Path) -> Option<PathBuf> {
    let is_it = |folder: &PathBuf| word(&folder.join("name")).is_some_and(|name| name == RASPBERRY_PI);
    folders(&class.join("hwmon")).into_iter().find(is_it)
}

fn power(supply: &Path) -> Option<String> {
    (word(&supply.join("in0_lcrit_alarm"))? == "1").then(|| {
        String::from(
            "the board has too little power, or had within the last 10 minutes: use the supply that is made for it; until then it is \
             slow, and USB adapters may fail",
        )
    })
}

/// The hottest zone of those that are too hot.
fn heat(class: &Path, is_raspberry_pi: bool) -> Option<String> {
    let zones = folders(&class.join("thermal")).into_iter();
    let temperatures = zones.filter_map(|zone| Some((number(&zone.join("temp"))?, zone)));
    let limit = |zone: &Path| limit_millicelsius(zone, is_raspberry_pi);
    let hot = temperatures.filter(|(millicelsius, zone)| limit(zone).is_some_and(|limit| *millicelsius >= limit));
    let (millicelsius, zone) = hot.max()?;
    let name = word(&zone.join("type")).unwrap_or_default();
    Some(format!(
        "the board is too hot, or was within the last 10 minutes: {} °C at {name}, where it slows down; give it air, a heat sink or a fan",
        millicelsius / 1_000
    ))
}

/// From where on a zone is too hot.
fn limit_millicelsius(zone: &Path, is_raspberry_pi: bool) -> Option<i32> {
    let kinds = (0..MOST_TRIPS).map_while(|trip| Some((trip, word(&zone.join(format!("trip_point_{trip}_type")))?)));
    let hurting = kinds.filter(|(_, kind)| TRIPS_THAT_HURT.contains(&kind.as_str()));
    let limits = hurting.filter_map(|(trip, _)| number(&zone.join(format!("trip_point_{trip}_temp"))));
    let limits = limits.chain(is_raspberry_pi.then_some(RASPBERRY_PI_LIMIT_MILLICELSIUS));
    limits.filter(|limit| *limit >= LEAST_LIMIT_MILLICELSIUS).min()
}

fn folders(below: &Path) -> Vec<PathBuf> {
    fs::read_dir(below).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn word(file: &Path) -> Option<String> {
    Some(fs::read_to_string(file).ok()?.trim().to_owned())
}

fn number(file: &Path) -> Option<i32> {
    word(file)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::test_directory::TestDirectory;

    fn write(class: &Path, files: &[(&str, &str)]) {
        for (file, text) in files {
            let path = class.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{text}\n")).unwrap();
        }
    }

    fn write_raspberry_pi(class: &Path) {
        write(
            class,
            &[
                ("hwmon/hwmon0/name", "cpu_thermal"),
                ("hwmon/hwmon1/name", "rpi_volt"),
                ("hwmon/hwmon1/in0_lcrit_alarm", "0"),
                ("thermal/cooling_device0/type", "pwm-fan"),
                ("thermal/thermal_zone0/type", "cpu-thermal"),
                ("thermal/thermal_zone0/temp", "79999"),
                ("thermal/thermal_zone0/trip_point_0_type", "critical"),
                ("thermal/thermal_zone0/trip_point_0_temp", "110000"),
                ("thermal/thermal_zone0/trip_point_1_type", "active"),
                ("thermal/thermal_zone0/trip_point_1_temp", "67500"),
            ],
        );
    }

    #[test]
    fn a_raspberry_pi_tells_heat_and_a_weak_supply_and_both_are_remembered_for_a_while() {
        let directory = TestDirectory::new("board");
        let class = directory.path();
        write_raspberry_pi(class);
        let mut board = Board::new(class);
        assert_eq!(board.look(), [""; 0]);

        write(class, &[("thermal/thermal_zone0/temp", "84321"), ("hwmon/hwmon1/in0_lcrit_alarm", "1")]);
        let told = board.look();
        let [heat, power] = told.as_slice() else { panic!("{told:?}") };
        assert!(
            heat.contains(" 84 °C at cpu-thermal, ") && heat.ends_with("give it air, a heat sink or a fan"),
            "{heat}"
        );
        assert!(power.contains("too little power") && power.contains("use the supply that is made for it"), "{power}");

        write_raspberry_pi(class);
        assert_eq!(board.look(), told);
        board.shown = Duration::ZERO;
        assert_eq!(board.look(), [""; 0]);
    }

    #[test]
    fn another_board_is_too_hot_where_its_kernel_slows_down() {
        let directory = TestDirectory::new("other-board");
        let class = directory.path();
        let (temperature, limit) = ("thermal/thermal_zone1/temp", "thermal/thermal_zone1/trip_point_1_temp");
        write(
            class,
            &[
                // As firmware of a PC may have it.
                ("thermal/thermal_zone0/temp", "27800"),
                ("thermal/thermal_zone0/trip_point_0_type", "passive"),
                ("thermal/thermal_zone0/trip_point_0_temp", "-274000"),
                ("thermal/thermal_zone1/type", "soc-thermal"),
                (temperature, "84000"),
                ("thermal/thermal_zone1/trip_point_0_type", "critical"),
                ("thermal/thermal_zone1/trip_point_0_temp", "115000"),
                ("thermal/thermal_zone1/trip_point_1_type", "passive"),
                (limit, "85000"),
                ("thermal/thermal_zone2/temp", "no number"),
            ],
        );
        let mut board = Board::new(class);
        assert_eq!(board.look(), [""; 0]);
        write(class, &[(temperature, "85000")]);
        let told = board.look();
        assert!(told.len() == 1 && told[0].contains(" 85 °C at soc-thermal, "), "{told:?}");
        write(class, &[(limit, "0")]);
        assert_eq!(Board::new(class).look(), [""; 0], "a trip point that nobody has filled in is none");
    }

    #[test]
    fn a_machine_that_tells_nothing_is_well() {
        let directory = TestDirectory::new("no-board");
        let gauges = Gauges::default();
        Board::new(&directory.path().join("nowhere")).tend(&gauges);
        assert_eq!(gauges.board_faults.get(), [""; 0]);
    }
}
