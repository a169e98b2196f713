//! Which candidates to take, as far as the paths seen so far can tell.

use super::bits::Bits;
use super::problem::Label;
use super::work::{Work, WorkLimit};

/// What is known of some paths: their labels, and which candidates match them.
#[derive(Debug, Default)]
pub(super) struct Rows {
    labels: Vec<Label>,
    /// By candidate: the rows that it matches.
    columns: Vec<Bits>,
    /// By row: the candidates that match it.
    matched: Vec<Bits>,
    granted: Bits,
    collisions: Bits,
    denied: Bits,
    free: Bits,
}

/// The numbers of the candidates that a document allows and denies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) allow: Vec<usize>,
    pub(super) deny: Vec<usize>,
}

/// What counts first in a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preference {
    /// To allow few paths that no route serves, then to be short.
    FewUnserved,
    /// To be short.
    Short,
}

/// What a candidate costs, in bytes, among the allowed and among the denied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    pub(super) allow: usize,
    pub(super) deny: usize,
}

/// How much each denied row, and each row that no route serves, adds to the cost of allowing a candidate that matches it.
/// Greedy covers are not the smallest ones; of the covers under several such weights the best is taken.
const WEIGHTS: [(usize, usize); 4] = [(0, 0), (30, 0), (100, 5), (1_000, 1_000)];

impl Rows {
    pub(super) fn new(candidates: usize) -> Self {
        Self { columns: vec![Bits::default(); candidates], ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    /// Adds a row. Rows of equal label and candidates say the same, so the caller adds one of them.
    pub(super) fn add(&mut self, label: Label, candidates: Bits) {
        let row = self.labels.len();
        for (candidate, column) in self.columns.iter_mut().enumerate() {
            if candidates.contains(candidate) {
                column.insert(row);
            }
        }
        match label {
            Label::Allow => self.granted.insert(row),
            Label::Deny | Label::Unknown | Label::Unwritable => self.denied.insert(row),
            Label::Free => self.free.insert(row),
            Label::Collision => self.collisions.insert(row),
            Label::Dropped => {}
        }
        self.labels.push(label);
        self.matched.push(candidates);
    }

    /// The document for these rows, or rather the candidates for it.
    ///
    /// Let N be the candidates that match no granted row: whichever of them are denied, no grant is lost. Let P be
    /// the candidates whose denied rows are all matched by some of N. Every right document over the candidates denies only
    /// of N, so it allows only of P; both sets are the largest there can be. So a granted row that none of P
    /// matches is one that no document over these candidates grants, and all other granted rows are granted here.
    ///
    /// Rows that may be withheld for a collision count as granted, but for those that stand in the way of a granted row.
    pub(super) fn choose(
        &self,
        costs: &[Cost],
        preference: Preference,
        work: &mut Work,
    ) -> Result<Choice, WorkLimit> {
        let granted = self.granted_with_collisions(work)?;
        let (allowable, deniable) = self.usable(&granted);
        let coverable = (0..self.len()).filter(|row| granted.contains(*row));
        let coverable: Bits = coverable
            .filter(|row| self.matched.get(*row).is_some_and(|candidates| candidates.intersects(&allowable)))
            .collect();
        let mut best: Option<((usize, usize), Choice)> = None;
        for (per_denied, per_free) in WEIGHTS {
            let weighted = |candidate: usize| {
                let cost = costs.get(candidate).map_or(usize::MAX, |cost| cost.allow);
                let rows = self.columns.get(candidate);
                let count = |of: &Bits| rows.map_or(0, |rows| rows.count_common(of));
                cost.saturating_add(per_denied * count(&self.denied))
                    .saturating_add(per_free * count(&self.free))
            };
            let allow = self.cover(&coverable, &allowable, &weighted, work)?;
            let exposed = self.rows_of(&allow);
            let to_deny =
                (0..self.len()).filter(|row| exposed.contains(*row) && self.denied.contains(*row)).collect();
            let deny_cost = |candidate: usize| costs.get(candidate).map_or(usize::MAX, |cost| cost.deny);
            let deny = self.cover(&to_deny, &deniable, &deny_cost, work)?;
            let mut unserved = exposed;
            unserved.remove_all(&self.rows_of(&deny));
            let unserved = unserved.count_common(&self.free);
            let bytes = allow
                .iter()
                .filter_map(|candidate| costs.get(*candidate))
                .map(|cost| cost.allow)
                .sum::<usize>()
                + deny
                    .iter()
                    .filter_map(|candidate| costs.get(*candidate))
                    .map(|cost| cost.deny)
                    .sum::<usize>();
            let rank = match preference {
                Preference::FewUnserved => (unserved, bytes),
                Preference::Short => (bytes, unserved),
            };
            if best.as_ref().is_none_or(|(least, _)| rank < *least) {
                best = Some((rank, Choice { allow, deny }));
            }
        }
        Ok(best.map(|(_, choice)| choice).unwrap_or_default())
    }

    /// The granted rows, and of the collisions those that can stay granted: for each granted row that no candidate can be
    /// allowed for, the fewest collisions are given up that make one allowable, if any do.
    fn granted_with_collisions(&self, work: &mut Work) -> Result<Bits, WorkLimit> {
        let mut granted = self.granted.clone();
        granted.insert_all(&self.collisions);
        if self.collisions.is_empty() {
            return Ok(granted);
        }
        for row in (0..self.len()).filter(|row| self.granted.contains(*row)) {
            let (allowable, deniable) = self.usable(&granted);
            let Some(matched) = self.matched.get(row).filter(|matched| !matched.intersects(&allowable))
            else {
                continue;
            };
            let candidates: Vec<usize> =
                (0..self.columns.len()).filter(|index| matched.contains(*index)).collect();
            work.spend(candidates.len() * self.len() + self.columns.len() * (1 + granted.words().len()))?;
            let in_the_way = candidates
                .iter()
                .filter_map(|candidate| self.in_the_way(*candidate, &granted, &deniable, work));
            let fewest =
                in_the_way.collect::<Result<Vec<Bits>, WorkLimit>>()?.into_iter().min_by_key(Bits::count);
            granted.remove_all(&fewest.unwrap_or_default());
        }
        Ok(granted)
    }

    /// The collisions to give up so that a candidate can be allowed; `None` if that is not enough.
    fn in_the_way(
        &self,
        candidate: usize,
        granted: &Bits,
        deniable: &Bits,
        work: &mut Work,
    ) -> Option<Result<Bits, WorkLimit>> {
        let mut given_up = Bits::default();
        let column = self.columns.get(candidate)?;
        for row in (0..self.len()).filter(|row| column.contains(*row) && self.denied.contains(*row)) {
            let matched = self.matched.get(row)?;
            if matched.intersects(deniable) {
                continue;
            }
            if let Err(limit) = work.spend(self.columns.len()) {
                return Some(Err(limit));
            }
            let denying = self
                .columns
                .iter()
                .enumerate()
                .filter(|(index, rows)| matched.contains(*index) && !rows.intersects(&self.granted));
            let least = denying.map(|(_, rows)| rows).min_by_key(|rows| rows.count_common(granted))?;
            let mut lost = least.clone();
            lost.keep_only(granted);
            given_up.insert_all(&lost);
        }
        Some(Ok(given_up))
    }

    /// P and N of [`Rows::choose`].
    fn usable(&self, granted: &Bits) -> (Bits, Bits) {
        let columns = || self.columns.iter().enumerate();
        let deniable: Bits =
            columns().filter(|(_, rows)| !rows.intersects(granted)).map(|(index, _)| index).collect();
        let irrevocable: Bits = (0..self.len())
            .filter(|row| self.denied.contains(*row))
            .filter(|row| self.matched.get(*row).is_some_and(|candidates| !candidates.intersects(&deniable)))
            .collect();
        let allowable = columns().filter(|(_, rows)| !rows.intersects(&irrevocable)).map(|(index, _)| index);
        (allowable.collect(), deniable)
    }

    /// The rows that some of the candidates match.
    fn rows_of(&self, candidates: &[usize]) -> Bits {
        let mut rows = Bits::default();
        candidates
            .iter()
            .filter_map(|candidate| self.columns.get(*candidate))
            .for_each(|column| rows.insert_all(column));
        rows
    }

    /// Some of the usable candidates that together match all of `rows`: again and again the one that is cheapest for each
    /// row that it adds, then without those that turn out to be superfluous.
    fn cover(
        &self,
        rows: &Bits,
        usable: &Bits,
        cost: &dyn Fn(usize) -> usize,
        work: &mut Work,
    ) -> Result<Vec<usize>, WorkLimit> {
        let mut open = rows.clone();
        let columns = self.columns.iter().enumerate();
        let mut usable: Vec<(usize, &Bits, usize)> = columns
            .filter(|(candidate, column)| usable.contains(*candidate) && column.intersects(rows))
            .map(|(candidate, column)| (candidate, column, cost(candidate)))
            .collect();
        work.spend(self.columns.len() * (1 + rows.words().len()))?;
        let mut chosen: Vec<usize> = Vec::new();
        while !open.is_empty() {
            work.spend(usable.len() * (1 + open.words().len()))?;
            usable.retain(|(_, column, _)| column.intersects(&open));
            // Cost by rows added, compared by cross-multiplication; of equals the first.
            let ratio = |(_, column, cost): &(usize, &Bits, usize)| (column.count_common(&open), *cost);
            let best = usable.iter().map(|entry| (ratio(entry), entry)).reduce(|best, other| {
                let ((added, cost), (other_added, other_cost)) = (best.0, other.0);
                if other_added.saturating_mul(cost) > added.saturating_mul(other_cost) { other } else { best }
            });
            // INVARIANT: the callers' rows are each matched by a usable candidate.
            let Some((_, (candidate, column, _))) = best else { break };
            chosen.push(*candidate);
            open.remove_all(column);
        }
        self.without_superfluous(chosen, rows, work)
    }

    fn without_superfluous(
        &self,
        chosen: Vec<usize>,
        rows: &Bits,
        work: &mut Work,
    ) -> Result<Vec<usize>, WorkLimit> {
        let mut kept = chosen;
        let mut place = 0;
        while place < kept.len() {
            let others: Vec<usize> = kept
                .iter()
                .enumerate()
                .filter(|(index, _)| *index != place)
                .map(|(_, other)| *other)
                .collect();
            work.spend(others.len() * (1 + rows.words().len()))?;
            if rows.is_subset(&self.rows_of(&others)) {
                kept = others;
            } else {
                place += 1;
            }
        }
        kept.sort_unstable();
        Ok(kept)
    }
}
