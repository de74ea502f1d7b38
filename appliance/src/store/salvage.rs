//! What can still be read of a damaged database that was set aside: it is mostly one page among those of the alerts that is gone, and with
//! a new file the password, the modes and the blocks would go as well.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rusqlite::Connection;

/// The tables but for that of the alerts, and what people call what is in them. The most wanted are first, should there be no room for all.
const TABLES: [(&str, &str); 8] = [
    ("users", "passwords"),
    ("modes", "modes"),
    ("models", "chosen models"),
    ("allowances", "allowances"),
    ("names", "addresses of names"),
    ("blocks", "blocks"),
    ("audit", "the audit log"),
    ("observed", "who would have been blocked"),
];

/// Carries each table over that can be read to its end, into tables that are empty yet; what came along, in the words of people.
pub(super) fn carry_over(connection: &Connection, aside: &Path) -> Vec<&'static str> {
    if let Err(error) = connection.execute("ATTACH ?1 AS aside", [read_only(aside)]) {
        log::warn!("nothing of {} can be read: {error}", aside.display());
        return Vec::new();
    }
    let mut carried = Vec::new();
    // Tables of another form may mean something else by the same names.
    if has_our_form(connection) {
        for (table, words) in TABLES {
            // One statement takes all rows or none: a part of the audit log would be a broken chain.
            match connection.execute(&format!("INSERT INTO main.{table} SELECT * FROM aside.{table}"), []) {
                Ok(_) => carried.push(words),
                Err(error) => log::warn!("{words} cannot be read of {}: {error}", aside.display()),
            }
        }
    }
    if let Err(error) = connection.execute("DETACH aside", []) {
        log::warn!("{} stays open: {error}", aside.display());
    }
    carried
}

fn has_our_form(connection: &Connection) -> bool {
    let form =
        |name: &str| connection.query_row(&format!("PRAGMA {name}.user_version"), [], |row| row.get::<_, i64>(0));
    matches!((form("main"), form("aside")), (Ok(ours), Ok(theirs)) if ours == theirs)
}

/// The file's address as SQLite takes it to open it for reading only (sqlite.org/uri.html).
fn read_only(path: &Path) -> String {
    let mut address = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => address.push(char::from(*byte)),
            other => address.push_str(&format!("%{other:02X}")),
        }
    }
    address + "?mode=ro"
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::test_directory::TestDirectory;
    use super::super::tests::{alert, at, audit, block, open, write_all};
    use super::super::{AuditCheck, Event, Store};
    use super::*;

    /// Overwrites the page that a table begins with.
    fn damage(directory: &TestDirectory, table: &str) {
        let file = directory.path().join("sluice.db");
        let connection = Connection::open(&file).unwrap();
        connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        let query = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
        let page: u32 = connection.query_row(query, [table], |row| row.get(0)).unwrap();
        let start = (page as usize - 1) * 4096;
        let mut bytes = fs::read(&file).unwrap();
        bytes[start..start + 4096].fill(0xa5);
        drop(connection);
        fs::write(&file, bytes).unwrap();
    }

    #[test]
    fn one_bad_page_takes_its_table_and_the_others_come_along() {
        let directory = TestDirectory::new("bad page # of 100%");
        let store = open(&directory);
        store.set_password("anna", "a long password", at(1), "a test").unwrap();
        write_all(&store, (2..40).map(alert).chain([audit(50), Event::Blocked(block("203.0.113.9", 60, 900))]));
        drop(store);
        damage(&directory, "alerts");
        let opened = Store::open(directory.path(), at(100)).unwrap();
        let told = opened.set_aside.unwrap().to_string();
        assert!(
            told.ends_with("passwords, modes, chosen models, allowances, addresses of names, blocks, the audit log, who would have been blocked"),
            "{told}"
        );
        assert_eq!(opened.store.newest_alerts(10).unwrap(), []);
        assert!(opened.store.check_password("anna", "a long password").unwrap());
        assert_eq!(opened.store.standing_blocks(at(100)).unwrap(), [block("203.0.113.9", 60, 900)]);
        write_all(&opened.store, [audit(101)]);
        assert!(matches!(opened.store.verify_audit().unwrap(), AuditCheck::Whole { rows: 4, .. }), "the chain goes on");
        drop(opened.store);

        // What is gone itself is left out.
        damage(&directory, "audit");
        let opened = Store::open(directory.path(), at(200)).unwrap();
        let told = opened.set_aside.unwrap().to_string();
        assert!(told.contains("passwords, ") && !told.contains("audit"), "{told}");
        let names = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let aside =
            names.filter(|name| name.to_string_lossy().contains(".corrupt-") && !name.to_string_lossy().contains("Z-"));
        assert_eq!(aside.count(), 1, "the one before is gone");
        assert!(opened.store.check_password("anna", "a long password").unwrap());
        assert_eq!(opened.store.verify_audit().unwrap(), AuditCheck::Whole { rows: 0, newest_hash: String::new() });
    }
}
