//! `policies/versions.toml`: which version of the policies decides which stage of which API.
//!
//! ```toml
//! default = "v1"              # every API and stage that is not named; without it, each of them has to be named
//!
//! [stage.orders-rest.prod]    # API and stage as schema/authorizer.toml names them
//! active = "v2"
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::deployment::Deployment;
use super::finding::{Code, Findings, meant, with_meant};
use super::source::SourceFiles;

pub(super) const PATH: &str = "policies/versions.toml";

/// Which version decides.
#[derive(Clone, Debug)]
pub struct Versions {
    default: Option<String>,
    pins: BTreeMap<(String, String), String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VersionsFile {
    default: Option<Spanned<String>>,
    /// API → stage → pin.
    #[serde(default)]
    stage: BTreeMap<String, BTreeMap<Spanned<String>, Pin>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pin {
    active: Spanned<String>,
}

impl Versions {
    /// The version that decides for the stage of an API; `None` where no line says so.
    #[must_use]
    pub fn active(&self, api: &str, stage: &str) -> Option<&str> {
        self.pins.get(&(api.to_owned(), stage.to_owned())).or(self.default.as_ref()).map(String::as_str)
    }

    /// Reads the file; `exists` tells the versions that the bundle holds.
    pub(super) fn load(
        files: &SourceFiles,
        exists: &[&str],
        deployment: Option<&Deployment>,
        findings: &mut Findings<'_>,
    ) -> Option<Self> {
        let Some(text) = files.text(PATH) else {
            findings.note(
                Code::VersionsMissing,
                PATH,
                None,
                "the file that names the active version is missing",
                "write default = \"v1\"".to_owned(),
            );
            return None;
        };
        let file: VersionsFile = findings.toml(PATH, text)?;
        let before = findings.len();
        let mut known = |version: &Spanned<String>| {
            if !exists.contains(&version.get_ref().as_str()) {
                let message = format!("version `{}` does not exist", version.get_ref().escape_debug());
                let help = format!(
                    "the versions are the folders of policies/ with .cedar files: {}",
                    exists.join(", ")
                );
                let meant = meant(version.get_ref(), exists.iter().copied());
                let help = with_meant(meant.map(|name| format!("`{name}`")), help);
                findings.note(Code::VersionUnknown, PATH, Some(version.span()), message, help);
            }
            version.get_ref().clone()
        };
        let default = file.default.as_ref().map(&mut known);
        let mut pins = BTreeMap::new();
        let mut places = Vec::new();
        for (api, stages) in &file.stage {
            for (stage, pin) in stages {
                places.push((api.as_str(), stage));
                pins.insert((api.clone(), stage.get_ref().clone()), known(&pin.active));
            }
        }
        for (api, stage) in places {
            let is_asked = |deployment: &Deployment| {
                let mut apis = deployment.apis.iter().filter(|known| known.name == api);
                apis.any(|known| known.stage_names().any(|known| known == stage.get_ref()))
            };
            if !deployment.is_none_or(is_asked) {
                let message = format!(
                    "no API `{}` with a stage `{}` stands in schema/authorizer.toml",
                    api.escape_debug(),
                    stage.get_ref().escape_debug()
                );
                findings.note(Code::VersionStage, PATH, Some(stage.span()), message, None);
            }
        }
        let versions = Self { default, pins };
        for api in deployment.iter().flat_map(|deployment| &deployment.apis) {
            for stage in api.stage_names().filter(|stage| versions.active(&api.name, stage).is_none()) {
                let message = format!("no version decides stage `{stage}` of API `{}`", api.name);
                let help = format!("write a default, or active under [stage.{}.\"{stage}\"]", api.name);
                findings.note(Code::StageWithoutVersion, PATH, None, message, help);
            }
        }
        (findings.len() == before).then_some(versions)
    }
}
