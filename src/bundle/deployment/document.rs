//! `[document]`: how large a document for a whole API may become, and what it may say.

use serde::Deserialize;
use toml::Spanned;

use super::PATH;
use crate::bundle::finding::Findings;

/// The limits of a document for a whole API, and its two switches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentLimits {
    /// The most characters of one pattern, with the ARN's prefix.
    pub pattern_characters: usize,
    /// The most bytes of the document as JSON.
    pub bytes: usize,
    /// The most work that finding and proving a document may take, in words of bits looked at; beyond that there is none.
    pub work: usize,
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
    /// A limit of ours: it bounds the time that the answer to a new principal takes to well under a tenth of a second.
    pub const WORK: usize = 40_000_000;
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

/// The least that can be said: shorter patterns do not hold an ARN up to its path, and a shorter document no guards.
const LEAST_PATTERN_CHARACTERS: usize = 128;
const LEAST_BYTES: usize = 1_024;
/// Far above what an API needs: what bounds the size and the time of an answer cannot be written away.
const MOST_BYTES: usize = 65_536;
const MOST_WORK: usize = 1_000_000_000;

pub(super) fn read(file: &DocumentFile, findings: &mut Findings<'_>) -> DocumentLimits {
    let mut number =
        |name: &str, written: Option<&Spanned<i64>>, least: usize, most: usize, unsaid: usize| {
            let Some(written) = written else { return unsaid };
            let read = usize::try_from(*written.get_ref()).ok().filter(|read| (least..=most).contains(read));
            read.unwrap_or_else(|| {
                let message = format!("{name} of a document cannot be {}", written.get_ref());
                findings.note(PATH, Some(written.span()), message, format!("write {least} to {most}"));
                unsaid
            })
        };
    let most = DocumentLimits::PATTERN_CHARACTERS;
    DocumentLimits {
        pattern_characters: number(
            "pattern_characters",
            file.pattern_characters.as_ref(),
            LEAST_PATTERN_CHARACTERS,
            most,
            most,
        ),
        bytes: number("bytes", file.bytes.as_ref(), LEAST_BYTES, MOST_BYTES, DocumentLimits::BYTES),
        work: number("work", file.work.as_ref(), 1, MOST_WORK, DocumentLimits::WORK),
        escape_wildcards: file.escape_wildcards,
        expiry_condition: file.expiry_condition,
    }
}
