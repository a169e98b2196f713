//! How long a token may still be accepted that is no longer to be believed: the propagation delay (RFC 7009 §2) of a
//! revocation, of a key that was removed and of an issuer's word about an opaque token, as a sum whose terms have names.

use std::fmt;

use super::deployment::{Api, ApiKind};
use crate::jose::issuer::KeySource;
use crate::jose::{TrustedIssuer, TrustedIssuers};

/// How soon a running function answers by a new bundle, in seconds after the bundle is released: after the symbolic link
/// that the function follows has moved. A bundle in the function's zip is released when the function is deployed.
pub const NEW_BUNDLE_SECONDS: u64 = 10;

/// How long a WebSocket connection may last, whose caller is asked for on `$connect` alone: two hours (Amazon API Gateway
/// developer guide, "Quotas for configuring and running a WebSocket API").
const CONNECTION_SECONDS: u64 = 7_200;

/// The longest time until a token is refused, as the sum of its terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delay {
    terms: Vec<Term>,
}

/// One of the waits that a delay is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// What is waited for.
    pub wait: Wait,
    /// The longest time, in seconds.
    pub seconds: u64,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The gateway answers from its cache until the result TTL of the authorizer is over.
    ResultTtl,
    /// A running function goes on with the bundle that it has.
    NewBundle,
    /// Verified tokens are remembered; what is remembered ends with the bundle and with the key.
    TokenCache,
    /// Published keys are believed up to their `max_age`.
    KeyMaxAge,
    /// An issuer's word about an opaque token is believed up to its `max_age`.
    Introspection,
    /// An open connection stays open.
    OpenConnection,
}

impl Wait {
    /// A stable word for machines.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::ResultTtl => "result_ttl",
            Self::NewBundle => "new_bundle",
            Self::TokenCache => "token_cache",
            Self::KeyMaxAge => "key_max_age",
            Self::Introspection => "introspection",
            Self::OpenConnection => "open_connection",
        }
    }
}

/// The word for people.
impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ResultTtl => "result TTL",
            Self::NewBundle => "new bundle",
            Self::TokenCache => "token cache",
            Self::KeyMaxAge => "key max_age",
            Self::Introspection => "introspection",
            Self::OpenConnection => "open connection",
        })
    }
}

impl Delay {
    /// From the release of a bundle that revokes a token, to its refusal. What an issuer said about an opaque token is
    /// judged anew by each bundle, so that it adds nothing.
    #[must_use]
    pub fn of_revocation(api: &Api) -> Self {
        Self::of(api, &[(Wait::NewBundle, NEW_BUNDLE_SECONDS), (Wait::TokenCache, 0)])
    }

    /// From the removal of an issuer's key to the refusal of its tokens. A published key is removed by the issuer, a pinned
    /// one by the release of a bundle. `None` for a secret or a development key, which no bundle and no issuer removes, and
    /// where tokens have no signature.
    #[must_use]
    pub fn of_removed_key(api: &Api, issuer: &TrustedIssuer) -> Option<Self> {
        match issuer.keys() {
            KeySource::Published(keys) => {
                let max_age = keys.max_age.get().unsigned_abs();
                Some(Self::of(api, &[(Wait::KeyMaxAge, max_age), (Wait::TokenCache, 0)]))
            }
            KeySource::File(_) | KeySource::Inline(_) => Some(Self::of_revocation(api)),
            KeySource::Development | KeySource::Secret(_) | KeySource::Opaque => None,
        }
    }

    /// From the moment at which an issuer calls an opaque token inactive (RFC 7662 §2.2), to its refusal. `None` for an
    /// issuer that is not asked.
    #[must_use]
    pub fn of_inactive_token(api: &Api, issuer: &TrustedIssuer) -> Option<Self> {
        let max_age = issuer.introspection()?.max_age_millis().unsigned_abs().div_ceil(1_000);
        Some(Self::of(api, &[(Wait::Introspection, max_age), (Wait::TokenCache, 0)]))
    }

    /// The longest of such delays of all issuers, and whose it is.
    #[must_use]
    pub fn longest<'i>(
        of: impl Fn(&Api, &TrustedIssuer) -> Option<Self>,
        api: &Api,
        issuers: &'i TrustedIssuers,
    ) -> Option<(&'i TrustedIssuer, Self)> {
        let delays = issuers.iter().filter_map(|issuer| Some((issuer, of(api, issuer)?)));
        // The issuers have no order; of several that are equally slow the first by name is told.
        delays.max_by(|(one, fast), (other, slow)| {
            fast.seconds().cmp(&slow.seconds()).then_with(|| other.name().cmp(one.name()))
        })
    }

    /// What is waited for, in the order of the request's way.
    #[must_use]
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// The sum, in seconds.
    #[must_use]
    pub fn seconds(&self) -> u64 {
        self.terms.iter().fold(0, |sum, term| sum.saturating_add(term.seconds))
    }

    /// The waits in front of the authorizer, which are the API's, and those in it.
    fn of(api: &Api, inner: &[(Wait, u64)]) -> Self {
        let connection =
            (api.kind == ApiKind::WebSocket).then_some((Wait::OpenConnection, CONNECTION_SECONDS));
        let outer = [(Wait::ResultTtl, u64::from(api.result_ttl_seconds))].into_iter().chain(connection);
        let terms = outer.chain(inner.iter().copied()).map(|(wait, seconds)| Term { wait, seconds });
        Self { terms: terms.collect() }
    }
}

/// `10 s = result TTL 0 s + new bundle 10 s + token cache 0 s`.
impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.seconds())?;
        for (index, term) in self.terms.iter().enumerate() {
            let sign = if index == 0 { "=" } else { "+" };
            write!(f, " {sign} {} {} s", term.wait, term.seconds)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arn::Stage;
    use crate::bundle::deployment::{
        AnswerScope, IdentitySource, ResourcePolicy, ResponseForm, UnauthorizedForm,
    };
    use crate::credential::TokenSource;

    fn api(kind: ApiKind, result_ttl_seconds: u32) -> Api {
        Api {
            name: "orders".to_owned(),
            kind,
            account: "123456789012".parse().unwrap(),
            id: "a1b2c3d4e5".parse().unwrap(),
            stages: vec!["prod".parse::<Stage>().unwrap()],
            resource_policy: ResourcePolicy::Absent,
            response: ResponseForm::Iam,
            unauthorized: UnauthorizedForm::Error,
            scope: AnswerScope::Api,
            result_ttl_seconds,
            identity_sources: vec![IdentitySource::Header("Authorization".to_owned())],
            token: vec![TokenSource::authorization()],
            base_paths: Vec::new(),
            usage_keys: false,
        }
    }

    fn issuer(name: &str, keys: &str) -> TrustedIssuer {
        let text = format!(
            "name = {name:?}\nissuer = \"https://{name}.example\"\nprovider = \"oidc\"\ntoken_use = \"access\"\naudience = [\"orders\"]\n{keys}"
        );
        TrustedIssuer::from_toml(&text).unwrap()
    }

    #[test]
    fn a_revocation_waits_for_cache_bundle_and_connection() {
        let told = |kind, ttl| Delay::of_revocation(&api(kind, ttl)).to_string();
        assert_eq!(told(ApiKind::Rest, 0), "10 s = result TTL 0 s + new bundle 10 s + token cache 0 s");
        assert_eq!(told(ApiKind::Http, 300), "310 s = result TTL 300 s + new bundle 10 s + token cache 0 s");
        assert_eq!(
            told(ApiKind::WebSocket, 0),
            "7210 s = result TTL 0 s + open connection 7200 s + new bundle 10 s + token cache 0 s"
        );
    }

    #[test]
    fn a_removed_key_waits_as_long_as_it_is_believed() {
        let api = api(ApiKind::Rest, 60);
        for (keys, expected) in [
            ("", Some("3660 s = result TTL 60 s + key max_age 3600 s + token cache 0 s")),
            (
                "keys = { max_age = 600 }",
                Some("660 s = result TTL 60 s + key max_age 600 s + token cache 0 s"),
            ),
            (
                "keys = { file = \"a.jwks.json\" }",
                Some("70 s = result TTL 60 s + new bundle 10 s + token cache 0 s"),
            ),
            (
                "keys = { inline = { keys = [] } }",
                Some("70 s = result TTL 60 s + new bundle 10 s + token cache 0 s"),
            ),
            ("keys = \"development\"", None),
            ("keys = { secret = { env = \"SECRET\" }, algorithm = \"HS256\" }", None),
        ] {
            let delay = Delay::of_removed_key(&api, &issuer("acme", keys));
            assert_eq!(delay.map(|delay| delay.to_string()).as_deref(), expected, "{keys}");
        }
    }

    #[test]
    fn an_inactive_token_waits_as_long_as_its_issuers_word_is_believed() {
        let asked = |max_age: &str| {
            format!(
                "introspection = {{ url = \"https://acme.example/i\", client_id = \"gate\", client_secret = {{ env = \"S\" }}{max_age} }}"
            )
        };
        for (lines, expected) in [
            (asked(""), Some("70 s = result TTL 10 s + introspection 60 s + token cache 0 s")),
            (asked(", max_age = 0"), Some("10 s = result TTL 10 s + introspection 0 s + token cache 0 s")),
            (String::new(), None),
        ] {
            let delay = Delay::of_inactive_token(&api(ApiKind::Rest, 10), &issuer("acme", &lines));
            assert_eq!(delay.map(|delay| delay.to_string()).as_deref(), expected, "{lines}");
        }
        assert!(Delay::of_removed_key(&api(ApiKind::Rest, 10), &issuer("acme", &asked(""))).is_none());
    }

    #[test]
    fn the_slowest_issuer_is_told() {
        let issuers = [
            issuer("pinned", "keys = { file = \"a.jwks.json\" }"),
            issuer("slow-b", "keys = { max_age = 7200 }"),
            issuer("slow-a", "keys = { max_age = 7200 }"),
            issuer("dev", "keys = \"development\""),
        ];
        let issuers = TrustedIssuers::new(issuers.into()).unwrap();
        let (issuer, delay) =
            Delay::longest(Delay::of_removed_key, &api(ApiKind::Rest, 0), &issuers).unwrap();
        assert_eq!((issuer.name(), delay.seconds()), ("slow-a", 7_200));
        let none = TrustedIssuers::default();
        assert!(Delay::longest(Delay::of_removed_key, &api(ApiKind::Rest, 0), &none).is_none());
    }
}
