//! The program for boards with ARM processors, built as `make cross` builds it and run under emulation: what is decided there
//! is what is decided here. Capture and nftables are not emulated.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use lab::cross::{AARCH64, ARMV7, cross, place_of, program_for};
use lab::daemon::sluice_program;
use lab::process::run_within;
use serde_json::Value;

/// How long an emulated program may take.
const LIMIT: Duration = Duration::from_secs(300);

/// The exit status of `packaging/cross` where the standard library of Rust cannot be had for the target.
const UNAVAILABLE: i32 = 69;

/// How large the program for 64-bit boards may be.
const MOST_BYTES: usize = 8 << 20;

/// The release program for 64-bit boards.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| program_for(AARCH64, &[]).unwrap());

/// The project's captures, in order.
fn captures() -> Vec<PathBuf> {
    let folders = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("captures")).unwrap();
    let mut found: Vec<_> = folders.map(|folder| folder.unwrap().path().join("input.pcap")).collect();
    found.sort();
    found
}

/// The report of a replay without the time that it took.
fn report(command: &mut Command, capture: &Path) -> Value {
    command.arg("replay").arg(capture).args(["--lan", "198.51.100.0/24", "--report", "json"]);
    let mut report: Value = serde_json::from_str(&run_within(command, LIMIT).unwrap()).unwrap();
    for time in ["elapsed_s", "packets_per_s"] {
        report.as_object_mut().unwrap().remove(time).unwrap();
    }
    report
}

/// Whether the program decides as the one for this machine does, with the very same numbers.
fn assert_decides_alike(emulator: &str, program: &Path) {
    let captures = captures();
    assert!(captures.len() > 5, "{captures:?}");
    for capture in captures {
        let emulated = report(Command::new(emulator).arg(program), &capture);
        let native = report(&mut Command::new(sluice_program().unwrap()), &capture);
        assert_eq!(emulated.to_string(), native.to_string(), "{}", capture.display());
    }
}

/// Whether an ELF file of 64 bits asks for a loader, as whatever is linked dynamically does.
fn asks_for_a_loader(elf: &[u8]) -> bool {
    const INTERPRETER: u32 = 3;
    let number =
        |at: usize, bytes: usize| elf[at..at + bytes].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    let (headers, header_bytes, count) = (number(32, 8), number(54, 2), number(56, 2));
    assert!(count > 0);
    (0..count).any(|header| number(headers + header * header_bytes, 4) == INTERPRETER as usize)
}

#[test]
fn the_program_for_64_bit_boards_is_static_and_small() {
    let elf = fs::read(&*PROGRAM).unwrap();
    assert_eq!(elf[..5], *b"\x7fELF\x02", "an ELF file of 64 bits");
    assert_eq!(elf[18..20], [183, 0], "for aarch64");
    assert!(!asks_for_a_loader(&elf));
    assert!(elf.len() < MOST_BYTES, "{} bytes", elf.len());
}

#[test]
fn a_64_bit_board_decides_what_is_decided_here() {
    assert_decides_alike("qemu-aarch64", &PROGRAM);
}

#[test]
fn a_32_bit_board_decides_what_is_decided_here() {
    let finished = cross(ARMV7, &["build", "--release", "--package", "sluice"]).unwrap();
    if finished.code() == Some(UNAVAILABLE) {
        println!("not tested: {}", finished.stderr.trim());
        return;
    }
    assert!(finished.success(), "{}{}", finished.stdout, finished.stderr);
    assert_decides_alike("qemu-arm", &place_of(ARMV7));
}

#[test]
fn bytes_become_the_same_features_on_a_64_bit_board() {
    let finished = cross(AARCH64, &["test", "--package", "traffic"]).unwrap();
    assert!(finished.success(), "{}{}", finished.stdout, finished.stderr);
    let passed = finished.stdout.matches("test result: ok").count();
    assert!(passed > 5, "{}", finished.stdout);
}
