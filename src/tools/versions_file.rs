//! Changes of `policies/versions.toml` that leave everything else in it as it was written, comments included.

use toml_edit::{DocumentMut, Item, Table, TableLike, Value};

/// Where a version decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'p> {
    /// Wherever no stage is named.
    Default,
    /// A stage of an API.
    Stage {
        /// The API's alias.
        api: &'p str,
        /// The stage.
        stage: &'p str,
    },
}

/// What changes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'c> {
    /// The version that decides. A shadow that is this version is removed: it has become the active one.
    Activate(&'c str),
    /// The version that is evaluated beside it; `None`: none is.
    Shadow(Option<&'c str>),
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The file's new text.
    pub text: String,
    /// What stood in its place, if something did.
    pub was: Option<String>,
    /// Whether a shadow was removed because its version has become the active one.
    pub promoted: bool,
}

/// A file that cannot be changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// It is no TOML.
    #[error("policies/versions.toml is not TOML: {0}")]
    Syntax(String),
    /// Something else stands where a table would.
    #[error("`{0}` in policies/versions.toml is not a table")]
    NotATable(String),
}

/// Makes a change at a place.
///
/// # Errors
/// [`EditError`]
pub fn change(text: &str, place: Place<'_>, change: Change<'_>) -> Result<Changed, EditError> {
    let mut document: DocumentMut =
        text.parse().map_err(|error: toml_edit::TomlError| EditError::Syntax(error.message().to_owned()))?;
    let (active, table): (_, &mut dyn TableLike) = match place {
        Place::Default => ("default", document.as_table_mut()),
        Place::Stage { api, stage } => ("active", stage_table(&mut document, api, stage)?),
    };
    let (mut promoted, was) = (
        false,
        match change {
            Change::Activate(_) => text_at(table, active),
            Change::Shadow(_) => text_at(table, "shadow"),
        },
    );
    match change {
        Change::Activate(version) => {
            set(table, active, version);
            promoted = text_at(table, "shadow").is_some_and(|shadow| shadow == version);
            if promoted {
                table.remove("shadow");
            }
        }
        Change::Shadow(Some(version)) => set(table, "shadow", version),
        Change::Shadow(None) => {
            table.remove("shadow");
        }
    }
    Ok(Changed { text: document.to_string(), was, promoted })
}

/// The stage's table, made where there is none.
fn stage_table<'d>(
    document: &'d mut DocumentMut,
    api: &str,
    stage: &str,
) -> Result<&'d mut dyn TableLike, EditError> {
    let implicit = || {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    };
    let not = |name: String| EditError::NotATable(name);
    let stages = document.entry("stage").or_insert_with(implicit);
    let stages = stages.as_table_like_mut().ok_or_else(|| not("stage".to_owned()))?;
    let apis = stages.entry(api).or_insert_with(implicit);
    let apis = apis.as_table_like_mut().ok_or_else(|| not(format!("stage.{api}")))?;
    let table = apis.entry(stage).or_insert_with(|| Item::Table(Table::new()));
    table.as_table_like_mut().ok_or_else(|| not(format!("stage.{api}.{stage}")))
}

fn text_at(table: &dyn TableLike, key: &str) -> Option<String> {
    table.get(key)?.as_str().map(str::to_owned)
}

/// Sets a value and leaves the comment behind it.
fn set(table: &mut dyn TableLike, key: &str, version: &str) {
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(value) => {
            let decor = value.decor().clone();
            *value = Value::from(version);
            *value.decor_mut() = decor;
        }
        None => {
            table.insert(key, toml_edit::value(version));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# Who decides.\n\ndefault = \"v1\"  # all others\n\n[stage.orders.prod] # live\nactive = \"v1\"\nshadow = \"v2\"   # until Friday\n";

    fn changed(place: Place<'_>, with: Change<'_>) -> Changed {
        change(FILE, place, with).unwrap()
    }

    const PROD: Place<'static> = Place::Stage { api: "orders", stage: "prod" };
    const TEST: Place<'static> = Place::Stage { api: "orders", stage: "$default" };

    #[test]
    fn one_value_changes_and_nothing_else() {
        let activated = changed(Place::Default, Change::Activate("v3"));
        assert_eq!(activated.text, FILE.replacen("default = \"v1\"", "default = \"v3\"", 1));
        assert_eq!((activated.was.as_deref(), activated.promoted), (Some("v1"), false));
        let shadowed = changed(PROD, Change::Shadow(Some("v3")));
        assert_eq!(shadowed.text, FILE.replace("\"v2\"", "\"v3\""));
        assert_eq!(shadowed.was.as_deref(), Some("v2"));
    }

    #[test]
    fn a_shadow_that_is_activated_is_no_shadow_any_more() {
        let promoted = changed(PROD, Change::Activate("v2"));
        assert_eq!((promoted.was.as_deref(), promoted.promoted), (Some("v1"), true));
        assert!(
            promoted.text.contains("active = \"v2\"") && !promoted.text.contains("shadow"),
            "{}",
            promoted.text
        );
    }

    #[test]
    fn a_shadow_can_go_and_a_stage_can_come() {
        let off = changed(PROD, Change::Shadow(None));
        assert!(!off.text.contains("shadow") && off.text.contains("active = \"v1\""), "{}", off.text);
        let new = changed(TEST, Change::Shadow(Some("v2")));
        assert!(new.text.starts_with(FILE), "{}", new.text);
        assert!(new.text.ends_with("[stage.orders.\"$default\"]\nshadow = \"v2\"\n"), "{}", new.text);
        assert_eq!(new.was, None);
    }

    #[test]
    fn what_is_no_table_is_left_alone() {
        let error = change("stage = 1", PROD, Change::Shadow(None)).unwrap_err();
        assert_eq!(error, EditError::NotATable("stage".to_owned()));
        assert!(matches!(change("= 1", PROD, Change::Shadow(None)), Err(EditError::Syntax(_))));
    }
}
