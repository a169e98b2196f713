//! The deny list of an issuer: tokens that are refused before they expire, by subject, by client, or one by one. It is
//! part of the bundle, so that nobody is asked over the network; each question is a lookup by hash, however long the
//! list.

use std::collections::{HashMap, HashSet};

use super::error::{Excerpt, TokenError};
use super::issuer::{TrustedIssuer, TrustedIssuers};
use super::jws::CompactJws;
use super::verify::{identifier, missing, string};
use crate::time::Timestamp;

/// What one entry of a deny list refuses, of the issuer whose list it is in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Revocation {
    /// Tokens that speak for somebody: "sign out everywhere".
    Subject {
        /// The tokens' `sub`, compared exactly.
        sub: String,
        /// Which of them, by the moment of sign-in: `auth_time` (OpenID Connect Core §2), which a refreshed token keeps,
        /// or, where a token has none, `iat`.
        cutoff: Cutoff,
    },
    /// Tokens that a client got, for itself or for users. A token that names no client is its audience's: an ID token's
    /// `aud` holds the client id (OpenID Connect Core §2).
    Client {
        /// The client id, compared exactly.
        client: String,
        /// Which of them, by `iat`.
        cutoff: Cutoff,
    },
    /// One token.
    Token {
        /// Its `jti`, or what the issuer's file names as `token_id_claim`; compared exactly.
        jti: String,
    },
}

impl Revocation {
    /// The entry that refuses a token by its own id, or, where it has none, all of its subject's by `cutoff`; and the issuer
    /// whose list that belongs to. All this is what the token says: nothing is verified, it may be forged or over.
    ///
    /// # Errors
    /// When the token does not say it, or names an issuer that is not trusted.
    pub fn of_token<'i>(
        jws: &CompactJws<'_>,
        issuers: &'i TrustedIssuers,
        cutoff: Cutoff,
    ) -> Result<(&'i TrustedIssuer, Self), TokenError> {
        let claims = jws.claims()?;
        let iss = string(&claims, "iss")?.ok_or_else(|| missing("iss"))?;
        let issuer = issuers.find(iss).ok_or_else(|| TokenError::UnknownIssuer { iss: Excerpt::of(iss) })?;
        let token_id = &issuer.token_id_claim;
        if let Some(jti) = identifier(token_id.find(&claims), token_id.as_str())? {
            return Ok((issuer, Self::Token { jti: jti.to_owned() }));
        }
        let sub = identifier(claims.member("sub"), "sub")?.ok_or_else(|| missing("sub"))?;
        Ok((issuer, Self::Subject { sub: sub.to_owned(), cutoff }))
    }
}

/// Which tokens are refused. A later moment is greater, and everything is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cutoff {
    /// Those from before a moment, which is the first that is accepted.
    Before(Timestamp),
    /// All, those of the future too.
    Always,
}

impl Cutoff {
    /// Whether a token of this moment is refused. One that does not say its moment cannot prove that it is newer.
    pub(super) fn refuses(self, moment: Option<Timestamp>) -> bool {
        match self {
            Self::Before(not_before) => moment.is_none_or(|moment| moment < not_before),
            Self::Always => true,
        }
    }
}

/// What refuses a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevokedBy {
    /// An entry of its subject.
    Subject(Cutoff),
    /// An entry of its client.
    Client(Cutoff),
    /// An entry of its own `jti`.
    Token(Excerpt),
    /// `not_before` of its issuer's file.
    Issuer(Timestamp),
}

impl RevokedBy {
    /// What is refused, in a sentence.
    pub(super) fn of_issuer(&self, issuer: &str) -> String {
        let (whose, cutoff) = match self {
            Self::Token(jti) => return format!("token `{jti}` of issuer `{issuer}` is revoked"),
            Self::Subject(cutoff) => (" of this `sub`", *cutoff),
            Self::Client(cutoff) => (" of this client", *cutoff),
            Self::Issuer(not_before) => ("", Cutoff::Before(*not_before)),
        };
        match cutoff {
            Cutoff::Always => format!("every token{whose} of issuer `{issuer}` is revoked"),
            Cutoff::Before(moment) => {
                format!("every token{whose} of issuer `{issuer}` from before {moment} is revoked")
            }
        }
    }
}

/// What a deny list is asked about a token that is good otherwise.
pub(super) struct Presented<'c> {
    pub(super) subject: &'c str,
    pub(super) clients: Vec<&'c str>,
    pub(super) token_id: Option<&'c str>,
    /// `iat`.
    pub(super) issued_at: Option<Timestamp>,
    /// The moment of sign-in.
    pub(super) signed_in_at: Option<Timestamp>,
}

/// The deny list of one issuer.
#[derive(Clone, Debug, Default)]
pub struct RevocationList {
    subjects: HashMap<String, Cutoff>,
    clients: HashMap<String, Cutoff>,
    token_ids: HashSet<String>,
}

impl RevocationList {
    /// Adds an entry. Of two for the same subject or client the one that refuses more counts.
    pub fn add(&mut self, revocation: Revocation) {
        let (cutoffs, name, cutoff) = match revocation {
            Revocation::Subject { sub, cutoff } => (&mut self.subjects, sub, cutoff),
            Revocation::Client { client, cutoff } => (&mut self.clients, client, cutoff),
            Revocation::Token { jti } => {
                self.token_ids.insert(jti);
                return;
            }
        };
        cutoffs.entry(name).and_modify(|known| *known = cutoff.max(*known)).or_insert(cutoff);
    }

    /// Whether all that an entry would refuse is refused already.
    #[must_use]
    pub fn covers(&self, revocation: &Revocation) -> bool {
        match revocation {
            Revocation::Subject { sub, cutoff } => {
                self.subjects.get(sub).is_some_and(|known| known >= cutoff)
            }
            Revocation::Client { client, cutoff } => {
                self.clients.get(client).is_some_and(|known| known >= cutoff)
            }
            Revocation::Token { jti } => self.token_ids.contains(jti),
        }
    }

    /// How many subjects, clients and tokens it names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.subjects.len() + self.clients.len() + self.token_ids.len()
    }

    /// Whether it refuses nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry by which a token is refused.
    pub(super) fn refusal(&self, token: &Presented<'_>) -> Option<RevokedBy> {
        if let Some(jti) = token.token_id.filter(|jti| self.token_ids.contains(*jti)) {
            return Some(RevokedBy::Token(Excerpt::of(jti)));
        }
        let subject = self.subjects.get(token.subject).filter(|cutoff| cutoff.refuses(token.signed_in_at));
        if let Some(cutoff) = subject {
            return Some(RevokedBy::Subject(*cutoff));
        }
        let mut clients = token.clients.iter().filter_map(|client| self.clients.get(*client));
        clients.find(|cutoff| cutoff.refuses(token.issued_at)).map(|cutoff| RevokedBy::Client(*cutoff))
    }
}
