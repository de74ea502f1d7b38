//! A box is written into an archive and comes back from it; what is no archive of ours changes nothing.

use std::fs;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};
use traffic::time::Timestamp;

use super::{BackupError, Restored, Written, put_in_place, restore, write};
use crate::store::Store;
use crate::store::small_disk::on_a_small_disk;
use crate::store::test_directory::TestDirectory;

const NOW: Timestamp = Timestamp::from_secs(1_795_197_787);
const DATE: &str = "2026-11-20T180307Z";

/// A box below a folder.
struct Household {
    folder: TestDirectory,
}

impl Household {
    /// With a configuration, a list, a database with one user, a model and a copy of a list.
    fn new(name: &str, user: &str) -> Self {
        let this = Self { folder: TestDirectory::new(name) };
        fs::create_dir_all(this.path("etc")).unwrap();
        fs::write(this.config(), this.config_text()).unwrap();
        fs::write(this.path("etc/mine.txt"), format!("{user}.example\n")).unwrap();
        let store = Store::open(&this.state(), NOW).unwrap().store;
        store.set_password(user, "a long password", NOW, "a test").unwrap();
        for (file, text) in [("models/m@1.model", "model"), ("lists/l.list", "list"), ("lists/l.list.draft", "half")] {
            fs::create_dir_all(this.state().join(file).parent().unwrap()).unwrap();
            fs::write(this.state().join(file), format!("{text} of {user}")).unwrap();
        }
        this
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn state(&self) -> PathBuf {
        self.path("state")
    }

    fn config(&self) -> PathBuf {
        self.path("etc/sluice.toml")
    }

    fn config_text(&self) -> String {
        let (state, list) = (self.state(), self.path("etc/mine.txt"));
        format!(
            "state_dir = {state:?}\n[bridge]\nports = [\"eth0\", \"eth1\"]\n[[lists]]\nname = \"mine\"\npath = {list:?}\nclass = \"botnet\"\n\
             confidence = 0.9\n"
        )
    }

    fn backup(&self) -> Vec<u8> {
        let mut archive = Vec::new();
        let written = write(&self.config(), &mut archive).unwrap();
        assert_eq!(written, Written { files: 3, has_database: true, missing: Vec::new() });
        archive
    }

    fn restore(&self, archive: &[u8]) -> Result<Restored, BackupError> {
        restore(&mut &archive[..], &self.config(), NOW)
    }

    /// Whose box this is, by each of its files.
    fn owners(&self) -> Vec<String> {
        let users = Store::join(&self.state()).unwrap();
        let named =
            ["admin", "other"].into_iter().filter(|user| users.check_password(user, "a long password").unwrap());
        let of_files = ["etc/mine.txt", "state/models/m@1.model", "state/lists/l.list"]
            .map(|file| fs::read_to_string(self.path(file)).unwrap());
        named.map(str::to_owned).chain(of_files).collect()
    }

    fn all_files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        fn below(folder: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                match entry.file_type().unwrap().is_dir() {
                    true => below(&entry.path(), files),
                    false => files.push((entry.path(), fs::read(entry.path()).unwrap())),
                }
            }
        }
        let mut files = Vec::new();
        below(self.folder.path(), &mut files);
        files.sort();
        files
    }
}

/// An archive with these files.
fn archive<T: AsRef<[u8]>>(files: &[(&str, T)]) -> Vec<u8> {
    let mut archive = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, bytes) in files {
        let bytes = bytes.as_ref();
        let mut header = Header::new_gnu();
        // What no honest program writes: `set_path` refuses it.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(if bytes.starts_with(b">") { EntryType::Symlink } else { EntryType::Regular });
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        archive.append(&header, bytes).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

#[test]
fn a_box_comes_back_with_all_that_it_was_and_what_was_there_before_is_kept() {
    let (old, new) = (Household::new("backup-old", "admin"), Household::new("backup-new", "other"));
    // The paths of the new box: as if the old one had had the same.
    let mut moved = Vec::new();
    fs::write(old.config(), new.config_text()).unwrap();
    fs::rename(new.path("etc/mine.txt"), new.path("etc/aside.txt")).unwrap();
    fs::copy(old.path("etc/mine.txt"), new.path("etc/mine.txt")).unwrap();
    fs::rename(new.state(), new.path("aside")).unwrap();
    fs::rename(old.state(), new.state()).unwrap();
    write(&old.config(), &mut moved).unwrap();
    fs::remove_dir_all(new.state()).unwrap();
    fs::rename(new.path("aside"), new.state()).unwrap();
    fs::rename(new.path("etc/aside.txt"), new.path("etc/mine.txt")).unwrap();
    assert!(new.owners().iter().all(|owner| owner.contains("other")), "{:?}", new.owners());

    fs::write(new.config(), format!("{}# changed\n", new.config_text())).unwrap();
    let restored = new.restore(&moved).unwrap();
    let kept = ["mine.txt", "sluice.toml"].map(|file| new.path(&format!("etc/{file}.before-{DATE}")));
    assert_eq!(
        restored,
        Restored { state_dir: new.state(), has_state: true, kept: kept.to_vec(), left_out: Vec::new() }
    );
    assert_eq!(fs::read_to_string(new.config()).unwrap(), new.config_text());
    assert_eq!(fs::read_to_string(&kept[0]).unwrap(), "other.example\n");
    assert!(Store::join(&new.state()).unwrap().check_password("other", "a long password").unwrap(), "the daemon runs");

    let kept = put_in_place(&new.state(), NOW).unwrap().unwrap();
    assert_eq!(kept, new.state().join(format!("before-{DATE}")));
    assert!(new.owners().iter().all(|owner| owner.contains("admin")), "{:?}", new.owners());
    assert_eq!(fs::read_to_string(kept.join("models/m@1.model")).unwrap(), "model of other");
    assert!(Store::join(&kept).unwrap().check_password("other", "a long password").unwrap());
    assert_eq!(put_in_place(&new.state(), NOW).unwrap(), None, "once");
    let files: Vec<_> = new.all_files().into_iter().map(|(path, _)| path.display().to_string()).collect();
    assert!(!files.iter().any(|file| file.contains("restored") || file.contains("backup.")), "{files:?}");
}

#[test]
fn what_was_cut_off_while_it_was_put_in_place_goes_on() {
    let new = Household::new("backup-cut", "admin");
    let archive = new.backup();
    new.restore(&archive).unwrap();
    // Models were put in place, the rest was not.
    let waiting = new.state().join("restored");
    fs::rename(new.state().join("models"), new.path("before")).unwrap();
    fs::rename(waiting.join("models"), new.state().join("models")).unwrap();
    put_in_place(&new.state(), NOW).unwrap().unwrap();
    assert!(!waiting.exists());
    assert_eq!(new.owners().len(), 4, "{:?}", new.owners());
}

#[test]
fn a_box_that_never_ran_has_no_database_and_gets_none() {
    let new = Household::new("backup-fresh", "admin");
    fs::remove_dir_all(new.state()).unwrap();
    fs::remove_file(new.path("etc/mine.txt")).unwrap();
    let mut archive = Vec::new();
    let written = write(&new.config(), &mut archive).unwrap();
    assert_eq!(written, Written { files: 0, has_database: false, missing: vec![new.path("etc/mine.txt")] });
    assert!(!new.state().exists());
    assert!(!new.restore(&archive).unwrap().has_state);
    assert_eq!(put_in_place(&new.state(), NOW).unwrap(), None);
}

#[test]
fn what_is_no_whole_backup_changes_nothing() {
    let new = Household::new("backup-foreign", "admin");
    let whole = new.backup();
    let (before, config) = (new.all_files(), new.config_text());
    let config = ("sluice.toml", config.as_str());
    let mut flipped = whole.clone();
    // In the packed file's checksum, which is behind all else.
    let place = flipped.len() - 6;
    flipped[place] ^= 1;
    for (archive, told) in [
        (whole[..whole.len() / 2].to_vec(), "cannot read the backup"),
        (whole[..whole.len() - 9].to_vec(), "cannot read the backup"),
        (flipped, "cannot read the backup"),
        (b"no archive at all".to_vec(), "cannot read the backup"),
        (archive::<&str>(&[]), "it is empty"),
        (archive(&[("state/sluice.db", "")]), "sluice.toml is not the first"),
        (archive(&[("sluice.toml", "mode = 7\n")]), "the sluice.toml of the backup:1: mode"),
        (archive(&[config, ("state/../../escaped", "x")]), "state/../../escaped is in it"),
        (archive(&[config, ("/tmp/escaped", "x")]), "/tmp/escaped is in it"),
        (archive(&[config, ("state/other/x", "x")]), "state/other/x is in it"),
        (archive(&[config, ("files/etc/passwd", "x")]), "files/etc/passwd is in it"),
        (archive(&[config, ("state/models/x", ">/etc")]), "state/models/x is not a file"),
        (archive(&[config, ("state/models/x", "a"), ("state/models/x", "b")]), "is there twice"),
        (
            archive(&[config, ("state/sluice.db", "no database, but long enough to be taken for one")]),
            "its database is damaged",
        ),
    ] {
        let error = new.restore(&archive).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
        assert_eq!(new.all_files(), before, "{told}");
    }
    let database = rusqlite::Connection::open(new.state().join("sluice.db")).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    drop(database);
    let packed = fs::read(new.state().join("sluice.db")).unwrap();
    let newer = archive(&[(config.0, config.1.as_bytes()), ("state/sluice.db", &packed)]);
    assert!(matches!(new.restore(&newer), Err(BackupError::Newer)));
    assert!(!new.state().join("restored").exists());
}

#[test]
fn an_archive_alone_does_not_choose_which_files_are_written() {
    let new = Household::new("backup-lists", "admin");
    let elsewhere = new.path("elsewhere/list.txt");
    let foreign = new.config_text().replace("etc/mine.txt", "elsewhere/list.txt");
    let place = format!("files{}", elsewhere.display());
    let hostile = archive(&[("sluice.toml", foreign.as_str()), (&place, "x")]);
    let restored = new.restore(&hostile).unwrap();
    assert_eq!((restored.left_out, elsewhere.exists()), (vec![elsewhere.clone()], false));
    // Now the configuration of the box names it.
    assert_eq!(new.restore(&hostile).unwrap().left_out, Vec::<PathBuf>::new());
    assert_eq!(fs::read_to_string(elsewhere).unwrap(), "x");
}

#[test]
fn a_configuration_that_cannot_be_written_leaves_no_state_that_waits() {
    let new = Household::new("backup-order", "admin");
    let whole = new.backup();
    // Nothing can be written beside it.
    fs::write(new.config(), "[bridge]\nports = [\"a\", \"b\"]\n").unwrap();
    fs::create_dir(new.path(&format!("etc/sluice.toml.before-{DATE}"))).unwrap();
    let error = new.restore(&whole).unwrap_err().to_string();
    assert!(error.starts_with("cannot keep a copy of"), "{error}");
    assert!(!new.state().join("restored").exists() && !new.state().join("restored.draft").exists());
}

#[test]
fn a_list_that_is_named_twice_is_kept_once_and_the_log_of_a_database_stays_with_it() {
    let new = Household::new("backup-twice", "admin");
    let again = format!(
        "{}[[lists]]\nname = \"again\"\npath = {:?}\nclass = \"botnet\"\nconfidence = 0.9\n",
        new.config_text(),
        new.path("etc/../etc/mine.txt")
    );
    fs::write(new.config(), again).unwrap();
    new.restore(&new.backup()).unwrap();
    for name in ["sluice.db-wal", "sluice.db.form1"] {
        fs::write(new.state().join(name), "of the one before").unwrap();
    }
    // Without a clock the same second comes again.
    let earlier = [format!("before-{DATE}"), "before-2026-11-19T180307Z".to_owned()].map(|name| new.state().join(name));
    for folder in &earlier {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("sluice.db"), "of an earlier one").unwrap();
    }
    let kept = put_in_place(&new.state(), NOW).unwrap().unwrap();
    assert!(kept == earlier[0] && !earlier[1].exists(), "{}", kept.display());
    for name in ["sluice.db", "sluice.db-wal", "sluice.db.form1"] {
        assert!(kept.join(name).exists() && (name == "sluice.db" || !new.state().join(name).exists()), "{name}");
    }
}

#[test]
fn one_at_a_time_and_what_was_put_in_place_but_for_its_name_gets_it() {
    let new = Household::new("backup-turns", "admin");
    let whole = new.backup();
    let turn = super::Turn::take(&new.state()).unwrap();
    assert!(matches!(new.restore(&whole), Err(BackupError::Busy(_))));
    assert!(matches!(write(&new.config(), &mut Vec::new()), Err(BackupError::Busy(_))));
    // As a process has it that is just being started.
    let _inherited = turn.0.try_clone().unwrap();
    drop(turn);
    new.restore(&whole).unwrap();
    let kept = put_in_place(&new.state(), NOW).unwrap().unwrap();
    fs::rename(&kept, new.state().join("before.draft")).unwrap();
    assert_eq!(put_in_place(&new.state(), NOW).unwrap(), Some(kept));
}

#[test]
fn a_restore_onto_a_disk_without_room_changes_nothing() {
    on_a_small_disk("backup::tests::a_restore_onto_a_disk_without_room_changes_nothing", 64, |disk| {
        let config = TestDirectory::new("backup-full");
        let config = config.path().join("sluice.toml");
        fs::write(&config, "before").unwrap();
        let text = format!("state_dir = {disk:?}\n[bridge]\nports = [\"eth0\", \"eth1\"]\n");
        let large = archive(&[("sluice.toml", text), ("state/models/m@1.model", "m".repeat(1 << 20))]);
        let error = restore(&mut &large[..], &config, NOW).unwrap_err().to_string();
        assert!(error.contains("No space left"), "{error}");
        assert_eq!((fs::read_to_string(&config).unwrap().as_str(), fs::read_dir(disk).unwrap().count()), ("before", 0));
    });
}
