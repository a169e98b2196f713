//! The answer that speaks of the whole API, because the gateway may keep it and apply it to any other request of the same
//! caller ([`AnswerScope::Api`](crate::bundle::deployment::AnswerScope::Api)).
//!
//! The document comes from the principal's grants alone; the asked request is decided beside it, for the record and to
//! hold the two against each other:
//!
//! | the decision on the asked request | the document | the answer |
//! |---|---|---|
//! | allow | allows it | the document |
//! | allow | does not, and the decision is the same for every request with this path | the document and the request's exact ARN |
//! | allow | does not, and the gateway keeps nothing | an Allow of the request's exact ARN alone |
//! | allow | does not | the document: a refusal, recorded as `withheld` |
//! | deny | does not allow it | the document |
//! | none: the path is refused, or the table has no route for it | allows it, as it may what no route serves | the document and a Deny of the exact ARN; of the whole stage where that cannot be named |
//! | deny | allows it | a fault: it must not happen, and nobody gets such a document |
//!
//! Where there is no document – the work limit, or a residual that Cedar's own decision contradicts – the answer is about
//! the asked request alone, so the gateway refuses the caller's other requests while it keeps the answer.
//!
//! What the gateway keeps is the context too: it is that of an allowed request even where the asked one is refused, and
//! a deny message, which is about one request, is not in it.

use std::cell::RefCell;
use std::sync::Arc;

use super::known::{Believed, Caller};
use super::rejection::Rejection;
use super::{
    Authorizer, Decided, Judged, Question, UsedDocument, caller, denial, describe_claims, unprepared,
};
use crate::arn::MethodArn;
use crate::bundle::BundleFacts;
use crate::bundle::built::Damaged;
use crate::bundle::deployment::Api;
use crate::context::contract::safe_text;
use crate::decision::{Effect, EngineError, PolicySlice};
use crate::entities::{HttpFacts, principal_id};
use crate::grants::{Grant, GrantError};
use crate::iam::{Compiled, IamPolicy, Limits, ResourceArn, StageWideArn, WholeApi, compile};
use crate::jose::VerifiedClaims;
use crate::path::RequestPath;
use crate::record::{DecisionRecord, DocumentRecord, Outcome};
use crate::response::{Answer, Verdict};
use crate::route::{Operation, OperationId};
use crate::time::Timestamp;

use super::asked::Asked;
use super::stages::{PreparedOperation, Stage, WholeStage};

/// What is emitted for a principal, whatever it asks.
#[derive(Debug)]
pub(super) enum Document {
    /// One for every request to the API.
    Whole {
        compiled: Arc<Compiled>,
        /// By operation: whether the decision on it is the same for every request with one path.
        determined_by_path: Vec<bool>,
    },
    /// There is none, and why.
    None(String),
}

impl Document {
    /// Compiles the document of a principal: its grants, and from them the statements, proved.
    ///
    /// # Errors
    /// [`Damaged`]: from a bundle that is not the one that was built no document is made.
    pub(super) fn compile(
        bundle: &BundleFacts,
        (api, stage, whole): (&Api, &Stage, &WholeStage),
        arn: &StageWideArn,
        caller: &Caller,
    ) -> Result<Self, Damaged> {
        let schema = || whole.schema.get(bundle.routes());
        let asker = (&caller.principal, &caller.scope);
        let grants = match whole.plan.grants_by(bundle.routes(), &schema, asker) {
            Ok(grants) => grants,
            Err(GrantError::Damaged(damaged)) => return Err(damaged),
            Err(error @ GrantError::Unworkable { .. }) => return Ok(Self::None(error.to_string())),
        };
        let limits = bundle.deployment().document;
        let question = WholeApi {
            routes: bundle.routes(),
            prepared: &whole.prepared,
            router: api.kind.router(),
            grants: &grants,
            stage: arn,
            resource_policy: api.resource_policy,
            escape_wildcards: limits.escape_wildcards,
            limits: Limits {
                pattern_characters: limits.pattern_characters,
                document_bytes: limits.bytes,
                work: limits.work,
            },
        };
        let damage = RefCell::new(None);
        let recheck = recheck(bundle, (api, stage), caller, &damage);
        let compiled = compile(&question, &recheck);
        if let Some(damaged) = damage.take() {
            return Err(damaged);
        }
        Ok(match compiled {
            Ok(compiled) => {
                let determined_by_path =
                    grants.operations().iter().map(Grant::is_determined_by_path).collect();
                Self::Whole { compiled: Arc::new(compiled), determined_by_path }
            }
            Err(error) => Self::None(error.to_string()),
        })
    }
}

/// Cedar's own decision on a request for a path of an operation, with no volatile fact; an error is a deny. `None` where
/// the request cannot be put together, or the policies cannot be read: then `damage` says why. Under a cross-check all
/// policies are asked, else those whose scope is true.
fn recheck<'b>(
    bundle: &'b BundleFacts,
    (api, stage): (&'b Api, &'b Stage),
    caller: &'b Caller,
    damage: &'b RefCell<Option<Damaged>>,
) -> impl Fn(&Operation, &RequestPath) -> Option<Effect> + 'b {
    // Several requests for one operation come one after the other, and have one store and the same policies.
    let last: RefCell<Option<(OperationId, _, PolicySlice)>> = RefCell::new(None);
    move |operation, path| {
        let id = operation.id();
        let PreparedOperation { entities, scope } = stage.operation(bundle, id).ok()?;
        let matched = bundle.routes().find(api.kind.router(), operation.verb()?, path)?;
        let known = last.take().filter(|(of, ..)| *of == id).map(|(_, store, slice)| (store, slice));
        let (store, slice) = match known {
            Some(known) => known,
            None => {
                let store = stage.factory.store(entities, &caller.principal).ok()?;
                let slice = match bundle.deployment().cross_check {
                    true => stage.engine.whole(),
                    false => stage.engine.slice_for(&caller.scope, scope),
                };
                match slice {
                    Ok(slice) => (store, slice),
                    Err(EngineError::Damaged(damaged)) => {
                        damage.replace(Some(damaged));
                        return None;
                    }
                    Err(EngineError::Together(_)) => return None,
                }
            }
        };
        let (uid, facts) = (caller.principal.uid(), HttpFacts::default());
        let request = stage.factory.request_in(store, uid, entities, &matched, path.as_str(), &facts).ok()?;
        let effect = slice.decide(&request).effect();
        last.replace(Some((id, request.entities, slice)));
        Some(effect)
    }
}

impl Authorizer {
    /// The answer for the whole API.
    pub(super) fn judge_api(&self, question: &Question<'_>, record: &mut DecisionRecord) -> Judged {
        let identified = self.identify(question);
        let token_known = identified.as_ref().is_ok_and(|token| token.known);
        let mut document = None;
        let verdict = identified.and_then(|token| {
            let claims = token.claims.as_ref();
            describe_claims(&token.claims, question, record);
            self.answer_whole(question, &token, record, &mut document)
                .map_err(|rejection| rejection.of(safe_text(&principal_id(claims))))
        });
        Judged { verdict, token_known, document }
    }

    fn answer_whole(
        &self,
        question: &Question<'_>,
        token: &Believed,
        record: &mut DecisionRecord,
        used: &mut Option<UsedDocument>,
    ) -> Result<Verdict, Rejection> {
        let claims = token.claims.as_ref();
        let Question { event, asked, now, .. } = *question;
        let (Some(method), Some(whole)) = (&asked.method, &asked.stage.whole) else {
            return Err(Rejection::fault("internal", "the stage has no documents".to_owned()));
        };
        let caller = caller(token, question)?;
        let stage = StageWideArn::of(method);
        let make = || Document::compile(self.bundle(), (asked.api, asked.stage, whole), &stage, &caller);
        let (document, known) = match token.made.document(&stage) {
            Some(document) => (Arc::clone(document), true),
            None => {
                let found = self.documents.get_or_make(whole, &stage, claims, &caller.principal, make);
                let found = found.map_err(|damaged| unprepared(damaged.into()))?;
                token.made.keep_document(&stage, &found.0);
                found
            }
        };
        let decided = asked
            .normal_path(event)
            .and_then(|path| self.decide_on(question, &caller, path.as_ref(), record));
        let (compiled, determined_by_path) = match document.as_ref() {
            Document::Whole { compiled, determined_by_path } => (compiled, determined_by_path),
            Document::None(why) => {
                record.document = Some(DocumentRecord::none(why));
                let verdict = self.answer_by(&decided?.decision, claims, asked, record)?;
                return Ok(match verdict {
                    Verdict::Allow(answer) => {
                        let ending = |policy| self.ending_with(claims, asked, now, policy);
                        Verdict::Allow(Answer { policy: answer.policy.map(ending), ..answer })
                    }
                    verdict @ (Verdict::Deny(_) | Verdict::Unauthorized(_) | Verdict::Fault(_)) => verdict,
                });
            }
        };
        *used = Some(UsedDocument { compiled: Arc::clone(compiled), known });
        record.document = Some(DocumentRecord {
            exact: compiled.is_exact(),
            withheld: compiled.withheld.len(),
            bytes: compiled.bytes,
            fallback: None,
            cached: false,
        });
        let determined =
            |operation: OperationId| determined_by_path.get(operation.index()).copied().unwrap_or(false);
        let settled = settle(decided, compiled.policy.clone(), asked, method, determined)?;
        let Settled { outcome, reason, detail, policy, instead } = settled;
        if let Some(why) = instead {
            record.document = Some(DocumentRecord::none(why));
        }
        record.set_outcome(outcome, reason);
        record.detail = detail;
        let policy = self.ending_with(claims, asked, now, policy);
        let answer = self.answer_with_policy(claims, asked, Some(policy))?;
        Ok(match outcome {
            Outcome::Allow => Verdict::Allow(answer),
            Outcome::Deny | Outcome::Unauthorized | Outcome::Fault => Verdict::Deny(answer),
        })
    }

    /// The document, its Allow ending with the token where the deployment wants that and the gateway would keep the answer
    /// beyond it.
    fn ending_with(
        &self,
        claims: &VerifiedClaims,
        asked: &Asked<'_>,
        now: Timestamp,
        policy: IamPolicy,
    ) -> IamPolicy {
        let kept_until = now.unix_seconds().saturating_add(i64::from(asked.api.result_ttl_seconds));
        let ends = claims.expires_at().filter(|_| self.bundle().deployment().document.expiry_condition);
        match ends {
            Some(ends) if ends.unix_seconds() < kept_until => policy.until(ends),
            Some(_) | None => policy,
        }
    }
}

/// What comes of the document and the decision on the asked request together.
struct Settled {
    outcome: Outcome,
    reason: &'static str,
    detail: Option<String>,
    policy: IamPolicy,
    /// Why it is not the document, where it is about the asked request or the stage instead.
    instead: Option<&'static str>,
}

/// Holds the document against the decision: the table of this module. `determined` says of an operation whether the
/// decision on it is the same for every request with one path.
fn settle(
    decided: Result<Decided, Rejection>,
    policy: IamPolicy,
    asked: &Asked<'_>,
    method: &MethodArn,
    determined: impl Fn(OperationId) -> bool,
) -> Result<Settled, Rejection> {
    let allows = |policy: &IamPolicy| policy.effect_for(method.as_str()) == Some(Effect::Allow);
    let settled = |outcome, reason, policy| Settled { outcome, reason, detail: None, policy, instead: None };
    let exact = ResourceArn::of(method).ok();
    match decided {
        Ok(Decided { decision, operation }) => match (decision.effect(), allows(&policy)) {
            (Effect::Allow, true) => Ok(settled(Outcome::Allow, "policy", policy)),
            (Effect::Allow, false) => {
                let widened = exact.clone().filter(|_| determined(operation)).and_then(|method| {
                    policy.clone().with_allowed(method, asked.api.resource_policy).filter(allows)
                });
                // What the gateway does not keep can be about the asked request alone.
                let alone = || {
                    let method = exact.filter(|_| asked.api.result_ttl_seconds == 0)?;
                    Some(IamPolicy::allow(method, asked.api.resource_policy))
                };
                Ok(match (widened, alone()) {
                    (Some(widened), _) => settled(Outcome::Allow, "policy", widened),
                    (None, Some(alone)) => {
                        let why = "it does not state the asked request, and the gateway keeps nothing";
                        Settled { instead: Some(why), ..settled(Outcome::Allow, "policy", alone) }
                    }
                    (None, None) => settled(Outcome::Deny, "withheld", policy),
                })
            }
            (Effect::Deny, false) => Ok(settled(Outcome::Deny, denial(&decision), policy)),
            (Effect::Deny, true) => {
                let detail = "the document for the whole API allows what the policies deny; this is a bug";
                Err(Rejection::fault("document_too_wide", detail.to_owned()))
            }
        },
        Err(rejection) if rejection.outcome == Outcome::Deny => {
            let (policy, instead) = match (allows(&policy), exact) {
                (false, _) => (policy, None),
                (true, Some(method)) => (policy.with_denied(method), None),
                (true, None) => {
                    let why = "the refused path cannot be named, so all of the stage is denied";
                    (IamPolicy::deny_stage(StageWideArn::of(method)), Some(why))
                }
            };
            let detail = Some(rejection.detail);
            Ok(Settled { detail, instead, ..settled(Outcome::Deny, rejection.reason, policy) })
        }
        Err(rejection) => Err(rejection),
    }
}
