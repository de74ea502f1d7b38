//! What the tables say that they take is what the allocator hands out for them, to the byte.

use std::alloc::System;
use std::sync::Arc;
use std::time::Duration;

use sluice::config::{Memory, MemoryProfile};
use sluice::pipeline::{Pipeline, PipelineConfig};
use sluice::policy::Profile;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn the_path_takes_what_its_tables_say() {
    let given = [(MemoryProfile::Default, None), (MemoryProfile::Small, None), (MemoryProfile::Small, Some(20_000))];
    for (profile, flows) in given {
        let memory = Memory { profile, flows };
        let config = PipelineConfig {
            limits: memory.limits(),
            profile: Profile::Balanced,
            rules: Arc::default(),
            block_ttl: Duration::from_secs(600),
            limit_per_s: 100,
            around: Arc::default(),
            seed: [3, 4],
        };
        let region = Region::new(ALLOCATOR);
        let pipeline = Pipeline::new(&config);
        let taken = region.change();
        let told: usize = pipeline.footprints().map(|footprint| footprint.bytes).sum();
        assert_eq!(told, taken.bytes_allocated - taken.bytes_deallocated, "{memory:?}");
        assert_eq!(taken.reallocations, 0, "{memory:?}");
    }
}
