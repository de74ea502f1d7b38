//! The Buildroot tree as far as it can be held without building with it: its pieces fit, and what is asked for is checked.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use lab::cross::root;
use sluice::config::Config;

fn board_folder() -> PathBuf {
    root().join("buildroot/board")
}

/// The boards, by the folders that have a `meta`.
fn boards() -> Vec<String> {
    let entries = fs::read_dir(board_folder()).unwrap().flatten().filter(|entry| entry.path().join("meta").is_file());
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

/// What a board's meta says of a word.
fn meta(board: &str, word: &str) -> String {
    let line = format!(". ./meta; . ./{board}/meta; echo ${word}");
    let output = Command::new("sh").args(["-euc", &line]).current_dir(board_folder()).output().unwrap();
    assert!(output.status.success(), "{board}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The options of a fragment, each with its line. Fails where a line is neither an option, nor a comment, nor empty.
fn options(fragment: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(fragment).unwrap_or_else(|error| panic!("{}: {error}", fragment.display()));
    let mut found = Vec::new();
    for line in text.lines() {
        let unset = line.strip_prefix("# ").and_then(|rest| rest.strip_suffix(" is not set"));
        let name = unset.or_else(|| line.split_once('=').map(|(name, _)| name).filter(|_| !line.starts_with('#')));
        let is_option = name.is_some_and(|name| name.starts_with("CONFIG_") || name.starts_with("BR2_"));
        assert!(is_option || line.is_empty() || line.starts_with("# "), "{}: {line}", fragment.display());
        found.extend(name.map(|name| (name.to_owned(), line.to_owned())));
    }
    assert!(!found.is_empty(), "{} asks for nothing", fragment.display());
    found
}

/// Fails where two of the files, or one file twice, say something of the same option.
fn each_option_stands_once(files: &[PathBuf]) {
    let mut seen = HashMap::new();
    for file in files {
        for (name, _) in options(file) {
            let before = seen.insert(name.clone(), file);
            assert!(before.is_none(), "{name} stands in {} and in {}", before.unwrap().display(), file.display());
        }
    }
}

fn check_config(built: &Path, fragment: &Path) -> Output {
    Command::new(board_folder().join("check-config")).arg(built).arg(fragment).output().unwrap()
}

#[test]
fn the_pieces_of_each_board_exist_and_each_setting_has_one_place() {
    assert_eq!(boards().len(), 5);
    for board in boards() {
        let fragments = meta(&board, "KERNEL_FRAGMENTS");
        let fragments = fragments.split(' ').map(|name| board_folder().join(format!("kernel/{name}.config")));
        each_option_stands_once(&fragments.collect::<Vec<_>>());
        each_option_stands_once(&[
            board_folder().join("common.config"),
            board_folder().join(&board).join("buildroot.config"),
        ]);
        assert!(["efi", "tryboot", "mbr"].contains(&meta(&board, "DISK").as_str()), "{board}");
        assert!(meta(&board, "TARGET").ends_with("-unknown-linux-musl"), "{board}");
    }
    each_option_stands_once(&[board_folder().join("busybox.config")]);
}

#[test]
fn an_option_that_was_asked_for_and_not_built_is_named_with_its_fragment() {
    let folder = new_folder("check-config");
    let fragment = board_folder().join("kernel/nftables.config");
    let built = folder.join("built");
    let asked: Vec<String> = options(&fragment).into_iter().map(|(_, line)| line).collect();

    fs::write(&built, format!("CONFIG_OTHER=y\n{}\n", asked.join("\n"))).unwrap();
    let all_there = check_config(&built, &fragment);
    assert!(all_there.status.success(), "{all_there:?}");

    for (wrong, told) in [("CONFIG_NFT_LIMIT=m", "CONFIG_NFT_LIMIT=m"), ("", "no such option")] {
        fs::write(&built, asked.join("\n").replace("CONFIG_NFT_LIMIT=y", wrong)).unwrap();
        let refused = check_config(&built, &fragment);
        let text = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && text.lines().count() == 1, "{text}");
        for part in ["nftables.config", "CONFIG_NFT_LIMIT=y", told] {
            assert!(text.contains(part), "{part:?} is not in {text:?}");
        }
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn each_slot_of_a_raspberry_pi_starts_its_own_root() {
    let folder = new_folder("raspberrypi");
    for board in boards().into_iter().filter(|board| meta(board, "DISK") == "tryboot") {
        let configure = board_folder().join("raspberrypi/configure");
        assert!(Command::new(configure).arg(&board).arg(&folder).status().unwrap().success());
        for (partition, slot) in [(2, "a"), (3, "b")] {
            let chosen = format!("[boot_partition={partition}]\ncmdline=cmdline-{slot}");
            let config = fs::read_to_string(folder.join("config.txt")).unwrap();
            assert_eq!(config.matches(&chosen).count(), 2, "{board}: once for itself and once for a trial: {config}");
            // Before the first condition, so for both slots.
            let (always, _) = config.split_once("[").unwrap();
            assert!(always.lines().any(|line| line == "initramfs initrd followkernel"), "{board}: {config}");
            for (file, ending) in [("", ""), ("-trial", " sluice.trial")] {
                let line = fs::read_to_string(folder.join(format!("cmdline-{slot}{file}.txt"))).unwrap();
                assert!(line.contains(&format!("root=PARTLABEL=root-{slot} ")), "{board}: {line}");
                assert!(line.ends_with(&format!(" sluice.slot={slot}{ending}\n")), "{board}: {line}");
            }
        }
    }
    fs::remove_dir_all(folder).unwrap();
}

/// The kernel of a board without an initial root need not know what that is; one with slots that GRUB does not start must.
#[test]
fn the_initial_root_of_a_raspberry_pi_is_the_program_and_what_its_kernel_can_start() {
    for board in boards() {
        let has_one = meta(&board, "KERNEL_FRAGMENTS").split(' ').any(|name| name == "initrd");
        assert_eq!(has_one, meta(&board, "DISK") == "tryboot", "{board}");
    }
    let folder = new_folder("initrd");
    let program = folder.join("program");
    fs::write(&program, "a program").unwrap();
    let archive = folder.join("initrd");
    let made = Command::new(board_folder().join("raspberrypi/initrd")).arg(&program).arg(&archive).output().unwrap();
    assert!(made.status.success() && made.stderr.is_empty(), "{made:?}");
    let cpio = |words: &[&str]| {
        let output = Command::new("cpio").args(["--quiet", "-F"]).arg(&archive).args(words).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let listed = cpio(&["-itv"]);
    let kinds: Vec<(&str, &str)> = listed.lines().map(|line| (&line[..10], line.rsplit(' ').next().unwrap())).collect();
    let (console, null) = (("crw-------", "dev/console"), ("crw-rw-rw-", "dev/null"));
    assert_eq!(kinds, [("drwxr-xr-x", "dev"), console, null, ("-rwxr-xr-x", "init")]);
    assert_eq!(cpio(&["-i", "--to-stdout", "init"]), "a program");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_configuration_of_a_board_names_its_light_and_its_watchdog() {
    for board in boards() {
        let folder = new_folder(&format!("post-build-{board}"));
        assert!(Command::new("cp").arg("-r").arg(root().join("overlay/.")).arg(&folder).status().unwrap().success());
        // Any file for the kernel that GRUB reads.
        for kernel in ["Image", "bzImage"] {
            fs::write(folder.join(kernel), "").unwrap();
        }
        let mut post_build = Command::new(board_folder().join("post-build"));
        let output = post_build.arg(&folder).arg(&board).env("BINARIES_DIR", &folder).output().unwrap();
        assert!(output.status.success(), "{board}: {output:?}");
        let config = Config::load(&folder.join("etc/sluice/sluice.toml")).unwrap();
        let hardware = config.hardware;
        let led = hardware.led.map(|led| led.to_string()).unwrap_or_default();
        assert_eq!((led, hardware.watchdog.display().to_string()), (meta(&board, "LED"), meta(&board, "WATCHDOG")));
        assert_eq!(meta(&board, "LED"), if board.starts_with("raspberrypi") { "ACT" } else { "" });
        fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn the_data_partition_takes_the_rest_of_the_disk_and_is_checked_every_so_many_starts() {
    let folder = new_folder("disk");
    fs::create_dir_all(folder.join("boot/grub")).unwrap();
    fs::write(folder.join("rootfs.squashfs"), "a root").unwrap();
    let disk = folder.join("disk.img");
    let made = Command::new(board_folder().join("disk")).arg("qemu-aarch64").arg(&folder).arg(&disk).arg("1").output();
    let made = made.unwrap();
    assert!(made.status.success(), "{made:?}");
    let sizes = ["BOOT_MIB", "ROOT_MIB", "DATA_MIB"].map(|word| meta("qemu-aarch64", word).parse::<u64>().unwrap());
    let start_mib = 1 + sizes[0] + 2 * sizes[1];
    assert_eq!(disk.metadata().unwrap().len() >> 20, start_mib + sizes[2] + 1);
    let place = format!("{}?offset={}", disk.display(), start_mib << 20);
    let told = Command::new("dumpe2fs").args(["-h", &place]).output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains("sluice-data"), "{told}");
    assert!(told.lines().any(|line| line.starts_with("Maximum mount count:") && line.ends_with(" 20")), "{told}");
    fs::remove_dir_all(folder).unwrap();
}

/// `check-package` of Buildroot holds these and more; a slip in them stops no build, so that nobody sees it.
#[test]
fn what_buildroot_reads_is_written_in_its_style() {
    let tree = root().join("buildroot");
    for file in ["Config.in", "external.mk", "package/sluice/Config.in", "package/sluice/sluice.mk"] {
        let text = fs::read_to_string(tree.join(file)).unwrap();
        assert!(
            text.is_ascii() && text.ends_with('\n') && !text.ends_with("\n\n") && !text.contains("\n\n\n"),
            "{file}"
        );
        for line in text.lines() {
            assert!(line == line.trim_end() && !line.starts_with(' '), "{file}: {line:?}");
        }
    }
    let recipe = fs::read_to_string(tree.join("package/sluice/sluice.mk")).unwrap();
    let hashes = "#".repeat(80);
    assert!(recipe.starts_with(&format!("{hashes}\n#\n# sluice\n#\n{hashes}\n\n")), "{recipe}");
}

#[test]
fn legal_info_finds_the_licences_and_nothing_else_of_the_project_is_copied() {
    let folder = new_folder("legal-info");
    // Buildroot's own line, of package/pkg-generic.mk.
    let makefile = "include $(BR2_EXTERNAL_SLUICE_PATH)/package/sluice/sluice.mk\n\
        all:\n\trsync -au $(SLUICE_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS) $(SLUICE_SITE)/ sluice-$(SLUICE_VERSION)\n";
    fs::write(folder.join("Makefile"), makefile).unwrap();
    let tree = format!("BR2_EXTERNAL_SLUICE_PATH={}", root().join("buildroot").display());
    let output = Command::new("make").arg(tree).current_dir(&folder).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let copied = folder.join(concat!("sluice-", env!("CARGO_PKG_VERSION")));
    let names = fs::read_dir(copied).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    assert_eq!(names, ["LICENSE-APACHE", "LICENSE-MIT"]);
    fs::remove_dir_all(folder).unwrap();
}

/// A new folder of this test's own.
fn new_folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("sluice-buildroot-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}
