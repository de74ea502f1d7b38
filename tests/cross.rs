//! The program for boards with ARM processors, built as `make cross` builds it and run under emulation: what is decided there
//! is what is decided here. Capture and nftables are not emulated.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use lab::cleanup::work_folder;
use lab::daemon::sluice_program;
use lab::process::{Finished, run_any};
use serde_json::Value;

/// How long one build may take on a busy machine.
const BUILD_LIMIT: Duration = Duration::from_secs(1_800);

/// How long an emulated program may take.
const LIMIT: Duration = Duration::from_secs(300);

/// The exit status of `packaging/cross` where the standard library of Rust cannot be had for the target.
const UNAVAILABLE: i32 = 69;

const AARCH64: &str = "aarch64-unknown-linux-musl";
const ARMV7: &str = "armv7-unknown-linux-musleabihf";

/// How large the program for 64-bit boards may be.
const MOST_BYTES: u64 = 8 << 20;

/// The same without TLS, for devices with 16 MB of flash.
const MOST_BYTES_WITHOUT_TLS: u64 = 4 << 20;

/// What the release programs for 64-bit boards are.
struct Built {
    program: PathBuf,
    bytes: u64,
    bytes_without_tls: u64,
}

/// The program with all features is built last, because both lie at the same place.
static BUILT: LazyLock<Built> = LazyLock::new(|| {
    let built = |more: &[&str]| {
        let words = [&["build", "--release", "--package", "sluice"], more].concat();
        let finished = cross(AARCH64, &words);
        assert!(finished.success(), "{}{}", finished.stdout, finished.stderr);
        let program = program_for(AARCH64);
        (fs::metadata(&program).unwrap().len(), program)
    };
    let (bytes_without_tls, _) = built(&["--no-default-features"]);
    let (bytes, program) = built(&[]);
    println!("{AARCH64}: {bytes} bytes, without TLS {bytes_without_tls}");
    Built { program, bytes, bytes_without_tls }
});

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn program_for(target: &str) -> PathBuf {
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    folder.join(target).join("release/sluice")
}

fn cross(target: &str, words: &[&str]) -> Finished {
    run_any(Command::new(root().join("packaging/cross")).arg(target).args(words), BUILD_LIMIT).unwrap()
}

/// The project's captures, in order.
fn captures() -> Vec<PathBuf> {
    let folders = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("captures")).unwrap();
    let mut found: Vec<_> = folders.map(|folder| folder.unwrap().path().join("input.pcap")).collect();
    found.sort();
    found
}

/// What a program makes of a capture: how it ends, the report without the time that it took, and all feature vectors.
fn replay(command: &mut Command, capture: &Path) -> (Option<i32>, String, String) {
    let vectors = work_folder().unwrap().join(format!("{:?}.vectors", thread::current().id()));
    command
        .arg("replay")
        .arg(capture)
        .args(["--lan", "198.51.100.0/24", "--report", "json", "--vectors"])
        .arg(&vectors);
    let finished = run_any(command, LIMIT).unwrap();
    let mut report: Value = serde_json::from_str(&finished.stdout).unwrap_or_else(|_| panic!("{}", finished.stderr));
    for time in ["elapsed_s", "packets_per_s"] {
        report.as_object_mut().unwrap().remove(time).unwrap();
    }
    (finished.code(), report.to_string(), fs::read_to_string(&vectors).unwrap())
}

/// Whether the program decides as the one for this machine does, from the very same numbers.
fn assert_decides_alike(emulator: &str, program: &Path) {
    let captures = captures();
    assert!(captures.len() > 5, "{captures:?}");
    for capture in captures {
        let emulated = replay(Command::new(emulator).arg(program), &capture);
        let native = replay(&mut Command::new(sluice_program().unwrap()), &capture);
        assert!(native.2.lines().count() > 1, "{} has no flow", capture.display());
        assert_eq!(emulated, native, "{}", capture.display());
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
    let elf = fs::read(&BUILT.program).unwrap();
    assert_eq!(elf[..5], *b"\x7fELF\x02", "an ELF file of 64 bits");
    assert_eq!(elf[18..20], [183, 0], "for aarch64");
    assert!(!asks_for_a_loader(&elf));
    assert!(BUILT.bytes < MOST_BYTES, "{} bytes", BUILT.bytes);
    assert!(BUILT.bytes_without_tls < MOST_BYTES_WITHOUT_TLS, "{} bytes", BUILT.bytes_without_tls);
}

#[test]
fn a_64_bit_board_decides_what_is_decided_here() {
    assert_decides_alike("qemu-aarch64", &BUILT.program);
}

#[test]
fn a_32_bit_board_decides_what_is_decided_here() {
    let finished = cross(ARMV7, &["build", "--release", "--package", "sluice"]);
    if finished.code() == Some(UNAVAILABLE) {
        println!("not tested: {}", finished.stderr.lines().next_back().unwrap());
        return;
    }
    assert!(finished.success(), "{}{}", finished.stdout, finished.stderr);
    assert_decides_alike("qemu-arm", &program_for(ARMV7));
}
