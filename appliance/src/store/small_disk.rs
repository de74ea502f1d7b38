//! A disk that is really full: a small tmpfs in a mount namespace of its own.

use std::path::Path;
use std::process::Command;

use nix::unistd::geteuid;

use super::test_directory::TestDirectory;

/// Names the disk to the test that runs on it.
const INSIDE: &str = "SLUICE_TEST_SMALL_DISK";

/// Runs `body` with the path of an empty disk of so many KiB. The test, by its whole name, runs itself again in there. Who is not
/// root, where user namespaces are forbidden, has no small disk: then the test is skipped.
pub(crate) fn on_a_small_disk(test: &str, size_kib: u32, body: impl FnOnce(&Path)) {
    if let Some(disk) = std::env::var_os(INSIDE) {
        return body(Path::new(&disk));
    }
    let (directory, is_root) = (TestDirectory::new("small-disk"), geteuid().is_root());
    let inside = |command: &str| {
        let mut unshare = Command::new("unshare");
        unshare.args(if is_root { &["--mount"][..] } else { &["--user", "--map-root-user", "--mount"] });
        unshare.args(["sh", "-c", command]).env(INSIDE, directory.path()).output()
    };
    let tried = inside("mount -t tmpfs tmpfs /mnt");
    if !tried.as_ref().is_ok_and(|output| output.status.success()) {
        assert!(!is_root, "root can mount a small disk: {tried:?}");
        eprintln!("skipped: this machine allows no mount namespaces");
        return;
    }
    let script = format!(
        "mount -t tmpfs -o size={size_kib}k tmpfs {} && exec {} --exact {test}",
        directory.path().display(),
        std::env::current_exe().unwrap().display()
    );
    let output = inside(&script).unwrap();
    let told = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    // A name that no test has would pass as well.
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}
