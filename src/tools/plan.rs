//! What a change grants and what it takes away: two bundles, or two versions of one, compared for everyone whom roles and
//! tenants tell apart and for every operation of either. Roles are compared one by one, all of them together, and those that
//! [count together](together); these are told of where what each of them alone may do does not explain it.
//!
//! Where both sides say always or never, the comparison is exact; so it is where both come to the same condition, in
//! whatever order it is written. Else the two are asked the same requests ([`cases`](super::cases)), and what is found has
//! been decided by both. That nothing was found is then no proof, and is said so.

mod articles;
mod cells;
mod together;

use std::collections::BTreeSet;

use crate::bundle::Bundle;
use crate::bundle::policies::PolicyVersion;
use crate::bundle::source::SourceFiles;

use super::desk::{Desk, DeskError};
use super::matrix::MatrixError;

pub use articles::{Article, ArticleKind, Sign};
pub use cells::{Asked, Change, Compared, Example};

/// One side of a plan.
#[derive(Clone, Copy, Debug)]
pub struct Side<'s> {
    /// What it is called.
    pub name: &'s str,
    /// The bundle.
    pub bundle: &'s Bundle,
    /// Its files.
    pub files: &'s SourceFiles,
    /// The version of the policies that is compared, in every stage; `None`: the one that is active there.
    pub version: Option<&'s str>,
    /// Roles that somebody is known to hold together, as the principals of the tests do.
    pub held: &'s [Vec<String>],
}

/// What a change makes of access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The same.
    Same,
    /// Something is taken away, nothing is given.
    Narrower,
    /// Something is given, nothing is taken away.
    Wider,
    /// Something of each.
    Both,
}

/// What changes between two sides.
#[derive(Debug)]
pub struct Plan {
    /// Policies, roles, operations and issuers that were added, removed or changed.
    pub articles: Vec<Article>,
    /// What was compared, stage by stage, those that are alike together.
    pub stages: Vec<StagePlan>,
}

/// What changes in some stages, which are alike.
#[derive(Debug)]
pub struct StagePlan {
    /// API and stage.
    pub stages: Vec<(String, String)>,
    /// The version on each side; `None` where that side does not have the stage.
    pub versions: [Option<String>; 2],
    /// What changes; what widens first.
    pub changes: Vec<Change>,
    /// How it was compared.
    pub compared: Compared,
}

/// How much a plan may ask.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// The most requests of one kind of cell: requests beyond about 2,000 hardly find more.
    pub each: usize,
    /// The most requests altogether; who changes everything gets fewer of each.
    pub all: usize,
}

impl Effort {
    /// What a person is willing to wait for: about two seconds.
    pub const DEFAULT: Self = Self { each: 2_000, all: 60_000 };
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A side has nobody to ask.
    #[error("{side}: {error}")]
    Desk {
        /// The side's name.
        side: String,
        /// Why.
        error: DeskError,
    },
    /// A side's policies cannot be looked into.
    #[error("{side}: {error}")]
    Matrix {
        /// The side's name.
        side: String,
        /// Why.
        error: MatrixError,
    },
    /// No stage has the version, or there is no stage.
    #[error("there is nothing to compare: neither side has a stage of an API")]
    Nothing,
}

impl Verdict {
    /// What two verdicts come to together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Same, verdict) | (verdict, Self::Same) => verdict,
            (one, other) if one == other => one,
            (_, _) => Self::Both,
        }
    }

    /// Whether somebody may do more than before.
    #[must_use]
    pub const fn widens(self) -> bool {
        matches!(self, Self::Wider | Self::Both)
    }

    /// `same`, `narrower`, `wider` or `both`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Narrower => "narrower",
            Self::Wider => "wider",
            Self::Both => "both",
        }
    }
}

impl Plan {
    /// Compares two sides.
    ///
    /// # Errors
    /// [`PlanError`]
    pub fn new(old: Side<'_>, new: Side<'_>, effort: Effort) -> Result<Self, PlanError> {
        let mut groups: Vec<Group<'_>> = Vec::new();
        let by_stage = reads_stage(old) || reads_stage(new);
        for (api, stage) in stages(old, new) {
            let versions = [old, new].map(|side| version_of(side, &api, &stage));
            if versions.iter().all(Option::is_none) {
                continue;
            }
            let alike = |group: &&mut Group<'_>| {
                let [one, other] = &group.versions;
                let known = [one, other].map(|version| version.map(|version| version.name.as_str()));
                !by_stage && known == versions.map(|version| version.map(|version| version.name.as_str()))
            };
            match groups.iter_mut().find(alike) {
                Some(group) => group.stages.push((api, stage)),
                None => groups.push(Group { stages: vec![(api, stage)], versions }),
            }
        }
        if groups.is_empty() {
            return Err(PlanError::Nothing);
        }
        let mut articles = articles::of_bundles(old, new);
        let mut plans = Vec::new();
        let mut compared: BTreeSet<[Option<&str>; 2]> = BTreeSet::new();
        for group in groups {
            let names = group.versions.map(|version| version.map(|version| version.name.as_str()));
            if compared.insert(names)
                && let [Some(before), Some(after)] = group.versions
            {
                articles.extend(articles::of_versions((old, before), (new, after)));
            }
            plans.push(group.plan(old, new, effort)?);
        }
        articles.sort();
        articles.dedup();
        Ok(Self { articles, stages: plans })
    }

    /// All of it in one word.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let articles = self.articles.iter().map(|article| article.verdict);
        let changes = self.stages.iter().flat_map(|stage| &stage.changes).map(|change| change.verdict);
        articles.chain(changes).fold(Verdict::Same, Verdict::and)
    }

    /// Whether nothing at all has changed that a plan looks at, be it without an effect on access.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.articles.is_empty() && self.stages.iter().all(|stage| stage.changes.is_empty())
    }

    /// Whether everything was compared exactly.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.stages.iter().all(|stage| stage.compared.by_cases == 0 && stage.compared.role_sets_left_out == 0)
            && !self.articles.iter().any(|article| article.verdict == Verdict::Both)
    }
}

/// Stages that are alike: one version before, one after.
struct Group<'s> {
    stages: Vec<(String, String)>,
    versions: [Option<&'s PolicyVersion>; 2],
}

impl Group<'_> {
    fn plan(self, old: Side<'_>, new: Side<'_>, effort: Effort) -> Result<StagePlan, PlanError> {
        let versions = self.versions.map(|version| version.map(|version| version.name.clone()));
        let (api, stage) = self.stages.first().ok_or(PlanError::Nothing)?;
        let desk = |side: Side<'_>| format!("{} in {}", stage, side.name);
        let (changes, compared) = match self.versions {
            [Some(before), Some(after)] => {
                let open = |side: Side<'_>, version: &PolicyVersion| {
                    side.version.unwrap_or(&version.name).to_owned()
                };
                let (before, after) = (open(old, before), open(new, after));
                let old_desk = Desk::new(old.bundle, Some(api), Some(stage), Some(&before))
                    .map_err(|error| PlanError::Desk { side: desk(old), error })?;
                let new_desk = Desk::new(new.bundle, Some(api), Some(stage), Some(&after))
                    .map_err(|error| PlanError::Desk { side: desk(new), error })?;
                cells::compare((old, &old_desk), (new, &new_desk), effort)?
            }
            [_, _] => (Vec::new(), Compared::default()),
        };
        Ok(StagePlan { stages: self.stages, versions, changes, compared })
    }
}

/// The stages of both sides, in the order of the new one.
fn stages(old: Side<'_>, new: Side<'_>) -> Vec<(String, String)> {
    let mut stages: Vec<(String, String)> = Vec::new();
    for side in [new, old] {
        for api in &side.bundle.deployment().apis {
            for stage in api.stage_names() {
                let stage = (api.name.clone(), stage.to_owned());
                if !stages.contains(&stage) {
                    stages.push(stage);
                }
            }
        }
    }
    stages
}

fn version_of<'s>(side: Side<'s>, api: &str, stage: &str) -> Option<&'s PolicyVersion> {
    let api = side.bundle.deployment().apis.iter().find(|known| known.name == api)?;
    api.stage_names().find(|known| *known == stage)?;
    match side.version {
        None => side.bundle.active(&api.name, stage).map(AsRef::as_ref),
        Some(name) => side.bundle.policy_versions().find(|version| version.name == name),
    }
}

/// Whether a policy may speak of the API or the stage, so that stages of one version can differ.
fn reads_stage(side: Side<'_>) -> bool {
    let texts = side.files.paths().filter(|path| path.ends_with(".cedar"));
    let mut texts = texts.filter_map(|path| side.files.text(path));
    texts.any(|text| ["resource.api", "resource.stage", "resource["].iter().any(|read| text.contains(read)))
}
