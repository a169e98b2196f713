//! Builds the file that is released: a checked bundle with the index of its policies, in the form that
//! [`built`] opens.
//!
//! The same sources make the same bytes, on every machine and at any time: nothing of the machine, the clock or the order of
//! files goes into them. So who has the sources can build them once more, and see that a file says what they say.

use std::collections::HashMap;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::error::Error as JsonError;

use crate::bundle::Bundle;
use crate::bundle::built::{
    self, BuiltFile, BuiltVersion, Damaged, Head, KeyError, SOURCES, SigningKey, Span, TEXTS, Writer,
    index_section, reads_section, rules_section,
};
use crate::bundle::finding::BundleErrors;
use crate::bundle::source::SourceFiles;
use crate::decision::{Engine, EngineError};
use crate::grants::PrincipalReads;

/// What of a release is not in its sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The version of cedar-gate that builds it.
    pub built_by: String,
    /// Its number, where it has one: an authorizer that runs goes to higher ones alone.
    pub number: Option<u64>,
}

/// Why nothing is built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The sources do not hold together.
    #[error(transparent)]
    Bundle(#[from] BundleErrors),
    /// The policies cannot be indexed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A table cannot be written.
    #[error("the bundle cannot be written: {0}")]
    Json(#[from] JsonError),
    /// It is too large, or a defect of ours.
    #[error("the bundle cannot be built: {0}")]
    Unbuilt(String),
}

/// Why a file is not what its sources make.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A part of it was changed or damaged.
    #[error("the bundle is damaged: {0}")]
    Damaged(#[from] Damaged),
    /// Its sources can no longer be built.
    #[error("its own sources cannot be built: {0}")]
    Unbuilt(#[from] BuildError),
    /// They make another file.
    #[error(
        "its index is not the one that its own sources make: it was not built by `cedar-gate bundle build`"
    )]
    Other,
}

impl Release {
    /// Of this version of cedar-gate.
    #[must_use]
    pub fn new(number: Option<u64>) -> Self {
        Self { built_by: env!("CARGO_PKG_VERSION").to_owned(), number }
    }
}

/// Builds a bundle, without a signature.
///
/// # Errors
/// [`BuildError`]
pub fn build(files: &SourceFiles, release: &Release) -> Result<Vec<u8>, BuildError> {
    build_loaded(&Bundle::load(files)?, files, release)
}

/// The same, of a bundle that has been loaded from these files.
///
/// # Errors
/// [`BuildError`], but for [`BuildError::Bundle`].
pub fn build_loaded(bundle: &Bundle, files: &SourceFiles, release: &Release) -> Result<Vec<u8>, BuildError> {
    let unbuilt = |what: &str| BuildError::Unbuilt(what.to_owned());
    let mut writer = Writer::default();
    // What is read with the opening stands together at the beginning.
    let mut add = |paths: Vec<&str>, whole: &str| {
        let whole = writer.section(whole, &[]);
        let spans: Vec<Span> =
            paths.into_iter().map(|path| writer.file(path, files.bytes(path).unwrap_or_default())).collect();
        let end = spans.last().map_or(whole.at, |last| last.at + last.bytes);
        (Span { bytes: end - whole.at, ..whole }, spans)
    };
    let (opening, texts): (Vec<&str>, Vec<&str>) = files.paths().partition(|path| is_opened(path));
    let (_, opening) = add(opening, "");
    let (sources, texts) = add(texts, SOURCES);
    let begins =
        texts.iter().map(|span| Some((span.name.as_str(), usize::try_from(span.at - sources.at).ok()?)));
    let begins: HashMap<&str, usize> = begins.flatten().collect();
    let mut sections = Vec::new();
    let mut versions = Vec::new();
    for version in bundle.policy_versions() {
        let place_of = |id: &str| {
            let note = version.note(id)?;
            Some([begins.get(note.file.as_str())? + note.span.start, note.span.len()])
        };
        let engine = Engine::new(version.policies().clone())?;
        let (index, rules) = engine.write(place_of)?;
        sections.push(writer.section(index_section(&version.name), &index));
        sections.push(writer.section(rules_section(&version.name), &rules));
        let reads = serde_json::to_vec(&PrincipalReads::of_policies(version.policies()))?;
        sections.push(writer.section(reads_section(&version.name), &reads));
        let policies = u32::try_from(engine.len()).map_err(|_| unbuilt("there are too many policies"))?;
        let (name, digest) = (version.name.clone(), version.digest.clone());
        versions.push(BuiltVersion { name, digest, policies, roles: version.roles.to_built() });
    }
    sections.push(writer.section(TEXTS, &serde_json::to_vec(&texts)?));
    sections.push(sources);
    let head = Head {
        built_by: release.built_by.clone(),
        cedar: cedar_policy::get_sdk_version().to_string(),
        digest: bundle.digest().to_owned(),
        release: release.number,
        versions,
        vocabulary: bundle.vocabulary().clone(),
        action_groups: bundle.action_groups().map_err(BuildError::Unbuilt)?,
        files: opening,
        sections,
    };
    let built = writer.finish(&head).map_err(BuildError::Unbuilt)?;
    match built.len() as u64 <= built::MAX_BYTES {
        true => Ok(built),
        false => Err(unbuilt("it has more bytes than a bundle may have")),
    }
}

/// Whether a file is read with the opening: what is small, and always needed.
fn is_opened(path: &str) -> bool {
    let is_roles = path.ends_with("/roles.toml");
    (path.ends_with(".toml") && !is_roles)
        || (path.starts_with("policies/issuers/") && path.ends_with(".json"))
}

/// Builds the sources of a file once more, and holds what they make against the file, byte by byte: its index says what its
/// policies say. `bytes` are those of the file, `file` the same, opened.
///
/// # Errors
/// [`VerifyError`]
pub fn verify(bytes: &[u8], file: &BuiltFile) -> Result<(), VerifyError> {
    let release = Release { built_by: file.head().built_by.clone(), number: file.head().release };
    let built = build(&file.source_files()?, &release)?;
    match bytes.get(..built.len()) == Some(built.as_slice()) {
        true => Ok(()),
        false => Err(VerifyError::Other),
    }
}

/// A private key as a JWK (RFC 7517, RFC 8037 section 2): what signs bundles, in a file.
#[derive(Serialize, Deserialize)]
pub struct KeyFile {
    kty: String,
    crv: String,
    x: String,
    d: String,
}

impl KeyFile {
    /// A new key pair, and the text of its file.
    ///
    /// # Errors
    /// [`KeyError`] where the system has no random numbers.
    pub fn generate() -> Result<(SigningKey, String), KeyError> {
        let mut seed = [0; 32];
        rand::fill(&mut seed).map_err(|_| KeyError::NotMade)?;
        let key = SigningKey::from_seed(&seed)?;
        let file = Self {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x: key.public().to_string(),
            d: URL_SAFE_NO_PAD.encode(seed),
        };
        let text = serde_json::to_string_pretty(&file).map_err(|_| KeyError::NotMade)?;
        Ok((key, text + "\n"))
    }

    /// The key pair in the text of a file. Its public half has to be that of the private one.
    ///
    /// # Errors
    /// [`KeyError::NotAPrivateKey`], which tells nothing of what was there.
    pub fn read(text: &str) -> Result<SigningKey, KeyError> {
        let refused = KeyError::NotAPrivateKey;
        let Self { kty, crv, x, d } = serde_json::from_str(text).map_err(|_| refused)?;
        let seed = URL_SAFE_NO_PAD.decode(d).map_err(|_| refused)?;
        let key = SigningKey::from_seed(&seed)?;
        let fits = kty == "OKP" && crv == "Ed25519" && x == key.public().to_string();
        if fits { Ok(key) } else { Err(refused) }
    }
}
