//! What the tables say that they take is what the allocator hands out for them, to the byte.

use std::alloc::System;
use std::sync::{Arc, Mutex};

use sluice::config::{Config, Memory, MemoryProfile};
use sluice::pipeline::{Pipeline, PipelineConfig};
use sluice::verdict::Verdict;
use sluice::verdict::lists::{List, ListConfig, MOST_ENTRIES, Source};
use sluice::verdict::rules::Name;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use traffic::features::ThreatClass;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The tests would count each other's allocations.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn the_path_takes_what_its_tables_say() {
    let _turn = ONE_AT_A_TIME.lock();
    let given = [(MemoryProfile::Default, None), (MemoryProfile::Small, None), (MemoryProfile::Small, Some(20_000))];
    for (profile, flows) in given {
        let memory = Memory { profile, flows };
        let config = PipelineConfig {
            limits: memory.limits(),
            tuning: Config::default().tuning(),
            models: Default::default(),
            rules: Arc::default(),
            around: Arc::default(),
            seed: [3, 4],
        };
        let mut told = 0;
        // The test harness may allocate a name or a line of its own meanwhile, but not each time.
        let taken = [(); 5].map(|()| {
            let region = Region::new(ALLOCATOR);
            let pipeline = Pipeline::new(&config);
            let taken = region.change();
            told = pipeline.footprints().map(|footprint| footprint.bytes).sum();
            (taken.bytes_allocated - taken.bytes_deallocated, taken.reallocations)
        });
        assert!(taken.contains(&(told, 0)), "{memory:?}: {told} bytes told, bytes and reallocations taken {taken:?}");
    }
}

#[test]
fn a_full_list_takes_what_it_says_however_large_its_file_is() {
    let _turn = ONE_AT_A_TIME.lock();
    let path = std::env::temp_dir().join(format!("sluice-full-list-{}", std::process::id()));
    let line =
        |number: usize| format!("0.0.0.0 host{number}.with-a-long-name-that-takes-room-in-the-file.example # why\n");
    std::fs::write(&path, (0..MOST_ENTRIES).map(line).collect::<String>()).unwrap();
    let verdict = Verdict { class: ThreatClass::Botnet, confidence: 0.9 };
    let config = ListConfig { name: Name::new("full"), source: Source::File(path.clone()), verdict, block: false };
    let region = Region::new(ALLOCATOR);
    let (list, reading) = List::read(&config, &path).unwrap();
    let taken = region.change();
    std::fs::remove_file(&path).unwrap();
    let told = List::footprint(&[Arc::new(list)]);
    assert_eq!((reading.domains, told.bytes), (MOST_ENTRIES, MOST_ENTRIES * 8));
    // The path in the configuration, and nothing else that stays.
    let kept = taken.bytes_allocated.cast_signed() - taken.bytes_deallocated.cast_signed();
    assert!((0..1_024).contains(&(kept - told.bytes.cast_signed())), "{kept} bytes");
    // Never more than the doubled set and a few buffers, whose sum bounds the most at once.
    assert!(taken.bytes_allocated < 4 * told.bytes, "{} bytes", taken.bytes_allocated);
}
