//! The IAM documents we answer with: the few forms that every gateway reads alike, and what such a document means.
//!
//! The form, and who asks for it:
//! - `Statement` is an array, `Action` the literal text `execute-api:Invoke` (SAM CLI and Chalice compare it), no
//!   member is `null` (API Gateway refuses the document).
//! - `Resource` and `NotResource` are arrays even for one ARN. API Gateway and most emulators take a text too, but
//!   Chalice's local gateway walks over a text letter by letter and so never allows.
//! - An Allow stands before a Deny: some emulators look at the first statement only, some ignore Deny.
//!
//! `NotResource` is understood by API Gateway. SAM CLI refuses a statement without `Resource`, serverless-offline fails
//! on it, fakecloud denies everything by it, ministack ignores it: so it is there only where an API has a resource
//! policy and an answer without it would be too wide.
//!
//! # From grants to a document
//! [`compile`] turns a principal's [`Grants`](crate::grants::Grants) into the smallest document that it finds for the whole
//! API, verb by verb, and proves it:
//! ```text
//! RouteTable ─PreparedRoutes→ ┐
//!                     Grants ─┴problem→ templates and tests as patterns ─candidates→ IAM patterns
//!                                          ┌─────────── counterexample ──────────┐
//!                                          ↓                                     │
//!                          examples ─cover→ allowed and denied patterns ─proof→ all paths, class by class → IamPolicy
//! ```

mod alphabet;
mod automaton;
pub(crate) mod bits;
mod candidates;
mod compile;
mod cover;
mod explore;
mod guards;
mod pattern;
mod problem;
mod proof;
mod reading;
mod solve;
mod work;
mod written;

pub use compile::{
    CompileError, Compiled, Limits, PatternUse, PreparedRoutes, WholeApi, Withheld, WithheldCause, compile,
};
pub use written::prove;

use std::collections::BTreeMap;
use std::fmt;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::arn::MethodArn;
use crate::bundle::deployment::ResourcePolicy;
use crate::decision::Effect;
use crate::time::Timestamp;

/// The ARN of one method, or of one WebSocket route, that can stand in a policy and match nothing but itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceArn(String);

impl ResourceArn {
    /// The longest `Resource` that API Gateway takes, in characters (developer guide, "Output from a Lambda
    /// authorizer"). A method ARN may have 1,600 bytes.
    pub const MAX_CHARS: usize = 512;

    /// Takes `arn:{partition}:execute-api:{region}:{account}:{api}/{stage}/{verb}/{path}`, or with a route key in place
    /// of verb and path.
    ///
    /// # Errors
    /// An ARN of another form, one that a policy would read as a pattern, or one that is too long. No message holds
    /// the ARN: its path is the client's.
    pub fn exact(arn: &str) -> Result<Self, IamError> {
        let mut parts = arn.splitn(6, ':');
        let mut part = || parts.next().filter(|part| !part.is_empty()).ok_or(IamError::NotAMethodArn);
        let (arn_word, _partition, service, _region, _account) =
            (part()?, part()?, part()?, part()?, part()?);
        let mut target = part()?.splitn(3, '/');
        let is_complete = (0..3).all(|_| target.next().is_some_and(|piece| !piece.is_empty()));
        if arn_word != "arn" || service != "execute-api" || !is_complete {
            return Err(IamError::NotAMethodArn);
        }
        literal(arn).map(|arn| Self(arn.to_owned()))
    }

    /// The method or route that was asked for.
    ///
    /// # Errors
    /// An ARN that is too long or would be read as a pattern: its path is the client's.
    pub fn of(arn: &MethodArn) -> Result<Self, IamError> {
        literal(arn.as_str()).map(|arn| Self(arn.to_owned()))
    }

    /// All of one stage: the resource of a refusal that must not repeat what the client sent. It can be denied only.
    ///
    /// # Errors
    /// A piece that is empty, has a `:` or `/`, or would be read as a pattern.
    pub fn stage_wide(
        partition: &str,
        region: &str,
        account_id: &str,
        api_id: &str,
        stage: &str,
    ) -> Result<StageWideArn, IamError> {
        for piece in [partition, region, account_id, api_id, stage] {
            if piece.is_empty() || piece.contains([':', '/']) {
                return Err(IamError::NotAMethodArn);
            }
        }
        let arn = format!("arn:{partition}:execute-api:{region}:{account_id}:{api_id}/{stage}/");
        literal(&arn).map(|arn| StageWideArn(format!("{arn}*")))
    }

    /// The ARN's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ResourceArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All resources of one stage, `…/{stage}/*`; made by [`ResourceArn::stage_wide`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageWideArn(String);

impl StageWideArn {
    /// The stage of a method: checked parts alone, which hold nothing that a policy reads as a pattern.
    #[must_use]
    pub fn of(method: &MethodArn) -> Self {
        Self(method.stage_resource())
    }

    /// The ARN's text, with the `*` at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the ARNs of the stage's methods begin with, up to the verb: `arn:…:{api}/{stage}/`.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.0.strip_suffix('*').unwrap_or(&self.0)
    }
}

/// A policy is no place for text that means more than it says.
fn literal(arn: &str) -> Result<&str, IamError> {
    // Looks at every byte and branches at none; what it is in doubt about is looked at again below.
    let is_doubtful =
        |byte: u8| !(0x20..0x7f).contains(&byte) | (byte == b'*') | (byte == b'?') | (byte == b'$');
    if arn.len() <= ResourceArn::MAX_CHARS
        && !arn.bytes().fold(false, |doubtful, byte| doubtful | is_doubtful(byte))
    {
        return Ok(arn);
    }
    let chars = arn.chars().count();
    if chars > ResourceArn::MAX_CHARS {
        return Err(IamError::TooLong { chars });
    }
    let special = [("`*`", arn.contains('*')), ("`?`", arn.contains('?')), ("`${`", arn.contains("${"))];
    if let Some((found, _)) = special.into_iter().find(|(_, is_there)| *is_there) {
        return Err(IamError::NotLiteral { found });
    }
    if arn.chars().any(char::is_control) {
        return Err(IamError::NotLiteral { found: "a control character" });
    }
    Ok(arn)
}

/// Why an ARN cannot stand in a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IamError {
    /// Longer than [`ResourceArn::MAX_CHARS`].
    #[error("ARN of {chars} characters is too long for a policy: the limit is {}", ResourceArn::MAX_CHARS)]
    TooLong {
        /// The ARN's length in characters.
        chars: usize,
    },
    /// A policy would read it as a pattern or a variable.
    #[error("ARN has {found}, which a policy does not take literally")]
    NotLiteral {
        /// What it has.
        found: &'static str,
    },
    /// Not the ARN of an API's method or route.
    #[error(
        "not the ARN of a method: expected `arn:{{partition}}:execute-api:{{region}}:{{account}}:{{api}}/{{stage}}/…`"
    )]
    NotAMethodArn,
}

/// One statement: what it does, and to which resources. The list is never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    effect: Effect,
    scope: Scope,
    condition: Option<Condition>,
}

/// When a statement holds (IAM user guide, "Condition operators: Date", on the global key `aws:CurrentTime`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Before(Timestamp),
    From(Timestamp),
}

impl Condition {
    const fn holds_at(self, now: Timestamp) -> bool {
        match self {
            Self::Before(end) => now.unix_millis() < end.unix_millis(),
            Self::From(start) => now.unix_millis() >= start.unix_millis(),
        }
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (operator, moment) = match self {
            Self::Before(moment) => ("DateLessThan", moment),
            Self::From(moment) => ("DateGreaterThanEquals", moment),
        };
        let moment = BTreeMap::from([("aws:CurrentTime", moment.to_string())]);
        BTreeMap::from([(operator, moment)]).serialize(serializer)
    }
}

/// Only a Deny has a `NotResource` here: an Allow of all but a few is no grant that a policy ever states.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Scope {
    Resource(Vec<String>),
    NotResource(Vec<String>),
}

impl Statement {
    const fn new(effect: Effect, scope: Scope) -> Self {
        Self { effect, scope, condition: None }
    }

    /// What the statement does to what it covers.
    #[must_use]
    pub const fn effect(&self) -> Effect {
        self.effect
    }

    /// Whether the statement speaks about a request for this ARN, at a time when its condition holds.
    #[must_use]
    pub fn covers(&self, arn: &str) -> bool {
        let is_listed = |patterns: &[String]| patterns.iter().any(|pattern| matches_pattern(pattern, arn));
        match &self.scope {
            Scope::Resource(patterns) => is_listed(patterns),
            Scope::NotResource(patterns) => !is_listed(patterns),
        }
    }
}

impl Serialize for Statement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut statement = serializer.serialize_struct("Statement", 4)?;
        statement.serialize_field("Action", "execute-api:Invoke")?;
        statement.serialize_field("Effect", self.effect.as_str())?;
        match &self.scope {
            Scope::Resource(arns) => statement.serialize_field("Resource", arns)?,
            Scope::NotResource(arns) => statement.serialize_field("NotResource", arns)?,
        }
        if let Some(condition) = &self.condition {
            statement.serialize_field("Condition", condition)?;
        }
        statement.end()
    }
}

/// An authorizer's policy document. Without a `Default`, and never without a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IamPolicy {
    statements: Vec<Statement>,
}

impl IamPolicy {
    /// Allows this one resource, and where the API has a resource policy denies all others.
    #[must_use]
    pub fn allow(resource: ResourceArn, resource_policy: ResourcePolicy) -> Self {
        Self::one(Effect::Allow, resource, resource_policy)
    }

    /// Denies this one resource, and where the API has a resource policy all others too: a cached Deny of one method
    /// would leave the other methods to that policy.
    #[must_use]
    pub fn deny(resource: ResourceArn, resource_policy: ResourcePolicy) -> Self {
        Self::one(Effect::Deny, resource, resource_policy)
    }

    /// Denies all of a stage. It speaks about every resource that its authorizer can be asked for.
    #[must_use]
    pub fn deny_stage(stage: StageWideArn) -> Self {
        Self { statements: vec![Statement::new(Effect::Deny, Scope::Resource(vec![stage.0]))] }
    }

    /// Allows these patterns, but for those that it denies, and where the API has a resource policy denies all else.
    /// Where nothing is allowed it denies the stage.
    pub(crate) fn whole_api(
        stage: &StageWideArn,
        allowed: Vec<String>,
        denied: Vec<String>,
        resource_policy: ResourcePolicy,
    ) -> Self {
        if allowed.is_empty() {
            return Self::deny_stage(stage.clone());
        }
        let all_else = match resource_policy {
            ResourcePolicy::Present => {
                Some(Statement::new(Effect::Deny, Scope::NotResource(allowed.clone())))
            }
            ResourcePolicy::Absent => None,
        };
        let allow = Statement::new(Effect::Allow, Scope::Resource(allowed));
        let deny = (!denied.is_empty()).then(|| Statement::new(Effect::Deny, Scope::Resource(denied)));
        Self { statements: [Some(allow), deny, all_else].into_iter().flatten().collect() }
    }

    /// The document with this one resource allowed as well; `None` if it denies the resource by name or pattern.
    ///
    /// A document that denies [all of the stage](Self::deny_stage) allows nothing, so it becomes one that
    /// [allows](Self::allow) the resource alone.
    #[must_use]
    pub fn with_allowed(mut self, resource: ResourceArn, resource_policy: ResourcePolicy) -> Option<Self> {
        let ResourceArn(arn) = &resource;
        let (mut is_allowed, mut has_allow) = (false, false);
        for statement in &self.statements {
            match (statement.effect, &statement.scope) {
                (Effect::Allow, _) => (is_allowed, has_allow) = (is_allowed || statement.covers(arn), true),
                (Effect::Deny, Scope::Resource(patterns)) if statement.condition.is_none() => {
                    let is_stage = |pattern: &String| {
                        pattern.strip_suffix("/*").is_some_and(|stage| stage.matches('/').count() == 1)
                    };
                    if statement.covers(arn) && !(patterns.len() == 1 && patterns.iter().all(is_stage)) {
                        return None;
                    }
                }
                (Effect::Deny, Scope::NotResource(_) | Scope::Resource(_)) => {}
            }
        }
        if !has_allow {
            return Some(Self::allow(resource, resource_policy));
        }
        if !is_allowed {
            for statement in &mut self.statements {
                // The Deny that a condition puts off is about what is allowed until then.
                let is_of_allowed = statement.effect == Effect::Allow || statement.condition.is_some();
                match &mut statement.scope {
                    Scope::NotResource(patterns) => patterns.push(arn.clone()),
                    Scope::Resource(patterns) if is_of_allowed => patterns.push(arn.clone()),
                    Scope::Resource(_) => {}
                }
            }
        }
        Some(self)
    }

    /// The document with this one resource denied as well.
    #[must_use]
    pub fn with_denied(mut self, resource: ResourceArn) -> Self {
        let ResourceArn(arn) = resource;
        let denies = |statement: &&mut Statement| {
            statement.effect == Effect::Deny
                && statement.condition.is_none()
                && matches!(statement.scope, Scope::Resource(_))
        };
        match self.statements.iter_mut().find(denies) {
            Some(statement) if statement.covers(&arn) => {}
            Some(Statement { scope: Scope::Resource(patterns) | Scope::NotResource(patterns), .. }) => {
                patterns.push(arn);
            }
            None => {
                let deny = Statement::new(Effect::Deny, Scope::Resource(vec![arn]));
                let after_allow =
                    self.statements.iter().take_while(|statement| statement.effect == Effect::Allow).count();
                self.statements.insert(after_allow, deny);
            }
        }
        self
    }

    /// The document, allowing what it allows until a moment only. That moment is read by API Gateway, from a condition
    /// on `aws:CurrentTime`; that it does so in the answer of an authorizer is not verified.
    ///
    /// Where all else is denied, because the API has a resource policy, what was allowed is denied from then on:
    /// a document that had become silent about it would leave it to that policy.
    #[must_use]
    pub fn until(mut self, end: Timestamp) -> Self {
        let mut afterwards = None;
        for statement in &mut self.statements {
            match (statement.effect, &statement.scope) {
                (Effect::Allow, _) => statement.condition = Some(Condition::Before(end)),
                (Effect::Deny, Scope::NotResource(patterns)) => {
                    let scope = Scope::Resource(patterns.clone());
                    afterwards = Some(Statement {
                        effect: Effect::Deny,
                        scope,
                        condition: Some(Condition::From(end)),
                    });
                }
                (Effect::Deny, Scope::Resource(_)) => {}
            }
        }
        self.statements.extend(afterwards);
        self
    }

    fn one(effect: Effect, ResourceArn(arn): ResourceArn, resource_policy: ResourcePolicy) -> Self {
        let statement = Statement::new(effect, Scope::Resource(vec![arn.clone()]));
        let all_others = Statement::new(Effect::Deny, Scope::NotResource(vec![arn]));
        match resource_policy {
            ResourcePolicy::Present => Self { statements: vec![statement, all_others] },
            ResourcePolicy::Absent => Self { statements: vec![statement] },
        }
    }

    /// The statements in their order.
    #[must_use]
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// What the document says about a request for this ARN, as IAM evaluates it: an explicit Deny wins, `*` stands for
    /// any text (slashes and colons too), `?` for one character, `${*}`, `${?}` and `${$}` for the signs themselves,
    /// case counts. `None`: it says nothing. Asked for a time before the end that [`IamPolicy::until`] sets.
    #[must_use]
    pub fn effect_for(&self, arn: &str) -> Option<Effect> {
        self.effect_at(arn, Timestamp::from_unix_millis(i64::MIN))
    }

    /// What the document says about a request for this ARN at a moment.
    #[must_use]
    pub fn effect_at(&self, arn: &str, now: Timestamp) -> Option<Effect> {
        let mut effect = None;
        let is_in_force =
            |statement: &&Statement| statement.condition.is_none_or(|condition| condition.holds_at(now));
        for statement in self.statements.iter().filter(is_in_force).filter(|statement| statement.covers(arn))
        {
            match statement.effect {
                Effect::Deny => return Some(Effect::Deny),
                Effect::Allow => effect = Some(Effect::Allow),
            }
        }
        effect
    }
}

impl Serialize for IamPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut document = serializer.serialize_struct("PolicyDocument", 2)?;
        document.serialize_field("Version", "2012-10-17")?;
        document.serialize_field("Statement", &self.statements)?;
        document.end()
    }
}

/// A sign of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    /// `*`: any text, also none.
    Any,
    /// `?`: any one character.
    One,
    /// This character.
    Char(char),
}

/// The signs of a pattern: IAM user guide, "Policy elements: Resource" for `*` and `?`, and "Policy variables: Special
/// characters" for `${*}`, `${?}` and `${$}`, which stand for the sign in the braces. Other variables are not among the
/// forms that we write, and are read as text.
fn signs(pattern: &str) -> Signs<'_> {
    Signs(pattern.chars())
}

#[derive(Clone)]
struct Signs<'p>(std::str::Chars<'p>);

impl Iterator for Signs<'_> {
    type Item = Sign;

    fn next(&mut self) -> Option<Sign> {
        match self.0.next()? {
            '*' => Some(Sign::Any),
            '?' => Some(Sign::One),
            '$' => {
                let rest = self.0.as_str();
                let escaped = ['*', '?', '$'].into_iter().find_map(|sign| {
                    let rest = rest.strip_prefix('{')?.strip_prefix(sign)?.strip_prefix('}')?;
                    Some((sign, rest))
                });
                let (sign, rest) = escaped.unwrap_or(('$', rest));
                self.0 = rest.chars();
                Some(Sign::Char(sign))
            }
            char => Some(Sign::Char(char)),
        }
    }
}

/// Whether a text is of the pattern's form. Takes at most `pattern × text` steps: after a mismatch only the last `*` is
/// widened.
pub(crate) fn matches_pattern(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (signs(pattern), text.chars());
    let mut after_star = None;
    loop {
        let mut rest = text.clone();
        match (pattern.next(), rest.next()) {
            (Some(Sign::Any), _) => {
                after_star = Some((pattern.clone(), text.clone()));
                continue;
            }
            (Some(Sign::One), Some(_)) => {
                text = rest;
                continue;
            }
            (Some(Sign::Char(expected)), Some(found)) if expected == found => {
                text = rest;
                continue;
            }
            (None, None) => return true,
            (Some(_), _) | (None, Some(_)) => {}
        }
        let Some((star_pattern, star_text)) = &mut after_star else { return false };
        if star_text.next().is_none() {
            return false;
        }
        (pattern, text) = (star_pattern.clone(), star_text.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ORDERS: &str = "arn:aws:execute-api:eu-west-1:210987654321:k3m9x2p7qa/prod/GET/orders";
    const USERS: &str = "arn:aws:execute-api:eu-west-1:210987654321:k3m9x2p7qa/prod/GET/users";

    fn orders() -> ResourceArn {
        ResourceArn::exact(ORDERS).unwrap()
    }

    fn prod() -> StageWideArn {
        ResourceArn::stage_wide("aws", "eu-west-1", "210987654321", "k3m9x2p7qa", "prod").unwrap()
    }

    fn json(policy: &IamPolicy) -> String {
        serde_json::to_string(policy).unwrap()
    }

    #[test]
    fn a_document_for_an_api_without_resource_policy_has_one_statement() {
        assert_eq!(
            json(&IamPolicy::allow(orders(), ResourcePolicy::Absent)),
            format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Action":"execute-api:Invoke","Effect":"Allow","Resource":["{ORDERS}"]}}]}}"#
            )
        );
        assert_eq!(
            json(&IamPolicy::deny(orders(), ResourcePolicy::Absent)),
            format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Action":"execute-api:Invoke","Effect":"Deny","Resource":["{ORDERS}"]}}]}}"#
            )
        );
    }

    #[test]
    fn a_document_for_an_api_with_resource_policy_speaks_about_everything() {
        assert_eq!(
            json(&IamPolicy::allow(orders(), ResourcePolicy::Present)),
            format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Action":"execute-api:Invoke","Effect":"Allow","Resource":["{ORDERS}"]}},{{"Action":"execute-api:Invoke","Effect":"Deny","NotResource":["{ORDERS}"]}}]}}"#
            )
        );
        assert_eq!(
            json(&IamPolicy::deny(orders(), ResourcePolicy::Present)),
            format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Action":"execute-api:Invoke","Effect":"Deny","Resource":["{ORDERS}"]}},{{"Action":"execute-api:Invoke","Effect":"Deny","NotResource":["{ORDERS}"]}}]}}"#
            )
        );
    }

    #[test]
    fn a_stage_is_denied_by_its_star() {
        assert_eq!(
            json(&IamPolicy::deny_stage(prod())),
            r#"{"Version":"2012-10-17","Statement":[{"Action":"execute-api:Invoke","Effect":"Deny","Resource":["arn:aws:execute-api:eu-west-1:210987654321:k3m9x2p7qa/prod/*"]}]}"#
        );
    }

    #[test]
    fn silence_is_silence_only_without_a_resource_policy() {
        for (policy, orders, users) in [
            (IamPolicy::allow(orders(), ResourcePolicy::Absent), Some(Effect::Allow), None),
            (IamPolicy::allow(orders(), ResourcePolicy::Present), Some(Effect::Allow), Some(Effect::Deny)),
            (IamPolicy::deny(orders(), ResourcePolicy::Absent), Some(Effect::Deny), None),
            (IamPolicy::deny(orders(), ResourcePolicy::Present), Some(Effect::Deny), Some(Effect::Deny)),
            (IamPolicy::deny_stage(prod()), Some(Effect::Deny), Some(Effect::Deny)),
        ] {
            assert_eq!((policy.effect_for(ORDERS), policy.effect_for(USERS)), (orders, users), "{policy:?}");
        }
        assert_eq!(IamPolicy::deny_stage(prod()).effect_for(&ORDERS.replace("/prod/", "/production/")), None);
    }

    #[test]
    fn an_explicit_deny_wins_in_any_order() {
        let statement = |effect, pattern: &str| {
            Statement::new(effect, Scope::Resource(vec!["other".to_owned(), pattern.to_owned()]))
        };
        let (allow, deny) = (statement(Effect::Allow, "a*"), statement(Effect::Deny, "*b"));
        for statements in [vec![allow.clone(), deny.clone()], vec![deny, allow]] {
            let policy = IamPolicy { statements };
            assert_eq!(policy.effect_for("ab"), Some(Effect::Deny));
            assert_eq!(policy.effect_for("ac"), Some(Effect::Allow));
            assert_eq!(policy.effect_for("cb"), Some(Effect::Deny));
            assert_eq!(policy.effect_for("cc"), None);
        }
    }

    #[test]
    fn only_an_arn_that_matches_itself_alone_is_taken() {
        let long = |path: usize| format!("arn:aws:execute-api:r:a:i/s/GET/{}", "é".repeat(path));
        assert!(ResourceArn::exact(&long(480)).is_ok());
        for arn in [
            "arn:aws:execute-api:eu-west-1:210987654321:h7v2api000/$default/GET/",
            "arn:aws:execute-api:eu-west-1:210987654321:w5ocket000/live/$connect",
            "arn:aws-cn:execute-api:cn-north-1:210987654321:k3m9x2p7qa/prod/GET/at/10:30/a b",
        ] {
            assert_eq!(ResourceArn::exact(arn).unwrap().to_string(), arn);
        }
        let not_a_method = "not the ARN of a method: expected `arn:{partition}:execute-api:{region}:{account}:{api}/{stage}/…`";
        for (arn, message) in [
            ("arn:aws:execute-api:r:a:i/s/GET/*", "ARN has `*`, which a policy does not take literally"),
            ("arn:aws:execute-api:r:a:i/*/GET/x", "ARN has `*`, which a policy does not take literally"),
            ("arn:aws:execute-api:r:a:i/s/GET/x?", "ARN has `?`, which a policy does not take literally"),
            (
                "arn:aws:execute-api:r:a:i/s/GET/${aws:x}",
                "ARN has `${`, which a policy does not take literally",
            ),
            (
                "arn:aws:execute-api:r:a:i/s/GET/\u{85}",
                "ARN has a control character, which a policy does not take literally",
            ),
            (&long(481), "ARN of 513 characters is too long for a policy: the limit is 512"),
            ("", not_a_method),
            ("arn:aws:s3:::bucket/key/x", not_a_method),
            ("arn:aws:s3:r:a:i/s/GET/", not_a_method),
            ("urn:aws:execute-api:r:a:i/s/GET/", not_a_method),
            ("arn:aws:execute-api:r:a:i/s", not_a_method),
            ("arn:aws:execute-api:r:a:i/s/", not_a_method),
            ("arn:aws:execute-api:r:a:i//GET/x", not_a_method),
        ] {
            assert_eq!(ResourceArn::exact(arn).unwrap_err().to_string(), message, "{arn}");
        }
    }

    #[test]
    fn the_pieces_of_a_stage_are_no_patterns() {
        assert_eq!(
            ResourceArn::stage_wide("aws", "r", "a", "i", "$default").unwrap().as_str(),
            "arn:aws:execute-api:r:a:i/$default/*"
        );
        for (stage, error) in [
            ("*", IamError::NotLiteral { found: "`*`" }),
            ("${x}", IamError::NotLiteral { found: "`${`" }),
            ("a/b", IamError::NotAMethodArn),
            ("a:b", IamError::NotAMethodArn),
            ("", IamError::NotAMethodArn),
        ] {
            assert_eq!(ResourceArn::stage_wide("aws", "r", "a", "i", stage), Err(error), "{stage}");
        }
    }

    #[test]
    fn an_exact_arn_is_added_to_a_document_for_the_whole_api() {
        let document = |resource_policy| {
            let (allowed, denied) = (vec![format!("{ORDERS}/*")], vec![format!("{ORDERS}/export")]);
            IamPolicy::whole_api(&prod(), allowed, denied, resource_policy)
        };
        for resource_policy in [ResourcePolicy::Present, ResourcePolicy::Absent] {
            let silence = match resource_policy {
                ResourcePolicy::Present => Some(Effect::Deny),
                ResourcePolicy::Absent => None,
            };
            let document = document(resource_policy);
            let says = |policy: &IamPolicy| {
                [ORDERS, USERS, &format!("{ORDERS}/1"), &format!("{ORDERS}/export")]
                    .map(|arn| policy.effect_for(arn))
            };
            let (allow, deny) = (Some(Effect::Allow), Some(Effect::Deny));
            assert_eq!(says(&document), [silence, silence, allow, deny]);
            let wider = document.clone().with_allowed(orders(), resource_policy).unwrap();
            assert_eq!(says(&wider), [allow, silence, allow, deny]);
            assert_eq!(wider.clone().with_allowed(orders(), resource_policy), Some(wider.clone()));
            let narrower = wider.with_denied(orders());
            assert_eq!(says(&narrower), [deny, silence, allow, deny]);
            assert_eq!(narrower.clone().with_denied(orders()), narrower);
            assert_eq!(narrower.with_allowed(orders(), resource_policy), None);
            let export = ResourceArn::exact(&format!("{ORDERS}/export")).unwrap();
            assert_eq!(document.with_allowed(export, resource_policy), None);
        }
    }

    #[test]
    fn an_exact_arn_takes_the_place_of_a_refused_stage() {
        let refusal = || IamPolicy::whole_api(&prod(), Vec::new(), Vec::new(), ResourcePolicy::Absent);
        assert_eq!(refusal(), IamPolicy::deny_stage(prod()));
        assert_eq!(refusal().with_denied(orders()), refusal());
        for resource_policy in [ResourcePolicy::Present, ResourcePolicy::Absent] {
            assert_eq!(
                refusal().with_allowed(orders(), resource_policy),
                Some(IamPolicy::allow(orders(), resource_policy))
            );
        }
    }

    #[test]
    fn a_denied_arn_stands_after_what_is_allowed() {
        let allowed = vec![format!("{ORDERS}*")];
        let document = IamPolicy::whole_api(&prod(), allowed, Vec::new(), ResourcePolicy::Present);
        let effects: Vec<Effect> =
            document.with_denied(orders()).statements().iter().map(Statement::effect).collect();
        assert_eq!(effects, [Effect::Allow, Effect::Deny, Effect::Deny]);
    }

    #[test]
    fn what_is_allowed_can_end() {
        let end = Timestamp::from_unix_seconds(1_795_255_200);
        let document = IamPolicy::allow(orders(), ResourcePolicy::Absent).until(end);
        assert_eq!(
            json(&document),
            format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Action":"execute-api:Invoke","Effect":"Allow","Resource":["{ORDERS}"],"Condition":{{"DateLessThan":{{"aws:CurrentTime":"{end}"}}}}}}]}}"#
            )
        );
        let before = Timestamp::from_unix_millis(end.unix_millis() - 1);
        assert_eq!(document.effect_for(ORDERS), Some(Effect::Allow));
        assert_eq!(
            (document.effect_at(ORDERS, before), document.effect_at(ORDERS, end)),
            (Some(Effect::Allow), None)
        );
        // Silence would be an Allow of the resource policy.
        let document = IamPolicy::allow(orders(), ResourcePolicy::Present).until(end);
        let users = ResourceArn::exact(USERS).unwrap();
        for document in [document.clone(), document.with_allowed(users, ResourcePolicy::Present).unwrap()] {
            let at = |now| document.effect_at(ORDERS, now);
            assert_eq!((at(before), at(end)), (Some(Effect::Allow), Some(Effect::Deny)));
            assert_eq!(document.effect_at(USERS, end), Some(Effect::Deny));
        }
    }

    #[test]
    fn signs_can_be_escaped() {
        for (pattern, matching, other) in [
            ("a${*}b", "a*b", "axb"),
            ("a${?}b", "a?b", "axb"),
            ("a${$}{b}", "a${b}", "ab"),
            ("${x}", "${x}", "x"),
            ("$*", "$a", "a"),
            ("*${*}*", "a*b", "ab"),
        ] {
            assert!(matches_pattern(pattern, matching), "{pattern} {matching}");
            assert!(!matches_pattern(pattern, other), "{pattern} {other}");
        }
    }

    /// The definition of the signs, without a thought for speed.
    fn by_definition(pattern: &[char], text: &[char]) -> bool {
        if let ['$', '{', sign @ ('*' | '?' | '$'), '}', rest @ ..] = pattern {
            return text
                .split_first()
                .is_some_and(|(found, text)| sign == found && by_definition(rest, text));
        }
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|skipped| by_definition(rest, &text[skipped..])),
            Some((sign, rest)) => text
                .split_first()
                .is_some_and(|(found, text)| (*sign == '?' || sign == found) && by_definition(rest, text)),
        }
    }

    proptest! {
        #[test]
        fn the_matcher_agrees_with_the_definition(
            pattern in r"([abA*?$]|\$\{[*?$a]\}){0,8}",
            text in "[abA*?é${}]{0,10}",
        ) {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(
                matches_pattern(&pattern, &text),
                by_definition(&chars(&pattern), &chars(&text))
            );
        }

        #[test]
        fn an_allow_allows_its_arn_and_no_other(path in "[a-c/$:%.]{0,6}", other in "[a-c/$:%.*?]{0,6}") {
            let arn = |path: &str| format!("arn:aws:execute-api:r:a:i/s/GET/{path}");
            let resource = ResourceArn::exact(&arn(&path)).unwrap();
            for resource_policy in [ResourcePolicy::Present, ResourcePolicy::Absent] {
                let policy = IamPolicy::allow(resource.clone(), resource_policy);
                prop_assert_eq!(policy.effect_for(&arn(&path)), Some(Effect::Allow));
                if other != path {
                    let refusal = match resource_policy {
                        ResourcePolicy::Present => Some(Effect::Deny),
                        ResourcePolicy::Absent => None,
                    };
                    prop_assert_eq!(policy.effect_for(&arn(&other)), refusal);
                }
            }
        }

        #[test]
        fn no_text_becomes_a_pattern(path in ".{0,8}[*?a]{0,1}(\\$\\{a\\})?.{0,8}") {
            let arn = format!("arn:aws:execute-api:r:a:i/s/GET/{path}");
            let is_plain = !path.contains(['*', '?']) && !path.contains("${") && !path.contains(char::is_control);
            prop_assert_eq!(ResourceArn::exact(&arn).is_ok(), is_plain);
        }
    }

    #[test]
    fn many_stars_do_not_take_forever() {
        let (pattern, text) = ("a*".repeat(200), "a".repeat(1_600));
        assert!(matches_pattern(&pattern, &text));
        assert!(!matches_pattern(&format!("{pattern}b"), &text));
    }
}
