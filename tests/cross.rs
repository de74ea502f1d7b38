//! The program for boards with ARM processors, built as `make cross` builds it and run under emulation: what is decided there
//! is what is decided here. Capture and nftables are not emulated.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use lab::cleanup::work_folder;
use lab::cross::{AARCH64, ARMV7, cross, place_of, program_for, root};
use lab::daemon::sluice_program;
use lab::process::{run_any, run_within};
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

/// Unpacked and not configured: the scripts of a package are for the system that it is on, and tests/packages.rs runs them in one.
#[test]
fn the_debian_package_for_64_bit_boards_brings_a_program_that_runs_there_and_its_configuration() {
    let mut build = Command::new(root().join("packaging/debian/build"));
    let made = run_within(build.arg(AARCH64).arg(&*PROGRAM), LIMIT).unwrap();
    let package = root().join(made.trim());
    let said = |field: &str| {
        run_within(Command::new("dpkg-deb").arg("--field").arg(&package).arg(field), LIMIT).unwrap().trim().to_owned()
    };
    assert_eq!([said("Architecture"), said("Depends")], ["arm64", ""], "it is static");
    let debian = work_folder().unwrap().join("arm64");
    let records = debian.join("var/lib/dpkg");
    ["info", "updates"].iter().for_each(|folder| fs::create_dir_all(records.join(folder)).unwrap());
    fs::write(records.join("status"), "").unwrap();
    let mut unpack = Command::new("dpkg");
    unpack.arg(format!("--root={}", debian.display())).args(["--log=/dev/null", "--force-architecture", "--unpack"]);
    run_within(unpack.arg(&package), LIMIT).unwrap();
    let mut check = Command::new("qemu-aarch64");
    check.arg(debian.join("usr/bin/sluice")).arg("check-config").arg(debian.join("etc/sluice/sluice.toml.dpkg-new"));
    let checked = run_any(&mut check, LIMIT).unwrap();
    assert!(checked.success() && checked.stdout.contains("mode observe"), "{}{}", checked.stdout, checked.stderr);
}

/// Made by buildah, whose `build` is podman's, and looked into without being run: no kernel here runs its program.
#[test]
fn the_container_image_holds_the_program_its_configuration_and_nothing_else() {
    let store = work_folder().unwrap().join("container").display().to_string();
    let options = format!("--storage-driver vfs --root {store}/images --runroot {store}/run");
    let buildah = |words: &[&str]| {
        let said = run_within(Command::new("buildah").args(options.split(' ')).args(words), LIMIT).unwrap();
        said.trim().to_owned()
    };
    let mut build = Command::new(root().join("packaging/container/build"));
    build.env("ENGINE", format!("buildah {options}")).arg(AARCH64).arg(&*PROGRAM);
    run_within(&mut build, LIMIT).unwrap();
    let what = "{{.OCIv1.Architecture}} {{.OCIv1.Config.Entrypoint}} {{.OCIv1.Config.Cmd}} {{.OCIv1.Config.Volumes}}";
    let said = buildah(&["inspect", "--type", "image", "--format", what, "sluice"]);
    assert_eq!(said, "arm64 [/usr/bin/sluice] [run] map[/var/lib/sluice:{}]");
    let files = PathBuf::from(buildah(&["mount", &buildah(&["from", "sluice"])]));
    let mut find = Command::new("find");
    find.current_dir(&files).args([".", "-type", "f", "-printf", "%m %P\n", "-o", "-empty", "-printf", "%m %P/\n"]);
    let found = run_within(&mut find, LIMIT).unwrap();
    let mut found: Vec<_> = found.lines().collect();
    found.sort_unstable();
    assert_eq!(found, ["644 etc/sluice/sluice.toml", "700 run/sluice/", "700 var/lib/sluice/", "755 usr/bin/sluice"]);
    let mut check = Command::new("qemu-aarch64");
    check.arg(files.join("usr/bin/sluice")).arg("check-config").arg(files.join("etc/sluice/sluice.toml"));
    let checked = run_any(&mut check, LIMIT).unwrap();
    assert!(checked.success() && checked.stdout.contains("mode observe"), "{}{}", checked.stdout, checked.stderr);
}

/// The test programs that cargo says it has built, in its words `Executable unittests src/lib.rs (FILE)`.
fn test_programs(said: &str) -> Vec<PathBuf> {
    let named =
        |line: &str| Some(root().join(line.trim().strip_prefix("Executable ")?.split_once('(')?.1.strip_suffix(')')?));
    said.lines().filter_map(named).collect()
}

/// All of the leaf crate: from bytes to features, nothing that asks the kernel.
#[test]
fn what_is_tested_of_the_path_of_a_packet_holds_on_a_64_bit_board() {
    let build = ["test", "--no-run", "--package", "traffic", "--config", "profile.dev.debug=false"];
    let built = cross(AARCH64, &build).unwrap();
    assert!(built.success(), "{}{}", built.stdout, built.stderr);
    let programs = test_programs(&built.stderr);
    assert!(programs.len() > 10, "{}", built.stderr);
    for program in programs {
        let mut command = Command::new("qemu-aarch64");
        command.arg(&program).arg("--quiet").current_dir(root().join("appliance/traffic"));
        let finished = run_any(&mut command, LIMIT).unwrap();
        assert!(finished.success(), "{}:\n{}{}", program.display(), finished.stdout, finished.stderr);
        assert!(finished.stdout.contains("test result: ok. "), "{}", finished.stdout);
    }
}

#[test]
fn a_32_bit_board_decides_what_is_decided_here() {
    let finished = cross(ARMV7, &["build", "--release", "--package", "sluice"]).unwrap();
    if finished.code() == Some(UNAVAILABLE) {
        println!("not tested: {}", finished.stderr.lines().next_back().unwrap());
        return;
    }
    assert!(finished.success(), "{}{}", finished.stdout, finished.stderr);
    assert_decides_alike("qemu-arm", &place_of(ARMV7));
}
