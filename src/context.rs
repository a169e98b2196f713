//! What the backend is told about the caller: the `context` of an authorizer's answer (advice, in XACML's words).

pub mod contract;

use std::borrow::Cow;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

/// Keys and values in their order, each key once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthorizerContext(Vec<(Arc<str>, ContextValue)>);

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContextValue {
    /// A text.
    String(String),
    /// A whole number.
    Number(i64),
    /// A truth value.
    Bool(bool),
    /// A list of texts, such as roles. Only an HTTP API's simple answer can carry it as such; elsewhere it travels as
    /// a text that holds a JSON array, unless the contract wrote it another way before.
    List(Vec<String>),
}

impl AuthorizerContext {
    /// The key under which the text of a denial travels. A REST API shows it to the caller through the template
    /// `{"message":"$context.authorizer.messageString"}` of its gateway response `ACCESS_DENIED`.
    pub const DENY_MESSAGE: &'static str = "messageString";

    /// A context without entries.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// A context with room for so many entries.
    #[must_use]
    pub fn with_capacity(entries: usize) -> Self {
        Self(Vec::with_capacity(entries))
    }

    /// Sets a key's value, in place of the one it had.
    pub fn set(&mut self, key: impl Into<Arc<str>>, value: ContextValue) {
        let key = key.into();
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key, value)),
        }
    }

    /// Sets the text of a denial. The gateway puts it into a JSON text without escaping it, so a quote becomes `'`, a
    /// backslash `/` and a control character a space.
    pub fn set_deny_message(&mut self, message: &str) {
        let message = message.chars().map(|character| match character {
            '"' => '\'',
            '\\' => '/',
            control if control.is_control() => ' ',
            other => other,
        });
        self.set(Self::DENY_MESSAGE, ContextValue::String(message.collect()));
    }

    /// Whether there is no entry.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ContextValue)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), value))
    }

    /// The context with values that are no lists, as REST, WebSocket and HTTP 1.0 answers must have it: API Gateway
    /// answers 500 to a list there, after an Allow.
    #[must_use]
    pub fn scalars(&self) -> Cow<'_, Self> {
        match self.0.iter().any(|(_, value)| matches!(value, ContextValue::List(_))) {
            false => Cow::Borrowed(self),
            true => {
                Cow::Owned(Self(self.0.iter().map(|(key, value)| (key.clone(), value.scalar())).collect()))
            }
        }
    }

    /// The context with texts only, as AppSync has it.
    #[must_use]
    pub fn strings(&self) -> Self {
        let string = |value: &ContextValue| match value.scalar() {
            ContextValue::Number(number) => ContextValue::String(number.to_string()),
            ContextValue::Bool(truth) => ContextValue::String(truth.to_string()),
            text @ (ContextValue::String(_) | ContextValue::List(_)) => text,
        };
        Self(self.0.iter().map(|(key, value)| (key.clone(), string(value))).collect())
    }
}

impl ContextValue {
    fn scalar(&self) -> Self {
        match self {
            Self::List(items) => Self::String(json_array(items)),
            Self::String(_) | Self::Number(_) | Self::Bool(_) => self.clone(),
        }
    }
}

/// A JSON array of texts, as a text.
fn json_array(items: &[String]) -> String {
    // Texts can always be written; were they not, none would be named.
    serde_json::to_string(items).unwrap_or_else(|_| "[]".to_owned())
}

/// As a JSON object, lists as arrays.
impl Serialize for AuthorizerContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(&**key, value)?;
        }
        map.end()
    }
}

impl Serialize for ContextValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::String(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_i64(*number),
            Self::Bool(truth) => serializer.serialize_bool(*truth),
            Self::List(items) => items.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> AuthorizerContext {
        let mut context = AuthorizerContext::new();
        context.set("tenant", ContextValue::String("acme".to_owned()));
        context.set("level", ContextValue::Number(-3));
        context.set("mfa", ContextValue::Bool(true));
        context.set("roles", ContextValue::List(vec!["clerk".to_owned(), "a\"b".to_owned()]));
        context
    }

    fn json(context: &AuthorizerContext) -> String {
        serde_json::to_string(context).unwrap()
    }

    #[test]
    fn each_form_has_the_values_it_can_carry() {
        let context = context();
        assert_eq!(json(&context), r#"{"tenant":"acme","level":-3,"mfa":true,"roles":["clerk","a\"b"]}"#);
        assert_eq!(
            json(&context.scalars()),
            r#"{"tenant":"acme","level":-3,"mfa":true,"roles":"[\"clerk\",\"a\\\"b\"]"}"#
        );
        assert_eq!(
            json(&context.strings()),
            r#"{"tenant":"acme","level":"-3","mfa":"true","roles":"[\"clerk\",\"a\\\"b\"]"}"#
        );
    }

    #[test]
    fn a_key_stands_once_where_it_first_stood() {
        let mut context = context();
        context.set("tenant", ContextValue::String("globex".to_owned()));
        let keys: Vec<_> = context.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["tenant", "level", "mfa", "roles"]);
        assert_eq!(context.iter().next(), Some(("tenant", &ContextValue::String("globex".to_owned()))));
    }

    #[test]
    fn a_deny_message_cannot_break_out_of_its_template() {
        let mut context = AuthorizerContext::new();
        context.set_deny_message("ask \"billing\" \\ or\nwait — é");
        assert_eq!(json(&context), r#"{"messageString":"ask 'billing' / or wait — é"}"#);
    }
}
