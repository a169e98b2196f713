//! Why one request of one caller is decided as it is, from the claims of the token to the policy that decided: what
//! `cedar-gate explain` shows.

use cedar_policy as cedar;
use serde::Serialize;
use serde_json::{Map, Value};

use super::desk::{AskError, Desk, Target};
use super::trace::{Fact, FailedPart, Place, PolicyEffect, PolicyTrace, Trace, TraceError, Tracer};
use crate::decision::Effect;
use crate::entities::{EntityError, HttpFacts};
use crate::jose::{PrincipalKind, TrustedIssuer, VerifiedClaims};
use crate::path::RequestPath;
use crate::route::{Operation, Segment, TemplateKind};

/// All that is known about one decision.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The API.
    pub api: String,
    /// The stage.
    pub stage: String,
    /// The version of the policies.
    pub policy_version: String,
    /// Who asks.
    pub who: Who,
    /// For what.
    pub route: Routing,
    /// Allow or deny.
    pub effect: &'static str,
    /// The ids of the policies that determined it. A deny without one is the default: nothing permitted it.
    pub determining: Vec<String>,
    /// The policies that could not be evaluated, each with Cedar's message.
    pub errors: Vec<(String, String)>,
    /// What a refused caller may read.
    pub deny_message: Option<String>,
    /// What came of every policy of the version.
    pub policies: Vec<PolicyTrace>,
    /// Of a refusal that nothing permits, the permit that came nearest.
    pub nearest: Option<Nearest>,
    /// One line without ids and values, which a caller may read.
    pub redacted: String,
}

/// The caller, as the policies see them.
#[derive(Clone, Debug, Serialize)]
pub struct Who {
    /// `User::"dev|alice"`
    pub principal: String,
    /// The issuer's alias.
    pub issuer: String,
    /// The roles that the issuer conferred, without those that they include.
    pub roles: Vec<String>,
    /// The roles that the token names and the issuer may not confer, or that do not exist.
    pub refused_roles: Vec<String>,
    /// The tenant.
    pub tenant: Option<String>,
    /// The scopes.
    pub scopes: Vec<String>,
    /// All that the principal is in.
    pub groups: Vec<String>,
    /// Its attributes.
    pub attributes: Vec<Fact>,
    /// What became of each claim of the token, where its claims can be read.
    pub claims: Vec<ClaimFate>,
}

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClaimFate {
    /// Its name in the token.
    pub claim: String,
    /// Whether anything was made of it.
    pub is_kept: bool,
    /// What, or why not.
    pub reason: String,
}

/// How the request found its operation.
#[derive(Clone, Debug, Serialize)]
pub struct Routing {
    /// `GET /orders/1`
    pub request: String,
    /// The operation's name: the id of the Cedar action.
    pub operation: String,
    /// The route's template.
    pub template: String,
    /// The path's parameters.
    pub params: Vec<(String, String)>,
    /// Every operation whose template matches, the picked one first.
    pub candidates: Vec<Candidate>,
}

/// An operation that could serve the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// Its name.
    pub operation: String,
    /// Whether the gateway picks it.
    pub is_picked: bool,
    /// Why.
    pub reason: String,
}

/// The permit that came nearest.
#[derive(Clone, Debug, Serialize)]
pub struct Nearest {
    /// Its id.
    pub policy: String,
    /// Where it stands.
    pub place: Place,
    /// Whether it speaks of what was asked for. Where it does not, no permit does.
    pub speaks_of_it: bool,
    /// The parts that failed.
    pub failed: Vec<Failed>,
}

/// A part that failed.
#[derive(Clone, Debug, Serialize)]
pub struct Failed {
    /// Where it stands.
    pub place: Place,
    /// Its text.
    pub text: String,
    /// The facts that made it fail.
    pub facts: Vec<Fact>,
}

/// Why there is no explanation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// The claims make no principal.
    #[error(transparent)]
    Entity(#[from] EntityError),
    /// No operation serves the request.
    #[error("no operation serves {request}: {instead}")]
    NoRoute {
        /// The request.
        request: String,
        /// What there is instead.
        instead: String,
    },
    /// It cannot be decided.
    #[error(transparent)]
    Ask(AskError),
    /// The parts of the policies do not tell why.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// A volatile fact that the schema does not declare.
    #[error("`{given}` is no fact that schema/gateway.cedarschema declares in `Http`: {known}")]
    UnknownFact {
        /// What was given.
        given: String,
        /// What could be.
        known: String,
    },
    /// A fact whose value is of another kind.
    #[error("the fact `{name}` wants {expected}")]
    FactValue {
        /// Its name.
        name: String,
        /// What its value has to be.
        expected: &'static str,
    },
}

/// Explains the decision on a request. `said` are the claims of the token, where they can be read.
///
/// # Errors
/// [`ExplainError`]
pub fn explain(
    desk: &Desk<'_>,
    tracer: &Tracer,
    (claims, said): (&VerifiedClaims, Option<&Map<String, Value>>),
    target: Target<'_>,
    facts: HttpFacts,
) -> Result<Explanation, ExplainError> {
    let principal = desk.factory().principal(claims)?;
    let request = request_text(target);
    let asked = desk.ask(&principal, target, facts).map_err(|error| match error {
        AskError::NoRoute => {
            ExplainError::NoRoute { instead: instead(desk, target), request: request.clone() }
        }
        AskError::Entity(error) => ExplainError::Entity(error),
        AskError::NotPrepared => ExplainError::Ask(error),
    })?;
    let trace = tracer.trace(&asked)?;
    let operation = asked.matched.operation();
    let params = asked.matched.params().iter();
    let nearest = match asked.decision.effect() {
        Effect::Allow => None,
        Effect::Deny => trace.nearest_permit().map(Nearest::of),
    };
    let (effect, redacted) = match asked.decision.effect() {
        Effect::Allow => ("allow", format!("permitted: {}", operation.name())),
        Effect::Deny => ("deny", redacted(operation, &trace, asked.decision.deny_message())),
    };
    Ok(Explanation {
        api: desk.api().name.clone(),
        stage: desk.stage().to_owned(),
        policy_version: desk.version().name.clone(),
        who: Who::of(desk, claims, said, principal.entity(), &asked.request.entities),
        route: Routing {
            request,
            operation: operation.name().to_owned(),
            template: operation.template().to_string(),
            params: params.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            candidates: candidates(desk, target, operation),
        },
        effect,
        determining: asked.decision.determining().to_vec(),
        errors: asked.decision.errors().iter().map(|e| (e.policy.clone(), e.message.clone())).collect(),
        deny_message: asked.decision.deny_message().map(str::to_owned),
        policies: trace.policies,
        nearest,
        redacted,
    })
}

/// Reads volatile facts, `source_ip=192.0.2.1` and `headers.x-device=phone`, as far as the schema declares them.
///
/// # Errors
/// [`ExplainError::UnknownFact`], [`ExplainError::FactValue`]
pub fn read_facts(desk: &Desk<'_>, given: &[(String, String)]) -> Result<HttpFacts, ExplainError> {
    let shape = desk.factory().http_shape();
    let mut facts = HttpFacts::default();
    for (name, value) in given {
        let bad = |expected| ExplainError::FactValue { name: name.clone(), expected };
        let declared = |names: &[String], field: &str| names.iter().any(|name| name == field);
        let pair = |field: &str| (field.to_owned(), value.clone());
        match name.split_once('.').unwrap_or((name, "")) {
            ("source_ip", "") if shape.source_ip => {
                facts.source_ip = Some(value.parse().map_err(|_| bad("an IP address"))?);
            }
            ("time", "") if shape.time => {
                facts.time = Some(value.parse().map_err(|_| bad("a moment, RFC 3339"))?);
            }
            ("client_cert_subject", "") if shape.client_cert_subject => {
                facts.client_cert_subject = Some(value.clone());
            }
            ("headers", field) if declared(&shape.headers, field) => facts.headers.push(pair(field)),
            ("query", field) if declared(&shape.query, field) => facts.query.push(pair(field)),
            ("stage_variables", field) if declared(&shape.stage_variables, field) => {
                facts.stage_variables.push(pair(field));
            }
            _ => {
                return Err(ExplainError::UnknownFact { given: name.clone(), known: known_facts(desk) });
            }
        }
    }
    Ok(facts)
}

fn known_facts(desk: &Desk<'_>) -> String {
    let shape = desk.factory().http_shape();
    let single = [
        ("source_ip", shape.source_ip),
        ("time", shape.time),
        ("client_cert_subject", shape.client_cert_subject),
    ];
    let single = single.into_iter().filter(|(_, declared)| *declared).map(|(name, _)| name.to_owned());
    let groups =
        [("headers", &shape.headers), ("query", &shape.query), ("stage_variables", &shape.stage_variables)];
    let fields =
        groups.into_iter().flat_map(|(group, names)| names.iter().map(move |name| format!("{group}.{name}")));
    let known: Vec<String> = single.chain(fields).collect();
    match known.is_empty() {
        true => "it declares none".to_owned(),
        false => format!("there are {}", known.join(", ")),
    }
}

fn request_text(target: Target<'_>) -> String {
    match target {
        Target::Method(verb, path) => format!("{verb} {}", path.as_str()),
        Target::Connect => "$connect".to_owned(),
    }
}

/// What a person who asks for nothing that exists could have meant.
fn instead(desk: &Desk<'_>, target: Target<'_>) -> String {
    let Target::Method(_, path) = target else {
        return "the route table has no `$connect`".to_owned();
    };
    let here: Vec<&str> =
        desk.operations().iter().filter(|operation| matches(operation, path)).map(Operation::name).collect();
    match here.is_empty() {
        true => "the route table has no such path; see: cedar-gate routes list".to_owned(),
        false => format!("at this path there are {}", here.join(", ")),
    }
}

/// The operations that could serve a request: of its method, and with a template that its path fits.
fn candidates(desk: &Desk<'_>, target: Target<'_>, picked: &Operation) -> Vec<Candidate> {
    let Target::Method(_, path) = target else {
        return vec![Candidate {
            operation: picked.name().to_owned(),
            is_picked: true,
            reason: "a WebSocket API has one connect route".to_owned(),
        }];
    };
    let fits = |operation: &&Operation| operation.verb() == picked.verb() && matches(operation, path);
    let fitting: Vec<&Operation> = desk.operations().iter().filter(fits).collect();
    let mut candidates: Vec<Candidate> = fitting
        .iter()
        .map(|operation| {
            let is_picked = operation.id() == picked.id();
            let reason = match (is_picked, fitting.len()) {
                (true, 1) => "the one template that fits".to_owned(),
                (true, _) => "its template fits most closely".to_owned(),
                (false, _) => passed_over(picked, operation),
            };
            Candidate { operation: operation.name().to_owned(), is_picked, reason }
        })
        .collect();
    candidates.sort_by_key(|candidate| !candidate.is_picked);
    candidates
}

/// Why the gateway prefers one template to another.
fn passed_over(picked: &Operation, other: &Operation) -> String {
    if other.template().kind() == TemplateKind::Default {
        return "$default serves what no other route does".to_owned();
    }
    let (ours, theirs) = (picked.template().segments(), other.template().segments());
    let differ = ours.iter().zip(theirs).find(|(ours, theirs)| ours != theirs);
    match differ {
        Some((Segment::Literal(text), Segment::Parameter(name))) => {
            format!("the literal `{text}` goes before {{{name}}}")
        }
        Some((Segment::Literal(text), Segment::Greedy(name))) => {
            format!("the literal `{text}` goes before {{{name}+}}")
        }
        Some((Segment::Parameter(name), Segment::Greedy(greedy))) => {
            format!("{{{name}}}, which is one segment, goes before {{{greedy}+}}")
        }
        _ => format!("`{}` fits more closely", picked.template()),
    }
}

/// Whether a path fits an operation's template.
fn matches(operation: &Operation, path: &RequestPath) -> bool {
    let template = operation.template();
    match template.kind() {
        TemplateKind::Connect => return false,
        TemplateKind::Default => return true,
        TemplateKind::Path => {}
    }
    let rest = path.as_str().strip_prefix('/').unwrap_or_default();
    let mut parts = rest.split('/').filter(|part| !part.is_empty());
    for segment in template.segments() {
        let Some(part) = parts.next() else { return false };
        match segment {
            Segment::Literal(text) if text != part => return false,
            Segment::Literal(_) | Segment::Parameter(_) => {}
            Segment::Greedy(_) => return true,
        }
    }
    parts.next().is_none()
}

impl Who {
    fn of(
        desk: &Desk<'_>,
        claims: &VerifiedClaims,
        said: Option<&Map<String, Value>>,
        principal: &cedar::Entity,
        entities: &cedar::Entities,
    ) -> Self {
        let uid = principal.uid();
        let mut groups: Vec<String> =
            entities.ancestors(&uid).into_iter().flatten().map(ToString::to_string).collect();
        groups.sort_unstable();
        let declared = match claims.kind() {
            PrincipalKind::User => &desk.bundle().vocabulary().user,
            PrincipalKind::Client => &desk.bundle().vocabulary().client,
        };
        let attributes = declared.attributes.iter().map(String::as_str).chain(["claims"]).map(|name| Fact {
            name: format!("principal.{name}"),
            value: principal.attr(name).and_then(Result::ok).map(|value| value.to_string()),
        });
        let mut attributes: Vec<Fact> = attributes.filter(|fact| fact.value.is_some()).collect();
        attributes.sort();
        attributes.dedup();
        let issuer = desk.bundle().issuers().named(claims.issuer());
        let fates = match (said, issuer) {
            (Some(said), Some(issuer)) => {
                let is_declared =
                    |name: &str| declared.claims.as_ref().is_some_and(|declared| declared.contains_key(name));
                said.keys().map(|claim| fate(claim, issuer, &is_declared)).collect()
            }
            (None, _) | (_, None) => Vec::new(),
        };
        let (known, unknown): (Vec<String>, Vec<String>) =
            claims.roles().iter().cloned().partition(|role| desk.version().roles.contains(role));
        Self {
            principal: uid.to_string(),
            issuer: claims.issuer().to_owned(),
            roles: known,
            refused_roles: claims.refused_roles().iter().cloned().chain(unknown).collect(),
            tenant: claims.tenant().map(str::to_owned),
            scopes: claims.scopes().to_vec(),
            groups,
            attributes,
            claims: fates,
        }
    }
}

/// What becomes of a claim of an issuer's token.
fn fate(claim: &str, issuer: &TrustedIssuer, is_declared: &dyn Fn(&str) -> bool) -> ClaimFate {
    let is_at =
        |path: &str| path == claim || path.strip_prefix(claim).is_some_and(|rest| rest.starts_with('.'));
    let fate = |is_kept, reason: String| ClaimFate { claim: claim.to_owned(), is_kept, reason };
    let attribute = issuer.attributes.iter().find(|(_, path)| is_at(path.as_str()));
    if let Some((name, _)) = attribute {
        return match is_declared(name) {
            true => fate(true, format!("principal.claims.{name}")),
            false => {
                fate(false, format!("schema/gateway.cedarschema declares no `claims.{name}` of this type"))
            }
        };
    }
    if issuer.roles_claim().is_some_and(is_at) {
        return fate(true, "the roles that the issuer may confer".to_owned());
    }
    if issuer.tenant_claim().is_some_and(is_at) {
        return fate(true, "the tenant".to_owned());
    }
    if issuer.claims_read().any(is_at) {
        return fate(true, "a fact of the principal".to_owned());
    }
    let required = issuer.required_values().iter().map(|value| value.claim.as_str());
    let clients = issuer.client_claims.iter().map(|path| path.as_str());
    let checked = issuer.audience_claims().into_iter().chain(required).chain(clients);
    let standard = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "auth_time", "token_use", "cnf", "azp"];
    if standard.contains(&claim) || checked.into_iter().any(is_at) {
        return fate(true, "checked with the token".to_owned());
    }
    fate(
        false,
        format!(
            "the file of issuer `{}` makes nothing of it; `claims = {{ NAME = \"{}\" }}` there would",
            issuer.name(),
            claim.escape_debug()
        ),
    )
}

impl Nearest {
    fn of(policy: &PolicyTrace) -> Self {
        let failed = policy.failed();
        let failed = failed.iter().map(|part| Failed {
            place: part.place().clone(),
            text: part.text(),
            facts: part.facts().into_iter().cloned().collect(),
        });
        Self {
            policy: policy.policy.clone(),
            place: policy.place.clone(),
            speaks_of_it: policy.speaks_of_it(),
            failed: failed.collect(),
        }
    }
}

/// What a refused caller may read: the operation, which they asked for, and the kind of thing that is missing. No id, no
/// value, and not which policies there are. A deny message was written for the caller.
fn redacted(operation: &Operation, trace: &Trace, deny_message: Option<&str>) -> String {
    let name = operation.name();
    if let Some(message) = deny_message {
        return format!("not permitted: {name}: {message}");
    }
    if trace.applying(PolicyEffect::Forbid).next().is_some() {
        return format!("not permitted: {name} is refused by a rule");
    }
    let nearest = trace.nearest_permit().filter(|policy| policy.speaks_of_it());
    let Some(nearest) = nearest else { return format!("not permitted: {name}") };
    let failed = nearest.failed();
    let (scopes, conditions): (Vec<&FailedPart<'_>>, Vec<&FailedPart<'_>>) =
        failed.iter().partition(|part| matches!(part, FailedPart::Scope(_)));
    match (scopes.is_empty(), conditions.is_empty()) {
        (false, true) => format!("not permitted: {name} needs another role or tenant"),
        (true, false) => format!("not permitted: {name} needs other conditions"),
        (false, false) => format!("not permitted: {name} needs another role or tenant, and other conditions"),
        (true, true) => format!("not permitted: {name}"),
    }
}
