//! The shadow version: asked beside the active one about the same request, and never heard by the caller.
//!
//! The answer is made first, and carries what the shadow is to be asked. Who serves asks it when the answer is given, so
//! that neither its time nor its failure is the caller's. It is asked about decisions alone: an event without one – no
//! valid token, no route, a fault – has nothing that two versions could see differently. Where the answer is a document
//! for the whole API, it is asked about the asked request all the same; what the gateway then answers from its cache, it
//! does not see.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::Authorizer;
use super::stages::{ShadowStage, Stage};
use crate::arn::Verb;
use crate::bundle::deployment::Api;
use crate::decision::Decision;
use crate::entities::HttpFacts;
use crate::jose::VerifiedClaims;
use crate::path::RequestPath;
use crate::record::DecisionRecord;
use crate::record::shadow::{Disagreement, Opinion, ShadowRecord};

/// A request that the active version has decided, for the shadow to be asked about.
#[derive(Clone, Debug)]
pub struct ShadowQuestion {
    pub(super) api: String,
    pub(super) stage: String,
    pub(super) verb: Verb,
    /// `None` for a WebSocket's `$connect`.
    pub(super) path: Option<RequestPath>,
    pub(super) claims: Arc<VerifiedClaims>,
    pub(super) facts: HttpFacts,
    pub(super) decision: Decision,
}

impl Authorizer {
    /// Asks the shadow; `record` is the one of the answer that the question came with. `None` where the shadow agrees.
    /// Never panics: a shadow that does has no opinion, and the record says so.
    #[must_use]
    pub fn ask_shadow(&self, question: &ShadowQuestion, record: &DecisionRecord) -> Option<ShadowRecord> {
        let api = self.bundle().deployment().apis.iter().find(|api| api.name == question.api)?;
        let stage = self.stages.find(&api.name, &question.stage)?;
        let shadow = stage.shadow.as_ref()?;
        compare(stage, shadow, question, record, || self.decide_by(api, stage, shadow, question))
    }

    fn decide_by(
        &self,
        api: &Api,
        stage: &Stage,
        shadow: &ShadowStage,
        question: &ShadowQuestion,
    ) -> Result<Decision, String> {
        let facts = self.bundle();
        let routes = facts.routes();
        let matched = match &question.path {
            Some(path) => routes.find(api.kind.router(), &question.verb, path),
            None => routes.find_connect(),
        }
        .ok_or("the route table has no operation for the request")?;
        let id = matched.operation().id();
        let operation = stage.operation(facts, id).map_err(|error| error.to_string())?;
        let scope = shadow.scope(id, operation).map_err(|error| error.to_string())?;
        let principal = shadow.factory.principal_of(&question.claims).map_err(|error| error.to_string())?;
        let path = question.path.as_ref().map_or("", RequestPath::as_str);
        let request =
            || shadow.factory.request(&principal, &operation.entities, &matched, path, &question.facts);
        let asker = shadow.engine.principal(&principal).map_err(|error| error.to_string())?;
        let candidates = shadow.engine.candidates(&asker, scope).map_err(|error| error.to_string())?;
        candidates.decide(request).map_err(|error| error.to_string())
    }
}

/// Holds the shadow's decision against the active version's.
fn compare(
    stage: &Stage,
    shadow: &ShadowStage,
    question: &ShadowQuestion,
    record: &DecisionRecord,
    decide: impl FnOnce() -> Result<Decision, String>,
) -> Option<ShadowRecord> {
    let (version, digest) = (&shadow.version.name, &shadow.version.digest);
    let decided = catch_unwind(AssertUnwindSafe(decide))
        .unwrap_or_else(|_| Err("it panicked: the log names the place".to_owned()));
    let (disagreement, opinion) = match decided {
        Ok(decision) => (
            Disagreement::between(&question.decision, &decision)?,
            Opinion::decided(version, digest, &decision),
        ),
        Err(failure) => (Disagreement::Failed, Opinion::failed(version, digest, &failure)),
    };
    let active = Opinion::decided(&stage.version.name, &stage.version.digest, &question.decision);
    Some(ShadowRecord::new(record, disagreement, active, opinion))
}
