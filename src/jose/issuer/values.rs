//! Claims that must have one of a few values.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::names::ClaimPath;
use crate::jose::json::Json;

/// `required_values` as it is written: by claim.
pub(super) type ValuesTable = BTreeMap<ClaimPath, WrittenValues>;

/// A claim that must be there and have one of these values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequiredValue {
    pub(crate) claim: ClaimPath,
    pub(crate) values: Vec<Scalar>,
}

impl RequiredValue {
    /// The file's own, and the preset's for claims of which the file says nothing.
    pub(super) fn merge(mut written: ValuesTable, preset: &[(&str, &str)]) -> Vec<Self> {
        for (claim, value) in preset {
            let own = WrittenValues::These(vec![Scalar::String((*value).to_owned())]);
            written.entry(ClaimPath::preset(claim)).or_insert(own);
        }
        let written = written.into_iter();
        written
            .filter_map(|(claim, values)| match values {
                WrittenValues::Any => None,
                WrittenValues::These(values) => Some(Self { claim, values }),
            })
            .collect()
    }

    /// Whether a claim's value is one of them. An array is none, also where one stands in it.
    pub(crate) fn accepts(&self, value: &Json<'_>) -> bool {
        self.values.iter().any(|own| own.is(value))
    }
}

const EXPECTED: &str =
    "expected a string, a whole number, true or false, a list of them that is not empty, or \"any\"";

/// A JSON value that is neither array nor object.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub(crate) enum Scalar {
    Bool(bool),
    Integer(i64),
    String(String),
}

impl Scalar {
    fn is(&self, value: &Json<'_>) -> bool {
        match (self, value) {
            (Self::Bool(own), Json::Bool(value)) => own == value,
            (Self::Integer(own), Json::Integer(number)) => own == number,
            (Self::String(own), Json::String(text)) => own == text,
            (Self::Bool(_) | Self::Integer(_) | Self::String(_), _) => false,
        }
    }
}

/// One value, several of which one suffices, or the word `"any"`, which switches a preset's check off.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "ValuesFile")]
pub(super) enum WrittenValues {
    Any,
    These(Vec<Scalar>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ValuesFile {
    One(Scalar),
    Several(Vec<Scalar>),
    Other(serde::de::IgnoredAny),
}

impl TryFrom<ValuesFile> for WrittenValues {
    type Error = &'static str;

    fn try_from(file: ValuesFile) -> Result<Self, &'static str> {
        match file {
            ValuesFile::One(Scalar::String(word)) if word == "any" => Ok(Self::Any),
            ValuesFile::One(value) => Ok(Self::These(vec![value])),
            ValuesFile::Several(values) if !values.is_empty() => Ok(Self::These(values)),
            ValuesFile::Several(_) | ValuesFile::Other(_) => Err(EXPECTED),
        }
    }
}
