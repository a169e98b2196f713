//! The straight pipeline, from event bytes to reply and record.
//!
//! ```text
//! bytes ─event→ AuthorizerEvent ─┬→ MethodArn ─path, route→ RouteMatch ──┐
//!                                └→ BearerToken ─jose→ VerifiedClaims ───┴─entities→ AccessRequest ─decision→ Decision
//! bytes ←response─ Verdict ←─ IamPolicy (iam) + AuthorizerContext (context) + DecisionRecord (record) ←──────────┘
//! ```

mod asked;
mod documents;
mod ground;
mod known;
mod rejection;
mod remembered;
mod shadow;
mod stages;
mod whole;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::arn::Verb;
use crate::bundle::deployment::{AnswerScope, Api, ApiKind, Log, LogFacts, LogShare};
use crate::bundle::{BuiltBundle, Bundle, BundleFacts};
use crate::context::AuthorizerContext;
use crate::context::contract::{ContextFacts, Provenance, fill, fill_refusal, safe_text};
use crate::credential;
use crate::decision::{Decision, Effect, EngineError};
use crate::entities::{EntityError, EntityFactory, HttpFacts, Principal, principal_id};
use crate::event::{AuthorizerEvent, EventKind};
use crate::grants::{GrantError, GrantPlan, VolatileRead};
use crate::iam::{Compiled, IamPolicy, ResourceArn, StageWideArn};
use crate::jose::{Introspected, KeyId, KeyRing, Need, VerifiedClaims};
use crate::path::RequestPath;
use crate::record::facts::{RecordedPath, RequestFacts};
use crate::record::{DecisionRecord, Outcome, TokenRecord};
use crate::response::{Answer, Refusal, Reply, UsageIdentifierKey, Verdict, WireForm, reply};
use crate::route::{Operation, OperationId, PathTemplate, RouteMatch};
use crate::time::Timestamp;

use asked::Asked;
use documents::Documents;
use ground::Ground;
use known::{Believed, Caller, KnownTokens};
use rejection::Rejection;
pub use shadow::ShadowQuestion;
pub use stages::PrepareError;
use stages::{PreparedOperation, Stage, Stages};
use whole::Document;

/// Answers authorizer events by one bundle. What does not change from request to request is made once, in
/// [`Authorizer::new`]; what is remembered from one request for the next, the tokens that
/// were believed and the documents that were compiled, changes no answer.
#[derive(Debug)]
pub struct Authorizer {
    ground: Ground,
    stages: Stages,
    known: KnownTokens,
    documents: Documents,
}

/// A reply, and the record of how it came about.
#[derive(Clone, Debug)]
pub struct Answered {
    /// What API Gateway gets.
    pub reply: Reply,
    /// What the log gets.
    pub record: DecisionRecord,
    /// What to fetch before asking once more, where that could give another reply.
    pub need: Option<Need>,
    /// Whether the token was known from an earlier answer, and was not verified anew: a fact about this process and not
    /// about the decision.
    pub token_known: bool,
    /// The document that the answer is made of, where it speaks of the whole API.
    pub document: Option<UsedDocument>,
    /// What the stage's shadow version is to be asked once the answer is given: see [`Authorizer::ask_shadow`].
    pub shadow: Option<ShadowQuestion>,
}

/// A whole-API document.
#[derive(Clone, Debug)]
pub struct UsedDocument {
    /// The document, and what it stands for. The answer's own may name the asked method too.
    pub compiled: Arc<Compiled>,
    /// Whether it was compiled for an earlier answer: a fact about this process and not about the decision.
    pub known: bool,
}

/// What an answer rests on beside event, bundle and time: what the shell has fetched.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The issuers' keys: those of the bundle, and those over the network.
    pub keys: &'a KeyRing,
    /// What an issuer said about the caller's token, where it is opaque and the issuer was asked.
    pub introspected: Option<&'a Introspected>,
}

/// What an event asks, but for who asks.
#[derive(Clone, Debug)]
pub struct EventQuestion<'a> {
    /// The API.
    pub api: &'a Api,
    /// The stage.
    pub stage: &'a str,
    /// The method.
    pub verb: Verb,
    /// The path in its normal form; `None` for a WebSocket's `$connect`.
    pub path: Option<RequestPath>,
    /// The volatile facts that the schema declares, as far as the event carries them.
    pub facts: HttpFacts,
}

/// An event's question, with what is at hand to answer it.
#[derive(Clone, Copy)]
struct Question<'q> {
    event: &'q AuthorizerEvent<'q>,
    asked: &'q Asked<'q>,
    evidence: Evidence<'q>,
    now: Timestamp,
    noted: &'q Noted,
}

/// What is found out on the way to an answer and wanted after it: by the record, and by the shadow.
#[derive(Default)]
struct Noted {
    claims: OnceCell<Arc<VerifiedClaims>>,
    decided: OnceCell<NotedDecision>,
}

/// A request that was decided on.
struct NotedDecision {
    path: Option<RequestPath>,
    facts: HttpFacts,
    /// Where a shadow is to be held against it.
    decision: Option<Decision>,
}

/// The decision on the asked request.
struct Decided {
    decision: Decision,
    operation: OperationId,
}

/// The verdict on a question, and what of it depends on what was asked before.
struct Judged {
    verdict: Result<Verdict, Rejection>,
    token_known: bool,
    document: Option<UsedDocument>,
}

impl Authorizer {
    /// Prepares every stage of every API: its entities, and for each operation the policies that can apply.
    ///
    /// # Errors
    /// [`PrepareError`]; a loaded bundle can always be prepared.
    pub fn new(bundle: Bundle) -> Result<Self, PrepareError> {
        Self::on(Ground::Read(Box::new(bundle)))
    }

    /// The same of a built bundle, whose policies are read when they are asked. It gives the same answers.
    ///
    /// # Errors
    /// [`PrepareError`], where the bundle is damaged.
    pub fn open(bundle: BuiltBundle) -> Result<Self, PrepareError> {
        Self::on(Ground::Built(Box::new(bundle)))
    }

    fn on(ground: Ground) -> Result<Self, PrepareError> {
        let stages = Stages::prepare(&ground)?;
        let known = KnownTokens::new(ground.facts().deployment().token_cache);
        Ok(Self { ground, stages, known, documents: Documents::new() })
    }

    /// Answers one event by the bundle alone, which pins its issuers' keys. Never panics: a stage that does makes a fault,
    /// as any error of ours does.
    #[must_use]
    pub fn answer(&self, event: &[u8], now: Timestamp) -> Answered {
        self.answer_with(event, Evidence { keys: self.bundle().keys(), introspected: None }, now)
    }

    /// The same, by what was fetched too. [`Answered::need`] says what could turn the reply into another.
    #[must_use]
    pub fn answer_with(&self, event: &[u8], evidence: Evidence<'_>, now: Timestamp) -> Answered {
        fail_closed(self.bundle().digest(), now, || self.decide(event, evidence, now))
    }

    /// No answer, for a reason that lies outside of the event: a fault.
    #[must_use]
    pub fn unanswered(&self, now: Timestamp, reason: &'static str, detail: String) -> Answered {
        fault(DecisionRecord::new(self.bundle().digest(), now), reason, detail)
    }

    /// What is logged.
    #[must_use]
    pub fn log(&self) -> Log {
        self.bundle().deployment().log
    }

    /// The document for a principal that asks a stage of an API in `region`, compiled anew; `None` where there is no such
    /// stage or its answers do not speak of the whole API.
    ///
    /// # Errors
    /// Why there is no document: the answers would be about the asked request alone.
    #[must_use]
    pub fn document(
        &self,
        (api, stage): (&str, &str),
        region: &str,
        principal: &Principal,
    ) -> Option<Result<Arc<Compiled>, String>> {
        let api = self.bundle().deployment().apis.iter().find(|known| known.name == api)?;
        let ready = self.stages.find(&api.name, stage)?;
        let whole = ready.whole.as_ref()?;
        let (account, id) = (api.account.as_str(), api.id.as_str());
        let arn = match ResourceArn::stage_wide("aws", region, account, id, stage) {
            Ok(arn) => arn,
            Err(error) => return Some(Err(error.to_string())),
        };
        let compile = |caller| Document::compile(self.bundle(), (api, ready, whole), &arn, &caller);
        Some(match Caller::new(principal.clone(), ready).and_then(compile) {
            Ok(Document::Whole { compiled, .. }) => Ok(compiled),
            Ok(Document::None(why)) => Err(why),
            Err(damaged) => Err(PrepareError::from(damaged).to_string()),
        })
    }

    /// What the policies of a stage can read beyond principal and path, whoever asks; `None` where there is no such stage.
    ///
    /// # Errors
    /// [`PrepareError`], a defect of ours.
    #[must_use]
    pub fn volatile_reads(
        &self,
        (api, stage): (&str, &str),
    ) -> Option<Result<BTreeSet<VolatileRead>, PrepareError>> {
        let stage = self.stages.find(api, stage)?;
        let kinds = stage.factory.principal_types();
        let reads = |plan: &GrantPlan| {
            let schema = self.ground.schema();
            let routes = self.bundle().routes();
            plan.volatile_reads(routes, schema.get(routes)?, &kinds).map_err(PrepareError::from)
        };
        Some(match &stage.whole {
            Some(whole) => reads(&whole.plan),
            None => stage.plan(&self.ground).and_then(|plan| reads(&plan)),
        })
    }

    /// What the bundle says that decides, but for its policies.
    #[must_use]
    pub fn bundle(&self) -> &BundleFacts {
        self.ground.facts()
    }

    /// The bundle that decides, where it was read from its sources.
    #[must_use]
    pub fn read_bundle(&self) -> Option<&Bundle> {
        match &self.ground {
            Ground::Read(bundle) => Some(bundle),
            Ground::Built(_) => None,
        }
    }

    /// The bundle that decides, where it was built.
    #[must_use]
    pub fn built_bundle(&self) -> Option<&BuiltBundle> {
        match &self.ground {
            Ground::Read(_) => None,
            Ground::Built(bundle) => Some(bundle),
        }
    }

    /// What an event asks, but for who asks: for those who want to know more of an answer than it says.
    ///
    /// # Errors
    /// In words, where the event asks for nothing that this bundle knows.
    pub fn question(&self, event: &AuthorizerEvent<'_>, now: Timestamp) -> Result<EventQuestion<'_>, String> {
        let told = |rejection: Rejection| format!("{}: {}", rejection.reason, rejection.detail);
        let asked = Asked::read(event, self.bundle(), &self.stages).map_err(told)?;
        let path = asked.normal_path(event).map_err(told)?;
        self.route(event, &asked, path.as_ref()).map_err(told)?;
        let facts = http_facts(event, &asked.stage.factory, now);
        Ok(EventQuestion { api: asked.api, stage: asked.stage_name, verb: asked.verb, path, facts })
    }

    fn decide(&self, bytes: &[u8], evidence: Evidence<'_>, now: Timestamp) -> Answered {
        let mut record = DecisionRecord::new(self.bundle().digest(), now);
        let text = AuthorizerEvent::text(bytes);
        let event = match AuthorizerEvent::parse(&text) {
            Ok(event) => event,
            Err(error) => return fault(record, "malformed_event", error.to_string()),
        };
        record.event = Some(event.kind());
        record.request_id = event.request_id().map(|id| match id.char_indices().nth(128) {
            None => id.into_owned(),
            Some((end, _)) => id.get(..end).unwrap_or_default().to_owned(),
        });
        let asked = match Asked::read(&event, self.bundle(), &self.stages) {
            Ok(asked) => asked,
            Err(rejection) => return fault(record, rejection.reason, rejection.detail),
        };
        record.api = Some(asked.api.name.clone());
        record.stage = Some(asked.stage_name.to_owned());
        record.policy_version = Some(asked.stage.version.name.clone());
        record.policy_digest = Some(asked.stage.version.digest.clone());
        record.verb = Some(asked.verb.as_str().to_owned());
        let noted = Noted::default();
        let question = Question { event: &event, asked: &asked, evidence, now, noted: &noted };
        let Judged { verdict, token_known, document } = match asked.api.scope {
            AnswerScope::Request => self.judge_request(&question, &mut record),
            AnswerScope::Api => self.judge_api(&question, &mut record),
        };
        let (verdict, need) = match verdict {
            Ok(verdict) => (verdict, None),
            Err(mut rejection) => {
                let need = rejection.need.take();
                let context = self.refusal_context(&asked);
                (reject(rejection, &asked, context, &mut record), need)
            }
        };
        let reply = reply(wire_form(asked.api, event.kind()), &verdict);
        // A verdict that its form cannot carry is a fault, and the record says so too.
        if let (Reply::Fault(message), false) = (&reply, record.outcome == Outcome::Fault) {
            record.set_outcome(Outcome::Fault, "internal");
            record.detail = Some(message.clone());
        }
        let shadow = self.note_decision(noted, &asked, &mut record);
        Answered { reply, record, need, token_known, document, shadow }
    }

    /// Whether anything is wanted of a decision after the answer, and whether that is the decision itself.
    fn noted_of(&self, asked: &Asked<'_>) -> (bool, bool) {
        let log = self.log();
        let shadow = asked.stage.shadow.is_some() && log.shadow != LogShare::None;
        (shadow || log.facts != LogFacts::None, shadow)
    }

    /// What is wanted of a decision after the answer: facts for the record, a question for the shadow.
    fn note_decision(
        &self,
        noted: Noted,
        asked: &Asked<'_>,
        record: &mut DecisionRecord,
    ) -> Option<ShadowQuestion> {
        let (claims, decided) = noted.claims.into_inner().zip(noted.decided.into_inner())?;
        let NotedDecision { path, facts, decision } = decided;
        let log = self.log();
        // The shell draws the sample; zero is the number that every share but none takes.
        let is_recorded = log.facts != LogFacts::None && record.wanted(log.allow, 0);
        if is_recorded {
            record.path = path.as_ref().and_then(|path| RecordedPath::new(path.as_str(), log.facts));
        }
        let question = decision.map(|decision| ShadowQuestion {
            api: asked.api.name.clone(),
            stage: asked.stage_name.to_owned(),
            verb: asked.verb.clone(),
            path,
            claims: Arc::clone(&claims),
            facts: facts.clone(),
            decision,
        });
        if is_recorded {
            record.facts = Some(RequestFacts::new(&asked.stage.factory, claims, facts, log.facts));
        }
        question
    }

    /// The answer about the asked request alone.
    fn judge_request(&self, question: &Question<'_>, record: &mut DecisionRecord) -> Judged {
        // The path comes first: a path that could mean two things is refused whoever asks.
        let path = question.asked.normal_path(question.event);
        let identified = path.and_then(|path| Ok((path, self.identify(question)?)));
        let token_known = identified.as_ref().is_ok_and(|(_, token)| token.known);
        let verdict = identified.and_then(|(path, token)| {
            let claims = token.claims.as_ref();
            describe_claims(&token.claims, question, record);
            let caller = caller(&token, question)?;
            self.decide_on(question, &caller, path.as_ref(), record)
                .and_then(|decided| self.answer_by(&decided.decision, claims, question.asked, record))
                .map_err(|rejection| rejection.of(safe_text(&principal_id(claims))))
        });
        Judged { verdict, token_known, document: None }
    }

    /// Who asks.
    fn identify(&self, question: &Question<'_>) -> Result<Believed, Rejection> {
        let token = credential::find(question.event, &question.asked.api.token).map_err(Rejection::from)?;
        Ok(self.known.verify(&token, self.bundle().issuers(), question.evidence, question.now)?)
    }

    /// The decision on the asked request.
    fn decide_on(
        &self,
        question: &Question<'_>,
        caller: &Caller,
        asked_path: Option<&RequestPath>,
        record: &mut DecisionRecord,
    ) -> Result<Decided, Rejection> {
        let Caller { principal, scope: asker } = caller;
        let Question { event, asked, now, .. } = *question;
        let matched = self.route(event, asked, asked_path)?;
        let operation = matched.operation();
        record.action = Some(operation.name().to_owned());
        record.route = Some(operation.template().as_str().to_owned());
        let Stage { factory, engine, .. } = asked.stage;
        let prepared = asked.stage.operation(self.bundle(), operation.id()).map_err(unprepared)?;
        let PreparedOperation { entities, scope } = prepared;
        record.principal = Some(principal.clone());
        let candidates = engine.candidates(asker, scope).map_err(|error| unprepared(error.into()))?;
        let (is_noted, for_shadow) = self.noted_of(asked);
        let read_http = candidates.read_http();
        let noted = match is_noted || read_http {
            true => http_facts(event, factory, now),
            false => HttpFacts::default(),
        };
        let path = asked_path.map_or("", RequestPath::as_str);
        let request = || {
            // Cedar is slow to take in addresses and moments: it gets them where a policy can read them.
            let facts = if read_http { &noted } else { &HttpFacts::default() };
            factory.request(principal, entities, &matched, path, facts)
        };
        let unfit = |error: EntityError| Rejection::deny("facts_do_not_fit", error.to_string());
        let decision = candidates.decide(request).map_err(unfit)?;
        if self.bundle().deployment().cross_check {
            let cedars = candidates
                .cedars_decision(&request().map_err(unfit)?)
                .map_err(|error| unprepared(error.into()))?;
            refuse_disagreement(&decision, &cedars)?;
        }
        if is_noted {
            let decision = for_shadow.then(|| decision.clone());
            let path = asked_path.cloned();
            let _ = question.noted.decided.set(NotedDecision { path, facts: noted, decision });
        }
        record.policies = decision.determining().to_vec();
        record.policy_errors = decision.errors().iter().map(ToString::to_string).collect();
        Ok(Decided { decision, operation: operation.id() })
    }

    /// The operation that the gateway routes the request to. Where the event says which route the gateway picked, the two
    /// must agree.
    fn route<'t, 'p>(
        &'t self,
        event: &AuthorizerEvent<'_>,
        asked: &Asked<'_>,
        path: Option<&'p RequestPath>,
    ) -> Result<RouteMatch<'t, 'p>, Rejection> {
        let routes = self.bundle().routes();
        let no_route = || {
            Rejection::deny(
                "no_route",
                "the route table has no operation for this method and path".to_owned(),
            )
        };
        let Some(path) = path else {
            return routes.find_connect().ok_or_else(|| {
                Rejection::deny("no_route", "the route table has no operation `$connect`".to_owned())
            });
        };
        let matched = routes.find(asked.api.kind.router(), &asked.verb, path).ok_or_else(no_route)?;
        if let Some(picked) = event.route_template() {
            let ours = matched.operation().template();
            let known =
                || routes.operations().iter().any(|operation| operation.template().as_str() == picked);
            let picked_catches_all =
                || picked.parse::<PathTemplate>().is_ok_and(|template| template.catches_all());
            // One side may be coarser: a catch-all stands for routes that it does not name, in the table or, where one
            // backend does the routing, in the gateway. Any other difference means that the policies would speak of
            // another route than the one that is served.
            let is_coarser = || (ours.catches_all() || picked_catches_all()) && !known();
            if picked != ours.as_str() && !is_coarser() {
                let detail = format!(
                    "the gateway routed the request to `{}`, the route table to `{ours}`: is it out of step with the API?",
                    picked.escape_debug()
                );
                return Err(Rejection::deny("route_mismatch", detail));
            }
        }
        refuse_kept_for_more(asked.api, event, matched.operation())?;
        Ok(matched)
    }

    /// The answer about the asked request alone, by the decision on it.
    fn answer_by(
        &self,
        decision: &Decision,
        claims: &VerifiedClaims,
        asked: &Asked<'_>,
        record: &mut DecisionRecord,
    ) -> Result<Verdict, Rejection> {
        match decision.effect() {
            Effect::Deny => {
                record.set_outcome(Outcome::Deny, denial(decision));
                let mut context = self.refusal_context(asked);
                if let Some(message) = decision.deny_message() {
                    context.set_deny_message(message);
                }
                let policy = asked.method.as_ref().map(|method| match ResourceArn::of(method) {
                    Ok(method) => IamPolicy::deny(method, asked.api.resource_policy),
                    Err(_) => IamPolicy::deny_stage(StageWideArn::of(method)),
                });
                let principal_id = safe_text(&principal_id(claims));
                Ok(Verdict::Deny(Answer { principal_id, policy, context, usage_identifier_key: None }))
            }
            Effect::Allow => {
                // A method that cannot be named exactly is refused: a shortened or widened name would allow others.
                let policy = match &asked.method {
                    None => None,
                    Some(method) => {
                        let method = ResourceArn::of(method)
                            .map_err(|error| Rejection::deny("unnameable_method", error.to_string()))?;
                        Some(IamPolicy::allow(method, asked.api.resource_policy))
                    }
                };
                let answer = self.answer_with_policy(claims, asked, policy)?;
                record.set_outcome(Outcome::Allow, "policy");
                Ok(Verdict::Allow(answer))
            }
        }
    }

    /// By what is answered.
    fn provenance<'a>(&'a self, asked: &Asked<'a>) -> Provenance<'a> {
        Provenance {
            policy_version: &asked.stage.version.name,
            policy_digest: &asked.stage.version.digest,
            bundle_digest: self.bundle().digest(),
        }
    }

    /// What is told with a refusal.
    fn refusal_context(&self, asked: &Asked<'_>) -> AuthorizerContext {
        fill_refusal(&self.bundle().deployment().context, &self.provenance(asked))
    }

    /// What a caller is told with a document that allows something: who it is, to the gateway and to the integration.
    fn answer_with_policy(
        &self,
        claims: &VerifiedClaims,
        asked: &Asked<'_>,
        policy: Option<IamPolicy>,
    ) -> Result<Answer, Rejection> {
        let principal_id = safe_text(&principal_id(claims));
        let facts = ContextFacts { claims, principal_id: &principal_id, provenance: self.provenance(asked) };
        let context = fill(&self.bundle().deployment().context, &facts)
            .map_err(|error| Rejection::deny("context_too_large", error.to_string()))?;
        let usage_identifier_key = claims
            .usage_key()
            .filter(|_| asked.api.usage_keys)
            .and_then(|key| UsageIdentifierKey::new(key.expose()));
        Ok(Answer { principal_id, policy, context, usage_identifier_key })
    }
}

/// Who asks.
fn caller(token: &Believed, question: &Question<'_>) -> Result<Arc<Caller>, Rejection> {
    token.made.caller(&token.claims, question.asked.stage).map_err(|error| match error {
        PrepareError::Entity(error) => Rejection::deny("claims_do_not_fit", error.to_string())
            .of(safe_text(&principal_id(&token.claims))),
        error @ (PrepareError::Actions(_)
        | PrepareError::Version
        | PrepareError::Operation
        | PrepareError::Engine(_)
        | PrepareError::Grants(_)
        | PrepareError::Damaged(_)) => unprepared(error),
    })
}

/// What was not built is not believed; anything else that was not there is a defect of ours.
fn unprepared(error: PrepareError) -> Rejection {
    let reason = match &error {
        PrepareError::Damaged(_)
        | PrepareError::Engine(EngineError::Damaged(_))
        | PrepareError::Grants(GrantError::Damaged(_)) => "bundle_damaged",
        PrepareError::Actions(_)
        | PrepareError::Operation
        | PrepareError::Version
        | PrepareError::Entity(_)
        | PrepareError::Engine(EngineError::Together(_))
        | PrepareError::Grants(GrantError::Unworkable { .. }) => "internal",
    };
    Rejection::fault(reason, error.to_string())
}

/// A decision that Cedar's own authorizer does not make is none: whichever of the two is wrong, nobody gets in by it.
fn refuse_disagreement(ours: &Decision, cedars: &Decision) -> Result<(), Rejection> {
    if ours == cedars {
        return Ok(());
    }
    let told = |decision: &Decision| {
        let errors = decision.errors().iter().map(|error| error.policy.as_str());
        let policies: Vec<&str> = decision.determining().iter().map(String::as_str).chain(errors).collect();
        format!("{} by [{}]", decision.effect().as_str(), policies.join(", "))
    };
    let detail = format!(
        "the decision is {}, and Cedar's own authorizer says {}; this is a bug",
        told(ours),
        told(cedars)
    );
    Err(Rejection::fault("decisions_differ", detail))
}

/// Why a decision denies, as a stable word.
fn denial(decision: &Decision) -> &'static str {
    match (decision.errors().is_empty(), decision.determining().is_empty()) {
        (false, _) => "policy_error",
        (true, true) => "no_permit",
        (true, false) => "policy",
    }
}

/// An answer that the gateway keeps for all requests of its route must not be about one of several operations that it
/// routes alike.
fn refuse_kept_for_more(
    api: &Api,
    event: &AuthorizerEvent<'_>,
    operation: &Operation,
) -> Result<(), Rejection> {
    if !api.keeps_routes() {
        return Ok(());
    }
    let route = operation.verb().map(|verb| format!("{verb} {}", operation.template()));
    if event.route_key() == route.as_deref() {
        return Ok(());
    }
    let detail = format!(
        "the gateway keeps the answer for its route `{}`, which is not the one operation `{}`: add $context.httpMethod and $context.path to identity_sources",
        event.route_key().unwrap_or_default().escape_debug(),
        operation.name()
    );
    Err(Rejection::deny("route_mismatch", detail))
}

/// The volatile facts that the schema declares, as far as the event carries them. A header or parameter that the request
/// has more than once has no one value, so it is not there.
fn http_facts(event: &AuthorizerEvent<'_>, factory: &EntityFactory, now: Timestamp) -> HttpFacts {
    let shape = factory.http_shape();
    HttpFacts {
        source_ip: match shape.source_ip {
            true => event.source_ip().and_then(|address| address.parse().ok()),
            false => None,
        },
        time: shape.time.then_some(now),
        client_cert_subject: match shape.client_cert_subject {
            true => event.client_cert_subject().map(Cow::into_owned),
            false => None,
        },
        headers: facts(&shape.headers, |name| event.header(name)),
        query: facts(&shape.query, |name| event.query(name)),
        stage_variables: facts(&shape.stage_variables, |name| event.stage_variable(name)),
    }
}

fn facts<'e>(names: &[String], find: impl Fn(&str) -> Option<Cow<'e, str>>) -> Vec<(String, String)> {
    names.iter().filter_map(|name| Some((name.clone(), find(name)?.into_owned()))).collect()
}

fn describe_claims(claims: &Arc<VerifiedClaims>, question: &Question<'_>, record: &mut DecisionRecord) {
    let _ = question.noted.claims.set(Arc::clone(claims));
    record.tenant = claims.tenant().map(str::to_owned);
    record.roles = claims.roles().to_vec();
    record.token = Some(TokenRecord {
        issuer: claims.issuer().to_owned(),
        kid: claims.key_id().map(|kid| KeyId::as_str(kid).to_owned()),
        jti: claims.token_id().map(str::to_owned),
        exp: claims.expires_at().map(Timestamp::unix_seconds),
        cached: false,
    });
}

/// The answer to a request that got no decision: it names the stage as a whole, and nothing that the client wrote.
fn reject(
    rejection: Rejection,
    asked: &Asked<'_>,
    context: AuthorizerContext,
    record: &mut DecisionRecord,
) -> Verdict {
    record.set_outcome(rejection.outcome, rejection.reason);
    record.detail = Some(rejection.detail.clone());
    let policy = asked.stage_wide().map(IamPolicy::deny_stage);
    match rejection.outcome {
        Outcome::Deny => Verdict::Deny(Answer {
            principal_id: rejection.principal_id.unwrap_or_else(|| "anonymous".to_owned()),
            policy,
            context,
            usage_identifier_key: None,
        }),
        Outcome::Unauthorized => Verdict::Unauthorized(Refusal { policy, reason: rejection.detail }),
        // Nothing that allows comes here; should it ever, it is our fault and nobody's permission.
        Outcome::Fault | Outcome::Allow => Verdict::Fault(rejection.detail),
    }
}

/// Runs the pipeline so that a panic in it becomes a fault: not an Allow, and not an `Unauthorized`, which would blame
/// the caller.
fn fail_closed(digest: &str, now: Timestamp, answer: impl FnOnce() -> Answered) -> Answered {
    catch_unwind(AssertUnwindSafe(answer)).unwrap_or_else(|_| {
        fault(
            DecisionRecord::new(digest, now),
            "panic",
            "a stage of the authorizer panicked; this is a bug".to_owned(),
        )
    })
}

fn fault(mut record: DecisionRecord, reason: &'static str, detail: String) -> Answered {
    let reply = reply(WireForm::Simple, &Verdict::Fault(detail.clone()));
    record.set_outcome(Outcome::Fault, reason);
    record.detail = Some(detail);
    Answered { reply, record, need: None, token_known: false, document: None, shadow: None }
}

fn wire_form(api: &Api, event: EventKind) -> WireForm {
    // A REST API's event may say that it is of payload format 1.0; the API's kind knows better.
    let kind = match (api.kind, event) {
        (ApiKind::Rest, EventKind::HttpV1) => EventKind::RestRequest,
        (ApiKind::Rest | ApiKind::Http | ApiKind::WebSocket | ApiKind::AppSync, event) => event,
    };
    WireForm::of(kind, api.unauthorized, api.response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_fault_and_blames_nobody() {
        let panicking: [fn() -> Answered; 3] = [
            || panic!("Unauthorized"),
            || panic!("Bearer eyJhbGciOiJub25lIn0"),
            || std::panic::panic_any(Reply::Unauthorized),
        ];
        for answer in panicking {
            let Answered { reply, record, .. } =
                fail_closed("sha256:00", Timestamp::from_unix_seconds(1), answer);
            let message = "a stage of the authorizer panicked; this is a bug";
            assert_eq!(reply, Reply::Fault(format!("cedar-gate: {message}")));
            assert_eq!((record.outcome, record.reason), (Outcome::Fault, "panic"));
            assert_eq!((record.level, record.detail.as_deref()), ("ERROR", Some(message)));
            assert_eq!(
                (record.bundle.as_str(), record.timestamp.to_string().as_str()),
                ("sha256:00", "1970-01-01T00:00:01Z")
            );
        }
    }

    #[test]
    fn a_decision_that_cedar_does_not_make_is_a_fault() {
        let decided = |effect, policies: &[&str], errors: &[&str]| Decision::told(effect, policies, errors);
        let allow = decided(Effect::Allow, &["a", "b"], &[]);
        assert!(refuse_disagreement(&allow, &allow.clone()).is_ok());
        for (cedars, said) in [
            (decided(Effect::Deny, &[], &[]), "Deny by []"),
            (decided(Effect::Deny, &["f"], &["e"]), "Deny by [f, e]"),
            (decided(Effect::Allow, &["a"], &[]), "Allow by [a]"),
        ] {
            for (ours, cedars) in [(&allow, &cedars), (&cedars, &allow)] {
                let rejection = refuse_disagreement(ours, cedars).unwrap_err();
                assert_eq!((rejection.outcome, rejection.reason), (Outcome::Fault, "decisions_differ"));
                assert!(rejection.detail.contains(said), "{}", rejection.detail);
                assert!(rejection.detail.contains("Allow by [a, b]"), "{}", rejection.detail);
            }
        }
    }

    #[test]
    fn what_does_not_panic_stays_as_it_is() {
        let denied = || Answered {
            reply: Reply::Unauthorized,
            record: DecisionRecord::new("sha256:00", Timestamp::from_unix_seconds(1)),
            need: None,
            token_known: false,
            document: None,
            shadow: None,
        };
        assert_eq!(fail_closed("", Timestamp::from_unix_seconds(2), denied).reply, Reply::Unauthorized);
    }
}
