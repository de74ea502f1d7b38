//! The file of an update: who answers for it, what it holds, and then the parts, one after the other.
//!
//! It is [`MAGIC`], the signer's public key (32 bytes), the signature (64 bytes, Ed25519), the length of the manifest (4 bytes, the
//! lowest first), the manifest (TOML), and each part whole, in the order of the manifest. Signed are [`DOMAIN`] and the manifest,
//! which has the SHA-256 of each part; so nothing of an untrusted file is looked at, and a file can come through a pipe.
//! `packaging/update` makes it.

use std::io::{ErrorKind, Read};

use model_compiler::sealed::{KEY_BYTES, PublicKey, SIGNATURE_BYTES};
use serde::Deserialize;

use super::UpdateError;

/// How the file begins: its kind, and the number of its form.
const MAGIC: &[u8; 16] = b"sluice update 1\n";

/// What is signed begins so: no signature for another purpose, or for another form, holds for an update.
const DOMAIN: &[u8] = b"sluice: update, form 1\0";

/// Longer manifests are not read.
const MOST_MANIFEST_BYTES: usize = 16 * 1024;

/// Longer versions are not read: one must fit in a line of the environment.
const MOST_VERSION_BYTES: usize = 32;

/// What an update is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of the system: letters, digits, `.`, `-`, `+` and `~`.
    pub version: String,
    /// The board that it is for, as the box calls its own in /usr/share/sluice/board.
    pub board: String,
    /// One for each partition of a slot, in the order of the file.
    pub parts: Vec<Part>,
}

/// What goes into one partition of a slot.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The partition's name without that of the slot: `root` for `root-a` and `root-b`.
    pub name: String,
    /// How long it is.
    pub bytes: u64,
    /// The SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
}

/// An update that somebody who is trusted has signed; its parts are still to be read.
#[derive(Debug)]
pub struct Opened<R> {
    /// What it is.
    pub manifest: Manifest,
    /// The parts.
    pub parts: R,
}

/// Reads up to the parts.
///
/// # Errors
/// The first thing that does not hold.
pub fn open<R: Read>(mut file: R, trusted: &[PublicKey]) -> Result<Opened<R>, UpdateError> {
    if &read_array::<16>(&mut file)? != MAGIC {
        return Err(UpdateError::Form("it begins in another way"));
    }
    let key: [u8; KEY_BYTES] = read_array(&mut file)?;
    let signature: [u8; SIGNATURE_BYTES] = read_array(&mut file)?;
    if trusted.is_empty() {
        return Err(UpdateError::NoKeys);
    }
    // Only a key that is trusted is a key at all here, whatever the bytes are.
    let key = PublicKey::from_bytes(key);
    if !trusted.contains(&key) {
        return Err(UpdateError::Untrusted(key));
    }
    let bytes = u32::from_le_bytes(read_array(&mut file)?);
    let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= MOST_MANIFEST_BYTES);
    let mut manifest = vec![0; bytes.ok_or(UpdateError::Form("its description is too long"))?];
    read_exact(&mut file, &mut manifest)?;
    if !key.has_signed(DOMAIN, &manifest, &signature) {
        return Err(UpdateError::Signature);
    }
    Ok(Opened { manifest: Manifest::parse(&manifest)?, parts: file })
}

impl Manifest {
    fn parse(bytes: &[u8]) -> Result<Self, UpdateError> {
        let wrong = |why: &str| UpdateError::Manifest(why.to_owned());
        let text = str::from_utf8(bytes).map_err(|_| wrong("it is no text"))?;
        let manifest: Self = toml::from_str(text).map_err(|mistake| wrong(mistake.message()))?;
        let fits = |letter: u8| letter.is_ascii_alphanumeric() || b".-+~".contains(&letter);
        let version = manifest.version.as_bytes();
        if version.is_empty() || version.len() > MOST_VERSION_BYTES || !version.iter().copied().all(fits) {
            return Err(wrong("its version is none"));
        }
        if manifest.parts.is_empty() {
            return Err(wrong("it has no parts"));
        }
        Ok(manifest)
    }
}

fn read_array<const N: usize>(file: &mut impl Read) -> Result<[u8; N], UpdateError> {
    let mut bytes = [0; N];
    read_exact(file, &mut bytes).map(|()| bytes)
}

fn read_exact(file: &mut impl Read, bytes: &mut [u8]) -> Result<(), UpdateError> {
    file.read_exact(bytes).map_err(|cause| match cause.kind() {
        ErrorKind::UnexpectedEof => UpdateError::Form("it ends too early"),
        _ => UpdateError::Form("it cannot be read"),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::fmt::Write as _;

    use model_compiler::sealed::SecretKey;
    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::hexadecimal::hexadecimal;

    pub(in super::super) fn key(number: u8) -> SecretKey {
        SecretKey::from_random([number; KEY_BYTES])
    }

    /// A description of parts with these bytes.
    pub(in super::super) fn manifest(version: &str, board: &str, parts: &[(&str, &[u8])]) -> String {
        let mut text = format!("version = {version:?}\nboard = {board:?}\n");
        for (name, bytes) in parts {
            let (sha256, bytes) = (hexadecimal(&Sha256::digest(bytes)), bytes.len());
            writeln!(text, "[[parts]]\nname = {name:?}\nbytes = {bytes}\nsha256 = \"{sha256}\"").unwrap();
        }
        text
    }

    /// A file with a signed description.
    pub(in super::super) fn sign(key: &SecretKey, manifest: &str, parts: &[(&str, &[u8])]) -> Vec<u8> {
        let mut file = MAGIC.to_vec();
        file.extend(key.public().to_bytes());
        file.extend(key.sign(DOMAIN, manifest.as_bytes()));
        file.extend(u32::try_from(manifest.len()).unwrap().to_le_bytes());
        file.extend(manifest.as_bytes());
        parts.iter().for_each(|(_, bytes)| file.extend(*bytes));
        file
    }

    #[test]
    fn what_a_trusted_key_signed_is_opened_and_the_parts_follow() {
        let parts = [("boot", &b"one"[..]), ("root", b"three")];
        let file = sign(&key(1), &manifest("1.2~rc1", "some-board", &parts), &parts);
        let mut opened = open(&file[..], &[key(2).public(), key(1).public()]).unwrap();
        assert_eq!((opened.manifest.version.as_str(), opened.manifest.board.as_str()), ("1.2~rc1", "some-board"));
        assert_eq!(opened.manifest.parts.iter().map(|part| part.bytes).collect::<Vec<_>>(), [3, 5]);
        let mut rest = String::new();
        opened.parts.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "onethree");
    }

    #[test]
    fn whoever_is_not_trusted_brings_nothing() {
        let file = sign(&key(1), &manifest("1", "b", &[("root", b"x")]), &[]);
        let refused = |trusted: &[PublicKey]| open(&file[..], trusted).unwrap_err().to_string();
        assert!(refused(&[]).starts_with("no key is trusted"));
        let untrusted = refused(&[key(2).public()]);
        assert!(untrusted.contains(&key(1).public().to_string()), "{untrusted}");
    }

    #[test]
    fn a_changed_byte_or_a_missing_one_is_noticed() {
        let file = sign(&key(1), &manifest("1", "b", &[("root", b"x")]), &[]);
        for place in 0..file.len() {
            let mut changed = file.clone();
            changed[place] ^= 1;
            assert!(open(&changed[..], &[key(1).public()]).is_err(), "byte {place}");
            assert!(open(&file[..place], &[key(1).public()]).is_err(), "{place} bytes");
        }
    }

    #[test]
    fn a_signed_description_must_still_make_sense() {
        let bad = [
            String::new(),
            manifest("1", "b", &[]),
            manifest("", "b", &[("root", b"x")]),
            manifest("1\n2", "b", &[("root", b"x")]),
            manifest(&"9".repeat(33), "b", &[("root", b"x")]),
            manifest("1", "b", &[("root", b"x")]) + "surprise = 1\n",
        ];
        for text in bad {
            let error = open(&sign(&key(1), &text, &[])[..], &[key(1).public()]).unwrap_err();
            assert!(matches!(error, UpdateError::Manifest(_)), "{text}: {error}");
        }
        let long = "#".repeat(MOST_MANIFEST_BYTES + 1);
        assert!(matches!(open(&sign(&key(1), &long, &[])[..], &[key(1).public()]), Err(UpdateError::Form(_))));
    }
}
