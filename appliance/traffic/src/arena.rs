//! A table of fixed capacity: found by key, and ordered by when each entry was last touched.
//!
//! It takes its memory when it is made. Every operation is O(1): a seeded hash with chains through the entries, and
//! intrusive lists in the order of touching, so that the entry that was quiet longest is always at hand.

use core::hash::{Hash, Hasher};

use crate::hash::Secret;

/// An entry's place. It stays the same until the entry is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(u32);

impl Slot {
    /// No entry's place: the guess of who has none.
    pub const NONE: Self = Self(NONE);
}

/// No slot.
const NONE: u32 = u32::MAX;

/// The list of an entry that was removed.
const REMOVED: u8 = u8::MAX;

#[derive(Debug)]
struct Entry<K, V> {
    key: K,
    value: V,
    /// Next entry of the same bucket, or of the free list.
    next_in_bucket: u32,
    /// Neighbours in the list of touching: quieter and more recent.
    older: u32,
    newer: u32,
    /// Which list it is in.
    list: u8,
}

#[derive(Clone, Copy, Debug)]
struct List {
    oldest: u32,
    newest: u32,
    len: usize,
}

/// What a table takes from its making on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// What it holds.
    pub name: &'static str,
    /// How many of them.
    pub entries: usize,
    /// Bytes of memory.
    pub bytes: usize,
}

/// Keys to values, at most as many as were asked for, in `LISTS` lists by time of touching.
#[derive(Debug)]
pub struct Arena<K, V, const LISTS: usize> {
    entries: Vec<Entry<K, V>>,
    capacity: usize,
    buckets: Vec<u32>,
    free: u32,
    used: usize,
    lists: [List; LISTS],
    secret: Secret,
}

impl<K: Hash + Eq + Copy, V: Copy, const LISTS: usize> Arena<K, V, LISTS> {
    /// Room for `capacity` entries, at least one.
    #[must_use]
    pub fn new(capacity: usize, seed: [u64; 2]) -> Self {
        let capacity = capacity.clamp(1, crate::limits::MAX_FLOWS);
        Self {
            entries: Vec::with_capacity(capacity),
            capacity,
            buckets: vec![NONE; buckets_of(capacity)],
            free: NONE,
            used: 0,
            lists: [List { oldest: NONE, newest: NONE, len: 0 }; LISTS],
            secret: Secret::new(seed),
        }
    }

    /// What the table takes; `name` says what it holds.
    #[must_use]
    pub const fn footprint(&self, name: &'static str) -> Footprint {
        let bytes = self.entries.capacity() * size_of::<Entry<K, V>>() + self.buckets.capacity() * size_of::<u32>();
        Footprint { name, entries: self.capacity, bytes }
    }

    /// How many entries there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.used
    }

    /// There is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// There is no room for one more.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.used == self.capacity
    }

    /// How many entries a list has.
    #[must_use]
    pub const fn len_of(&self, list: usize) -> usize {
        self.lists[list].len
    }

    /// Where the entry with that key is, which may well be at `guess`.
    #[must_use]
    pub fn find_near(&self, guess: Slot, key: &K) -> Option<Slot> {
        match self.entries.get(guess.0 as usize) {
            Some(entry) if entry.list != REMOVED && entry.key == *key => Some(guess),
            _ => self.find(key),
        }
    }

    /// Where the entry with that key is.
    #[must_use]
    pub fn find(&self, key: &K) -> Option<Slot> {
        let mut at = self.buckets[self.bucket(key)];
        while at != NONE {
            let entry = &self.entries[at as usize];
            if entry.key == *key {
                return Some(Slot(at));
            }
            at = entry.next_in_bucket;
        }
        None
    }

    /// Puts a new entry at the recent end of a list. A full table gives [`Self::spare`] up for it. The key must not be in the
    /// table yet.
    pub fn insert(&mut self, key: K, value: V, list: usize) -> Slot {
        if self.is_full()
            && let Some(spare) = self.spare()
        {
            self.remove(spare);
        }
        let bucket = self.bucket(&key);
        let entry =
            Entry { key, value, next_in_bucket: self.buckets[bucket], older: NONE, newer: NONE, list: list as u8 };
        let at = if self.free == NONE {
            self.entries.push(entry);
            (self.entries.len() - 1) as u32
        } else {
            let at = self.free;
            self.free = self.entries[at as usize].next_in_bucket;
            self.entries[at as usize] = entry;
            at
        };
        self.buckets[bucket] = at;
        self.used += 1;
        self.link(at, list);
        Slot(at)
    }

    /// The value at a slot from which it may have been removed: what was there, or another by now.
    #[must_use]
    pub fn get_if_any(&self, slot: Slot) -> Option<&V> {
        self.entries.get(slot.0 as usize).filter(|entry| entry.list != REMOVED).map(|entry| &entry.value)
    }

    /// The value at a slot, which must not have been removed.
    #[must_use]
    pub fn get(&self, slot: Slot) -> &V {
        &self.entries[slot.0 as usize].value
    }

    /// The value at a slot, to be changed.
    pub fn get_mut(&mut self, slot: Slot) -> &mut V {
        &mut self.entries[slot.0 as usize].value
    }

    /// Moves the entry to the recent end of a list.
    pub fn touch(&mut self, slot: Slot, list: usize) {
        if self.lists[list].newest != slot.0 {
            self.unlink(slot.0);
            self.link(slot.0, list);
        }
    }

    /// The entry of a list that was not touched for longest.
    #[must_use]
    pub fn oldest(&self, list: usize) -> Option<Slot> {
        Some(self.lists[list].oldest).filter(|at| *at != NONE).map(Slot)
    }

    /// The entry that can be spared most easily: the one that was quiet longest in the first list that has any.
    #[must_use]
    pub fn spare(&self) -> Option<Slot> {
        (0..LISTS).find_map(|list| self.oldest(list))
    }

    /// Where the entry with that key is, which may well be at `guess`; made from `value` in list 0 where there is none. The
    /// entry is then the most recent of its list.
    pub fn find_or_insert(&mut self, guess: Slot, key: K, value: impl FnOnce() -> V) -> Slot {
        match self.find_near(guess, &key) {
            Some(found) => {
                self.touch(found, self.list_of(found));
                found
            }
            None => self.insert(key, value(), 0),
        }
    }

    /// Which list an entry is in.
    #[must_use]
    pub fn list_of(&self, slot: Slot) -> usize {
        usize::from(self.entries[slot.0 as usize].list)
    }

    /// Takes an entry out.
    pub fn remove(&mut self, slot: Slot) -> V {
        let at = slot.0;
        self.unlink(at);
        let Entry { key, value, next_in_bucket, .. } = self.entries[at as usize];
        let bucket = self.bucket(&key);
        if self.buckets[bucket] == at {
            self.buckets[bucket] = next_in_bucket;
        } else {
            let mut before = self.buckets[bucket];
            while self.entries[before as usize].next_in_bucket != at {
                before = self.entries[before as usize].next_in_bucket;
            }
            self.entries[before as usize].next_in_bucket = next_in_bucket;
        }
        let entry = &mut self.entries[at as usize];
        (entry.next_in_bucket, entry.list) = (self.free, REMOVED);
        self.free = at;
        self.used -= 1;
        value
    }

    fn bucket(&self, key: &K) -> usize {
        let mut hasher = self.secret.hasher();
        key.hash(&mut hasher);
        // The upper bits, as many as number the buckets.
        (hasher.finish() >> (u64::BITS - self.buckets.len().trailing_zeros())) as usize
    }

    fn link(&mut self, at: u32, list: usize) {
        let newest = self.lists[list].newest;
        let entry = &mut self.entries[at as usize];
        (entry.older, entry.newer, entry.list) = (newest, NONE, list as u8);
        if newest == NONE {
            self.lists[list].oldest = at;
        } else {
            self.entries[newest as usize].newer = at;
        }
        self.lists[list].newest = at;
        self.lists[list].len += 1;
    }

    fn unlink(&mut self, at: u32) {
        let Entry { older, newer, list, .. } = self.entries[at as usize];
        let list = usize::from(list);
        self.lists[list].len -= 1;
        if older == NONE {
            self.lists[list].oldest = newer;
        } else {
            self.entries[older as usize].newer = newer;
        }
        if newer == NONE {
            self.lists[list].newest = older;
        } else {
            self.entries[newer as usize].older = older;
        }
    }
}

/// A power of two, and at least two, so that the hash has a bit to choose a bucket by.
const fn buckets_of(capacity: usize) -> usize {
    if capacity < 2 { 2 } else { capacity.next_power_of_two() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u16, usize),
        Touch(u16, usize),
        Remove(u16),
        RemoveOldest(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let key = 0_u16..40;
        let list = 0_usize..2;
        proptest::collection::vec(
            prop_oneof![
                (key.clone(), list.clone()).prop_map(|(key, list)| Step::Insert(key, list)),
                (key.clone(), list.clone()).prop_map(|(key, list)| Step::Touch(key, list)),
                key.prop_map(Step::Remove),
                list.prop_map(Step::RemoveOldest),
            ],
            0..300,
        )
    }

    /// What the arena should do, written without regard to speed: entries in the order of touching.
    #[derive(Default)]
    struct Naive(Vec<(u16, usize)>);

    proptest! {
        #[test]
        fn behaves_like_the_naive_table(steps in steps()) {
            let mut arena = Arena::<u16, u16, 2>::new(16, [1, 2]);
            let mut naive = Naive::default();
            let mut slots = HashMap::new();
            for step in steps {
                match step {
                    Step::Insert(key, list) if !slots.contains_key(&key) => {
                        if naive.0.len() == 16 {
                            let spare = naive.0.iter().position(|(_, l)| *l == 0).unwrap_or(0);
                            slots.remove(&naive.0.remove(spare).0);
                        }
                        naive.0.push((key, list));
                        slots.insert(key, arena.insert(key, key, list));
                    }
                    Step::Touch(key, list) => if let Some(slot) = slots.get(&key) {
                        arena.touch(*slot, list);
                        // Touching the most recent of a list again changes nothing.
                        naive.0.retain(|(other, _)| *other != key);
                        naive.0.push((key, list));
                    },
                    Step::Remove(key) => if let Some(slot) = slots.remove(&key) {
                        prop_assert_eq!(arena.remove(slot), key);
                        naive.0.retain(|(other, _)| *other != key);
                    },
                    Step::RemoveOldest(list) => {
                        let expected = naive.0.iter().find(|(_, l)| *l == list).copied();
                        let found = arena.oldest(list).map(|slot| arena.remove(slot));
                        prop_assert_eq!(found, expected.map(|(key, _)| key));
                        if let Some((key, _)) = expected {
                            slots.remove(&key);
                            naive.0.retain(|(other, _)| *other != key);
                        }
                    }
                    Step::Insert(..) => {}
                }
                prop_assert_eq!(arena.len(), naive.0.len());
                for key in 0..40 {
                    prop_assert_eq!(arena.find(&key).is_some(), slots.contains_key(&key));
                }
            }
        }
    }
}
