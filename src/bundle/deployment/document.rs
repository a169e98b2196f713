//! `[document]`: how large a document for a whole API may become, and what it may say.

use std::ops::RangeInclusive;

use serde::Deserialize;
use toml::Spanned;

use super::PATH;
use crate::bundle::finding::{Code, Findings};

/// The limits of a document for a whole API, and its two switches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentLimits {
    /// The most characters of one pattern, with the ARN's prefix.
    pub pattern_characters: usize,
    /// The most bytes of the document as JSON.
    pub bytes: usize,
    /// The most work that a document and its proof may take, counted the same on every machine; beyond it there is no
    /// document. See `Limits::work` of [`iam`](crate::iam).
    pub work: u64,
    /// Whether a literal `*`, `?` or `$` is written as `${*}`, `${?}` or `${$}` (IAM user guide, "Policy variables: special
    /// characters"). Not verified on live AWS: whether API Gateway reads them so in an authorizer's document.
    pub escape_wildcards: bool,
    /// Whether an Allow ends with its token, by a condition on `aws:CurrentTime`. Not verified on live AWS: whether API
    /// Gateway reads it in an authorizer's document.
    pub expiry_condition: bool,
}

impl DocumentLimits {
    /// API Gateway's limit for a `Resource` of an authorizer's document (developer guide, "Output from an API Gateway
    /// Lambda authorizer").
    pub const PATTERN_CHARACTERS: usize = 512;
    /// A limit of ours, for want of a documented one: as many as the quota gives to a resource policy (developer guide,
    /// "API Gateway quotas for configuring and running a REST API").
    pub const BYTES: usize = 8_192;
    /// A limit of ours, for well under a tenth of a second.
    pub const WORK: u64 = 20_000_000;
}

impl Default for DocumentLimits {
    fn default() -> Self {
        Self {
            pattern_characters: Self::PATTERN_CHARACTERS,
            bytes: Self::BYTES,
            work: Self::WORK,
            escape_wildcards: false,
            expiry_condition: false,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DocumentFile {
    pattern_characters: Option<Spanned<i64>>,
    bytes: Option<Spanned<i64>>,
    work: Option<Spanned<i64>>,
    #[serde(default)]
    escape_wildcards: bool,
    #[serde(default)]
    expiry_condition: bool,
}

/// Shorter patterns do not hold an ARN up to its path, and a shorter document no guards. What bounds the size and the time
/// of an answer can be raised far above what an API needs, and not written away.
const PATTERN_CHARACTERS: RangeInclusive<u64> = 128..=512;
const BYTES: RangeInclusive<u64> = 1_024..=65_536;
const WORK: RangeInclusive<u64> = 1..=1_000_000_000;

pub(super) fn read(file: &DocumentFile, findings: &mut Findings<'_>) -> DocumentLimits {
    let mut number = |name: &str, written: Option<&Spanned<i64>>, allowed: RangeInclusive<u64>| {
        let written = written?;
        let read = u64::try_from(*written.get_ref()).ok().filter(|read| allowed.contains(read));
        if read.is_none() {
            let message = format!("{name} of a document cannot be {}", written.get_ref());
            let help = format!("write {} to {}", allowed.start(), allowed.end());
            findings.note(Code::SettingRange, PATH, Some(written.span()), message, help);
        }
        read
    };
    let pattern_characters =
        number("pattern_characters", file.pattern_characters.as_ref(), PATTERN_CHARACTERS);
    let bytes = number("bytes", file.bytes.as_ref(), BYTES);
    let work = number("work", file.work.as_ref(), WORK);
    let size = |read: Option<u64>| read.and_then(|read| usize::try_from(read).ok());
    DocumentLimits {
        pattern_characters: size(pattern_characters).unwrap_or(DocumentLimits::PATTERN_CHARACTERS),
        bytes: size(bytes).unwrap_or(DocumentLimits::BYTES),
        work: work.unwrap_or(DocumentLimits::WORK),
        escape_wildcards: file.escape_wildcards,
        expiry_condition: file.expiry_condition,
    }
}
