//! A policy's condition, taken apart once: what principal and operation decide, what the path decides, and what neither
//! tells.
//!
//! ```text
//! principal.claims has department && context.params.userId == principal.sub && context.http has source_ip
//! └──────────── Ground ─────────┘    └─────────── Equals ────────────────┘    └───────── Opaque ────────┘
//! ```
//!
//! A part that does not speak of the context is evaluated by Cedar itself, so it means what Cedar says; the few forms that a
//! pattern can stand for are kept as tests of the path; the rest can come out in any way. A condition whose rest speaks
//! of principal or operation too is [mixed](Condition::is_mixed): partial evaluation may make more of it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use cedar_policy as cedar;
use cedar_policy::pst::{BinaryOp, Clause, Expr, Literal, PatternElem, UnaryOp, Var};

use super::formula::{Formula, Outcomes};
use super::residual::{children, collect_facts};
use super::test::{Glob, GlobPart, Subject, Test};
use crate::cedar_core;
use crate::route::{Operation, Segment};

/// The conditions of a policy, all of which must hold.
#[derive(Debug)]
pub(super) struct Condition {
    node: Node,
    is_mixed: bool,
}

/// What is known where a condition is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Principal, action and resource, with their entities.
    Request,
    /// Nothing but what stands there: partial evaluation has put in what it knew.
    Constants,
}

/// What there is to evaluate with: see [`Condition::formula`].
pub(super) struct Question<'q> {
    /// The operation that is asked for.
    pub(super) operation: &'q Operation,
    /// Principal, action and resource, for what has to be evaluated with them; `None` where they cannot be put together.
    pub(super) ground: &'q dyn Fn() -> Option<(&'q cedar::Request, &'q cedar::Entities)>,
    /// What has been evaluated for this principal, by [`Ground`]s' numbers.
    pub(super) of_principal: &'q mut Vec<Option<Value>>,
    /// The questions about the path so far.
    pub(super) tests: &'q mut Vec<Test>,
}

/// What Cedar makes of an expression; nothing where it fails.
pub(super) type Value = Option<cedar::EvalResult>;

/// Numbers the expressions that depend on the principal alone, so that each is evaluated once for all operations.
#[derive(Debug, Default)]
pub(super) struct Numbering(AtomicUsize);

#[derive(Debug)]
enum Node {
    Ground(Ground),
    Error,
    Not(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    If(Box<Node>, Box<Node>, Box<Node>),
    Equals(Subject, Ground),
    OneOf(Ground, Subject),
    Like(Subject, Glob),
    HasParam(String),
    /// Whatever is not one of these forms: any outcome is possible, and so nothing is granted by it.
    Opaque(BTreeSet<String>),
}

/// An expression without the context.
#[derive(Debug)]
enum Ground {
    Constant(Value),
    /// It reads the principal and nothing else.
    OfPrincipal(usize, cedar::Expression),
    OfOperation(cedar::Expression),
}

impl Condition {
    /// Reads the clauses of a policy.
    pub(super) fn of(policy: &cedar::Policy, known: Known, numbering: &Numbering) -> Self {
        let mut reader = Reader { known, numbering, is_mixed: false };
        let node = match policy.to_pst() {
            Ok(policy) => {
                let clauses = policy.body().clauses().iter().map(|clause| match clause {
                    Clause::When(condition) => reader.node(condition),
                    Clause::Unless(condition) => Node::Not(Box::new(reader.node(condition))),
                });
                let all = clauses.reduce(|node, next| Node::And(Box::new(node), Box::new(next)));
                all.unwrap_or_else(|| Node::constant(true))
            }
            Err(_) => reader.opaque(BTreeSet::from(["a condition that cannot be read".to_owned()]), true),
        };
        Self { node, is_mixed: reader.is_mixed }
    }

    /// Whether a part of it that is not understood speaks of principal or operation.
    pub(super) const fn is_mixed(&self) -> bool {
        self.is_mixed
    }

    /// The condition as a formula over tests of the path.
    pub(super) fn formula(&self, question: &mut Question<'_>) -> Formula {
        self.node.formula(question)
    }
}

impl Numbering {
    fn next(&self) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// Takes expressions apart.
struct Reader<'n> {
    known: Known,
    numbering: &'n Numbering,
    is_mixed: bool,
}

impl Reader<'_> {
    fn node(&mut self, expression: &Expr) -> Node {
        if let Some(ground) = self.ground(expression) {
            return Node::Ground(ground);
        }
        self.understood(expression).unwrap_or_else(|| {
            let mut facts = BTreeSet::new();
            collect_facts(expression, &mut facts);
            let speaks_of_more = facts.iter().any(|fact| !is_of_context(fact));
            // What is known is no fact that is wanting.
            if self.known == Known::Request {
                facts.retain(|fact| is_of_context(fact));
            }
            self.opaque(facts, speaks_of_more)
        })
    }

    fn opaque(&mut self, mut facts: BTreeSet<String>, speaks_of_more: bool) -> Node {
        self.is_mixed |= speaks_of_more;
        if facts.is_empty() {
            facts.insert("an expression that no pattern can stand for".to_owned());
        }
        Node::Opaque(facts)
    }

    fn understood(&mut self, expression: &Expr) -> Option<Node> {
        Some(match expression {
            Expr::ResidualError => Node::Error,
            Expr::UnaryOp { op: UnaryOp::Not, expr } => Node::Not(Box::new(self.node(expr))),
            Expr::BinaryOp { op: BinaryOp::And, left, right } => {
                Node::And(Box::new(self.node(left)), Box::new(self.node(right)))
            }
            Expr::BinaryOp { op: BinaryOp::Or, left, right } => {
                Node::Or(Box::new(self.node(left)), Box::new(self.node(right)))
            }
            Expr::IfThenElse { cond, then_expr, else_expr } => Node::If(
                Box::new(self.node(cond)),
                Box::new(self.node(then_expr)),
                Box::new(self.node(else_expr)),
            ),
            Expr::BinaryOp { op: BinaryOp::Eq, left, right } => self.equality(left, right)?,
            Expr::BinaryOp { op: BinaryOp::NotEq, left, right } => {
                Node::Not(Box::new(self.equality(left, right)?))
            }
            // `["a", "b"].contains(context.params.x)`
            Expr::BinaryOp { op: BinaryOp::Contains, left, right } => {
                let subject = subject(right)?;
                Node::OneOf(self.ground(left)?, subject)
            }
            Expr::Like { expr, pattern } => {
                let glob = Glob::new(pattern.iter().map(|element| match element {
                    PatternElem::Char(char) => GlobPart::Char(*char),
                    PatternElem::Wildcard => GlobPart::Any,
                }));
                Node::Like(subject(expr)?, glob)
            }
            // The authorizer always gives the three parts of a context, and a parameter is there if the template binds it.
            Expr::HasAttr { expr, attrs } if is_context(expr) => match (attrs.head.as_str(), &*attrs.tail) {
                ("params" | "path" | "http", []) => Node::constant(true),
                ("params", [name]) => Node::HasParam(name.to_string()),
                _ => return None,
            },
            Expr::HasAttr { expr, attrs }
                if is_context_attribute(expr, "params") && attrs.tail.is_empty() =>
            {
                Node::HasParam(attrs.head.to_string())
            }
            _ => return None,
        })
    }

    fn equality(&mut self, left: &Expr, right: &Expr) -> Option<Node> {
        let (subject, other) = match subject(left) {
            Some(subject) => (subject, right),
            None => (subject(right)?, left),
        };
        Some(Node::Equals(subject, self.ground(other)?))
    }

    /// An expression that can be evaluated with what is known.
    fn ground(&mut self, expression: &Expr) -> Option<Ground> {
        if let Some(value) = constant(expression) {
            return Some(Ground::Constant(Some(value)));
        }
        let mut variables = Variables::default();
        variables.collect(expression)?;
        if self.known == Known::Constants || variables.context {
            return None;
        }
        let expression = cedar_core::expression(expression);
        Some(match variables.of_operation {
            true => Ground::OfOperation(expression),
            false => Ground::OfPrincipal(self.numbering.next(), expression),
        })
    }
}

/// Which variables an expression has.
#[derive(Debug, Default)]
struct Variables {
    context: bool,
    of_operation: bool,
}

impl Variables {
    /// `None` for a form that is not known here.
    fn collect(&mut self, expression: &Expr) -> Option<()> {
        match expression {
            Expr::Var(Var::Context) => self.context = true,
            Expr::Var(Var::Action | Var::Resource) => self.of_operation = true,
            // What partial evaluation leaves of an error is no expression that can be evaluated once more.
            Expr::ResidualError => return None,
            _ => {}
        }
        children(expression)?.into_iter().try_for_each(|child| self.collect(child))
    }
}

/// A literal, or a set of texts.
fn constant(expression: &Expr) -> Option<cedar::EvalResult> {
    match expression {
        Expr::Literal(Literal::Bool(value)) => Some(cedar::EvalResult::Bool(*value)),
        Expr::Literal(Literal::String(text)) => Some(cedar::EvalResult::String(text.to_string())),
        // Of other constants Cedar makes the values.
        Expr::Set(items) if items.iter().all(|item| matches!(&**item, Expr::Literal(Literal::String(_)))) => {
            let set = cedar_core::expression(expression);
            let nobody = "Nobody::\"\"".parse::<cedar::EntityUid>().ok()?;
            let context = cedar::Context::empty();
            let request = cedar::Request::new(nobody.clone(), nobody.clone(), nobody, context, None).ok()?;
            cedar::eval_expression(&request, &cedar::Entities::empty(), &set).ok()
        }
        _ => None,
    }
}

impl Node {
    const fn constant(value: bool) -> Self {
        Self::Ground(Ground::Constant(Some(cedar::EvalResult::Bool(value))))
    }

    fn formula(&self, question: &mut Question<'_>) -> Formula {
        match self {
            Self::Ground(ground) => match ground.value(question) {
                Some(cedar::EvalResult::Bool(value)) => Formula::Constant(Outcomes::certain(value)),
                // An error, or no truth value where Cedar wants one, which is one too.
                Some(_) | None => Formula::Constant(Outcomes::ERROR),
            },
            Self::Error => Formula::Constant(Outcomes::ERROR),
            Self::Not(inner) => Formula::negation(inner.formula(question)),
            Self::And(left, right) => match left.formula(question) {
                Formula::FALSE => Formula::FALSE,
                left => Formula::and(left, right.formula(question)),
            },
            Self::Or(left, right) => match left.formula(question) {
                Formula::TRUE => Formula::TRUE,
                left => Formula::or(left, right.formula(question)),
            },
            Self::If(condition, then, otherwise) => match condition.formula(question) {
                Formula::TRUE => then.formula(question),
                Formula::FALSE => otherwise.formula(question),
                condition => {
                    let (then, otherwise) = (then.formula(question), otherwise.formula(question));
                    Formula::If(Box::new(condition), Box::new(then), Box::new(otherwise))
                }
            },
            Self::Equals(subject, ground) => match ground.value(question) {
                Some(cedar::EvalResult::String(text)) => question.test(subject, Glob::text(&text)),
                // Values of two types are never equal, which is no error (Cedar reference, "==").
                Some(_) => Formula::FALSE,
                None => Formula::Constant(Outcomes::ERROR),
            },
            Self::OneOf(set, subject) => match set.value(question) {
                Some(cedar::EvalResult::Set(items)) => {
                    let texts = items.iter().filter_map(|item| match item {
                        cedar::EvalResult::String(text) => Some(text),
                        _ => None,
                    });
                    texts.fold(Formula::FALSE, |formula, text| {
                        Formula::or(formula, question.test(subject, Glob::text(text)))
                    })
                }
                Some(_) | None => Formula::Constant(Outcomes::ERROR),
            },
            Self::Like(subject, glob) => question.test(subject, glob.clone()),
            Self::HasParam(name) => Formula::Constant(Outcomes::certain(
                question.operation.param_names().any(|param| param == name),
            )),
            Self::Opaque(facts) => Formula::Reads(facts.clone()),
        }
    }
}

impl Ground {
    fn value(&self, question: &mut Question<'_>) -> Value {
        let evaluate = |expression: &cedar::Expression, question: &Question<'_>| {
            let (request, entities) = (question.ground)()?;
            cedar::eval_expression(request, entities, expression).ok()
        };
        match self {
            Self::Constant(value) => value.clone(),
            Self::OfOperation(expression) => evaluate(expression, question),
            Self::OfPrincipal(number, expression) => {
                if let Some(Some(known)) = question.of_principal.get(*number) {
                    return known.clone();
                }
                let value = evaluate(expression, question);
                if question.of_principal.len() <= *number {
                    question.of_principal.resize(number + 1, None);
                }
                if let Some(place) = question.of_principal.get_mut(*number) {
                    *place = Some(value.clone());
                }
                value
            }
        }
    }
}

impl Question<'_> {
    fn test(&mut self, subject: &Subject, glob: Glob) -> Formula {
        if let Subject::Param(name) = subject {
            let template = self.operation.template();
            // A parameter that the template does not bind: whatever comes of that.
            if !template.param_names().any(|param| param == name) {
                return Formula::Reads(BTreeSet::from([format!("context.params.{name}")]));
            }
            let mut segments = template.segments().iter();
            let is_one_segment =
                segments.any(|segment| matches!(segment, Segment::Parameter(param) if param == name));
            if is_one_segment && (glob.parts().is_empty() || glob.parts().contains(&GlobPart::Char('/'))) {
                return Formula::FALSE;
            }
        }
        if glob.parts() == [GlobPart::Any] {
            return Formula::TRUE;
        }
        let test = Test { subject: subject.clone(), glob };
        let index = self.tests.iter().position(|known| *known == test).unwrap_or_else(|| {
            self.tests.push(test);
            self.tests.len() - 1
        });
        Formula::Test(index)
    }
}

/// What a test can look at: `context.path`, and `context.params.<name>`.
fn subject(expression: &Expr) -> Option<Subject> {
    if is_context_attribute(expression, "path") {
        return Some(Subject::Path);
    }
    match expression {
        Expr::GetAttr { expr, attr } if is_context_attribute(expr, "params") => {
            Some(Subject::Param(attr.to_string()))
        }
        _ => None,
    }
}

fn is_context(expression: &Expr) -> bool {
    matches!(expression, Expr::Var(Var::Context))
}

fn is_context_attribute(expression: &Expr, name: &str) -> bool {
    matches!(expression, Expr::GetAttr { expr, attr } if attr == name && is_context(expr))
}

fn is_of_context(fact: &str) -> bool {
    fact == "context" || fact.starts_with("context.")
}
