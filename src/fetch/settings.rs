//! What the environment of the function says of its bundle: where it is, who has to have signed it, how often it is looked for.
//!
//! | variable | says | without it |
//! |---|---|---|
//! | `CEDAR_GATE_BUNDLE` | a path, below the task root when it is relative; `https://…`; or `appconfig:APPLICATION/ENVIRONMENT/PROFILE` | `bundle` or `bundle.cgb` in the task root, or the task root itself |
//! | `CEDAR_GATE_BUNDLE_KEYS` | public keys, of which one has to have signed it | nobody has to |
//! | `CEDAR_GATE_LEAST_RELEASE` | the least number that its release may have | any |
//! | `CEDAR_GATE_ALLOW_RELEASE` | the one release that may be gone back to | none |
//! | `CEDAR_GATE_BUNDLE_INTERVAL` | seconds until it is looked for another one | 10 for a path, 60 from afar |
//! | `CEDAR_GATE_BUNDLE_MAX_AGE` | seconds that it is in charge without its source having it | as long as need be |
//! | `CEDAR_GATE_BUNDLE_STALE` | what then: `fault` or `stay` | `fault` |
//! | `AWS_APPCONFIG_EXTENSION_HTTP_PORT` | where AWS AppConfig Agent listens | 2772 |
//!
//! A value that cannot be read is an error and never passed over: it may be there to keep bundles away.

use std::env;
use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::follow::{MaxAge, Settings, WhenStale};
use super::origin::Demands;
use super::release::{ReleaseSource, ReleaseSourceError};
use crate::bundle::built::KeyError;

/// Why the environment does not say where the bundle is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A place that is none.
    #[error("CEDAR_GATE_BUNDLE: {0}")]
    Source(#[from] ReleaseSourceError),
    /// Keys that are none.
    #[error("CEDAR_GATE_BUNDLE_KEYS: {0}")]
    Keys(#[from] KeyError),
    /// Another value that cannot be read.
    #[error("{name}: expected {expected}")]
    Value {
        /// The variable.
        name: &'static str,
        /// What it can be.
        expected: &'static str,
    },
    /// There is none.
    #[error(
        "`{}` holds no bundle: neither `bundle` nor `bundle.cgb`, nor `policies` with `schema`: set CEDAR_GATE_BUNDLE to where it is",
        .task_root.display()
    )]
    NoBundle {
        /// Where one was looked for.
        task_root: PathBuf,
    },
    /// There are several, and nothing says which one is meant.
    #[error(
        "`{}` holds more than one of `bundle`, `bundle.cgb`, and `policies` with `schema`: set CEDAR_GATE_BUNDLE to the one that decides",
        .task_root.display()
    )]
    SeveralBundles {
        /// Where they stand.
        task_root: PathBuf,
    },
}

/// Reads the environment of this process.
///
/// # Errors
/// [`SettingsError`]
#[expect(clippy::disallowed_methods, reason = "this module is where settings enter")]
pub fn from_environment(task_root: &Path) -> Result<Settings, SettingsError> {
    read(task_root, |name| env::var_os(name))
}

fn read(task_root: &Path, variable: impl Fn(&str) -> Option<OsString>) -> Result<Settings, SettingsError> {
    let source = match variable("CEDAR_GATE_BUNDLE").filter(|bundle| !bundle.is_empty()) {
        None => None,
        // A path need not be text, and a URL is.
        Some(bundle) => Some(match bundle.to_str() {
            Some(text) => ReleaseSource::parse(text)?,
            None => ReleaseSource::Path(PathBuf::from(bundle)),
        }),
    };
    let mut settings = match source {
        Some(ReleaseSource::Path(path)) => Settings::at(&task_root.join(path)),
        Some(remote) => Settings { package: packaged(task_root)?, ..Settings::of(remote) },
        None => match packaged(task_root)? {
            Some(path) => Settings::at(&path),
            None => return Err(SettingsError::NoBundle { task_root: task_root.to_owned() }),
        },
    };
    const RELEASE: &str = "the number of a release";
    const SECONDS: &str = "a number of seconds, 1 or more";
    let keys = variable("CEDAR_GATE_BUNDLE_KEYS");
    settings.demands = Demands {
        trusted: keys.map(|keys| keys.to_string_lossy().parse()).transpose()?,
        least_release: number(&variable, "CEDAR_GATE_LEAST_RELEASE", RELEASE)?,
        allowed_release: number(&variable, "CEDAR_GATE_ALLOW_RELEASE", RELEASE)?,
    };
    let seconds = |name| {
        let seconds = number::<NonZeroU32>(&variable, name, SECONDS)?;
        Ok::<_, SettingsError>(seconds.map(|seconds| Duration::from_secs(seconds.get().into())))
    };
    if let Some(interval) = seconds("CEDAR_GATE_BUNDLE_INTERVAL")? {
        settings.interval = interval;
    }
    let stale = "CEDAR_GATE_BUNDLE_STALE";
    let then = match text(&variable, stale).as_deref() {
        None | Some("fault") => WhenStale::Fault,
        Some("stay") => WhenStale::Stay,
        Some(_) => return Err(SettingsError::Value { name: stale, expected: "`fault` or `stay`" }),
    };
    settings.max_age = seconds("CEDAR_GATE_BUNDLE_MAX_AGE")?.map(|age| MaxAge { age, then });
    if let Some(port) = number(&variable, "AWS_APPCONFIG_EXTENSION_HTTP_PORT", "a port")? {
        settings.app_config_port = port;
    }
    Ok(settings)
}

/// What a variable is set to; nothing where it is not set, or empty.
fn text(variable: &impl Fn(&str) -> Option<OsString>, name: &str) -> Option<String> {
    let text = variable(name)?.to_string_lossy().trim().to_owned();
    (!text.is_empty()).then_some(text)
}

fn number<T: std::str::FromStr>(
    variable: &impl Fn(&str) -> Option<OsString>,
    name: &'static str,
    expected: &'static str,
) -> Result<Option<T>, SettingsError> {
    let number = text(variable, name).map(|text| text.parse());
    number.transpose().map_err(|_| SettingsError::Value { name, expected })
}

/// The bundle in the function's own package; `None` where there is none.
fn packaged(task_root: &Path) -> Result<Option<PathBuf>, SettingsError> {
    let named = ["bundle", "bundle.cgb"].map(|name| task_root.join(name));
    let mut found: Vec<PathBuf> = named.into_iter().filter(|path| path.exists()).collect();
    if ["policies", "schema"].iter().all(|folder| task_root.join(folder).is_dir()) {
        found.push(task_root.to_owned());
    }
    match found.as_slice() {
        [_, _, ..] => Err(SettingsError::SeveralBundles { task_root: task_root.to_owned() }),
        [] | [_] => Ok(found.pop()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(task_root: &Path, variables: &[(&str, &str)]) -> Result<Settings, String> {
        let variable = |name: &str| {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| OsString::from(value))
        };
        read(task_root, variable)
            .map_err(|error| error.to_string().replace(&task_root.display().to_string(), "ROOT"))
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test writes the files that it reads")]
    fn the_bundle_is_the_named_one_or_the_only_one() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let found = |variables: &[(&str, &str)]| {
            settings(root, variables).map(|settings| match settings.source {
                ReleaseSource::Path(path) => path.strip_prefix(root).unwrap_or(&path).display().to_string(),
                remote => format!("{remote:?}, {:?}", settings.package.is_some()),
            })
        };
        let remote = [("CEDAR_GATE_BUNDLE", "https://releases.example/orders.cgb?X-Amz-Signature=secret")];
        let none = "`ROOT` holds no bundle: neither `bundle` nor `bundle.cgb`, nor `policies` with `schema`: set CEDAR_GATE_BUNDLE to where it is";
        let several = "`ROOT` holds more than one of `bundle`, `bundle.cgb`, and `policies` with `schema`: set CEDAR_GATE_BUNDLE to the one that decides";
        assert_eq!(found(&[]), Err(none.to_owned()));
        assert_eq!(found(&[("CEDAR_GATE_BUNDLE", "")]), Err(none.to_owned()));
        let fetched = |package: bool| Ok(format!("Https(ReleaseUrl(https://releases.example)), {package}"));
        assert_eq!(found(&remote), fetched(false));
        std::fs::create_dir(root.join("policies")).unwrap();
        assert_eq!(found(&[]), Err(none.to_owned()));
        std::fs::create_dir(root.join("schema")).unwrap();
        assert_eq!(found(&[]), Ok(String::new()), "a checkout is its own bundle");
        assert_eq!(found(&remote), fetched(true));
        std::fs::create_dir(root.join("bundle")).unwrap();
        assert_eq!(found(&[]), Err(several.to_owned()));
        assert_eq!(found(&remote), Err(several.to_owned()));
        std::fs::remove_dir(root.join("schema")).unwrap();
        assert_eq!(found(&[]), Ok("bundle".to_owned()));
        std::fs::write(root.join("bundle.cgb"), "").unwrap();
        assert_eq!(found(&[]), Err(several.to_owned()));
        std::fs::remove_dir(root.join("bundle")).unwrap();
        assert_eq!(found(&[]), Ok("bundle.cgb".to_owned()));
        // A name is final: no other place is tried when there is nothing.
        assert_eq!(found(&[("CEDAR_GATE_BUNDLE", "absent")]), Ok("absent".to_owned()));
        assert_eq!(found(&[("CEDAR_GATE_BUNDLE", "/opt/bundle")]), Ok("/opt/bundle".to_owned()));
        assert!(found(&[("CEDAR_GATE_BUNDLE", "s3://bucket/key")]).is_err());
    }

    #[test]
    fn a_value_that_cannot_be_read_is_an_error() {
        let root = Path::new("/nowhere");
        let with = |name, value| settings(root, &[("CEDAR_GATE_BUNDLE", "b"), (name, value)]);
        for (name, value, expected) in [
            (
                "CEDAR_GATE_BUNDLE_KEYS",
                "",
                "no key is named: expected one or more public keys, as `cedar-gate bundle key` prints them",
            ),
            ("CEDAR_GATE_LEAST_RELEASE", "43.1", "expected the number of a release"),
            ("CEDAR_GATE_ALLOW_RELEASE", "-1", "expected the number of a release"),
            ("CEDAR_GATE_BUNDLE_INTERVAL", "0", "expected a number of seconds, 1 or more"),
            ("CEDAR_GATE_BUNDLE_INTERVAL", "soon", "expected a number of seconds, 1 or more"),
            ("CEDAR_GATE_BUNDLE_MAX_AGE", "1h", "expected a number of seconds, 1 or more"),
            ("CEDAR_GATE_BUNDLE_STALE", "ignore", "expected `fault` or `stay`"),
            ("AWS_APPCONFIG_EXTENSION_HTTP_PORT", "65536", "expected a port"),
        ] {
            assert_eq!(with(name, value), Err(format!("{name}: {expected}")));
        }
        for name in ["CEDAR_GATE_LEAST_RELEASE", "CEDAR_GATE_BUNDLE_INTERVAL", "CEDAR_GATE_BUNDLE_STALE"] {
            assert_eq!(with(name, " "), settings(root, &[("CEDAR_GATE_BUNDLE", "b")]), "{name}");
        }
    }

    #[test]
    fn what_is_said_counts() {
        let said = [
            ("CEDAR_GATE_BUNDLE", "appconfig:orders/prod/policies"),
            ("CEDAR_GATE_BUNDLE_KEYS", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
            ("CEDAR_GATE_LEAST_RELEASE", "40"),
            ("CEDAR_GATE_ALLOW_RELEASE", " 41 "),
            ("CEDAR_GATE_BUNDLE_INTERVAL", "30"),
            ("CEDAR_GATE_BUNDLE_MAX_AGE", "3600"),
            ("CEDAR_GATE_BUNDLE_STALE", "stay"),
            ("AWS_APPCONFIG_EXTENSION_HTTP_PORT", "4000"),
        ];
        let settings = settings(Path::new("/nowhere"), &said).unwrap();
        let demands = Demands {
            trusted: Some("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".parse().unwrap()),
            least_release: Some(40),
            allowed_release: Some(41),
        };
        assert_eq!(settings.demands, demands);
        assert_eq!((settings.interval.as_secs(), settings.app_config_port), (30, 4_000));
        let max_age = MaxAge { age: Duration::from_secs(3_600), then: WhenStale::Stay };
        assert_eq!(settings.max_age, Some(max_age));
        assert_eq!(settings.package, None);
    }
}
