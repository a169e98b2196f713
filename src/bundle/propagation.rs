//! How long a call may still be admitted that is no longer to be: the propagation delay (RFC 7009 §2) of a revocation, of a
//! key that was removed, of an issuer's word about an opaque token, of a token's end, of a role that was taken away and of a
//! policy that was changed, as a sum whose terms have names.

use std::fmt;

use super::deployment::{AnswerScope, Api, ApiKind, DocumentLimits};
use crate::jose::issuer::KeySource;
use crate::jose::{TrustedIssuer, TrustedIssuers};

/// How soon a running function answers by a new bundle, in seconds after the bundle is released: after the symbolic link
/// that the function follows has moved. A bundle in the function's zip is released when the function is deployed.
pub const NEW_BUNDLE_SECONDS: u64 = 10;

/// How long a WebSocket connection may last, whose caller is asked for on `$connect` alone: two hours (Amazon API Gateway
/// developer guide, "Quotas for configuring and running a WebSocket API").
const CONNECTION_SECONDS: u64 = 7_200;

/// The longest time until the last call is admitted, as the sum of its terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delay {
    terms: Vec<Term>,
}

/// One of the waits that a delay is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// What is waited for.
    pub wait: Wait,
    /// The longest time, in seconds; `None` where nothing here bounds it.
    pub seconds: Option<u64>,
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
    /// A token says what its issuer said when it was made, until it ends. Its issuer decides how long that is, unless
    /// the issuer's file does (`max_token_age`).
    TokenLife,
    /// A token is believed for a while after its end, because clocks differ (`leeway` of the issuer's file).
    Leeway,
    /// An answer that the gateway keeps ends with its token, by a condition on `aws:CurrentTime`
    /// ([`DocumentLimits::expiry_condition`]). Not verified on live AWS.
    ExpiryCondition,
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
            Self::TokenLife => "token_life",
            Self::Leeway => "leeway",
            Self::ExpiryCondition => "expiry_condition",
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
            Self::TokenLife => "token life",
            Self::Leeway => "leeway",
            Self::ExpiryCondition => "expiry condition (not verified on live AWS)",
        })
    }
}

impl Delay {
    /// From the release of a bundle that revokes a token, to its refusal. What an issuer said about an opaque token is
    /// judged anew by each bundle, so that it adds nothing.
    #[must_use]
    pub fn of_revocation(api: &Api) -> Self {
        Self::of(api, &[(Wait::NewBundle, Some(NEW_BUNDLE_SECONDS)), (Wait::TokenCache, Some(0))])
    }

    /// From the removal of an issuer's key to the refusal of its tokens. A published key is removed by the issuer, a pinned
    /// one by the release of a bundle. `None` for a secret or a development key, which no bundle and no issuer removes, and
    /// where tokens have no signature.
    #[must_use]
    pub fn of_removed_key(api: &Api, issuer: &TrustedIssuer) -> Option<Self> {
        match issuer.keys() {
            KeySource::Published(keys) => {
                let max_age = keys.max_age.get().unsigned_abs();
                Some(Self::of(api, &[(Wait::KeyMaxAge, Some(max_age)), (Wait::TokenCache, Some(0))]))
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
        Some(Self::of(api, &[(Wait::Introspection, Some(max_age)), (Wait::TokenCache, Some(0))]))
    }

    /// From the release of a bundle with other policies, to the last call that is admitted by the former.
    #[must_use]
    pub fn of_changed_policy(api: &Api) -> Self {
        Self::of(api, &[(Wait::NewBundle, Some(NEW_BUNDLE_SECONDS))])
    }

    /// From a token's `exp`, to its refusal.
    #[must_use]
    pub fn of_expired_token(api: &Api, issuer: &TrustedIssuer, document: &DocumentLimits) -> Self {
        let mut delay = Self::of(api, &[(Wait::Leeway, Some(leeway(issuer)))]);
        if document.expiry_condition && api.scope == AnswerScope::Api {
            for term in delay.terms.iter_mut().filter(|term| term.wait == Wait::ResultTtl) {
                *term = Term { wait: Wait::ExpiryCondition, seconds: Some(0) };
            }
        }
        delay
    }

    /// From the moment at which an issuer takes a role away, to the last call that is admitted by it. Who cannot wait for
    /// the token's end revokes the token ([`Self::of_revocation`]).
    #[must_use]
    pub fn of_removed_role(api: &Api, issuer: &TrustedIssuer) -> Self {
        let asked = Self::of_inactive_token(api, issuer).filter(|_| *issuer.keys() == KeySource::Opaque);
        asked.unwrap_or_else(|| {
            let life = issuer.lifetime.max_age().map(|age| age.get().unsigned_abs());
            Self::of(api, &[(Wait::TokenLife, life), (Wait::Leeway, Some(leeway(issuer)))])
        })
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
            fast.rank().cmp(&slow.rank()).then_with(|| other.name().cmp(one.name()))
        })
    }

    /// What is waited for, in the order of the request's way.
    #[must_use]
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// The sum, in seconds; `None` where a term has no bound.
    #[must_use]
    pub fn seconds(&self) -> Option<u64> {
        self.is_bounded().then(|| self.bounded_seconds())
    }

    /// The sum of the terms that have a bound.
    fn bounded_seconds(&self) -> u64 {
        let bounded = self.terms.iter().filter_map(|term| term.seconds);
        bounded.fold(0, u64::saturating_add)
    }

    fn is_bounded(&self) -> bool {
        self.terms.iter().all(|term| term.seconds.is_some())
    }

    /// What has no bound is longer than what has one.
    fn rank(&self) -> (bool, u64) {
        (!self.is_bounded(), self.bounded_seconds())
    }

    /// The waits in front of the authorizer, which are the API's, and those in it.
    fn of(api: &Api, inner: &[(Wait, Option<u64>)]) -> Self {
        let connection =
            (api.kind == ApiKind::WebSocket).then_some((Wait::OpenConnection, Some(CONNECTION_SECONDS)));
        let result_ttl = (Wait::ResultTtl, Some(u64::from(api.result_ttl_seconds)));
        let outer = [result_ttl].into_iter().chain(connection);
        let terms = outer.chain(inner.iter().copied()).map(|(wait, seconds)| Term { wait, seconds });
        Self { terms: terms.collect() }
    }
}

/// In seconds.
fn leeway(issuer: &TrustedIssuer) -> u64 {
    issuer.leeway.millis().unsigned_abs().div_ceil(1_000)
}

/// `10 s = result TTL 0 s + new bundle 10 s + token cache 0 s`, and where a term has no bound
/// `token life + 60 s = result TTL 60 s + token life + leeway 0 s`.
impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for term in self.terms.iter().filter(|term| term.seconds.is_none()) {
            write!(f, "{} + ", term.wait)?;
        }
        write!(f, "{} s", self.bounded_seconds())?;
        for (index, Term { wait, seconds }) in self.terms.iter().enumerate() {
            let sign = if index == 0 { "=" } else { "+" };
            write!(f, " {sign} {wait}")?;
            if let Some(seconds) = seconds {
                write!(f, " {seconds} s")?;
            }
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

    fn issuer_list<const N: usize>(issuers: [TrustedIssuer; N]) -> TrustedIssuers {
        TrustedIssuers::new(issuers.into()).unwrap()
    }

    #[test]
    fn a_changed_policy_waits_for_cache_and_bundle() {
        let told = |kind, ttl| Delay::of_changed_policy(&api(kind, ttl)).to_string();
        assert_eq!(told(ApiKind::Rest, 300), "310 s = result TTL 300 s + new bundle 10 s");
        assert_eq!(
            told(ApiKind::WebSocket, 0),
            "7210 s = result TTL 0 s + open connection 7200 s + new bundle 10 s"
        );
    }

    #[test]
    fn an_expired_token_waits_for_the_cache_unless_its_answer_ends_with_it() {
        let issuer = issuer("acme", "leeway = 30");
        let told = |api: &Api, expiry_condition| {
            let document = DocumentLimits { expiry_condition, ..DocumentLimits::default() };
            Delay::of_expired_token(api, &issuer, &document).to_string()
        };
        let cached = api(ApiKind::Rest, 300);
        assert_eq!(told(&cached, false), "330 s = result TTL 300 s + leeway 30 s");
        assert_eq!(
            told(&cached, true),
            "30 s = expiry condition (not verified on live AWS) 0 s + leeway 30 s"
        );
        // A simple response has no place for a condition.
        let simple = Api { scope: AnswerScope::Request, ..api(ApiKind::Http, 60) };
        assert_eq!(told(&simple, true), "90 s = result TTL 60 s + leeway 30 s");
    }

    #[test]
    fn a_role_is_gone_when_the_token_is() {
        let told =
            |lines: &str| Delay::of_removed_role(&api(ApiKind::Rest, 60), &issuer("acme", lines)).to_string();
        assert_eq!(told(""), "token life + 60 s = result TTL 60 s + token life + leeway 0 s");
        assert_eq!(
            told("max_token_age = 3600\nleeway = 10"),
            "3670 s = result TTL 60 s + token life 3600 s + leeway 10 s"
        );
        let asked = "introspection = { url = \"https://acme.example/i\", client_id = \"gate\", client_secret = { env = \"S\" } }";
        assert_eq!(told(asked), "120 s = result TTL 60 s + introspection 60 s + token cache 0 s");
        // Who is asked about opaque tokens may sign others, which say what they said when they were made.
        assert_eq!(
            told(&format!("{asked}\nkeys = {{ max_age = 600 }}")),
            "token life + 60 s = result TTL 60 s + token life + leeway 0 s"
        );
    }

    #[test]
    fn what_has_no_bound_is_the_slowest() {
        let role = |api: &Api, issuer: &TrustedIssuer| Some(Delay::of_removed_role(api, issuer));
        let issuers = issuer_list([issuer("a", "max_token_age = 86400"), issuer("b", "leeway = 5")]);
        let (issuer, delay) = Delay::longest(role, &api(ApiKind::Rest, 0), &issuers).unwrap();
        assert_eq!((issuer.name(), delay.seconds()), ("b", None));
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
        let issuers = issuer_list(issuers);
        let (issuer, delay) =
            Delay::longest(Delay::of_removed_key, &api(ApiKind::Rest, 0), &issuers).unwrap();
        assert_eq!((issuer.name(), delay.seconds()), ("slow-a", Some(7_200)));
        let none = TrustedIssuers::default();
        assert!(Delay::longest(Delay::of_removed_key, &api(ApiKind::Rest, 0), &none).is_none());
    }
}
