//! The built bundle: everything that decisions are made from, checked, indexed and signed, in one file that is opened and
//! not parsed.
//!
//! # The file
//! ```text
//! prelude      64 bytes: "CEDARGATE-BUNDLE", the format's number (u32), the length of the manifest (u32) and of the data
//!              (u64), little-endian, and the SHA-256 of the manifest
//! manifest     the length of the head (u32); the head, JSON: see `Head`; then the SHA-256 of every 4,096 bytes of the digests
//! digests      the SHA-256 of every block of the data
//! data         sections, each of which begins with a block of 4,096 bytes: the files as they were written, and for each
//!              version of the policies its index, its rules, and what they can ask of a principal
//! signatures   none to sixteen of 100 bytes: "SIG1", the key's id (32 bytes), the Ed25519 signature (64 bytes)
//! ```
//! A signature (RFC 8032) is over the text `cedar-gate bundle` with a zero byte, and the prelude. So it covers the manifest,
//! and through it every byte of the data. To sign changes nothing that is signed, and a signature may stand in a file of its own.
//!
//! # What is believed when
//! Before the signature has been checked, three numbers of the prelude are used, as lengths, and nothing is parsed. After
//! that a block of the data is read when it is first needed, held against its digest, which was held against the manifest,
//! and kept: what is used is what was signed, whatever becomes of the file meanwhile. A block that does not match makes whatever needed it a fault.
//!
//! # What is parsed when
//! With the opening: the head, and the small files of TOML and JSON (deployment, routes, issuers, their keys, revocations),
//! by the same code that reads them from a folder; what they say of each other was checked when it was built. Not parsed are
//! the schema and the roles, of which the head has what is needed, and the policies: each is made when it is first a candidate.
//! Where answers speak of a whole API, the policies with conditions that apply to a caller are parsed when its document is
//! first made, and the schema where a condition has to be evaluated in part.

mod blocks;
mod signature;
mod write;

use std::sync::Arc;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use super::roles::BuiltRole;
use super::source::SourceFiles;
use super::vocabulary::Vocabulary;

use self::blocks::Blocks;
pub use self::blocks::{Damaged, ReadAt, Section};
pub use self::signature::{KeyError, ReleaseKey, Signature, SigningKey, TrustedKeys};
pub use self::write::Writer;

/// The number of the format. It changes with the layout of anything in the file, the sections included.
pub const FORMAT: u32 = 2;

/// How the file begins.
const MAGIC: &[u8; 16] = b"CEDARGATE-BUNDLE";

/// The bytes of the prelude.
const PRELUDE: usize = 64;

/// The most bytes that a built bundle may have: what its sources may have, and their index.
pub const MAX_BYTES: u64 = 128 * 1024 * 1024;

/// Which section holds the table of the files that are not read with the opening.
pub const TEXTS: &str = "texts";

/// Which section holds the texts of the policies, and whatever else is not read with the opening.
pub const SOURCES: &str = "sources";

/// Which section holds the index of a version's policies.
#[must_use]
pub fn index_section(version: &str) -> String {
    format!("index of {version}")
}

/// Which section holds the records of a version's policies.
#[must_use]
pub fn rules_section(version: &str) -> String {
    format!("rules of {version}")
}

/// Which section holds what a version's policies can ask of a principal, as JSON.
#[must_use]
pub fn reads_section(version: &str) -> String {
    format!("reads of {version}")
}

/// A built bundle that has been found whole, and signed where it has to be.
#[derive(Clone, Debug)]
pub struct BuiltFile {
    head: Arc<Head>,
    blocks: Arc<Blocks>,
    seal: String,
    signatures: Vec<Signature>,
    signed_by: Option<ReleaseKey>,
}

/// What stands at the beginning, and says what is where.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The version of cedar-gate that built it.
    pub built_by: String,
    /// The version of Cedar whose policies it holds.
    pub cedar: String,
    /// The digest over the source files: [`SourceFiles::digest`], which decision records name.
    pub digest: String,
    /// The number of the release. A running authorizer goes to higher ones alone.
    pub release: Option<u64>,
    /// The versions of the policies.
    pub versions: Vec<BuiltVersion>,
    /// What the schema declares.
    pub vocabulary: Vocabulary,
    /// By operation, in the order of the route table: what its action is in.
    pub action_groups: Vec<Vec<String>>,
    /// The files that are read with the opening.
    pub files: Vec<Span>,
    /// The sections.
    pub sections: Vec<Span>,
}

/// A version of the policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuiltVersion {
    /// Its name.
    pub name: String,
    /// The digest over its policies and roles: [`SourceFiles::version_digest`].
    pub digest: String,
    /// How many policies it has.
    pub policies: u32,
    /// The roles that exist.
    pub roles: Vec<BuiltRole>,
}

/// A named part of the data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// Its name: a file's path, or what the section holds.
    pub name: String,
    /// Where it begins, in bytes from the beginning of the data.
    pub at: u64,
    /// How many bytes it has.
    pub bytes: u64,
}

/// Why a file is no built bundle that may be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuiltError {
    /// It does not begin like one.
    #[error("the file is no built bundle: `cedar-gate bundle build` makes one")]
    NotABundle,
    /// Another version of cedar-gate built it.
    #[error(
        "the bundle has format {found}, and this version of cedar-gate opens format {FORMAT}: build it with version {}",
        env!("CARGO_PKG_VERSION")
    )]
    Format {
        /// Its format.
        found: u32,
    },
    /// Its policies were checked by another version of Cedar.
    #[error(
        "the bundle was built by cedar-gate {built_by} for Cedar {found}, and this is cedar-gate {} with Cedar {expected}: build it with this version",
        env!("CARGO_PKG_VERSION")
    )]
    Cedar {
        /// What built it.
        built_by: String,
        /// Its Cedar.
        found: String,
        /// The Cedar in here.
        expected: String,
    },
    /// It is shorter or longer than it says.
    #[error(
        "the file is cut off or has something added: it has {found} bytes, and says that it has {expected}"
    )]
    Length {
        /// What it has.
        found: u64,
        /// What it says, without signatures.
        expected: u64,
    },
    /// It is larger than any bundle may be.
    #[error("the file has {found} bytes, and a bundle has at most {MAX_BYTES}")]
    TooLarge {
        /// What it has.
        found: u64,
    },
    /// What it says of itself is not what was built.
    #[error("the file is damaged: {what}")]
    Damaged {
        /// What does not fit.
        what: String,
    },
    /// A key is configured, and it is not signed.
    #[error("the bundle is not signed, and this deployment trusts only what is signed by {trusted}")]
    Unsigned {
        /// The ids of the keys that are trusted.
        trusted: String,
    },
    /// It is signed by others.
    #[error("the bundle is signed by {found}, and this deployment trusts {trusted}")]
    OtherKey {
        /// The ids of the keys that it names.
        found: String,
        /// The ids of the keys that are trusted.
        trusted: String,
    },
    /// A signature that names a trusted key is not of that key, or not of this bundle.
    #[error(
        "the signature that names key {key} is wrong: the bundle was changed after it was signed, or somebody else signed it"
    )]
    WrongSignature {
        /// The id of the key.
        key: String,
    },
    /// It cannot be read.
    #[error("the file cannot be read: {reason}")]
    Unreadable {
        /// Why.
        reason: String,
    },
}

impl From<Damaged> for BuiltError {
    fn from(damaged: Damaged) -> Self {
        Self::Damaged { what: damaged.to_string() }
    }
}

impl BuiltFile {
    /// Opens a built bundle: checks that it is whole and, where keys are trusted, that one of them signed it; `detached` are
    /// signatures that stand elsewhere. Nothing is parsed before that.
    ///
    /// # Errors
    /// [`BuiltError`].
    pub fn open(
        bytes: Box<dyn ReadAt>,
        detached: &[u8],
        trusted: Option<&TrustedKeys>,
    ) -> Result<Self, BuiltError> {
        let file = Parts::read(bytes.as_ref())?;
        let mut signatures = Signature::read_all(&file.signatures)?;
        signatures.extend(Signature::read_all(detached)?);
        let signed_by = match trusted {
            Some(trusted) => Some(trusted.check(&file.prelude, &signatures)?),
            None => None,
        };
        let (head, roots) = file.manifest()?;
        let head: Head = serde_json::from_slice(head)
            .map_err(|error| BuiltError::Damaged { what: format!("its head is no head: {error}") })?;
        let expected = cedar_policy::get_sdk_version().to_string();
        if head.cedar != expected {
            return Err(BuiltError::Cedar { built_by: head.built_by, found: head.cedar, expected });
        }
        let roots = roots.to_vec();
        let blocks = Blocks::new(bytes, file.digests_at, file.data_bytes, roots)?;
        let seal = hex(digest::digest(&digest::SHA256, &file.prelude).as_ref());
        Ok(Self { head: Arc::new(head), blocks: Arc::new(blocks), seal, signatures, signed_by })
    }

    /// What it says of itself.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// What names exactly these bytes, signatures aside: `sha256:` and 64 hex digits, over the prelude.
    #[must_use]
    pub fn seal(&self) -> &str {
        &self.seal
    }

    /// The signatures that it has or that were given with it, whoever they are of.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The trusted key that signed it; `None` where none is asked for.
    #[must_use]
    pub fn signed_by(&self) -> Option<&ReleaseKey> {
        self.signed_by.as_ref()
    }

    /// How many bytes it has without the signatures behind it.
    #[must_use]
    pub fn unsigned_bytes(&self) -> u64 {
        self.blocks.end()
    }

    /// All its bytes but the signatures.
    ///
    /// # Errors
    /// In words, where they cannot be read.
    pub fn bytes(&self) -> Result<Vec<u8>, String> {
        self.blocks.file()
    }

    /// Reads every block, and holds it against its digest.
    ///
    /// # Errors
    /// [`Damaged`], naming the first that does not match.
    pub fn check(&self) -> Result<(), Damaged> {
        self.blocks.check()
    }

    /// The section of that name.
    ///
    /// # Errors
    /// [`Damaged`], where there is none.
    pub fn section(&self, name: &str) -> Result<Section, Damaged> {
        let span = self.head.sections.iter().find(|span| span.name == name);
        let span = span.ok_or_else(|| Damaged::new(format!("section `{name}` is missing")))?;
        self.blocks_of(span)
    }

    /// The files that are needed to open it: all but policies and schemas.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn opening_files(&self) -> Result<SourceFiles, Damaged> {
        let mut files = SourceFiles::default();
        self.read_files(&self.head.files, &mut files)?;
        Ok(files)
    }

    /// All files, as they were written; held against the digest that names them.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn source_files(&self) -> Result<SourceFiles, Damaged> {
        let mut files = self.opening_files()?;
        self.read_files(&self.texts()?, &mut files)?;
        match files.digest() == self.head.digest {
            true => Ok(files),
            false => Err(Damaged::new("its files are not those that its digest names".to_owned())),
        }
    }

    /// The text of one of the files that are not needed to open it.
    ///
    /// # Errors
    /// [`Damaged`], also where there is no such file.
    pub(crate) fn source_text(&self, path: &str) -> Result<String, Damaged> {
        let texts = self.texts()?;
        let span = texts.iter().find(|span| span.name == path);
        let section = self.blocks_of(span.ok_or_else(|| Damaged::new(format!("`{path}` is missing")))?)?;
        section.text(0, section.len())
    }

    /// Where the files stand that are not needed to open it.
    fn texts(&self) -> Result<Vec<Span>, Damaged> {
        let table = self.section(TEXTS)?.all()?;
        serde_json::from_slice(&table).map_err(|error| Damaged::new(format!("its table of files: {error}")))
    }

    fn read_files(&self, spans: &[Span], files: &mut SourceFiles) -> Result<(), Damaged> {
        for span in spans {
            files.insert(span.name.as_str(), self.blocks_of(span)?.all()?);
        }
        Ok(())
    }

    fn blocks_of(&self, span: &Span) -> Result<Section, Damaged> {
        Section::of_blocks(&self.blocks, span.at, span.bytes)
    }
}

/// The parts of a file whose lengths fit each other.
struct Parts {
    prelude: [u8; PRELUDE],
    manifest: Vec<u8>,
    digests_at: u64,
    data_bytes: u64,
    signatures: Vec<u8>,
}

impl Parts {
    fn read(bytes: &dyn ReadAt) -> Result<Self, BuiltError> {
        let read = |at: u64, into: &mut [u8]| {
            bytes.read_at(at, into).map_err(|reason| BuiltError::Unreadable { reason })
        };
        let size = bytes.size();
        let mut prelude = [0; PRELUDE];
        if size < PRELUDE as u64 {
            return Err(BuiltError::NotABundle);
        }
        if size > MAX_BYTES {
            return Err(BuiltError::TooLarge { found: size });
        }
        read(0, &mut prelude)?;
        let (magic, rest) = prelude.split_at(MAGIC.len());
        let (Some(format), Some(manifest_bytes), Some(data_bytes)) =
            (number(rest, 0, 4), number(rest, 4, 4), number(rest, 8, 8))
        else {
            return Err(BuiltError::NotABundle);
        };
        if magic != MAGIC {
            return Err(BuiltError::NotABundle);
        }
        if format != u64::from(FORMAT) {
            return Err(BuiltError::Format { found: u32::try_from(format).unwrap_or(u32::MAX) });
        }
        let digests_at = PRELUDE as u64 + manifest_bytes;
        let expected = blocks::end(digests_at, data_bytes);
        let left = size.checked_sub(expected).filter(|left| {
            left % Signature::BYTES as u64 == 0 && left / Signature::BYTES as u64 <= Signature::MOST as u64
        });
        let Some(left) = left else { return Err(BuiltError::Length { found: size, expected }) };
        // Within the size of the file, which has been bounded.
        let buffer = |bytes: u64| vec![0; usize::try_from(bytes).unwrap_or(0)];
        let (mut manifest, mut signatures) = (buffer(manifest_bytes), buffer(left));
        read(PRELUDE as u64, &mut manifest)?;
        read(expected, &mut signatures)?;
        if prelude.get(PRELUDE - 32..) != Some(digest::digest(&digest::SHA256, &manifest).as_ref()) {
            return Err(BuiltError::Damaged {
                what: "its manifest is not the one that was built".to_owned(),
            });
        }
        Ok(Self { prelude, manifest, digests_at, data_bytes, signatures })
    }

    /// The head, and what the digests are held against.
    fn manifest(&self) -> Result<(&[u8], &[u8]), BuiltError> {
        let split = || {
            let bytes = usize::try_from(number(&self.manifest, 0, 4)?).ok()?;
            self.manifest.get(4..)?.split_at_checked(bytes)
        };
        split().ok_or_else(|| BuiltError::Damaged { what: "its manifest has no head".to_owned() })
    }
}

/// A little-endian number.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// `sha256:` and hex digits.
fn hex(digest: &[u8]) -> String {
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}
