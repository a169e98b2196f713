//! Where a bundle comes from, what a deployment asks of it, and how it is put in charge: a folder of sources is read and
//! checked, a built file is opened.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::files::{
    FetchError, add_development_keys, built_file, detached_signatures, file_stamp, read_bundle,
};
use super::release::{ReleaseFetchError, RemoteRelease};
use super::secrets::{MissingSecret, read_secrets};
use crate::authorizer::{Authorizer, PrepareError};
use crate::bundle::built::{BuiltError, BuiltFile, TrustedKeys};
use crate::bundle::finding::BundleErrors;
use crate::bundle::{BuiltBundle, Bundle, OpenError};

/// The bundle that decides.
#[derive(Debug)]
pub struct InCharge {
    /// What answers by it.
    pub authorizer: Authorizer,
    /// Where it came from.
    pub origin: Origin,
    /// The number of its release, where it is built and has one.
    pub release: Option<u64>,
    /// The id of the trusted key that signed it, where one has to.
    pub signed_by: Option<String>,
    /// What some of its issuers cannot do without their secrets.
    pub missing_secrets: Vec<MissingSecret>,
}

/// Where a bundle came from, so that another one there is known to be another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A folder of sources, without any link.
    Folder(PathBuf),
    /// A built file, without any link, and what the file system says of it.
    File(PathBuf, FileStamp),
    /// A built file from afar.
    Remote(RemoteRelease),
}

/// What tells one file from another that took its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStamp {
    /// Its number on its device, and that.
    pub(super) inode: (u64, u64),
    /// Its size in bytes.
    pub(super) size: u64,
    /// When it was written.
    pub(super) modified: Option<SystemTime>,
}

/// The path, or the host alone: who knows a URL may be allowed to read what is there.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) | Self::File(path, _) => path.display().fmt(f),
            Self::Remote(remote) => remote.fmt(f),
        }
    }
}

/// What a deployment asks of a bundle before it is in charge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demands {
    /// The keys of which one has to have signed it; without any, nobody has to.
    pub trusted: Option<TrustedKeys>,
    /// The least number that its release may have.
    pub least_release: Option<u64>,
    /// The one release that may be gone back to.
    pub allowed_release: Option<u64>,
}

/// Why a bundle cannot be in charge.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its files cannot be read.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It cannot be fetched.
    #[error(transparent)]
    Release(#[from] ReleaseFetchError),
    /// It is no built bundle that is trusted here.
    #[error(transparent)]
    Built(#[from] BuiltError),
    /// What they say does not hold together.
    #[error(transparent)]
    Bundle(#[from] BundleErrors),
    /// A built bundle cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It cannot be prepared.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// It is a folder of sources, and a key is configured.
    #[error(
        "a folder of sources is not signed, and this deployment trusts only signed bundles: build and sign it with `cedar-gate bundle`"
    )]
    UnsignedFolder,
    /// Its release goes back.
    #[error("{} is older than {}: to go back to it, allow exactly that (CEDAR_GATE_ALLOW_RELEASE)", release(*.found), release(*.after))]
    GoesBack {
        /// The number of its release.
        found: Option<u64>,
        /// The release that it would follow, or the least one.
        after: Option<u64>,
    },
    /// Another bundle than the one in charge has the same number.
    #[error("{} is in charge already, and this is another bundle of the same number", release(Some(*.found)))]
    SameRelease {
        /// The number.
        found: u64,
    },
    /// Loading it panicked.
    #[error("checking the bundle panicked: the log names the place")]
    Panicked,
}

fn release(number: Option<u64>) -> String {
    number
        .map_or_else(|| "a bundle without a release number".to_owned(), |number| format!("release {number}"))
}

impl Demands {
    /// Whether a bundle may follow the one in charge, or be the first where there is none. A release never goes back, unless
    /// that one is allowed.
    fn check_order(
        &self,
        found: Option<u64>,
        digest: &str,
        before: Option<&InCharge>,
    ) -> Result<(), LoadError> {
        if found.is_some() && found == self.allowed_release {
            return Ok(());
        }
        if self.least_release.is_some() && found < self.least_release {
            return Err(LoadError::GoesBack { found, after: self.least_release });
        }
        let Some(before) = before else { return Ok(()) };
        match (found, before.release) {
            (_, None) => Ok(()),
            (Some(found), Some(last)) if found > last => Ok(()),
            (Some(found), Some(last)) if found == last => {
                match before.authorizer.bundle().digest() == digest {
                    true => Ok(()),
                    false => Err(LoadError::SameRelease { found }),
                }
            }
            (found, after) => Err(LoadError::GoesBack { found, after }),
        }
    }
}

/// What stands at a path, without any link.
pub(super) fn origin_of(path: &Path) -> Result<Origin, FetchError> {
    let whole = path.canonicalize().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => FetchError::NoBundle { path: path.to_owned() },
        _ => FetchError::Unreadable { path: path.to_owned(), error },
    })?;
    match whole.is_file() {
        true => {
            let stamp = file_stamp(&whole)?;
            Ok(Origin::File(whole, stamp))
        }
        false => Ok(Origin::Folder(whole)),
    }
}

/// Reads or opens what came from there, and prepares it. A panic in there is a refusal too.
pub(super) fn load(
    origin: Origin,
    demands: &Demands,
    before: Option<&InCharge>,
) -> Result<InCharge, LoadError> {
    let opened = guarded(|| match &origin {
        Origin::Folder(folder) => read(folder, demands, before),
        Origin::File(path, _) => {
            let file =
                BuiltFile::open(built_file(path)?, &detached_signatures(path)?, demands.trusted.as_ref())?;
            open(file, demands, before)
        }
        Origin::Remote(_) => Err(LoadError::Built(BuiltError::NotABundle)),
    })?;
    Ok(opened.from(origin))
}

/// Opens what was fetched, and prepares it; `None` where it is what is in charge.
pub(super) fn load_fetched(
    remote: &RemoteRelease,
    bytes: Vec<u8>,
    demands: &Demands,
    before: Option<&InCharge>,
) -> Result<Option<InCharge>, LoadError> {
    let opened = guarded(|| {
        let file = BuiltFile::open(Box::new(bytes), &[], demands.trusted.as_ref())?;
        // It stays in memory, and is used for long: what is damaged is refused now, and not with an answer.
        file.check().map_err(BuiltError::from)?;
        let is_in_charge = |before: &InCharge| {
            before.authorizer.built_bundle().is_some_and(|bundle| bundle.file().seal() == file.seal())
        };
        match before.is_some_and(is_in_charge) {
            true => Ok(None),
            false => open(file, demands, before).map(Some),
        }
    })?;
    Ok(opened.map(|opened| opened.from(Origin::Remote(remote.clone()))))
}

/// A panic is a refusal too.
fn guarded<T>(load: impl FnOnce() -> Result<T, LoadError>) -> Result<T, LoadError> {
    catch_unwind(AssertUnwindSafe(load)).unwrap_or(Err(LoadError::Panicked))
}

/// What a bundle came to.
struct Opened {
    authorizer: Authorizer,
    release: Option<u64>,
    signed_by: Option<String>,
    missing_secrets: Vec<MissingSecret>,
}

impl Opened {
    fn from(self, origin: Origin) -> InCharge {
        let Self { authorizer, release, signed_by, missing_secrets } = self;
        InCharge { authorizer, origin, release, signed_by, missing_secrets }
    }
}

fn read(folder: &Path, demands: &Demands, before: Option<&InCharge>) -> Result<Opened, LoadError> {
    if demands.trusted.is_some() {
        return Err(LoadError::UnsignedFolder);
    }
    let mut bundle = Bundle::load(&read_bundle(folder)?)?;
    demands.check_order(None, bundle.digest(), before)?;
    add_development_keys(&mut bundle)?;
    let missing_secrets = read_secrets(&mut bundle);
    Ok(Opened { authorizer: Authorizer::new(bundle)?, release: None, signed_by: None, missing_secrets })
}

fn open(file: BuiltFile, demands: &Demands, before: Option<&InCharge>) -> Result<Opened, LoadError> {
    let release = file.head().release;
    demands.check_order(release, &file.head().digest, before)?;
    let signed_by = file.signed_by().map(|key| key.id());
    let mut bundle = BuiltBundle::open(file)?;
    add_development_keys(&mut bundle)?;
    let missing_secrets = read_secrets(&mut bundle);
    Ok(Opened { authorizer: Authorizer::open(bundle)?, release, signed_by, missing_secrets })
}
