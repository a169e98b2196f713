//! The bound on the work for one document.

/// What is left of the work that a document may take, in steps of some words of bits.
#[derive(Debug)]
pub(super) struct Work {
    left: u64,
    /// States of automata explored.
    pub(super) states: usize,
}

/// The work for a document exceeds its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WorkLimit;

impl Work {
    pub(super) const fn new(limit: u64) -> Self {
        Self { left: limit, states: 0 }
    }

    pub(super) fn spend(&mut self, steps: usize) -> Result<(), WorkLimit> {
        let steps = u64::try_from(steps).map_err(|_| WorkLimit)?;
        self.left = self.left.checked_sub(steps).ok_or(WorkLimit)?;
        Ok(())
    }

    /// Half of what is left, for what can be done without.
    pub(super) const fn half(&mut self) -> Self {
        let half = self.left / 2;
        self.left -= half;
        Self { left: half, states: 0 }
    }

    /// Takes back what is left of a part.
    pub(super) const fn take_back(&mut self, part: &Self) {
        self.left += part.left;
        self.states += part.states;
    }

    pub(super) const fn left(&self) -> u64 {
        self.left
    }
}
