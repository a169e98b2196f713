//! Strict JSON (RFC 8259) for tokens and key sets: one pass, and nothing that two parsers may read differently.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};

/// How deep arrays and objects may nest. Keycloak's `resource_access.{client}.roles`, the deepest in use, is 4.
pub(crate) const MAX_DEPTH: u8 = 16;

/// A JSON value; strings without escapes are borrowed from the text.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    /// A number with a fraction or an exponent, or outside `i64`.
    Float(f64),
    String(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    Object(Object<'a>),
}

/// A JSON object whose member names are all different.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) struct Object<'a> {
    members: Vec<(Cow<'a, str>, Json<'a>)>,
}

/// Why a text is not strict JSON. It never quotes the text, which may be a token's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JsonError {
    Syntax { line: usize, column: usize },
    DuplicateMember,
    TooDeep,
}

impl<'a> Json<'a> {
    /// Reads a whole text: one value, white space around it, at most [`MAX_DEPTH`] levels, no member twice.
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, JsonError> {
        // Read as a text its strings need not be looked through one by one; what is none is read as far as it goes.
        match std::str::from_utf8(text) {
            Ok(text) => Self::read(serde_json::Deserializer::from_str(text)),
            Err(_) => Self::read(serde_json::Deserializer::from_slice(text)),
        }
    }

    fn read<R: serde_json::de::Read<'a>>(
        mut deserializer: serde_json::Deserializer<R>,
    ) -> Result<Self, JsonError> {
        let refusal = Cell::new(None);
        let seed = Reader { levels_left: MAX_DEPTH, refusal: &refusal };
        let value = seed.deserialize(&mut deserializer).and_then(|value| {
            deserializer.end()?;
            Ok(value)
        });
        value.map_err(|error| {
            let syntax = JsonError::Syntax { line: error.line(), column: error.column() };
            refusal.get().unwrap_or(syntax)
        })
    }

    /// The text of a JSON string.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            Self::Null
            | Self::Bool(_)
            | Self::Integer(_)
            | Self::Float(_)
            | Self::Array(_)
            | Self::Object(_) => None,
        }
    }
}

impl<'a> Object<'a> {
    /// The value of the member with exactly this name.
    pub(crate) fn member(&self, name: &str) -> Option<&Json<'a>> {
        self.members.iter().find_map(|(member, value)| (member == name).then_some(value))
    }

    /// The members' names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|(name, _)| name.as_ref())
    }

    /// Whether a member has this name.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.member(name).is_some()
    }
}

/// Reads one value. serde turns every refusal into a text, so the reason travels beside it.
#[derive(Clone, Copy)]
struct Reader<'r> {
    levels_left: u8,
    refusal: &'r Cell<Option<JsonError>>,
}

impl Reader<'_> {
    fn refuse<E: de::Error>(self, reason: JsonError) -> E {
        self.refusal.set(Some(reason));
        E::custom("refused")
    }

    /// The reader of what stands inside this array or object.
    fn inner<E: de::Error>(self) -> Result<Self, E> {
        match self.levels_left.checked_sub(1) {
            Some(levels_left) => Ok(Self { levels_left, ..self }),
            None => Err(self.refuse(JsonError::TooDeep)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Json<'de>;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Integer(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(i64::try_from(value).map_or(Json::Float(value as f64), Json::Integer))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(Json::Float(value))
    }

    fn visit_borrowed_str<E: de::Error>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Borrowed(value)))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Json<'de>, A::Error> {
        let inner = self.inner()?;
        let mut elements = Vec::new();
        while let Some(element) = array.next_element_seed(inner)? {
            elements.push(element);
        }
        Ok(Json::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Json<'de>, A::Error> {
        let inner = self.inner()?;
        // As many as the claims of a token, and no more than the allocator has at hand.
        let mut members = Vec::with_capacity(if self.levels_left == MAX_DEPTH { 18 } else { 0 });
        while let Some(name) = object.next_key_seed(MemberName)? {
            members.push((name, object.next_value_seed(inner)?));
        }
        if has_duplicates(&members) {
            return Err(self.refuse(JsonError::DuplicateMember));
        }
        Ok(Json::Object(Object { members }))
    }
}

/// Reads a member's name, borrowed where it has no escapes.
struct MemberName;

impl<'de> DeserializeSeed<'de> for MemberName {
    type Value = Cow<'de, str>;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for MemberName {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_borrowed_str<E: de::Error>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_owned()))
    }
}

/// Names are compared after unescaping, so `"a"` and `"\u0061"` are the same member.
fn has_duplicates(members: &[(Cow<'_, str>, Json<'_>)]) -> bool {
    // Pairwise is fastest for the twenty members of a token, and quadratic for the thousands of a hostile one.
    const FEW: usize = 32;
    if members.len() <= FEW {
        let mut rest = members;
        while let Some(((name, _), tail)) = rest.split_first() {
            if tail.iter().any(|(other, _)| other == name) {
                return true;
            }
            rest = tail;
        }
        return false;
    }
    let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_ref()).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| matches!(pair, [one, other] if one == other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(members: Vec<(&'static str, Json<'static>)>) -> Json<'static> {
        let members = members.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect();
        Json::Object(Object { members })
    }

    #[test]
    fn values_keep_their_kind() {
        let text = br#" {"a": [null, true, -1, 1.5, "x\n"], "b": {}, "c": 18446744073709551615, "d": 1e3} "#;
        let list = vec![
            Json::Null,
            Json::Bool(true),
            Json::Integer(-1),
            Json::Float(1.5),
            Json::String("x\n".into()),
        ];
        let expected = object(vec![
            ("a", Json::Array(list)),
            ("b", object(vec![])),
            ("c", Json::Float(18_446_744_073_709_551_615.0)),
            ("d", Json::Float(1000.0)),
        ]);
        assert_eq!(Json::parse(text), Ok(expected));
    }

    #[test]
    fn a_member_twice_is_refused_at_every_depth_and_in_every_spelling() {
        let many: Vec<String> = (0..40).map(|i| format!("\"m{}\":0", i % 39)).collect();
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"{"x":[{"y":{"a":1,"b":2,"a":3}}]}"#,
            &format!("{{{}}}", many.join(",")),
        ] {
            assert_eq!(Json::parse(text.as_bytes()), Err(JsonError::DuplicateMember), "{text}");
        }
        let different: Vec<String> = (0..40).map(|i| format!("\"m{i}\":0")).collect();
        assert!(Json::parse(format!("{{{}}}", different.join(",")).as_bytes()).is_ok());
    }

    #[test]
    fn nesting_ends_at_the_limit() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(Json::parse(nested(usize::from(MAX_DEPTH)).as_bytes()).is_ok());
        assert_eq!(Json::parse(nested(usize::from(MAX_DEPTH) + 1).as_bytes()), Err(JsonError::TooDeep));
        assert_eq!(Json::parse("[".repeat(500_000).as_bytes()), Err(JsonError::TooDeep));
        assert_eq!(Json::parse(r#"{"a":"#.repeat(100_000).as_bytes()), Err(JsonError::TooDeep));
    }

    #[test]
    fn what_parsers_disagree_about_is_a_syntax_error() {
        for text in [
            "",
            "{} {}",
            "{}x",
            "{'a':1}",
            "{a:1}",
            "{\"a\":1,}",
            "[1,]",
            "01",
            "+1",
            ".5",
            "1.",
            "NaN",
            "1e999",
            "\"\\ud800\"",
            "\"\t\"",
            "/* */ {}",
            "\u{feff}{}",
        ] {
            assert!(matches!(Json::parse(text.as_bytes()), Err(JsonError::Syntax { .. })), "{text}");
        }
        assert!(matches!(Json::parse(b"\"\xff\""), Err(JsonError::Syntax { .. })));
    }
}
