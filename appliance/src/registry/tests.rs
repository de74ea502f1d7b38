//! The registry's files, without a daemon.

use model_compiler::json;
use model_compiler::sealed::{SecretKey, seal};

use super::*;
use crate::config::{Memory, MemoryProfile};
use crate::store::test_directory::TestDirectory;
use crate::verdict::BUILT_IN;

/// The model that is compiled in, as a file.
const MODEL: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/forest/model.json"));

fn key(seed: u8) -> SecretKey {
    SecretKey::from_random([seed; 32])
}

fn sealed(name: &str, version: u32, key: &SecretKey) -> Vec<u8> {
    let mut model = json::read(MODEL).unwrap();
    model.name = name.to_owned();
    seal(&model, version, 1_800_000_000, key).unwrap()
}

struct Fixture {
    directory: TestDirectory,
    registry: Registry,
}

impl Fixture {
    fn new(name: &str) -> Self {
        let directory = TestDirectory::new(name);
        let room = Room { file_bytes: MAX_BYTES, loaded_bytes: MAX_BYTES };
        let registry = Registry::new(directory.path(), vec![key(1).public()], room);
        Self { directory, registry }
    }

    fn take_in(&self, bytes: &[u8]) -> Result<ModelId, RegistryError> {
        let path = self.directory.path().join("given.model");
        fs::write(&path, bytes).unwrap();
        self.registry.take_in(bytes, &path)
    }

    fn names(&self) -> Vec<String> {
        self.registry.stored().iter().map(|stored| stored.id.to_string()).collect()
    }
}

#[test]
fn what_is_taken_in_judges_as_the_model_that_was_sealed() {
    let mut fixture = Fixture::new("registry-takes");
    let id = fixture.take_in(&sealed("forest", 3, &key(1))).unwrap();
    assert_eq!(fixture.names(), ["forest@3"]);
    let model = fixture.registry.model(&id).unwrap();
    assert_eq!((model.name, model.spreads), ("forest@3", BUILT_IN.spreads));
    let features = [40.0; traffic::features::FEATURE_COUNT];
    assert_eq!(model.judge(&features), BUILT_IN.judge(&features));
    assert_eq!(fixture.registry.model(&id).unwrap(), model, "it is loaded once");
    assert_eq!(fixture.take_in(&sealed("forest", 3, &key(1))).unwrap(), id, "the same file again");
    fixture.registry.remove(&id).unwrap();
    assert!(matches!(fixture.registry.model(&id), Err(RegistryError::Unknown { .. })));
}

#[test]
fn nothing_is_taken_in_that_is_not_trusted_whole_and_new() {
    let mut fixture = Fixture::new("registry-refuses");
    fixture.take_in(&sealed("forest", 3, &key(1))).unwrap();
    let mut tampered = sealed("forest", 4, &key(1));
    *tampered.last_mut().unwrap() ^= 1;
    for (bytes, words) in [
        (sealed("forest", 4, &key(2)), "given.model: it is signed with the key ed25519:"),
        (tampered, "given.model: its signature does not hold"),
        (b"{}".to_vec(), "given.model: it is no sealed model"),
        (vec![0; MAX_BYTES + 1], "given.model: it is longer than"),
        (sealed("forest", 3, &key(1)).into_iter().chain([0]).collect(), "signature does not hold"),
    ] {
        let refusal = fixture.take_in(&bytes).unwrap_err().to_string();
        assert!(refusal.contains(words), "{refusal}");
    }
    let mut other = json::read(MODEL).unwrap();
    (other.name, other.trees) = ("forest".to_owned(), other.trees[..1].to_vec());
    let other = seal(&other, 3, 1_800_000_000, &key(1)).unwrap();
    assert!(matches!(fixture.take_in(&other), Err(RegistryError::Exists { .. })));
    let missing = read(Path::new("/nowhere/x.model"), MAX_BYTES).unwrap_err().to_string();
    assert!(missing.starts_with("/nowhere/x.model: cannot read it"), "{missing}");
    assert!(read(Path::new("/dev/zero"), MAX_BYTES).unwrap_err().to_string().contains("no regular file"));
    fixture.registry.trust(Vec::new());
    assert!(fixture.take_in(&sealed("forest", 5, &key(1))).unwrap_err().to_string().contains("model.keys"));
    assert_eq!(fixture.names(), ["forest@3"], "nothing was left behind");
    assert_eq!(fs::read_dir(fixture.directory.path().join(FOLDER)).unwrap().count(), 1);
}

#[test]
fn a_file_is_checked_each_time_it_is_read() {
    let mut fixture = Fixture::new("registry-checks");
    let id = fixture.take_in(&sealed("forest", 3, &key(1))).unwrap();
    let place = fixture.registry.place(&id);
    fs::rename(&place, fixture.registry.place(&"forest@4".parse().unwrap())).unwrap();
    let renamed = fixture.registry.model(&"forest@4".parse().unwrap()).unwrap_err().to_string();
    assert!(renamed.contains("forest-4.model: it holds forest@3"), "{renamed}");
    fs::rename(fixture.registry.place(&"forest@4".parse().unwrap()), &place).unwrap();
    fixture.registry.trust(vec![key(2).public()]);
    let distrusted = fixture.registry.model(&id).unwrap_err().to_string();
    assert!(distrusted.contains("forest-3.model: it is signed with the key"), "{distrusted}");
}

#[test]
fn the_registry_has_its_bounds() {
    let fixture = Fixture::new("registry-bounds");
    for version in 0..MOST_STORED as u32 {
        fixture.take_in(&sealed("forest", version, &key(1))).unwrap();
    }
    assert!(matches!(fixture.take_in(&sealed("forest", 99, &key(1))), Err(RegistryError::Full)));
    assert_eq!(fixture.names().len(), MOST_STORED);
}

#[test]
fn a_run_loads_no_more_than_there_is_room_for() {
    let mut fixture = Fixture::new("registry-loads");
    let [first, second] = [1, 2].map(|version| fixture.take_in(&sealed("forest", version, &key(1))).unwrap());
    let needed = Model::bytes_of(&json::read(MODEL).unwrap());
    fixture.registry.room.loaded_bytes = 2 * needed - 1;
    fixture.registry.model(&first).unwrap();
    let refusal = fixture.registry.model(&second).unwrap_err().to_string();
    assert!(refusal.contains("forest@2 is not loaded") && refusal.contains("`sluice restart`"), "{refusal}");
    fixture.registry.model(&first).expect("it is there already");
    fixture.registry.room.loaded_bytes = 2 * needed;
    fixture.registry.model(&second).unwrap();
}

#[test]
fn what_is_too_large_for_the_profile_is_refused_before_it_takes_memory() {
    let mut fixture = Fixture::new("registry-large");
    let bytes = sealed("forest", 1, &key(1));
    let id = fixture.take_in(&bytes).unwrap();
    let needed = Model::bytes_of(&json::read(MODEL).unwrap());
    fixture.registry.room.loaded_bytes = needed - 1;
    for refusal in
        [fixture.registry.model(&id).unwrap_err(), fixture.take_in(&sealed("forest", 2, &key(1))).unwrap_err()]
    {
        let told = refusal.to_string();
        assert!(told.contains(&format!("takes {needed} bytes of memory")) && told.contains("memory.profile"), "{told}");
    }
    assert_eq!(fixture.names(), ["forest@1"], "and not taken in");
    fixture.registry.room = Room { file_bytes: bytes.len() - 1, loaded_bytes: needed };
    let told = fixture.registry.model(&id).unwrap_err().to_string();
    assert!(told.contains(&format!("forest-1.model: it takes {} bytes", bytes.len())), "{told}");
    fixture.registry.room.file_bytes += 1;
    fixture.registry.model(&id).unwrap();
}

#[test]
fn the_built_in_model_fits_into_each_profile_as_a_file_twice() {
    let needed = Model::bytes_of(&json::read(MODEL).unwrap());
    for profile in [MemoryProfile::Default, MemoryProfile::Small] {
        let Room { file_bytes, loaded_bytes } = Memory { profile, flows: None }.models();
        assert!(sealed("forest", 1, &key(1)).len() <= file_bytes, "{profile:?}");
        assert!(2 * needed <= loaded_bytes, "{profile:?}: {needed}");
    }
}
