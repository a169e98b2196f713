//! What is remembered for whoever asks again: at most so many things, each under its key. To look one up takes no lock, and
//! nobody waits for who adds one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;

/// Among how many things the one is chosen that makes room.
const WAYS: usize = 8;

/// Things by their keys. They stand in sets of [`WAYS`]; in which one is a matter of a number that is made of the key. To add
/// one puts a new set in the place of the old.
pub(super) struct Remembered<K, V> {
    sets: Box<[Set<K, V>]>,
    ways: usize,
}

struct Set<K, V> {
    entries: ArcSwapOption<Vec<Arc<Entry<K, V>>>>,
    /// How often one of them was asked for.
    asked: AtomicU64,
}

struct Entry<K, V> {
    /// The number of the last question for it, among those of its set.
    asked: AtomicU64,
    key: K,
    value: V,
}

impl<K: Eq, V> Remembered<K, V> {
    /// Room for at most `capacity` things; with 0 none is remembered.
    pub(super) fn new(capacity: usize) -> Self {
        let ways = WAYS.min(capacity);
        let sets = capacity.checked_div(ways).unwrap_or(0);
        let set = |_| Set { entries: ArcSwapOption::empty(), asked: AtomicU64::new(0) };
        Self { sets: (0..sets).map(set).collect(), ways }
    }

    /// How many things there is room for.
    pub(super) const fn capacity(&self) -> usize {
        self.sets.len() * self.ways
    }

    /// What `take` takes of the thing with this key, whose set has this number, if it is remembered. What nothing is taken of
    /// counts as not asked for.
    pub(super) fn get<Q, T>(&self, number: u64, key: &Q, take: impl FnOnce(&V) -> Option<T>) -> Option<T>
    where
        K: PartialEq<Q>,
    {
        let set = self.set_of(number)?;
        let entries = set.entries.load();
        let entry = entries.as_ref()?.iter().find(|entry| entry.key == *key)?;
        let taken = take(&entry.value)?;
        entry.asked.store(set.next_number(), Ordering::Relaxed);
        Some(taken)
    }

    /// Remembers a thing, in the place of one with its key. Room is made by what does not stay, and then by what was not asked
    /// for the longest.
    pub(super) fn put(&self, number: u64, key: K, value: V, stays: impl Fn(&V) -> bool) {
        let Some(set) = self.set_of(number) else { return };
        let entry = Arc::new(Entry { asked: AtomicU64::new(set.next_number()), key, value });
        set.entries.rcu(|entries| {
            let is_kept = |other: &&Arc<Entry<K, V>>| other.key != entry.key && stays(&other.value);
            let mut kept: Vec<_> =
                entries.iter().flat_map(|entries| entries.iter()).filter(is_kept).cloned().collect();
            kept.sort_unstable_by_key(|other| std::cmp::Reverse(other.asked.load(Ordering::Relaxed)));
            kept.truncate(self.ways.saturating_sub(1));
            kept.push(Arc::clone(&entry));
            Some(Arc::new(kept))
        });
    }

    /// `None` where nothing is remembered.
    fn set_of(&self, number: u64) -> Option<&Set<K, V>> {
        let index = number.checked_rem(u64::try_from(self.sets.len()).ok()?)?;
        self.sets.get(usize::try_from(index).ok()?)
    }

    /// How many things are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.sets.iter().filter_map(|set| Some(set.entries.load_full()?.len())).sum()
    }
}

impl<K, V> Set<K, V> {
    fn next_number(&self) -> u64 {
        self.asked.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_stays_and_what_is_over_goes_first() {
        let remembered = Remembered::new(3);
        let ask = |key: &'static str| remembered.get(0, &key, |value: &i32| (*value >= 0).then_some(*value));
        let put = |key: &'static str, value: i32| remembered.put(0, key, value, |value| *value < 10);
        for (key, value) in [("a", 1), ("b", 2), ("over", 10)] {
            put(key, value);
        }
        put("c", 3);
        assert_eq!(["a", "b", "over", "c"].map(ask), [Some(1), Some(2), None, Some(3)]);
        assert_eq!(ask("a"), Some(1));
        put("d", 4);
        assert_eq!(["a", "b", "c", "d"].map(ask), [Some(1), None, Some(3), Some(4)]);
        put("a", -1);
        assert_eq!((ask("a"), remembered.len()), (None, 3), "it is there, and nothing is taken of it");
        // So it was not asked for, and goes before the others.
        assert_eq!([ask("c"), ask("d")], [Some(3), Some(4)]);
        put("e", 5);
        assert_eq!(["a", "c", "d", "e"].map(ask), [None, Some(3), Some(4), Some(5)]);
    }

    #[test]
    fn there_are_never_more_than_there_is_room_for() {
        for capacity in [0, 1, 7, 8, 9, 20, 64] {
            let remembered = Remembered::new(capacity);
            for number in 0..1_000_u64 {
                remembered.put(number, number, (), |()| true);
                assert!(remembered.len() <= remembered.capacity() && remembered.capacity() <= capacity);
                let found = remembered.get(number, &number, |()| Some(())).is_some();
                assert_eq!(found, capacity > 0, "{number} of {capacity}");
            }
            assert_eq!(remembered.len(), remembered.capacity());
        }
    }

    #[test]
    fn many_threads_add_and_ask_at_once() {
        let remembered = Remembered::new(64);
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let remembered = &remembered;
                scope.spawn(move || {
                    for number in 0..5_000_u64 {
                        let key = number.wrapping_mul(thread + 1) % 200;
                        remembered.put(key, key, key * 3, |_| true);
                        let value = remembered.get(key, &key, |value| Some(*value));
                        assert!(value.is_none_or(|value| value == key * 3));
                    }
                });
            }
        });
        assert!(remembered.len() <= 64);
    }
}
