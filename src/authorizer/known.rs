//! The tokens that were verified a moment ago: what verifying them once more would say, without doing it.
//!
//! This is memoisation of [`verify_token`], so it changes no answer. A token is known by all its bytes: never by its
//! signature or `jti` alone, which another text could carry too. Only what was believed is remembered, and it is
//! believed again only while nothing that [`verify_token`] asks has changed:
//!
//! | what ends it | how it is seen |
//! |---|---|
//! | `exp`, or the token's greatest age, each with leeway | [`VerifiedClaims::valid_until`] |
//! | a key removed or replaced | the ring holds another key set, or none, at that moment |
//! | keys that are too old to be believed | the same |
//! | an issuer's word about an opaque token that is too old | [`VerifiedClaims::valid_until`] |
//! | a clock that was set back, before `nbf` perhaps | the moment of the verification lies in the future, or that of the fetch |
//! | another bundle: other issuers, revocations, rules | another [`Authorizer`](super::Authorizer), which knows nothing yet |

use std::fmt;
use std::sync::{Arc, OnceLock, Weak};

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

use super::Evidence;
use super::remembered::Remembered;
use super::stages::{PrepareError, Stage};
use super::whole::Document;
use crate::bundle::built::Damaged;
use crate::credential::BearerToken;
use crate::decision::PrincipalScope;
use crate::entities::{EntityFactory, Principal};
use crate::iam::StageWideArn;
use crate::jose::{JwkSet, KeyRing, TokenError, TrustedIssuers, VerifiedClaims, verify_token};
use crate::time::Timestamp;

/// The tokens that were verified a moment ago, at most so many.
pub(super) struct KnownTokens(Remembered<KnownName, KnownToken>);

/// The claims of a token that is believed.
pub(super) struct Believed {
    pub(super) claims: Arc<VerifiedClaims>,
    /// What was made of them for an earlier request, and can be made for this one.
    pub(super) made: Arc<Made>,
    /// Whether they were known, and the token was not verified anew.
    pub(super) known: bool,
}

/// What is made of a token's claims alone, so that it need not be made anew while the token is known.
#[derive(Default)]
pub(super) struct Made {
    caller: OnceLock<(Arc<EntityFactory>, Arc<Caller>)>,
    document: OnceLock<(StageWideArn, Arc<Document>)>,
}

/// Who asks, as the policies of one version see it.
pub(super) struct Caller {
    pub(super) principal: Principal,
    /// What their scopes can tell of it.
    pub(super) scope: PrincipalScope,
}

impl Caller {
    /// A principal, as the stage's policies see it.
    ///
    /// # Errors
    /// [`Damaged`].
    pub(super) fn new(principal: Principal, stage: &Stage) -> Result<Self, Damaged> {
        let scope = stage.engine.principal(&principal)?;
        Ok(Self { principal, scope })
    }
}

impl Made {
    /// The caller, as the stage's policies see whoever has these claims. It is kept for the policy version that first asked;
    /// others have other roles and policies.
    ///
    /// # Errors
    /// [`PrepareError::Entity`] where the claims make no principal, [`PrepareError::Damaged`]; neither is kept.
    pub(super) fn caller(
        &self,
        claims: &Arc<VerifiedClaims>,
        stage: &Stage,
    ) -> Result<Arc<Caller>, PrepareError> {
        let factory = &stage.factory;
        if let Some((of, caller)) = self.caller.get()
            && Arc::ptr_eq(of, factory)
        {
            return Ok(Arc::clone(caller));
        }
        let caller = Arc::new(Caller::new(factory.principal_of(claims)?, stage)?);
        let _ = self.caller.set((Arc::clone(factory), Arc::clone(&caller)));
        Ok(caller)
    }

    /// The document of the caller for a stage, where it was [kept](Self::keep_document): for the stage that first asked.
    pub(super) fn document(&self, stage: &StageWideArn) -> Option<&Arc<Document>> {
        self.document.get().filter(|(of, _)| of == stage).map(|(_, document)| document)
    }

    /// Keeps the document of the caller for as long as its token is known, though others may have made it go from among the
    /// [documents](super::documents) meanwhile: so there may be one more for each known token.
    pub(super) fn keep_document(&self, stage: &StageWideArn, document: &Arc<Document>) {
        let _ = self.document.set((stage.clone(), Arc::clone(document)));
    }
}

/// What a token is known by: all its bytes. They are not kept as they are, for whoever could read them could use them: of a
/// signed token (RFC 7515 §7.1) the signature is kept as a digest, of any other the whole.
#[derive(Clone, Copy)]
struct TokenName<'t> {
    signed: &'t str,
    digest: [u8; SHA256_OUTPUT_LEN],
}

/// The same, to be kept.
#[derive(PartialEq, Eq)]
struct KnownName {
    signed: Box<str>,
    digest: [u8; SHA256_OUTPUT_LEN],
}

impl<'t> TokenName<'t> {
    fn of(token: &'t BearerToken<'_>) -> Option<Self> {
        let text = token.expose();
        // With fewer than two dots it is not signed, and what stands before the last could be the secret.
        let (signed, secret) =
            text.rsplit_once('.').filter(|(signed, _)| signed.contains('.')).unwrap_or(("", text));
        Some(Self { signed, digest: digest(&SHA256, secret.as_bytes()).as_ref().try_into().ok()? })
    }

    /// The number by which its place is chosen.
    fn number(&self) -> u64 {
        self.digest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }

    fn to_known(self) -> KnownName {
        KnownName { signed: self.signed.into(), digest: self.digest }
    }
}

impl PartialEq<TokenName<'_>> for KnownName {
    fn eq(&self, other: &TokenName<'_>) -> bool {
        self.digest == other.digest && *self.signed == *other.signed
    }
}

struct KnownToken {
    claims: Arc<VerifiedClaims>,
    made: Arc<Made>,
    /// The set with the key that verified it; an opaque token has none. Weak, so that a set that was replaced takes no
    /// memory; and its address is not used again while this is here, so that equal addresses mean one set.
    signed_by: Option<Weak<JwkSet>>,
    verified_at: Timestamp,
}

impl KnownTokens {
    /// Room for `capacity` tokens; with 0 none is remembered.
    pub(super) fn new(capacity: usize) -> Self {
        Self(Remembered::new(capacity))
    }

    /// What [`verify_token`] says.
    ///
    /// # Errors
    /// As [`verify_token`], which is asked anew each time where a token is not believed.
    pub(super) fn verify(
        &self,
        token: &BearerToken<'_>,
        issuers: &TrustedIssuers,
        evidence: Evidence<'_>,
        now: Timestamp,
    ) -> Result<Believed, TokenError> {
        let Evidence { keys, introspected } = evidence;
        let name = self.name(token);
        if let Some((claims, made)) = name.and_then(|name| self.find(&name, keys, now)) {
            return Ok(Believed { claims, made, known: true });
        }
        let claims = Arc::new(verify_token(token, issuers, keys, introspected, now)?);
        let made = Arc::new(Made::default());
        if let Some(name) = name {
            self.remember(name, (&claims, &made), keys, now);
        }
        Ok(Believed { claims, made, known: false })
    }

    /// `None` where nothing is remembered anyway.
    fn name<'t>(&self, token: &'t BearerToken<'_>) -> Option<TokenName<'t>> {
        (self.0.capacity() > 0).then(|| TokenName::of(token))?
    }

    fn find(
        &self,
        name: &TokenName<'_>,
        keys: &KeyRing,
        now: Timestamp,
    ) -> Option<(Arc<VerifiedClaims>, Arc<Made>)> {
        self.0.get(name.number(), name, |known| {
            known.holds(keys, now).then(|| (Arc::clone(&known.claims), Arc::clone(&known.made)))
        })
    }

    fn remember(
        &self,
        name: TokenName<'_>,
        (claims, made): (&Arc<VerifiedClaims>, &Arc<Made>),
        keys: &KeyRing,
        now: Timestamp,
    ) {
        let signed_by = match claims.key_set() {
            None => None,
            Some(key_set) => match keys.keys_of(key_set, now) {
                None => return,
                Some(keys) => Some(Arc::downgrade(keys)),
            },
        };
        let (claims, made) = (Arc::clone(claims), Arc::clone(made));
        let known = KnownToken { claims, made, signed_by, verified_at: now };
        self.0.put(name.number(), name.to_known(), known, |other| !other.is_over(now));
    }
}

impl KnownToken {
    /// Whether verifying it anew would say the same.
    fn holds(&self, keys: &KeyRing, now: Timestamp) -> bool {
        let same_keys = match (&self.signed_by, self.claims.key_set()) {
            (None, None) => true,
            (Some(then), Some(key_set)) => {
                keys.keys_of(key_set, now).is_some_and(|set| std::ptr::eq(Arc::as_ptr(set), then.as_ptr()))
            }
            (None, Some(_)) | (Some(_), None) => false,
        };
        self.verified_at <= now && now < self.claims.valid_until() && same_keys
    }

    /// Whether it will not hold again unless the clock is set back.
    fn is_over(&self, now: Timestamp) -> bool {
        self.claims.valid_until() <= now
            || self.signed_by.as_ref().is_some_and(|keys| keys.strong_count() == 0)
    }
}

/// Shows no claim of anybody.
impl fmt::Debug for KnownTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownTokens").field("capacity", &self.0.capacity()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::jose::TrustedIssuer;

    /// Seconds of leeway in the issuer's file.
    const LEEWAY: i64 = 30;
    /// When the tokens begin and end, in milliseconds, leeway included.
    const VALID: (i64, i64) = (NOW - 60_000 - LEEWAY * 1_000, NOW + 60_000 + LEEWAY * 1_000);
    const NOW: i64 = 1_795_255_200_000;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_unix_millis(millis)
    }

    /// Issuers with a key each, the last of which bounds the age of its tokens, and a key that nobody trusts.
    struct World {
        issuers: TrustedIssuers,
        acme: Signer,
        globex: Signer,
        initech: Signer,
        stranger: Signer,
    }

    struct Signer {
        pair: Ed25519KeyPair,
        iss: String,
        kid: String,
    }

    impl World {
        fn new() -> Self {
            let issuer = |alias: &str, further: &str| {
                TrustedIssuer::from_toml(&format!(
                    "{further}name = \"{alias}\"\nissuer = \"https://{alias}.example\"\nprovider = \"oidc\"\n\
                     token_use = \"access\"\naudience = [\"orders\"]\nleeway = {LEEWAY}\n\
                     keys = {{ file = \"{alias}.jwks.json\" }}"
                ))
                .unwrap()
            };
            let initech = issuer("initech", "max_token_age = 60\nexpiry = \"optional\"\n");
            let issuers =
                TrustedIssuers::new(vec![issuer("acme", ""), issuer("globex", ""), initech]).unwrap();
            let signer = |alias: &str, kid: &str| Signer {
                pair: Ed25519KeyPair::generate().unwrap(),
                iss: format!("https://{alias}.example"),
                kid: kid.to_owned(),
            };
            Self {
                issuers,
                acme: signer("acme", "a1"),
                globex: signer("globex", "g1"),
                initech: signer("initech", "i1"),
                stranger: signer("acme", "a1"),
            }
        }

        fn ring(&self) -> KeyRing {
            let mut ring = KeyRing::default();
            ring.insert("acme", self.acme.keys());
            ring.insert("globex", self.globex.keys());
            ring.insert("initech", self.initech.keys());
            ring
        }

        fn ask(&self, known: &KnownTokens, token: &BearerToken<'_>, keys: &KeyRing, now: i64) -> Asked {
            match known.verify(token, &self.issuers, Evidence { keys, introspected: None }, at(now)) {
                Ok(believed) if believed.known => Asked::Known,
                Ok(_) => Asked::Verified,
                Err(error) => Asked::Refused(error.slug()),
            }
        }
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Asked {
        Known,
        Verified,
        Refused(&'static str),
    }

    impl Signer {
        fn keys(&self) -> Arc<JwkSet> {
            let x = URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref());
            let key = json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": self.kid, "x": x });
            Arc::new(JwkSet::from_json(json!({ "keys": [key] }).to_string().as_bytes()).unwrap())
        }

        /// A token that is valid a minute before and after [`NOW`], and the issuer's leeway.
        fn token(&self, subject: &str) -> BearerToken<'static> {
            self.token_with(subject, &json!({ "nbf": NOW / 1_000 - 60, "exp": NOW / 1_000 + 60 }))
        }

        fn token_with(&self, subject: &str, further: &Value) -> BearerToken<'static> {
            let mut claims = json!({ "iss": self.iss, "aud": "orders", "sub": subject, "jti": "t-1" });
            claims.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
            let header = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": self.kid });
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let signed = format!("{}.{}", part(&header), part(&claims));
            let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(signed.as_bytes()));
            BearerToken::new(format!("{signed}.{signature}")).unwrap()
        }
    }

    #[test]
    fn a_token_is_known_while_nothing_has_changed() {
        let world = World::new();
        let (ring, acme) = (world.ring(), world.acme.keys());
        let until = |keys: &Arc<JwkSet>, until: i64| {
            let mut ring = world.ring();
            ring.insert_during("acme", Arc::clone(keys), at(NOW)..at(until));
            ring
        };
        let held = ring.keys_of("acme", at(NOW)).unwrap();
        let mut other_issuers_keys = ring.clone();
        other_issuers_keys.insert("globex", world.globex.keys());
        let mut replaced = ring.clone();
        replaced.insert("acme", Arc::clone(&acme));
        let mut removed = ring.clone();
        removed.insert("acme", JwkSet::default());
        let mut without = KeyRing::default();
        without.insert("globex", world.globex.keys());
        for (what, keys, now, expected) in [
            ("nothing", &ring, NOW, Asked::Known),
            ("a minute later", &ring, NOW + 60_000, Asked::Known),
            ("the last moment", &ring, VALID.1 - 1, Asked::Known),
            ("`exp` and leeway", &ring, VALID.1, Asked::Refused("expired")),
            ("the clock set back", &ring, NOW - 1, Asked::Verified),
            ("the clock set back before `nbf`", &ring, VALID.0 - 1, Asked::Refused("not_yet_valid")),
            ("another issuer's keys", &other_issuers_keys, NOW, Asked::Known),
            ("a new set with the key", &replaced, NOW, Asked::Verified),
            ("a new set without the key", &removed, NOW, Asked::Refused("unknown_key")),
            ("no keys any more", &without, NOW, Asked::Refused("keys_unavailable")),
            ("the same set, fetched anew", &until(held, NOW + 10_000), NOW + 9_999, Asked::Known),
            (
                "the same set, too old",
                &until(held, NOW + 10_000),
                NOW + 10_000,
                Asked::Refused("keys_unavailable"),
            ),
            (
                "the same set, not fetched yet",
                &until(held, NOW + 10_000),
                NOW - 1,
                Asked::Refused("keys_unavailable"),
            ),
        ] {
            let known = KnownTokens::new(8);
            let token = world.acme.token("ann");
            assert_eq!(world.ask(&known, &token, &ring, NOW), Asked::Verified, "{what}");
            assert_eq!(world.ask(&known, &token, &ring, NOW), Asked::Known, "{what}");
            assert_eq!(world.ask(&known, &token, keys, now), expected, "{what}");
        }
    }

    #[test]
    fn a_token_is_known_until_it_is_too_old() {
        let world = World::new();
        let (known, ring) = (KnownTokens::new(8), world.ring());
        let token = world.initech.token_with("di", &json!({ "iat": NOW / 1_000 }));
        let end = NOW + (60 + LEEWAY) * 1_000;
        for (now, expected) in
            [(NOW, Asked::Verified), (end - 1, Asked::Known), (end, Asked::Refused("too_old"))]
        {
            assert_eq!(world.ask(&known, &token, &ring, now), expected);
        }
    }

    #[test]
    fn a_set_that_was_replaced_is_not_kept_and_does_not_come_back() {
        let world = World::new();
        let (known, token) = (KnownTokens::new(8), world.acme.token("ann"));
        let first = world.ring();
        assert_eq!(world.ask(&known, &token, &first, NOW), Asked::Verified);
        let gone = Arc::downgrade(first.keys_of("acme", at(NOW)).unwrap());
        drop(first);
        assert_eq!(gone.strong_count(), 0);
        for _ in 0..100 {
            // Were the address of the set that is gone used again, its tokens would be known by the new one.
            assert_eq!(world.ask(&known, &token, &world.ring(), NOW), Asked::Verified);
        }
    }

    #[test]
    fn nobody_is_known_by_another_tokens_signature_or_name() {
        let world = World::new();
        let (known, ring) = (KnownTokens::new(8), world.ring());
        let token = world.acme.token("ann");
        assert_eq!(world.ask(&known, &token, &ring, NOW), Asked::Verified);
        let parts: Vec<&str> = token.expose().split('.').collect();
        let other = world.stranger.token("ann");
        let others: Vec<&str> = other.expose().split('.').collect();
        let globex = world.globex.token("ann");
        let globexs = globex.expose().split('.').next().unwrap();
        for (forged, expected) in [
            // The same header and claims, so the same `jti`, under another signature.
            (format!("{}.{}.{}", parts[0], parts[1], others[2]), "bad_signature"),
            // The same signature over other claims.
            (
                format!(
                    "{}.{}.{}",
                    parts[0],
                    world.acme.token("eve").expose().split('.').nth(1).unwrap(),
                    parts[2]
                ),
                "bad_signature",
            ),
            // And under another header.
            (format!("{globexs}.{}.{}", parts[1], parts[2]), "unknown_key"),
            (format!("{}=", token.expose()), "malformed_token"),
            (format!("{} ", token.expose()), "malformed_token"),
        ] {
            let forged = BearerToken::new(&forged).unwrap();
            assert_eq!(world.ask(&known, &forged, &ring, NOW), Asked::Refused(expected));
            assert_eq!(world.ask(&known, &forged, &ring, NOW), Asked::Refused(expected), "and stays refused");
        }
        assert_eq!(world.ask(&known, &token, &ring, NOW), Asked::Known);
    }

    #[test]
    fn nothing_is_kept_that_could_be_used_as_a_token() {
        for (text, signed) in [
            ("e30.e30.c2ln", "e30.e30"),
            ("e30.a.b.c.dGFn", "e30.a.b.c"),
            ("opaque", ""),
            ("secret.mac", ""),
            (".c2ln", ""),
            ("secret.", ""),
            ("..", "."),
        ] {
            let token = BearerToken::new(text).unwrap();
            let name = TokenName::of(&token).unwrap();
            let rest = text.strip_prefix(signed).unwrap().trim_start_matches('.');
            let hashed = if signed.is_empty() { text } else { rest };
            assert_eq!(
                (name.signed, &name.digest[..]),
                (signed, digest(&SHA256, hashed.as_bytes()).as_ref())
            );
            assert!(name.to_known() == name, "{text}");
        }
    }

    #[test]
    fn so_many_are_remembered_and_no_more() {
        let world = World::new();
        let ring = world.ring();
        let tokens: Vec<BearerToken<'static>> = (0..100).map(|n| world.acme.token(&n.to_string())).collect();
        for capacity in [0, 1, 2, 7, 8, 9, 20, 64] {
            let known = KnownTokens::new(capacity);
            for token in tokens.iter().chain(&tokens) {
                assert!(matches!(world.ask(&known, token, &ring, NOW), Asked::Verified | Asked::Known));
                let held = known.0.len();
                assert!(held <= capacity, "{held} of {capacity}");
            }
            let last = world.ask(&known, tokens.last().unwrap(), &ring, NOW);
            assert_eq!(last == Asked::Known, capacity > 0, "{capacity}");
        }
    }

    #[test]
    fn what_is_over_makes_room_before_what_is_not() {
        let world = World::new();
        let (known, ring) = (KnownTokens::new(2), world.ring());
        let short = world.acme.token_with("short", &json!({ "exp": NOW / 1_000 + 1 - LEEWAY }));
        let (first, second) = (world.acme.token("first"), world.acme.token("second"));
        for (token, now, expected) in [
            (&first, NOW, Asked::Verified),
            (&short, NOW, Asked::Verified),
            (&second, NOW + 1_000, Asked::Verified),
            (&first, NOW + 1_000, Asked::Known),
            (&second, NOW + 1_000, Asked::Known),
            // Of those that are not over, the one asked for the longest ago goes.
            (&world.globex.token("third"), NOW + 1_000, Asked::Verified),
            (&second, NOW + 1_000, Asked::Known),
            (&first, NOW + 1_000, Asked::Verified),
        ] {
            assert_eq!(world.ask(&known, token, &ring, now), expected);
        }
    }

    #[test]
    fn the_debug_form_names_nobody() {
        let world = World::new();
        let known = KnownTokens::new(9);
        world.ask(&known, &world.acme.token("ann"), &world.ring(), NOW);
        assert_eq!(format!("{known:?}"), "KnownTokens { capacity: 8, .. }");
    }

    #[test]
    fn whatever_is_asked_in_whatever_order_the_answer_is_that_of_verifying() {
        let world = World::new();
        let times = |nbf: i64, exp: i64| json!({ "nbf": NOW / 1_000 + nbf, "exp": NOW / 1_000 + exp });
        let tokens = [
            world.acme.token("ann"),
            world.acme.token_with("ann", &times(-60, 61)),
            world.acme.token_with("ann", &times(30, 40)),
            world.acme.token_with("bob", &times(-600, -20)),
            world.acme.token_with("bob", &json!({ "exp": NOW / 1_000 + 5, "iat": NOW / 1_000 + 20 })),
            world.globex.token("ann"),
            world.globex.token_with("cy", &times(0, 1)),
            world.initech.token_with("di", &json!({ "iat": NOW / 1_000 - 30 })),
            world.initech.token_with("ed", &json!({ "iat": NOW / 1_000 - 85, "exp": NOW / 1_000 + 600 })),
            world.stranger.token("ann"),
            BearerToken::new("opaque").unwrap(),
        ];
        let edges = [-100, -90, -60, -10, 0, 1, 10, 30, 35, 61, 70, 90, 91, 100];
        let moments: Vec<i64> =
            edges.iter().flat_map(|edge| [-1, 0, 1].map(|by| NOW + edge * 1_000 + by)).collect();
        let base = world.ring();
        let held = base.keys_of("acme", at(NOW)).unwrap();
        let until = |millis: i64| {
            let mut ring = base.clone();
            ring.insert_during("acme", Arc::clone(held), at(NOW - 60_000)..at(millis));
            ring
        };
        let mut replaced = base.clone();
        replaced.insert("acme", world.acme.keys());
        let mut removed = base.clone();
        removed.insert("acme", JwkSet::default());
        let (early, late) = (until(NOW + 10_000), until(NOW + 61_000));
        let rings = [base.clone(), early, late, replaced, removed, KeyRing::default()];
        // Most steps are such that a token may be known, the others such that it may have ended.
        let moment = prop_oneof![2 => NOW..NOW + 5_000, 1 => prop::sample::select(moments)];
        let ring = prop_oneof![2 => 0..3_usize, 1 => 0..rings.len()];
        let step = (0..tokens.len(), moment, ring);
        let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
        let hits = std::cell::Cell::new(0);
        let result = proptest::test_runner::TestRunner::new(config).run(
            &(prop::sample::select(vec![0, 1, 3, 64]), prop::collection::vec(step, 1..40)),
            |(capacity, steps)| {
                let known = KnownTokens::new(capacity);
                for (token, now, ring) in steps {
                    let (token, keys) = (&tokens[token], &rings[ring]);
                    let expected = crate::jose::verify(token, &world.issuers, keys, at(now));
                    let found =
                        known.verify(token, &world.issuers, Evidence { keys, introspected: None }, at(now));
                    hits.set(hits.get() + u32::from(found.as_ref().is_ok_and(|found| found.known)));
                    prop_assert_eq!(found.map(|found| found.claims.as_ref().clone()), expected);
                }
                Ok(())
            },
        );
        result.unwrap_or_else(|error| panic!("{error}"));
        assert!(hits.get() > 200, "{} of about 8,000 were known: too few to show anything", hits.get());
    }
}
