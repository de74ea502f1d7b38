//! A sealed model comes back as it was, and nothing else is taken for one: neither what was changed or signed by somebody
//! else, nor whatever bytes somebody with a trusted key might sign.
#![cfg(feature = "sealed")]
#![allow(clippy::unwrap_used)]

use model_compiler::forest::{Combination, Curve, Knot};
use model_compiler::model::{Model, Node, Range, Tree};
use model_compiler::sealed::{
    DOMAIN, MAGIC, MAX_BYTES, ModelId, Payload, PublicKey, SealedError, SecretKey, open, parse, seal,
};
use model_compiler::spread::Spread;
use proptest::prelude::*;
use traffic::features::{FEATURE_COUNT, SCHEMA_HASH, ThreatClass};

fn model() -> Model {
    let node = |feature, threshold, left, right| Node::Split { feature, threshold, left, right };
    let leaf = |values: &[f32]| Node::Leaf { rows: 300, values: values.to_vec() };
    let nodes = vec![node(3, 2.5, 1, 2), leaf(&[0.75, 0.25]), leaf(&[0.1, 0.9])];
    let knot = |confidence, frequency| Knot { confidence, frequency };
    let half = Curve::new(&[knot(0.5, 0.5), knot(1.0, 0.75)]).unwrap();
    Model {
        name: "small".to_owned(),
        classes: vec![ThreatClass::Benign, ThreatClass::Scan],
        ranges: vec![Range { min: 0.0, max: 9.0, spread: Spread::of(&mut [(0.0, 1.0), (4.0, 2.0)]) }; FEATURE_COUNT],
        combination: Combination::Mean,
        base: vec![0.0, 0.0],
        calibration: vec![half, Curve::new(&[]).unwrap()],
        trees: vec![Tree { class: None, nodes: nodes.clone() }, Tree { class: None, nodes }],
    }
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_random([seed; 32])
}

fn sealed() -> Vec<u8> {
    seal(&model(), 7, 1_800_000_000, &key(1)).unwrap()
}

/// The same payload, changed, and signed anew by the trusted key.
fn signed_anew(change: impl FnOnce(&mut Payload)) -> Result<Payload, SealedError> {
    let mut payload = open(&sealed(), &[key(1).public()]).unwrap();
    change(&mut payload);
    parse(&postcard::to_stdvec(&payload).unwrap())
}

#[test]
fn a_sealed_model_comes_back_as_it_was() {
    let payload = open(&sealed(), &[key(2).public(), key(1).public()]).unwrap();
    let (version, schema, made_s) = (payload.version, payload.schema, payload.made_s);
    assert_eq!((version, schema, made_s, &payload.model), (7, SCHEMA_HASH, 1_800_000_000, &model()));
    assert_eq!(ModelId::of(&payload).to_string(), "small@7");
    assert_eq!(sealed(), sealed(), "the same inputs give the same bytes");
}

#[test]
fn only_a_trusted_key_opens_it_and_the_key_is_named() {
    let refusal = open(&sealed(), &[key(2).public()]).unwrap_err().to_string();
    assert!(refusal.contains(&key(1).public().to_string()), "{refusal}");
    assert!(matches!(open(&sealed(), &[]), Err(SealedError::NoKeys)));
}

#[test]
fn no_bit_can_be_changed() {
    let (file, trusted) = (sealed(), [key(1).public()]);
    for place in 0..file.len() {
        for bit in [0x01, 0x80] {
            let mut changed = file.clone();
            changed[place] ^= bit;
            assert!(open(&changed, &trusted).is_err(), "byte {place}");
        }
        assert!(open(&file[..place], &trusted).is_err(), "cut off at {place}");
    }
    assert!(matches!(open(&[&file[..], b"more"].concat(), &trusted), Err(SealedError::Signature)));
    assert!(matches!(open(&vec![0; MAX_BYTES + 1], &trusted), Err(SealedError::TooLong)));
}

#[test]
fn a_model_that_no_box_would_read_is_not_sealed() {
    let mut model = model();
    model.trees = vec![model.trees[0].clone(); MAX_BYTES / 32];
    assert!(matches!(seal(&model, 7, 1_800_000_000, &key(1)), Err(SealedError::TooLong)));
}

#[test]
fn a_signature_for_another_purpose_does_not_hold() {
    let file = sealed();
    let payload = &file[MAGIC.len() + 96..];
    let plain = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    let of = |signed: &[u8]| ed25519_dalek::Signer::sign(&plain, signed).to_bytes();
    let with = |signature: [u8; 64]| [&file[..MAGIC.len() + 32], &signature, payload].concat();
    assert!(open(&with(of(&[DOMAIN, payload].concat())), &[key(1).public()]).is_ok());
    assert!(matches!(open(&with(of(payload)), &[key(1).public()]), Err(SealedError::Signature)));
}

#[test]
fn what_is_signed_must_be_a_model_of_this_program() {
    assert!(signed_anew(|_| {}).is_ok());
    assert!(matches!(signed_anew(|payload| payload.schema += 1), Err(SealedError::Schema { .. })));
    assert!(matches!(signed_anew(|payload| payload.model.name = "../x".to_owned()), Err(SealedError::Unfit(_))));
    assert!(matches!(signed_anew(|payload| payload.model.name = "x".repeat(65)), Err(SealedError::Name)));
    assert!(matches!(signed_anew(|payload| payload.model.trees.clear()), Err(SealedError::Unfit(_))));
    assert!(matches!(signed_anew(|payload| payload.model.ranges.truncate(3)), Err(SealedError::Unfit(_))));
    let beyond = Node::Split { feature: FEATURE_COUNT, threshold: 0.0, left: 1, right: 2 };
    assert!(matches!(signed_anew(|payload| payload.model.trees[0].nodes[0] = beyond), Err(SealedError::Unfit(_))));
    let circle = Node::Split { feature: 0, threshold: 0.0, left: 0, right: 2 };
    assert!(matches!(signed_anew(|payload| payload.model.trees[1].nodes[0] = circle), Err(SealedError::Unfit(_))));
    let longer = [&postcard::to_stdvec(&open(&sealed(), &[key(1).public()]).unwrap()).unwrap()[..], &[0]].concat();
    assert!(matches!(parse(&longer), Err(SealedError::Payload(_))));
}

#[test]
fn models_and_keys_are_written_in_one_way() {
    let id: ModelId = "forest-2@3".parse().unwrap();
    assert_eq!((id.to_string().as_str(), id.file_name().as_str()), ("forest-2@3", "forest-2-3.model"));
    assert_eq!(ModelId::of_file_name("forest-2-3.model"), Some(id));
    for wrong in ["forest", "forest@", "forest@x", "forest@03", "@3", "For@3", "a/b@3", "..@3", "a@4294967296", "a@+1"]
    {
        assert!(wrong.parse::<ModelId>().is_err(), "{wrong}");
    }
    assert_eq!(ModelId::of_file_name("../x-3.model"), None);
    let public = key(1).public();
    assert_eq!(public.to_string().parse(), Ok(public));
    let text = key(1).to_text();
    assert_eq!(SecretKey::from_text(&text).unwrap().public(), public);
    assert!(text.parse::<PublicKey>().unwrap_err().contains("secret"));
    for wrong in ["", "ed25519:12", &public.to_string().replace("ed25519:", ""), &format!("ed25519:{}", "é".repeat(32))]
    {
        assert!(wrong.parse::<PublicKey>().is_err(), "{wrong}");
    }
}

proptest! {
    /// Whatever is signed: it is a model that passes all checks, or it is refused; there is no panic.
    #[test]
    fn hostile_payloads_are_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<prop::sample::Index>(),
        grows in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let file = sealed();
        let mut payload = file[MAGIC.len() + 96..].to_vec();
        for (place, byte) in changes {
            let place = place.index(payload.len());
            payload[place] = byte;
        }
        let whole = payload.clone();
        payload.truncate(cut.index(whole.len()) + 1);
        for bytes in [whole, [&payload[..], &grows].concat(), grows] {
            if let Ok(read) = parse(&bytes) {
                prop_assert_eq!(model_compiler::check::check(&read.model), Ok(()));
                let _ = read.model.tables().forest().best(&[f32::NAN; FEATURE_COUNT]);
            }
        }
    }

    /// Lengths that promise what does not follow take no memory.
    #[test]
    fn lengths_are_not_believed(length in any::<u64>(), behind in prop::collection::vec(any::<u8>(), 0..64)) {
        let start = (7_u32, SCHEMA_HASH, 0_u64);
        let bytes = [postcard::to_stdvec(&start).unwrap(), postcard::to_stdvec(&length).unwrap(), behind].concat();
        prop_assert!(parse(&bytes).is_err());
    }
}

#[cfg(feature = "train")]
#[test]
fn the_command_line_makes_keys_and_seals_what_they_open() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::process::Command;
    use std::{env, fs};

    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("seal");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_model-compiler"));
        command.args(words).current_dir(&folder).output().unwrap()
    };
    let made = run(&["keygen", "my.key"]);
    assert!(made.status.success(), "{made:?}");
    let public: PublicKey = String::from_utf8(made.stdout).unwrap().trim_end().parse().unwrap();
    assert_eq!(fs::metadata(folder.join("my.key")).unwrap().permissions().mode() & 0o777, 0o600);
    let again = run(&["keygen", "my.key"]);
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("my.key"), "{again:?}");

    fs::create_dir(folder.join("small")).unwrap();
    fs::write(folder.join("small/model.json"), model_compiler::json::write(&model()).unwrap()).unwrap();
    let seal = |key: &str| run(&["seal", "small", "--key", key, "--version", "4", "--out", "small-4.model"]);
    let refused = seal("small/model.json");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is no key file"), "{refused:?}");
    let sealed = seal("my.key");
    assert!(sealed.status.success(), "{sealed:?}");
    let payload = open(&fs::read(folder.join("small-4.model")).unwrap(), &[public]).unwrap();
    assert_eq!((ModelId::of(&payload).to_string(), payload.model), ("small@4".to_owned(), model()));
}
