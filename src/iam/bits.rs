//! Sets of small numbers, as words of bits.

/// A set of numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    pub(crate) fn insert(&mut self, number: usize) {
        let word = number / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        if let Some(word) = self.0.get_mut(word) {
            *word |= mask(number);
        }
    }

    pub(crate) fn contains(&self, number: usize) -> bool {
        contains(&self.0, number)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    pub(crate) fn intersects(&self, other: &Self) -> bool {
        intersects(&self.0, &other.0)
    }

    /// How many numbers both have.
    pub(crate) fn count_common(&self, other: &Self) -> usize {
        let counts = self.0.iter().zip(&other.0).map(|(ours, theirs)| (ours & theirs).count_ones());
        counts.map(|count| usize::try_from(count).unwrap_or(usize::MAX)).sum()
    }

    pub(crate) fn is_subset(&self, other: &Self) -> bool {
        let theirs = other.0.iter().copied().chain(std::iter::repeat(0));
        self.0.iter().zip(theirs).all(|(ours, theirs)| ours & !theirs == 0)
    }

    pub(crate) fn insert_all(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        self.0.iter_mut().zip(&other.0).for_each(|(ours, theirs)| *ours |= theirs);
    }

    pub(crate) fn remove_all(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(ours, theirs)| *ours &= !theirs);
    }

    pub(crate) fn keep_only(&mut self, other: &Self) {
        let theirs = other.0.iter().copied().chain(std::iter::repeat(0));
        self.0.iter_mut().zip(theirs).for_each(|(ours, theirs)| *ours &= theirs);
    }

    pub(crate) fn count(&self) -> usize {
        self.count_common(self)
    }

    /// The numbers, in order.
    #[cfg(feature = "cli")]
    pub(crate) fn numbers(&self) -> impl Iterator<Item = usize> {
        (0..self.0.len() * 64).filter(|number| self.contains(*number))
    }

    pub(crate) fn words(&self) -> &[u64] {
        &self.0
    }
}

impl FromIterator<usize> for Bits {
    fn from_iter<I: IntoIterator<Item = usize>>(numbers: I) -> Self {
        let mut bits = Self::default();
        numbers.into_iter().for_each(|number| bits.insert(number));
        bits
    }
}

pub(crate) const fn mask(number: usize) -> u64 {
    1 << (number % 64)
}

pub(crate) fn contains(words: &[u64], number: usize) -> bool {
    words.get(number / 64).is_some_and(|word| word & mask(number) != 0)
}

pub(crate) fn intersects(words: &[u64], others: &[u64]) -> bool {
    words.iter().zip(others).any(|(ours, theirs)| ours & theirs != 0)
}

/// Distinct rows of words, all of one length, numbered in the order of their coming.
#[derive(Debug)]
pub(crate) struct Interner {
    stride: usize,
    rows: Vec<u64>,
    /// Open addressing with linear probing; a power of two, at most half full; the row's number plus one.
    slots: Vec<usize>,
    count: usize,
}

impl Interner {
    /// For rows of `stride` words, at least one.
    pub(crate) fn new(stride: usize) -> Self {
        Self { stride, rows: Vec::new(), slots: vec![0; 64], count: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.count
    }

    /// The row of that number; nothing for a number that was not given out.
    pub(crate) fn row(&self, number: usize) -> &[u64] {
        let start = number.saturating_mul(self.stride);
        self.rows.get(start..start.saturating_add(self.stride)).unwrap_or_default()
    }

    /// The row's number, and whether it is new.
    pub(crate) fn intern(&mut self, row: &[u64]) -> (usize, bool) {
        let slot = self.slot_of(row);
        match self.slots.get(slot).and_then(|number| number.checked_sub(1)) {
            Some(number) => (number, false),
            None => (self.add(row, slot), true),
        }
    }

    /// The slot that has the row, or the one where it belongs.
    fn slot_of(&self, row: &[u64]) -> usize {
        let last = self.slots.len() - 1;
        let mut slot = hash(row) & last;
        while let Some(number) = self.slots.get(slot).and_then(|number| number.checked_sub(1)) {
            if self.row(number) == row {
                break;
            }
            slot = (slot + 1) & last;
        }
        slot
    }

    fn add(&mut self, row: &[u64], slot: usize) -> usize {
        self.rows.extend_from_slice(row);
        self.count += 1;
        if let Some(slot) = self.slots.get_mut(slot) {
            *slot = self.count;
        }
        if self.count * 2 > self.slots.len() {
            self.slots = vec![0; self.slots.len() * 2];
            for number in 0..self.count {
                let slot = self.slot_of(self.row(number));
                if let Some(slot) = self.slots.get_mut(slot) {
                    *slot = number + 1;
                }
            }
        }
        self.count - 1
    }
}

/// Multiplication by a constant after the manner of FxHash: the rows come from our own automaton, so no one chooses them
/// to collide, and the numbers that are given out do not depend on the hash.
fn hash(row: &[u64]) -> usize {
    let mixed =
        row.iter().fold(0_u64, |hash, word| (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95));
    usize::try_from(mixed >> 20 & 0xffff_ffff).unwrap_or_default()
}
