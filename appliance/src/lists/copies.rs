//! Copies of fetched lists on the disk, so that a box that starts without the internet has them at once.
//!
//! A list is written into a draft, made safe on the disk, and only then put in the place of the copy before: whatever happens,
//! one of the two is there whole. Beside each copy is a note with what its server said of it.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::draft::{DRAFT, Draft};
use crate::folder;
use crate::hexadecimal::hexadecimal;
use crate::verdict::rules::Name;

/// The folder, in that of the database.
pub(crate) const FOLDER: &str = "lists";

/// Ends of file names. Files with others are left alone.
const COPY: &str = "list";
const NOTE: &str = "note";

/// Longer marks of a server are not kept.
const LONGEST_MARK_BYTES: usize = 512;

/// Where copies are.
#[derive(Clone, Debug)]
pub(super) struct Copies {
    folder: PathBuf,
}

/// What is noted of a copy, beside it as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// The server's `ETag` for it (RFC 9110 section 8.8.3).
    pub etag: Option<String>,
    /// The server's `Last-Modified`.
    pub last_modified: Option<String>,
    /// When the server last said that this is the list, in seconds since 1970.
    pub confirmed_s: Option<u64>,
}

impl Copies {
    pub fn new(state_dir: &Path) -> Self {
        Self { folder: state_dir.join(FOLDER) }
    }

    /// The copy of a list. Its name is made of the list's, for people, and of a hash, so that a list with another address never
    /// takes this one for its own.
    pub fn path(&self, name: Name, url: &str) -> PathBuf {
        let readable: String = name
            .as_str()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
            .collect();
        let hash = Sha256::new().chain_update(name.as_str()).chain_update([0]).chain_update(url).finalize();
        let hash = hexadecimal(&hash);
        self.folder.join(format!("{readable}-{hash:.16}.{COPY}"))
    }

    /// Begins to write a copy or a note.
    pub fn draft(&self, place: &Path) -> io::Result<Draft> {
        folder::make_private(&self.folder)?;
        Draft::of(place)
    }

    /// Removes the note of a copy, to be done before another copy takes its place: the server would say that the list with these
    /// marks is unchanged, and the other copy would be kept for ever.
    pub fn forget_note(&self, copy: &Path) -> io::Result<()> {
        match fs::remove_file(copy.with_extension(NOTE)) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
            // It is to stay away after a power cut.
            _ => folder::sync(&self.folder),
        }
    }

    /// Writes the note of a copy that is in its place.
    pub fn write_note(&self, copy: &Path, note: &Note) -> io::Result<()> {
        let draft = self.draft(&copy.with_extension(NOTE))?;
        serde_json::to_writer(&draft.file, note)?;
        draft.put()
    }

    /// Removes copies of lists that are no longer wanted, and drafts of a run that was cut off.
    pub fn sweep(&self, wanted: &[PathBuf]) {
        let Ok(found) = fs::read_dir(&self.folder) else { return };
        for path in found.flatten().map(|entry| entry.path()) {
            let is_ours = [COPY, NOTE].map(OsStr::new).map(Some).contains(&path.extension());
            let is_draft = path.extension() == Some(OsStr::new(DRAFT));
            if is_draft || is_ours && !wanted.contains(&path.with_extension(COPY)) {
                // What cannot be removed does no harm but take room.
                let _ = fs::remove_file(&path);
            }
        }
    }
}

impl Note {
    /// Reads the note of a copy; an empty one where there is none that can be read.
    pub fn of(copy: &Path) -> Self {
        let text = fs::read(copy.with_extension(NOTE)).unwrap_or_default();
        let Self { etag, last_modified, confirmed_s } = serde_json::from_slice(&text).unwrap_or_default();
        let mark = |mark: Option<String>| mark.filter(|mark| is_mark(mark));
        Self { etag: mark(etag), last_modified: mark(last_modified), confirmed_s }
    }
}

/// It may be sent back to the server as it is.
fn is_mark(text: &str) -> bool {
    (1..=LONGEST_MARK_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::store::test_directory::TestDirectory;

    fn write(copies: &Copies, copy: &Path, text: &str) {
        let mut draft = copies.draft(copy).unwrap();
        draft.file.write_all(text.as_bytes()).unwrap();
        draft.put().unwrap();
    }

    #[test]
    fn a_copy_is_replaced_whole_or_not_at_all() {
        let directory = TestDirectory::new("copies");
        let copies = Copies::new(directory.path());
        let copy = copies.path(Name::new("Known bots/../x"), "https://lists.example/a");
        assert_eq!(copy.parent(), Some(directory.path().join("lists").as_path()), "{}", copy.display());
        assert!(copy.file_name().unwrap().to_str().unwrap().starts_with("known-bots----x-"));
        assert_ne!(copy, copies.path(Name::new("Known bots/../x"), "https://lists.example/b"));
        write(&copies, &copy, "203.0.113.9\n");
        let mut draft = copies.draft(&copy).unwrap();
        draft.file.write_all(b"203").unwrap();
        drop(draft);
        assert_eq!(fs::read_to_string(&copy).unwrap(), "203.0.113.9\n");
        assert_eq!(fs::read_dir(copy.parent().unwrap()).unwrap().count(), 1, "the draft is gone");
    }

    #[test]
    fn a_note_says_what_was_noted_and_nothing_that_could_be_another_header() {
        let directory = TestDirectory::new("notes");
        let copies = Copies::new(directory.path());
        let copy = copies.path(Name::new("n"), "https://lists.example/a");
        assert_eq!(Note::of(&copy), Note::default());
        let note = Note {
            etag: Some(String::from("W/\"a: b\"")),
            last_modified: Some(String::from("Wed, 25 Nov 2026 22:00:00 GMT")),
            confirmed_s: Some(1_800_000_000),
        };
        copies.write_note(&copy, &note).unwrap();
        assert_eq!(Note::of(&copy), note);
        for mark in ["a\nX: y", "a\r\nX: y", "", &"a".repeat(600)] {
            copies.write_note(&copy, &Note { etag: Some(mark.to_owned()), ..note.clone() }).unwrap();
            assert_eq!(Note::of(&copy), Note { etag: None, ..note.clone() }, "{mark:?}");
        }
        for text in ["", "\0", "[]", "{\"confirmed_s\": \"soon\"}", "{\"etag\": \"\u{e9}\"}", "{\"etag\": \"a"] {
            fs::write(copy.with_extension(NOTE), text).unwrap();
            assert_eq!(Note::of(&copy), Note::default(), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_longer_wanted_is_removed_and_what_is_not_ours_is_left() {
        let directory = TestDirectory::new("sweep");
        let copies = Copies::new(directory.path());
        copies.sweep(&[]);
        let [kept, old] = ["kept", "old"].map(|name| copies.path(Name::new(name), "https://lists.example/"));
        for copy in [&kept, &old] {
            write(&copies, copy, "");
            copies.write_note(copy, &Note::default()).unwrap();
        }
        let folder = directory.path().join("lists");
        fs::write(folder.join("x.draft"), "").unwrap();
        fs::write(folder.join("mine.txt"), "").unwrap();
        copies.sweep(core::slice::from_ref(&kept));
        let mut left: Vec<PathBuf> = fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.path()).collect();
        left.sort();
        assert_eq!(left, [kept.clone(), kept.with_extension(NOTE), folder.join("mine.txt")]);
    }
}
