//! `policies/versions.toml`: which version of the policies decides which stage of which API.
//!
//! ```toml
//! default = "v1"              # every API and stage that is not named; without it, each of them has to be named
//! shadow  = "v2"              # evaluated beside the default, wherever that decides
//!
//! [stage.orders-rest.prod]    # API and stage as schema/authorizer.toml names them
//! active = "v2"               # left out: the default decides
//! shadow = "v3"
//! ```
//!
//! A `shadow` is evaluated beside the active version for the same request. It changes no answer; where the two disagree, a
//! line in the log says so, with both reasons. A stage that is named has the shadow that its own lines say, and otherwise
//! none: who writes a stage's table need not look elsewhere to know what happens there.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::deployment::Deployment;
use super::finding::{Code, Findings, meant, with_meant};
use super::source::SourceFiles;

/// Where the file stands in a bundle.
pub const PATH: &str = "policies/versions.toml";

/// Which version decides.
#[derive(Clone, Debug)]
pub struct Versions {
    default: Option<Pin>,
    pins: BTreeMap<(String, String), Pin>,
}

/// What decides a stage.
#[derive(Clone, Debug)]
struct Pin {
    active: String,
    shadow: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VersionsFile {
    default: Option<Spanned<String>>,
    shadow: Option<Spanned<String>>,
    /// API → stage → pin.
    #[serde(default)]
    stage: BTreeMap<String, BTreeMap<Spanned<String>, PinFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PinFile {
    active: Option<Spanned<String>>,
    shadow: Option<Spanned<String>>,
}

impl Versions {
    /// The version that decides for the stage of an API; `None` where no line says so.
    #[must_use]
    pub fn active(&self, api: &str, stage: &str) -> Option<&str> {
        self.pin(api, stage).map(|pin| pin.active.as_str())
    }

    /// The version that is evaluated beside it, where there is one.
    #[must_use]
    pub fn shadow(&self, api: &str, stage: &str) -> Option<&str> {
        self.pin(api, stage)?.shadow.as_deref()
    }

    /// Whether the file names the stage itself.
    #[must_use]
    pub fn names(&self, api: &str, stage: &str) -> bool {
        self.pins.contains_key(&(api.to_owned(), stage.to_owned()))
    }

    /// The version that decides wherever the file names no stage.
    #[must_use]
    pub fn default(&self) -> Option<&str> {
        self.default.as_ref().map(|pin| pin.active.as_str())
    }

    fn pin(&self, api: &str, stage: &str) -> Option<&Pin> {
        self.pins.get(&(api.to_owned(), stage.to_owned())).or(self.default.as_ref())
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
        if let (None, Some(shadow)) = (&file.default, &file.shadow) {
            let help = "write a default, or the shadow under the stage that it is for";
            findings.note(
                Code::ShadowOfNothing,
                PATH,
                Some(shadow.span()),
                "a shadow beside no default is never evaluated",
                help.to_owned(),
            );
        }
        let default = file
            .default
            .as_ref()
            .and_then(|default| read_pin(default, Some(default), file.shadow.as_ref(), exists, findings));
        let mut pins = BTreeMap::new();
        for (api, stages) in &file.stage {
            for (stage, pin) in stages {
                let active = pin.active.as_ref().or(file.default.as_ref());
                let written = pin.active.as_ref();
                match active {
                    Some(active) => {
                        if let Some(pin) = read_pin(active, written, pin.shadow.as_ref(), exists, findings) {
                            pins.insert((api.clone(), stage.get_ref().clone()), pin);
                        }
                    }
                    None => {
                        let message = format!(
                            "no version decides stage `{}` of API `{}`",
                            stage.get_ref().escape_debug(),
                            api.escape_debug()
                        );
                        let help = "write active = \"v1\" under it, or a default";
                        findings.note(
                            Code::StageWithoutVersion,
                            PATH,
                            Some(stage.span()),
                            message,
                            help.to_owned(),
                        );
                    }
                }
                check_stage(api, stage, deployment, findings);
            }
        }
        let is_whole = findings.len() == before;
        let versions = Self { default, pins };
        for api in deployment.iter().flat_map(|deployment| &deployment.apis) {
            let named = |stage: &str| {
                file.stage
                    .get(&api.name)
                    .is_some_and(|stages| stages.keys().any(|known| known.get_ref() == stage))
            };
            for stage in api.stage_names().filter(|stage| file.default.is_none() && !named(stage)) {
                let message = format!("no version decides stage `{stage}` of API `{}`", api.name);
                let help = format!("write a default, or active under [stage.{}.\"{stage}\"]", api.name);
                findings.note(Code::StageWithoutVersion, PATH, None, message, help);
            }
        }
        (is_whole && findings.len() == before).then_some(versions)
    }
}

/// A version and its shadow; both have to exist. What is not `written` here was looked at where it is.
fn read_pin(
    active: &Spanned<String>,
    written: Option<&Spanned<String>>,
    shadow: Option<&Spanned<String>>,
    exists: &[&str],
    findings: &mut Findings<'_>,
) -> Option<Pin> {
    let before = findings.len();
    for version in written.into_iter().chain(shadow) {
        if !exists.contains(&version.get_ref().as_str()) {
            let message = format!("version `{}` does not exist", version.get_ref().escape_debug());
            let help =
                format!("the versions are the folders of policies/ with .cedar files: {}", exists.join(", "));
            let meant = meant(version.get_ref(), exists.iter().copied());
            let help = with_meant(meant.map(|name| format!("`{name}`")), help);
            findings.note(Code::VersionUnknown, PATH, Some(version.span()), message, help);
        }
    }
    if let Some(shadow) = shadow.filter(|shadow| shadow.get_ref() == active.get_ref()) {
        let message = format!("the shadow is `{}`, which decides there already", shadow.get_ref());
        let help = "a version never disagrees with itself: name the candidate, or remove the line";
        findings.note(Code::ShadowOfNothing, PATH, Some(shadow.span()), message, help.to_owned());
    }
    (findings.len() == before).then(|| Pin {
        active: active.get_ref().clone(),
        shadow: shadow.map(|shadow| shadow.get_ref().clone()),
    })
}

/// A stage that nobody asks would be decided by nothing that is written here.
fn check_stage(
    api: &str,
    stage: &Spanned<String>,
    deployment: Option<&Deployment>,
    findings: &mut Findings<'_>,
) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Versions, String> {
        let mut files = SourceFiles::default();
        files.insert(PATH, text);
        let mut findings = Findings::new(&files);
        let versions = Versions::load(&files, &["v1", "v2", "v3"], None, &mut findings);
        findings.finish(versions).map_err(|errors| errors.to_string())
    }

    #[test]
    fn a_stage_that_is_named_has_what_its_lines_say_and_others_the_default() {
        let file = "default = \"v1\"\nshadow = \"v2\"\n[stage.orders.prod]\nactive = \"v2\"\nshadow = \"v3\"\n\
                    [stage.orders.test]\nactive = \"v3\"\n[stage.orders.dev]\nshadow = \"v3\"\n";
        let versions = load(file).unwrap();
        for (stage, active, shadow) in [
            ("other", "v1", Some("v2")),
            ("prod", "v2", Some("v3")),
            ("test", "v3", None),
            ("dev", "v1", Some("v3")),
        ] {
            assert_eq!(
                (versions.active("orders", stage), versions.shadow("orders", stage)),
                (Some(active), shadow)
            );
            assert_eq!(versions.names("orders", stage), stage != "other");
        }
        let pinned = load("[stage.orders.prod]\nactive = \"v2\"\n").unwrap();
        assert_eq!((pinned.active("orders", "prod"), pinned.active("orders", "test")), (Some("v2"), None));
        assert_eq!(pinned.default(), None);
    }

    #[test]
    fn what_would_compare_nothing_is_a_mistake() {
        for (file, expected) in [
            (
                "default = \"v1\"\nshadow = \"v1\"",
                "policies/versions.toml:2:10: CG0505: the shadow is `v1`, which decides there already (a version never disagrees with itself: name the candidate, or remove the line)",
            ),
            (
                "shadow = \"v1\"\n[stage.a.b]\nactive = \"v2\"",
                "policies/versions.toml:1:10: CG0505: a shadow beside no default is never evaluated (write a default, or the shadow under the stage that it is for)",
            ),
            (
                "default = \"v1\"\n[stage.a.b]\nshadow = \"v9\"",
                "policies/versions.toml:3:10: CG0502: version `v9` does not exist (the versions are the folders of policies/ with .cedar files: v1, v2, v3)",
            ),
            (
                "[stage.a.b]\nshadow = \"v2\"",
                "policies/versions.toml:1:10: CG0504: no version decides stage `b` of API `a` (write active = \"v1\" under it, or a default)",
            ),
        ] {
            assert_eq!(load(file).unwrap_err(), expected);
        }
    }
}
