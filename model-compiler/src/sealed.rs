//! A sealed model: one file that says which model it is, which version, for which features, and who answers for it.
//!
//! The file is [`MAGIC`], the signer's public key ([`KEY_BYTES`]), the signature ([`SIGNATURE_LENGTH`] bytes, Ed25519), and the
//! [`Payload`] in postcard. Signed are [`DOMAIN`] and the payload. Who reads a file names the keys that are trusted; nothing of
//! the payload is looked at before the signature of one of them holds. What is read then must pass [`crate::check`] as any model.

use core::fmt::{self, Display, Formatter};
use core::str::FromStr;

use ed25519_dalek::{PUBLIC_KEY_LENGTH, SECRET_KEY_LENGTH, SIGNATURE_LENGTH};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use traffic::features::SCHEMA_HASH;
use traffic::features::schema::schema_hash_text;

use crate::check::{Unfit, check, check_name};
use crate::model::Model;

/// How the file begins: its kind, and the number of its form.
pub const MAGIC: &[u8; 16] = b"sluice model  1\n";

/// What is signed begins so: no signature for another purpose, or for another form, holds for a model.
pub const DOMAIN: &[u8] = b"sluice: sealed model, form 1\0";

/// Longer files are not read. The shipped forest takes a twentieth of this.
pub const MAX_BYTES: usize = 2 * 1024 * 1024;

/// How long keys are, public and secret ones.
pub const KEY_BYTES: usize = PUBLIC_KEY_LENGTH;

const _: () = assert!(KEY_BYTES == SECRET_KEY_LENGTH);

/// How long signatures are.
pub const SIGNATURE_BYTES: usize = SIGNATURE_LENGTH;

/// Hexadecimal digits of a key.
const KEY_DIGITS: usize = 2 * KEY_BYTES;

/// The longest name of a sealed model, in bytes: it is a part of file names.
pub const MAX_NAME_BYTES: usize = 64;

const PUBLIC_PREFIX: &str = "ed25519:";
const SECRET_PREFIX: &str = "ed25519-secret:";

/// Which model: `NAME@VERSION`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelId {
    /// Small letters, digits, `-` and `_`.
    name: String,
    /// Counted by whoever makes it.
    version: u32,
}

/// A key that signatures are checked with. As text `ed25519:` and hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; KEY_BYTES]);

/// A key that models and updates are signed with. As text `ed25519-secret:` and hexadecimal digits.
pub struct SecretKey(SigningKey);

/// What is signed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Payload {
    /// Counted by whoever makes it.
    pub version: u32,
    /// Fingerprint of the feature schema that it was made for.
    pub schema: u64,
    /// When its model.json was written, in seconds since 1970.
    pub made_s: u64,
    /// The model.
    pub model: Model,
}

/// Why bytes are no sealed model for this program; the text goes with the file's name in front.
#[derive(Debug, thiserror::Error)]
pub enum SealedError {
    /// Too long.
    #[error("it is longer than {MAX_BYTES} bytes; train a smaller model")]
    TooLong,
    /// Something else.
    #[error("it is no sealed model; make one with `model-compiler seal`")]
    Form,
    /// Nobody's signature would do.
    #[error(
        "no key is trusted, so no model file is accepted; put the maker's public key into model.keys in sluice.toml"
    )]
    NoKeys,
    /// Signed by somebody else.
    #[error(
        "it is signed with the key {0}, which is not in model.keys in sluice.toml; add it there if you trust its owner"
    )]
    Untrusted(PublicKey),
    /// Changed after it was signed.
    #[error("its signature does not hold: the file was damaged or changed; get it again from its maker")]
    Signature,
    /// Made for other features.
    #[error(
        "it was made for the feature schema {model:016x}, and this program has {}; train and seal it anew for this version",
        schema_hash_text()
    )]
    Schema {
        /// The fingerprint in the file.
        model: u64,
    },
    /// The payload makes no sense.
    #[error("what is signed is no model: {0}")]
    Payload(postcard::Error),
    /// Its name is too long for a file's.
    #[error("its name is longer than {MAX_NAME_BYTES} bytes")]
    Name,
    /// What must hold of any model does not.
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

impl ModelId {
    /// Of a model that has been checked.
    #[must_use]
    pub fn of(sealed: &Payload) -> Self {
        Self { name: sealed.model.name.clone(), version: sealed.version }
    }

    /// The name of its file in a registry: `NAME-VERSION.model`.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}-{}.model", self.name, self.version)
    }

    /// The model whose file has this name.
    #[must_use]
    pub fn of_file_name(file_name: &str) -> Option<Self> {
        let (name, version) = file_name.strip_suffix(".model")?.rsplit_once('-')?;
        format!("{name}@{version}").parse().ok()
    }
}

impl Display for ModelId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

impl FromStr for ModelId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no model: give NAME@VERSION, such as forest@3");
        let (name, digits) = text.split_once('@').ok_or_else(wrong)?;
        let fits = check_name(name).is_ok() && is_file_name(name);
        let version: u32 = digits.parse().map_err(|_| wrong())?;
        // One way to write each.
        if fits && version.to_string() == digits { Ok(Self { name: name.to_owned(), version }) } else { Err(wrong()) }
    }
}

impl PublicKey {
    /// The key with these bytes, which may be none: then nothing holds that it has signed.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; KEY_BYTES] {
        self.0
    }

    /// Whether it has signed the message, for this purpose.
    #[must_use]
    pub fn has_signed(&self, domain: &[u8], message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        let signature = Signature::from_bytes(signature);
        VerifyingKey::from_bytes(&self.0)
            .is_ok_and(|key| key.verify_strict(&[domain, message].concat(), &signature).is_ok())
    }
}

impl Display for PublicKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC_PREFIX}{}", digits_of(&self.0))
    }
}

impl FromStr for PublicKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with(SECRET_PREFIX) {
            return Err(String::from(
                "this is a secret key: keep it to yourself, and give the public one, which begins `ed25519:`",
            ));
        }
        let key =
            text.strip_prefix(PUBLIC_PREFIX).and_then(bytes_of).filter(|key| VerifyingKey::from_bytes(key).is_ok());
        key.map(Self).ok_or_else(|| {
            format!(
                "`{text}` is no public key: give `{PUBLIC_PREFIX}` and {KEY_DIGITS} hexadecimal digits, as `model-compiler keygen` \
                 prints them"
            )
        })
    }
}

impl SecretKey {
    /// From random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; KEY_BYTES]) -> Self {
        Self(SigningKey::from_bytes(&bytes))
    }

    /// The text of a key file.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{SECRET_PREFIX}{}\n", digits_of(self.0.as_bytes()))
    }

    /// From the text of a key file.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        text.trim_end().strip_prefix(SECRET_PREFIX).and_then(bytes_of).map(Self::from_random)
    }

    /// Signs a message for a purpose.
    #[must_use]
    pub fn sign(&self, domain: &[u8], message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.0.sign(&[domain, message].concat()).to_bytes()
    }

    /// The key that belongs to it.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }
}

/// Signs a model of this program's schema.
///
/// # Errors
/// The model is none, or too large.
pub fn seal(model: &Model, version: u32, made_s: u64, key: &SecretKey) -> Result<Vec<u8>, SealedError> {
    let payload = Payload { version, schema: SCHEMA_HASH, made_s, model: model.clone() };
    checked(&payload)?;
    let payload = postcard::to_stdvec(&payload).map_err(SealedError::Payload)?;
    let signature = key.sign(DOMAIN, &payload);
    let file = [&MAGIC[..], &key.public().0, &signature, &payload].concat();
    check_len(&file)?;
    Ok(file)
}

/// Reads a sealed model that one of the keys has signed. Memory is bounded by a small multiple of [`MAX_BYTES`].
///
/// # Errors
/// The first thing that does not hold.
pub fn open(file: &[u8], trusted: &[PublicKey]) -> Result<Payload, SealedError> {
    check_len(file)?;
    let rest = file.strip_prefix(MAGIC).ok_or(SealedError::Form)?;
    let (key, rest) = rest.split_first_chunk::<KEY_BYTES>().ok_or(SealedError::Form)?;
    let (signature, payload) = rest.split_first_chunk::<SIGNATURE_BYTES>().ok_or(SealedError::Form)?;
    if trusted.is_empty() {
        return Err(SealedError::NoKeys);
    }
    let key = PublicKey(*key);
    if !trusted.contains(&key) {
        return Err(SealedError::Untrusted(key));
    }
    if !key.has_signed(DOMAIN, payload, signature) {
        return Err(SealedError::Signature);
    }
    parse(payload)
}

/// The payload that these bytes are: all of them, and a model of this program.
///
/// # Errors
/// The first thing that does not fit.
pub fn parse(payload: &[u8]) -> Result<Payload, SealedError> {
    // The schema stands before the model: that of another version of the program may have another form.
    let (version, rest) = postcard::take_from_bytes::<u32>(payload).map_err(SealedError::Payload)?;
    let (schema, rest) = postcard::take_from_bytes::<u64>(rest).map_err(SealedError::Payload)?;
    if schema != SCHEMA_HASH {
        return Err(SealedError::Schema { model: schema });
    }
    let ((made_s, model), rest) = postcard::take_from_bytes(rest).map_err(SealedError::Payload)?;
    if !rest.is_empty() {
        return Err(SealedError::Payload(postcard::Error::SerdeDeCustom));
    }
    let payload = Payload { version, schema, made_s, model };
    checked(&payload)?;
    Ok(payload)
}

fn check_len(file: &[u8]) -> Result<(), SealedError> {
    if file.len() > MAX_BYTES { Err(SealedError::TooLong) } else { Ok(()) }
}

fn checked(payload: &Payload) -> Result<(), SealedError> {
    check(&payload.model)?;
    if is_file_name(&payload.model.name) { Ok(()) } else { Err(SealedError::Name) }
}

/// Whether a name that a model may have is short enough for a file's.
const fn is_file_name(name: &str) -> bool {
    name.len() <= MAX_NAME_BYTES
}

/// Bytes as hexadecimal digits.
pub(crate) fn digits_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that hexadecimal digits stand for, if they are as many as a key has.
fn bytes_of(digits: &str) -> Option<[u8; KEY_BYTES]> {
    if digits.len() != KEY_DIGITS || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; KEY_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(core::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}
