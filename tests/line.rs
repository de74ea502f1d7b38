//! The emulated line: real programs talk through it, and meet what its profile says. How long things take is only bounded
//! from below: what a machine is busy with makes them longer.

use std::time::Duration;

use lab::line::profile::{CLEAR, Direction, LTE, Place, Profile};
use lab::network::{INTERNET, Network};
use lab::services;
use sluice::clock::Stopwatch;

const PATIENCE: Duration = Duration::from_secs(60);

fn profile(way: Direction) -> Profile {
    Profile { name: "test", place: Place::Wan, down: way, up: way }
}

/// What ping prints of each answer and at its end.
fn ping(network: &Network, options: &str) -> String {
    let line = format!("ping -n {options} {}", INTERNET[0]);
    // Its exit status says whether all answers came, which is what is tested.
    lab::process::run_any(&mut network.lan.words(&line), PATIENCE).unwrap().stdout
}

/// The answers, by the numbers of their requests in the order in which they came.
fn answers(printed: &str) -> Vec<u32> {
    let numbers = printed.lines().filter_map(|line| line.split_once("icmp_seq=")?.1.split(' ').next()?.parse().ok());
    numbers.collect()
}

#[test]
fn a_ping_takes_at_least_the_delays_of_both_ways_on_either_side_of_the_box() {
    for place in [Place::Wan, Place::Lan] {
        let way = Direction { delay_us: 30_000, ..CLEAR };
        let network = Network::over(&Profile { place, ..profile(way) }, 1).unwrap();
        network.bridge().unwrap();
        let printed = ping(&network, "-c 5 -i 0.1");
        let times =
            printed.lines().filter_map(|line| line.split_once("time=")?.1.split(' ').next()?.parse::<f64>().ok());
        let times: Vec<f64> = times.collect();
        assert_eq!(times.len(), 5, "{printed}");
        assert!(times.iter().all(|&time_ms| time_ms >= 60.0), "{times:?}");
    }
}

#[test]
fn frames_are_lost_as_the_profile_says_and_none_overtakes_another() {
    let way = Direction { loss: 0.1, delay_us: 2_000, jitter_us: 8_000, ..CLEAR };
    let network = Network::over(&profile(way), 4).unwrap();
    network.bridge().unwrap();
    // Both ways lose a tenth: four fifths of the answers come.
    let came = answers(&ping(&network, "-c 1000 -i 0.004 -W 2"));
    assert!((750..870).contains(&came.len()), "{} of 1000", came.len());
    assert!(came.is_sorted(), "{came:?}");
}

#[test]
fn frames_that_are_held_back_are_overtaken() {
    let way = Direction { reorder: 0.1, reorder_us: 40_000, ..CLEAR };
    let network = Network::over(&profile(way), 4).unwrap();
    network.bridge().unwrap();
    let came = answers(&ping(&network, "-c 200 -i 0.005 -W 2"));
    assert_eq!(came.len(), 200);
    assert!(!came.is_sorted());
}

#[test]
fn a_download_takes_at_least_as_long_as_the_rate_makes_it() {
    let way = Direction { rate_kbit_per_s: Some(8_000), ..CLEAR };
    let network = Network::over(&profile(way), 1).unwrap();
    network.bridge().unwrap();
    let _web = services::nginx(&network.wan).unwrap();
    let watch = Stopwatch::start();
    let bytes = lab::benign::fetch(&network.lan, INTERNET[0], "package.deb", PATIENCE).unwrap();
    assert_eq!(bytes, 1_500_000);
    // At 8 Mbit/s they take 1.5 s, headers not counted.
    assert!(watch.elapsed() >= Duration::from_millis(1_500), "{:?}", watch.elapsed());
}

#[test]
fn several_laboratories_stand_beside_one_another() {
    let networks = [1, 2].map(|seed| Network::over(&LTE, seed).unwrap());
    for network in &networks {
        network.bridge().unwrap();
        assert_eq!(answers(&ping(network, "-c 1 -W 3 -i 0.2")).len(), 1);
    }
}
