//! `policies/versions.toml`: which version of the policies decides which stage of which API.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::deployment::Deployment;
use super::finding::Findings;
use super::source::SourceFiles;

pub(super) const PATH: &str = "policies/versions.toml";

/// Which version decides.
#[derive(Clone, Debug)]
pub struct Versions {
    default: Option<String>,
    pins: BTreeMap<(String, String), String>,
}

#[derive(Deserialize)]
struct VersionsFile {
    default: Option<Spanned<String>>,
    #[serde(flatten)]
    apis: BTreeMap<String, BTreeMap<String, Pin>>,
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
                PATH,
                None,
                "the file that names the active version is missing",
                "write default = \"v1\"".to_owned(),
            );
            return None;
        };
        let file: VersionsFile = match toml::from_str(text) {
            Ok(file) => file,
            Err(error) => {
                findings.note(PATH, error.span(), error.message(), None);
                return None;
            }
        };
        let before = findings.len();
        let mut known = |version: &Spanned<String>| {
            if !exists.contains(&version.get_ref().as_str()) {
                let message = format!("version `{}` does not exist", version.get_ref().escape_debug());
                let help = format!(
                    "the versions are the folders of policies/ with .cedar files: {}",
                    exists.join(", ")
                );
                findings.note(PATH, Some(version.span()), message, help);
            }
            version.get_ref().clone()
        };
        let default = file.default.as_ref().map(&mut known);
        let mut pins = BTreeMap::new();
        for (api, stages) in &file.apis {
            for (stage, pin) in stages {
                pins.insert((api.clone(), stage.clone()), known(&pin.active));
            }
        }
        for (api, stage) in pins.keys() {
            let asked = deployment.is_none_or(|deployment| {
                deployment.apis.iter().any(|known| {
                    known.name == *api && known.stages.iter().any(|known| known.as_str() == stage)
                })
            });
            if !asked {
                let message =
                    format!("no API `{api}` with a stage `{stage}` stands in schema/authorizer.toml");
                findings.note_text(PATH, stage, message, None);
            }
        }
        (findings.len() == before).then_some(Self { default, pins })
    }
}
