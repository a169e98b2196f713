//! The ARN of the method or route that API Gateway asks about: `methodArn` (REST, WebSocket, HTTP API 1.0) or `routeArn`
//! (HTTP API 2.0).
//!
//! ```text
//! arn:{partition}:execute-api:{region}:{account}:{apiId}/{stage}/{VERB}/{path}     REST and HTTP APIs
//! arn:{partition}:execute-api:{region}:{account}:{apiId}/{stage}/{routeKey}        WebSocket APIs: `$connect`
//! ```
//!
//! The path has no leading slash, so the root resource ends in `/GET/`. It is the path that was asked for, not a
//! template, and it is the client's text: colons and slashes occur in it, and nothing else is promised. It is therefore
//! kept as it is here, and judged by [`crate::path`].
//!
//! Source: Amazon API Gateway developer guide, "ARN format of permissions for executing API in API Gateway" and "Input
//! to an API Gateway Lambda authorizer". That colons stay unescaped: aws/chalice issue 1775, where splitting at every
//! colon granted the wrong path.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// An API Gateway ARN, parsed; `Display` and [`as_str`](Self::as_str) give back the very text it was parsed from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MethodArn {
    text: String,
    ends: Ends,
    /// Of a method; a route has none.
    verb: Option<Verb>,
}

/// Where the parts of an ARN end, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Ends {
    partition: usize,
    region: usize,
    account_id: usize,
    api_id: usize,
    stage: usize,
    /// The verb, or the route key.
    verb: usize,
}

/// What an ARN points at within its stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target<'a> {
    /// A method of a REST or HTTP API.
    Method {
        /// The verb of the request.
        verb: &'a Verb,
        /// The path of the request, undecoded and unchecked, without its leading slash; empty for the root.
        path: &'a str,
    },
    /// A route of a WebSocket API, such as `$connect`: 1 to [`Target::ROUTE_KEY_MAX_BYTES`] bytes without `/`, `*`, `?`
    /// and control characters.
    RouteKey(&'a str),
}

impl Target<'_> {
    /// The longest route key, in bytes. API Gateway documents no number; ours leaves room for real selection values.
    pub const ROUTE_KEY_MAX_BYTES: usize = 128;
}

impl MethodArn {
    /// The longest ARN that is parsed, in bytes: the documented limit of an ARN for a method with authorization; API
    /// Gateway itself answers 414 above it.
    pub const MAX_BYTES: usize = 1_600;

    const PREFIX: &str = "arn:";
    const SERVICE: &str = ":execute-api:";

    /// The partition: `aws`, `aws-cn`, `aws-us-gov` and their like.
    #[must_use]
    pub fn partition(&self) -> &str {
        self.part(Self::PREFIX.len(), self.ends.partition)
    }

    /// The region, such as `eu-west-1`.
    #[must_use]
    pub fn region(&self) -> &str {
        self.part(self.ends.partition + Self::SERVICE.len(), self.ends.region)
    }

    /// The account that owns the API, an [`AccountId`].
    #[must_use]
    pub fn account_id(&self) -> &str {
        self.part(self.ends.region + 1, self.ends.account_id)
    }

    /// The API, an [`ApiId`].
    #[must_use]
    pub fn api_id(&self) -> &str {
        self.part(self.ends.account_id + 1, self.ends.api_id)
    }

    /// The stage of the API, a [`Stage`].
    #[must_use]
    pub fn stage(&self) -> &str {
        self.part(self.ends.api_id + 1, self.ends.stage)
    }

    /// The method or route within the stage.
    #[must_use]
    pub fn target(&self) -> Target<'_> {
        match &self.verb {
            Some(verb) => Target::Method { verb, path: self.part(self.ends.verb + 1, self.text.len()) },
            None => Target::RouteKey(self.part(self.ends.stage + 1, self.ends.verb)),
        }
    }

    /// What stands there, between two separators.
    fn part(&self, from: usize, to: usize) -> &str {
        self.text.get(from..to).unwrap_or_default()
    }

    /// The text this was parsed from.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The pattern for everything in this stage, `arn:…:{apiId}/{stage}/*`: made of checked parts alone, so a refusal can
    /// name it without repeating what the client wrote.
    #[must_use]
    pub fn stage_resource(&self) -> String {
        let stage = self.part(0, self.ends.stage);
        format!("{stage}/*")
    }
}

impl FromStr for MethodArn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > Self::MAX_BYTES {
            return Err(ArnError::TooLong { bytes: text.len() });
        }
        // The path may hold colons and slashes, so both splits stop at the part that contains it.
        let mut parts = text.splitn(6, ':');
        let mut part = |name| parts.next().ok_or(ArnError::Incomplete { missing: name });
        expect("arn", part("`arn` prefix")?).map_err(|found| ArnError::Prefix { found })?;
        let partition = checked(part("partition")?, is_partition, |found| ArnError::Partition { found })?;
        expect("execute-api", part("service")?).map_err(|found| ArnError::Service { found })?;
        let region = checked(part("region")?, is_region, |found| ArnError::Region { found })?;
        let account_id = part("account id")?;
        AccountId::check(account_id)?;

        let mut resource = part("api id")?.splitn(4, '/');
        let mut part = |name| resource.next().ok_or(ArnError::Incomplete { missing: name });
        let api_id = part("api id")?;
        ApiId::check(api_id)?;
        let stage = part("stage")?;
        Stage::check(stage)?;
        let verb_or_route_key = part("verb")?;
        let verb = match resource.next() {
            Some(_path) => Some(verb_or_route_key.parse()?),
            None => {
                checked(verb_or_route_key, is_route_key, |found| ArnError::RouteKey { found })?;
                None
            }
        };
        let partition = Self::PREFIX.len() + partition.len();
        let region = partition + Self::SERVICE.len() + region.len();
        let account_id = region + 1 + account_id.len();
        let api_id = account_id + 1 + api_id.len();
        let stage = api_id + 1 + stage.len();
        let ends =
            Ends { partition, region, account_id, api_id, stage, verb: stage + 1 + verb_or_route_key.len() };
        Ok(Self { text: text.to_owned(), ends, verb })
    }
}

impl fmt::Display for MethodArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Declares a part of an ARN that has its own grammar and stands in `authorizer.toml` too. The usual texts are legal ones, of
/// which no copy is made.
macro_rules! arn_part {
    ($(#[$doc:meta])* $name:ident, usual: $usual:expr, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Cow<'static, str>);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            fn check(text: &str) -> Result<(), ArnError> {
                let check: fn(&str) -> Result<(), ArnError> = $check;
                check(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = ArnError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::check(&text).map(|()| Self(text.into()))
            }
        }

        impl FromStr for $name {
            type Err = ArnError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let usual: &[&'static str] = &$usual;
                match usual.iter().find(|usual| **usual == text) {
                    Some(usual) => Ok(Self(Cow::Borrowed(usual))),
                    None => Self::try_from(text.to_owned()),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

arn_part!(
    /// An AWS account id: twelve digits.
    AccountId,
    usual: [],
    |text| {
        let legal = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
        legal.then_some(()).ok_or_else(|| ArnError::AccountId { found: text.to_owned() })
    }
);

arn_part!(
    /// An API id: 1 to 64 ASCII letters, digits and `-`. API Gateway makes ten lower-case letters and digits; local
    /// gateways make others.
    ApiId,
    usual: [],
    |text| {
        let legal = is_made_of(text, 1..=64, |byte| byte.is_ascii_alphanumeric() || byte == b'-');
        legal.then_some(()).ok_or_else(|| ArnError::ApiId { found: text.to_owned() })
    }
);

arn_part!(
    /// A stage name: 1 to 128 ASCII letters, digits, `_` and `-` (the API reference of `CreateStage`), or `$default`
    /// (HTTP APIs).
    Stage,
    usual: [],
    |text| {
        if text == "*" {
            return Err(ArnError::WildcardStage);
        }
        let legal = is_made_of(text, 1..=128, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        (legal || text == "$default").then_some(()).ok_or_else(|| ArnError::Stage { found: text.to_owned() })
    }
);

arn_part!(
    /// An HTTP method as the request spells it: a token (RFC 9110 §5.6.2, §9.1) of 1 to 32 characters, without the `*`
    /// and `$` that mean something in an IAM document. Case-sensitive; an unknown one is data that no route matches.
    Verb,
    usual: ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"],
    |text| {
        let legal = is_made_of(text, 1..=32, |byte| byte.is_ascii_alphanumeric() || b"!#%&'+-.^_`|~".contains(&byte));
        legal.then_some(()).ok_or_else(|| ArnError::Verb { found: text.to_owned() })
    }
);

/// A text that is not an ARN of API Gateway, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArnError {
    /// The text is longer than [`MethodArn::MAX_BYTES`].
    #[error("method ARN has {bytes} bytes, more than {}", MethodArn::MAX_BYTES)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The text ends before all parts have been seen.
    #[error(
        "method ARN has no {missing}: expected `arn:{{partition}}:execute-api:{{region}}:{{account}}:{{apiId}}/{{stage}}/{{VERB}}/{{path}}`"
    )]
    Incomplete {
        /// The first part that is missing.
        missing: &'static str,
    },
    /// The text does not begin with `arn:`.
    #[error("method ARN begins with `{}`, expected `arn`", excerpt(found))]
    Prefix {
        /// What stands there.
        found: String,
    },
    /// The partition is not an AWS partition.
    #[error("partition `{}` is not `aws` or one that begins with `aws-`", excerpt(found))]
    Partition {
        /// What stands there.
        found: String,
    },
    /// The ARN belongs to another service.
    #[error("service `{}` is not `execute-api`", excerpt(found))]
    Service {
        /// What stands there.
        found: String,
    },
    /// The region is not a region's name.
    #[error("region `{}` is not lower-case letters, digits and `-`", excerpt(found))]
    Region {
        /// What stands there.
        found: String,
    },
    /// The account id is not an account id.
    #[error("account id `{}` is not twelve digits", excerpt(found))]
    AccountId {
        /// What stands there.
        found: String,
    },
    /// The API id is not an API id.
    #[error("api id `{}` is not 1 to 64 letters, digits and `-`", excerpt(found))]
    ApiId {
        /// What stands there.
        found: String,
    },
    /// The stage is `*`.
    #[error(
        "stage `*` is the placeholder of a documentation sample or a console test event, not a stage: put the stage's name there"
    )]
    WildcardStage,
    /// The stage is not a stage name.
    #[error("stage `{}` is not 1 to 128 letters, digits, `_` and `-`, nor `$default`", excerpt(found))]
    Stage {
        /// What stands there.
        found: String,
    },
    /// The verb is not a token, or could mean something in an IAM document.
    #[error("verb `{}` is not an HTTP token of 1 to 32 characters without `*` and `$`", excerpt(found))]
    Verb {
        /// What stands there.
        found: String,
    },
    /// The route key is empty, too long, or could mean something in an IAM document.
    #[error(
        "route key `{}` is not 1 to {} characters without `*`, `?` and control characters",
        excerpt(found),
        Target::ROUTE_KEY_MAX_BYTES
    )]
    RouteKey {
        /// What stands there.
        found: String,
    },
}

/// The beginning of what stands there, in ASCII. Not all of it: an event made by hand may have its token in the ARN's
/// place, and a message is logged.
fn excerpt(found: &str) -> String {
    let mut characters = found.chars();
    let beginning: String = characters.by_ref().take(32).collect();
    let rest = if characters.next().is_some() { "…" } else { "" };
    format!("{}{rest}", beginning.escape_default())
}

fn expect(expected: &str, found: &str) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(found.to_owned()) }
}

fn checked(text: &str, legal: fn(&str) -> bool, error: fn(String) -> ArnError) -> Result<&str, ArnError> {
    if legal(text) { Ok(text) } else { Err(error(text.to_owned())) }
}

fn is_made_of(text: &str, length: std::ops::RangeInclusive<usize>, legal: fn(u8) -> bool) -> bool {
    length.contains(&text.len()) && text.bytes().all(legal)
}

/// `aws`, or `aws-` and more. New partitions appear (`aws-cn`, `aws-us-gov`, `aws-iso…`, `aws-eusc`), so none is listed.
fn is_partition(text: &str) -> bool {
    text == "aws"
        || text
            .strip_prefix("aws-")
            .is_some_and(|rest| is_made_of(rest, 1..=28, |byte| byte.is_ascii_lowercase() || byte == b'-'))
}

fn is_region(text: &str) -> bool {
    is_made_of(text, 1..=32, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn is_route_key(text: &str) -> bool {
    (1..=Target::ROUTE_KEY_MAX_BYTES).contains(&text.len())
        && !text.chars().any(|character| matches!(character, '*' | '?') || character.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_repeats_no_more_than_the_beginning() {
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2EuZXhhbXBsZSJ9.c2lnbmF0dXJl";
        let message = token.parse::<MethodArn>().unwrap_err().to_string();
        assert_eq!(message, "method ARN begins with `eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ…`, expected `arn`");
    }
    use proptest::prelude::*;

    const PREFIX: &str = "arn:aws:execute-api:eu-west-1:123456789012:";

    /// The verb, if it is a method, and the path or route key.
    fn parts<'a>(target: Target<'a>) -> (Option<&'a str>, &'a str) {
        match target {
            Target::Method { verb, path } => (Some(verb.as_str()), path),
            Target::RouteKey(key) => (None, key),
        }
    }

    const fn method<'a>(verb: &'a str, path: &'a str) -> (Option<&'a str>, &'a str) {
        (Some(verb), path)
    }

    fn check(resource: &str, stage: &str, target: (Option<&str>, &str)) {
        let text = format!("{PREFIX}{resource}");
        let arn: MethodArn = text.parse().unwrap();
        assert_eq!((arn.stage(), parts(arn.target())), (stage, target), "{text}");
        assert_eq!(arn.to_string(), text);
    }

    #[test]
    fn a_usual_verb_is_one_like_any_other() {
        for text in ["GET", "OPTIONS", "PROPFIND", "get"] {
            let (parsed, owned): (Verb, Verb) = (text.parse().unwrap(), text.to_owned().try_into().unwrap());
            assert_eq!((&parsed, parsed.as_str()), (&owned, text));
        }
    }

    fn check_error(text: &str, message: &str) {
        assert_eq!(text.parse::<MethodArn>().unwrap_err().to_string(), message, "{text}");
    }

    #[test]
    fn every_part_has_its_place() {
        let text = "arn:aws-us-gov:execute-api:us-gov-west-1:123456789012:ymy8tbxw7b/prod/GET/orders/1";
        let arn: MethodArn = text.parse().unwrap();
        assert_eq!(arn.partition(), "aws-us-gov");
        assert_eq!(arn.region(), "us-gov-west-1");
        assert_eq!(arn.account_id(), "123456789012");
        assert_eq!(arn.api_id(), "ymy8tbxw7b");
        assert_eq!(arn.stage(), "prod");
        assert_eq!(parts(arn.target()), method("GET", "orders/1"));
        assert_eq!(arn.as_str(), text);
        assert_eq!(
            arn.stage_resource(),
            "arn:aws-us-gov:execute-api:us-gov-west-1:123456789012:ymy8tbxw7b/prod/*"
        );
    }

    #[test]
    fn the_forms_that_occur_are_read() {
        check("abc/dev/GET/", "dev", method("GET", ""));
        check("abc/$default/GET/products", "$default", method("GET", "products"));
        check("abc/test-invoke-stage/POST/a", "test-invoke-stage", method("POST", "a"));
        check("abc/ESTestInvoke-stage/GET/", "ESTestInvoke-stage", method("GET", ""));
        check("abc/dev/GET/at/2026-11-21T00:00:00Z/x:y", "dev", method("GET", "at/2026-11-21T00:00:00Z/x:y"));
        check("abc/dev/GET//a//", "dev", method("GET", "/a//"));
        check("abc/dev/PROPFIND/a", "dev", method("PROPFIND", "a"));
        check("abc/dev/GET/*\n?${x}", "dev", method("GET", "*\n?${x}"));
        check("abc/dev/$connect", "dev", (None, "$connect"));
        check("abc/dev/sendMessage", "dev", (None, "sendMessage"));
    }

    #[test]
    fn every_partition_of_aws_is_read() {
        for partition in ["aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-eusc"] {
            let text = format!("arn:{partition}:execute-api:x-1:123456789012:a/b/GET/");
            assert_eq!(text.parse::<MethodArn>().unwrap().partition(), partition);
        }
    }

    #[test]
    fn every_other_text_is_refused_with_its_reason() {
        let form = "expected `arn:{partition}:execute-api:{region}:{account}:{apiId}/{stage}/{VERB}/{path}`";
        check_error("", "method ARN begins with ``, expected `arn`");
        check_error("arn", &format!("method ARN has no partition: {form}"));
        check_error("arn:aws:execute-api:r:123456789012", &format!("method ARN has no api id: {form}"));
        check_error(&format!("{PREFIX}abc"), &format!("method ARN has no stage: {form}"));
        check_error(&format!("{PREFIX}abc/dev"), &format!("method ARN has no verb: {form}"));
        check_error("ARN:aws:execute-api:r:1:a/b/c/", "method ARN begins with `ARN`, expected `arn`");
        for partition in ["", "amazon", "awsx", "aws-", "aws-CN", "*"] {
            check_error(
                &format!("arn:{partition}:execute-api:r:123456789012:a/b/GET/"),
                &format!("partition `{partition}` is not `aws` or one that begins with `aws-`"),
            );
        }
        check_error("arn:aws:lambda:r:123456789012:a/b/GET/", "service `lambda` is not `execute-api`");
        check_error(
            "arn:aws:execute-api:*:123456789012:a/b/GET/",
            "region `*` is not lower-case letters, digits and `-`",
        );
        check_error(
            "arn:aws:execute-api:r:12345678901a:a/b/GET/",
            "account id `12345678901a` is not twelve digits",
        );
        check_error("arn:aws:execute-api:r:*:a/b/GET/", "account id `*` is not twelve digits");
        check_error(&format!("{PREFIX}*/b/GET/"), "api id `*` is not 1 to 64 letters, digits and `-`");
        check_error(&format!("{PREFIX}/b/GET/"), "api id `` is not 1 to 64 letters, digits and `-`");
        check_error(
            &format!("{PREFIX}a/*/GET/"),
            "stage `*` is the placeholder of a documentation sample or a console test event, not a stage: put the stage's name there",
        );
        check_error(
            &format!("{PREFIX}a/$other/GET/"),
            "stage `$other` is not 1 to 128 letters, digits, `_` and `-`, nor `$default`",
        );
        for verb in ["*", "", "G?T", "$connect", "GE T", "GET\\n"] {
            check_error(
                &format!("{PREFIX}a/b/{}/", verb.replace("\\n", "\n")),
                &format!("verb `{verb}` is not an HTTP token of 1 to 32 characters without `*` and `$`"),
            );
        }
        check_error(
            &format!("{PREFIX}a/b/{}/", "G".repeat(33)),
            &format!(
                "verb `{}…` is not an HTTP token of 1 to 32 characters without `*` and `$`",
                "G".repeat(32)
            ),
        );
        for key in ["", "*", "a?"] {
            check_error(
                &format!("{PREFIX}a/b/{key}"),
                &format!(
                    "route key `{key}` is not 1 to 128 characters without `*`, `?` and control characters"
                ),
            );
        }
    }

    #[test]
    fn the_limit_is_the_documented_one() {
        let longest = format!("{PREFIX}a/b/GET/{}", "x".repeat(MethodArn::MAX_BYTES - PREFIX.len() - 8));
        assert_eq!(longest.len(), 1_600);
        assert!(longest.parse::<MethodArn>().is_ok());
        check_error(&format!("{longest}x"), "method ARN has 1601 bytes, more than 1600");
    }

    #[test]
    fn parts_deserialize_through_their_grammar() {
        let stage: Stage = serde_json::from_str(r#""$default""#).unwrap();
        assert_eq!(stage.as_str(), "$default");
        let error = serde_json::from_str::<AccountId>(r#""1234""#).unwrap_err();
        assert_eq!(error.to_string(), "account id `1234` is not twelve digits");
    }

    prop_compose! {
        fn arn()(
            partition in "aws(-[a-z]{1,6}){0,2}",
            region in "[a-z]{2}-[a-z]{4,7}-[0-9]",
            account in "[0-9]{12}",
            api in "[a-zA-Z0-9-]{1,64}",
            stage in r"[A-Za-z0-9_-]{1,128}|\$default",
            target in r"[A-Z]{1,32}/\PC{0,40}|[A-Z]{3,7}/[a-z:/%*$]{0,40}|\$connect",
        ) -> String {
            format!("arn:{partition}:execute-api:{region}:{account}:{api}/{stage}/{target}")
        }
    }

    proptest! {
        #[test]
        fn every_arn_is_read_and_shown_as_it_was(text in arn()) {
            let parsed: MethodArn = text.parse().unwrap();
            prop_assert_eq!(parsed.to_string(), text);
        }

        #[test]
        fn the_parts_make_up_the_text(text in arn()) {
            let arn: MethodArn = text.parse().unwrap();
            let target = match arn.target() {
                Target::Method { verb, path } => format!("{verb}/{path}"),
                Target::RouteKey(key) => key.to_owned(),
            };
            prop_assert_eq!(arn.stage_resource().replace('*', &target), text);
        }

        #[test]
        fn any_text_gets_an_answer(text in r"(?s).{0,200}") {
            if let Ok(arn) = text.parse::<MethodArn>() {
                prop_assert_eq!(arn.as_str(), text);
            }
        }

        #[test]
        fn a_damaged_arn_gets_an_answer(text in arn(), at in any::<prop::sample::Index>(), put in any::<char>()) {
            let mut characters: Vec<char> = text.chars().collect();
            let at = at.index(characters.len());
            characters[at] = put;
            let damaged: String = characters.into_iter().collect();
            if let Ok(arn) = damaged.parse::<MethodArn>() {
                prop_assert_eq!(arn.as_str(), &damaged);
                // Whatever was put in, the fixed resource of refusals has one wildcard: its last character.
                let resource = arn.stage_resource();
                prop_assert_eq!(resource.find(['*', '?']), Some(resource.len() - 1));
            }
        }
    }
}
