//! Requests that conditions could tell apart, made of the values that the conditions name: bounded enumeration, for where
//! no rule decides whether two conditions say the same.
//!
//! What a condition compares is linked: the texts that stand beside a parameter are tried for it, and for what it is
//! compared with. A text is tried as it is and as a near miss, a pattern with little and with nothing for its `*`, a number
//! with its neighbours, an address inside and outside of each range, a moment before, at and after; what is optional,
//! absent too. Where there are more combinations than are wanted, first each value alone is tried, then a sample that is
//! the same in every run.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use cedar_policy::pst::{BinaryOp, Expr, Literal, PatternElem, UnaryOp};

use crate::bundle::vocabulary::{ClaimKind, Vocabulary};
use crate::entities::HttpFacts;
use crate::jose::ClaimValue;
use crate::path::RequestPath;
use crate::route::{Operation, Segment, TemplateKind};
use crate::time::Timestamp;

use super::condition::{Condition, attribute_path, children};
use super::people::{Attributes, Person};

/// A request, and who makes it.
#[derive(Clone, Debug)]
pub struct Case {
    /// The id of the principal's entity.
    pub id: String,
    /// The principal's attributes.
    pub attributes: Attributes,
    /// The path; `None` for a WebSocket's connect, which has none.
    pub path: Option<RequestPath>,
    /// The volatile facts.
    pub facts: HttpFacts,
}

/// The requests for one operation that some conditions could tell apart.
#[derive(Debug)]
pub struct Cases<'o> {
    operation: &'o Operation,
    variables: Vec<Variable>,
}

/// Something of a request that can differ.
#[derive(Debug)]
struct Variable {
    name: String,
    /// What it can be; the plainest first.
    values: Vec<Tried>,
}

#[derive(Clone, Debug, PartialEq)]
enum Tried {
    Absent,
    Text(String),
    Long(i64),
    Bool(bool),
    Texts(Vec<String>),
    Address(IpAddr),
    Moment(Timestamp),
}

/// The most values that are tried for one thing.
const MOST_VALUES: usize = 24;

/// What is asked for, where nothing says what.
const PLAIN: [&str; 2] = ["x1", "x2"];
const SUBJECT: &str = "somebody";
const ISSUER: &str = "issuer";

/// The variables that are no attribute.
const IDENTITY: &str = "the principal";
const WHOLE_PATH: &str = "the path";

impl<'o> Cases<'o> {
    /// What `conditions` could tell apart in what somebody asks of an operation.
    #[must_use]
    pub fn new(
        conditions: &[&Condition],
        person: &Person,
        operation: &'o Operation,
        vocabulary: &Vocabulary,
    ) -> Self {
        let mut atoms = Vec::new();
        for condition in conditions {
            split(condition.expression(), &mut atoms);
        }
        let classes = classes(atoms);
        let mut variables = Vec::new();
        let named: Vec<Tried> = classes
            .iter()
            .flat_map(|class| &class.entities)
            .filter(|(kind, _)| kind == person.type_name())
            .map(|(_, id)| Tried::Text(id.clone()))
            .collect();
        variables.push(Variable::new(IDENTITY, std::iter::once(Tried::Absent).chain(named)));
        for param in operation.param_names() {
            let pool = pool(&classes, &format!("context.params.{param}"));
            let texts = pool.map_or_else(|| vec![Tried::Text(PLAIN[0].to_owned())], Class::texts);
            variables.push(Variable::new(&format!("context.params.{param}"), texts));
        }
        if let Some(class) = pool(&classes, "context.path") {
            let paths = class
                .texts()
                .into_iter()
                .filter(|tried| matches!(tried, Tried::Text(text) if text.parse::<RequestPath>().is_ok()));
            variables.push(Variable::new(WHOLE_PATH, std::iter::once(Tried::Absent).chain(paths)));
        }
        variables.extend(attributes(&classes, person, vocabulary));
        variables.extend(facts(&classes));
        variables
            .retain(|variable| variable.values.len() > 1 || variable.name.starts_with("context.params."));
        Self { operation, variables }
    }

    /// How many combinations there are.
    #[must_use]
    pub fn len(&self) -> usize {
        let sizes = self.variables.iter().map(|variable| variable.values.len());
        sizes.fold(1, usize::saturating_mul)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The requests, at most so many: all of them, or each value once and a sample.
    pub fn up_to(&self, most: usize) -> impl Iterator<Item = Case> {
        let all = self.len();
        let alone: Vec<Vec<usize>> = match all > most {
            true => self.each_alone(),
            false => Vec::new(),
        };
        let mut random = Random(0x5EED_0FCA_5E5E_ED05);
        let rest = most.saturating_sub(alone.len());
        let rest: Vec<Vec<usize>> = match all > most {
            true => (0..rest).map(|_| self.at(|size| random.below(size))).collect(),
            false => (0..all).map(|index| self.digits(index)).collect(),
        };
        alone.into_iter().chain(rest).take(most).filter_map(|chosen| self.case(&chosen))
    }

    fn each_alone(&self) -> Vec<Vec<usize>> {
        let none = vec![0; self.variables.len()];
        let mut chosen = vec![none.clone()];
        for (index, variable) in self.variables.iter().enumerate() {
            for value in 1..variable.values.len() {
                let mut one = none.clone();
                if let Some(digit) = one.get_mut(index) {
                    *digit = value;
                }
                chosen.push(one);
            }
        }
        chosen
    }

    fn at(&self, mut choose: impl FnMut(usize) -> usize) -> Vec<usize> {
        self.variables.iter().map(|variable| choose(variable.values.len().max(1))).collect()
    }

    fn digits(&self, mut index: usize) -> Vec<usize> {
        self.at(|size| {
            let digit = index % size;
            index /= size;
            digit
        })
    }

    /// The request; `None` where its values make no path.
    fn case(&self, chosen: &[usize]) -> Option<Case> {
        let mut values: BTreeMap<&str, &Tried> = BTreeMap::new();
        for (variable, index) in self.variables.iter().zip(chosen) {
            values.insert(&variable.name, variable.values.get(*index)?);
        }
        let text = |name: &str, default: &str| match values.get(name) {
            Some(Tried::Text(text)) => text.clone(),
            _ => default.to_owned(),
        };
        let (mut sub, mut issuer) = (text("principal.sub", SUBJECT), text("principal.issuer", ISSUER));
        let mut id = format!("{issuer}|{sub}");
        if let Some(Tried::Text(named)) = values.get(IDENTITY) {
            id.clone_from(named);
            if let Some((alias, subject)) = named.split_once('|') {
                (issuer, sub) = (alias.to_owned(), subject.to_owned());
            }
        }
        let mut attributes: Attributes = Attributes::new();
        for (name, value) in &values {
            let Some(name) = name.strip_prefix("principal.") else { continue };
            if let Some(value) = value.as_claim() {
                attributes.insert(name.to_owned(), value);
            }
        }
        attributes.insert("sub".to_owned(), ClaimValue::String(sub));
        attributes.insert("issuer".to_owned(), ClaimValue::String(issuer));
        Some(Case { id, attributes, path: self.path(&values)?, facts: facts_of(&values) })
    }

    /// The path; the outer `None` where there is none in normal form.
    #[expect(clippy::option_option, reason = "no such path, and a request that has none")]
    fn path(&self, values: &BTreeMap<&str, &Tried>) -> Option<Option<RequestPath>> {
        if self.operation.template().kind() == TemplateKind::Connect {
            return Some(None);
        }
        if let Some(Tried::Text(path)) = values.get(WHOLE_PATH) {
            return path.parse().ok().map(Some);
        }
        let mut path = String::new();
        for segment in self.operation.template().segments() {
            path.push('/');
            match segment {
                Segment::Literal(text) => path += text,
                Segment::Parameter(name) | Segment::Greedy(name) => {
                    let Some(Tried::Text(text)) = values.get(format!("context.params.{name}").as_str())
                    else {
                        return None;
                    };
                    if matches!(segment, Segment::Parameter(_)) && text.contains('/') {
                        return None;
                    }
                    path += text;
                }
            }
        }
        let path = if path.is_empty() { "/" } else { &path };
        path.parse().ok().map(Some)
    }
}

impl Variable {
    fn new(name: &str, values: impl IntoIterator<Item = Tried>) -> Self {
        let mut all: Vec<Tried> = Vec::new();
        for value in values {
            if all.len() < MOST_VALUES && !all.contains(&value) {
                all.push(value);
            }
        }
        Self { name: name.to_owned(), values: all }
    }
}

impl Tried {
    fn as_claim(&self) -> Option<ClaimValue> {
        Some(match self {
            Self::Text(text) => ClaimValue::String(text.clone()),
            Self::Long(number) => ClaimValue::Long(*number),
            Self::Bool(value) => ClaimValue::Bool(*value),
            Self::Texts(texts) => ClaimValue::Set(texts.clone()),
            Self::Absent | Self::Address(_) | Self::Moment(_) => return None,
        })
    }
}

/// Things that are compared with each other, and the values that stand beside them.
#[derive(Debug, Default)]
struct Class {
    paths: BTreeSet<String>,
    texts: Vec<String>,
    numbers: Vec<i64>,
    entities: Vec<(String, String)>,
    ranges: Vec<String>,
    moments: Vec<String>,
}

impl Class {
    fn texts(&self) -> Vec<Tried> {
        let plain = PLAIN.iter().map(|text| (*text).to_owned());
        plain.chain(self.texts.iter().cloned()).map(Tried::Text).collect()
    }

    fn add(&mut self, expression: &Expr) {
        if let Some(path) = match expression {
            Expr::GetAttr { .. } => attribute_path(expression),
            Expr::HasAttr { expr, attrs } => attribute_path(expr)
                .map(|base| attrs.iter().fold(base, |path, attr| format!("{path}.{attr}"))),
            _ => None,
        } {
            self.paths.insert(path);
            return;
        }
        match expression {
            Expr::Literal(Literal::String(text)) => self.text(text),
            Expr::Literal(Literal::Long(number)) => {
                self.numbers.extend([*number, number.saturating_sub(1), number.saturating_add(1)]);
            }
            Expr::Literal(Literal::EntityUID(uid)) => {
                self.entities.push((uid.ty.to_string(), uid.eid.to_string()));
            }
            Expr::Like { pattern, .. } => {
                let filled = |filling: &str| {
                    let parts = pattern.iter().map(|element| match element {
                        PatternElem::Char(char) => char.to_string(),
                        PatternElem::Wildcard => filling.to_owned(),
                    });
                    parts.collect::<String>()
                };
                self.text(&filled("1"));
                self.text(&filled(""));
                self.texts.push(format!("x{}", filled("1")));
            }
            Expr::UnaryOp { op: UnaryOp::Ip, expr } => return self.call(expr, |class| &mut class.ranges),
            Expr::UnaryOp { op: UnaryOp::Datetime, expr } => {
                return self.call(expr, |class| &mut class.moments);
            }
            _ => {}
        }
        for child in children(expression).into_iter().flatten() {
            self.add(child);
        }
    }

    fn text(&mut self, text: &str) {
        self.texts.extend([text.to_owned(), format!("{text}1")]);
    }

    fn call(&mut self, argument: &Expr, list: fn(&mut Self) -> &mut Vec<String>) {
        if let Expr::Literal(Literal::String(text)) = argument {
            list(self).push(text.to_string());
        }
    }

    fn join(&mut self, other: Self) {
        self.paths.extend(other.paths);
        self.texts.extend(other.texts);
        self.numbers.extend(other.numbers);
        self.entities.extend(other.entities);
        self.ranges.extend(other.ranges);
        self.moments.extend(other.moments);
    }
}

/// The parts of a condition that are put together by `&&`, `||`, `!` and `if` alone.
fn split<'e>(expression: &'e Expr, atoms: &mut Vec<&'e Expr>) {
    match expression {
        Expr::BinaryOp { op: BinaryOp::And | BinaryOp::Or, left, right } => {
            split(left, atoms);
            split(right, atoms);
        }
        Expr::UnaryOp { op: UnaryOp::Not, expr } => split(expr, atoms),
        Expr::IfThenElse { cond, then_expr, else_expr } => {
            [cond, then_expr, else_expr].into_iter().for_each(|part| split(part, atoms));
        }
        _ => atoms.push(expression),
    }
}

fn classes(atoms: Vec<&Expr>) -> Vec<Class> {
    let mut classes: Vec<Class> = Vec::new();
    for atom in atoms {
        let mut class = Class::default();
        class.add(atom);
        let (linked, apart): (Vec<Class>, Vec<Class>) =
            classes.into_iter().partition(|known| known.paths.intersection(&class.paths).next().is_some());
        linked.into_iter().for_each(|known| class.join(known));
        classes = apart;
        classes.push(class);
    }
    classes
}

/// The class of what a policy calls so.
fn pool<'c>(classes: &'c [Class], path: &str) -> Option<&'c Class> {
    classes.iter().find(|class| class.paths.contains(path))
}

fn attributes(classes: &[Class], person: &Person, vocabulary: &Vocabulary) -> Vec<Variable> {
    const DECLARED: [(&str, ClaimKind, bool); 6] = [
        ("sub", ClaimKind::String, true),
        ("issuer", ClaimKind::String, true),
        ("client_id", ClaimKind::String, false),
        ("scopes", ClaimKind::SetOfString, true),
        ("email", ClaimKind::String, false),
        ("email_verified", ClaimKind::Bool, false),
    ];
    let shape = person.shape(vocabulary);
    let own = DECLARED.into_iter().filter(|(name, ..)| shape.attributes.contains(*name));
    let own = own.map(|(name, kind, required)| (name.to_owned(), kind, required));
    let claims = shape.claims.iter().flatten();
    let claims = claims.map(|(name, claim)| (format!("claims.{name}"), claim.kind, claim.required));
    own.chain(claims)
        .filter_map(|(name, kind, required)| {
            let path = format!("principal.{name}");
            let class = pool(classes, &path)?;
            let absent = (!required).then_some(Tried::Absent);
            let values: Vec<Tried> = match kind {
                ClaimKind::String => class.texts(),
                ClaimKind::Long => {
                    let numbers = [0].into_iter().chain(class.numbers.iter().copied());
                    numbers.chain([i64::MAX, i64::MIN]).map(Tried::Long).collect()
                }
                ClaimKind::Bool => vec![Tried::Bool(false), Tried::Bool(true)],
                ClaimKind::SetOfString => {
                    let one = class.texts.iter().map(|text| vec![text.clone()]);
                    let mut all: Vec<String> = class.texts.clone();
                    all.sort_unstable();
                    all.dedup();
                    let plain = PLAIN.iter().map(|text| vec![(*text).to_owned()]);
                    let sets = std::iter::once(Vec::new()).chain([all]).chain(one).chain(plain);
                    sets.map(Tried::Texts).collect()
                }
            };
            Some(Variable::new(&path, absent.into_iter().chain(values)))
        })
        .collect()
}

fn facts(classes: &[Class]) -> Vec<Variable> {
    let mut variables = Vec::new();
    for class in classes {
        for path in &class.paths {
            let Some(fact) = path.strip_prefix("context.http.") else { continue };
            let values: Vec<Tried> = match fact {
                "source_ip" => {
                    let own = class.ranges.iter().flat_map(|range| addresses(range));
                    own.chain(addresses("192.0.2.1")).map(Tried::Address).collect()
                }
                "time" => {
                    let own = class.moments.iter().filter_map(|moment| moment.parse::<Timestamp>().ok());
                    let seconds = own.map(Timestamp::unix_seconds);
                    let around = seconds.flat_map(|second| [second - 1, second, second + 1]);
                    around
                        .chain([1_800_000_000])
                        .map(Timestamp::from_unix_seconds)
                        .map(Tried::Moment)
                        .collect()
                }
                _ => class.texts(),
            };
            variables.push(Variable::new(path, std::iter::once(Tried::Absent).chain(values)));
        }
    }
    variables
}

/// An address in a range (`10.0.0.0/8`), and one beside it.
fn addresses(range: &str) -> Vec<IpAddr> {
    let (address, bits) = range.split_once('/').unwrap_or((range, ""));
    let Ok(address) = address.parse::<IpAddr>() else { return Vec::new() };
    let beside = match address {
        IpAddr::V4(v4) => {
            let bits = bits.parse::<u32>().unwrap_or(32).min(32);
            let flipped = 32_u32.checked_sub(bits).and_then(|low| 1_u32.checked_shl(low));
            flipped.map(|bit| IpAddr::from((u32::from(v4) ^ bit).to_be_bytes()))
        }
        IpAddr::V6(v6) => {
            let bits = bits.parse::<u32>().unwrap_or(128).min(128);
            let flipped = 128_u32.checked_sub(bits).and_then(|low| 1_u128.checked_shl(low));
            flipped.map(|bit| IpAddr::from((u128::from(v6) ^ bit).to_be_bytes()))
        }
    };
    std::iter::once(address).chain(beside).collect()
}

fn facts_of(values: &BTreeMap<&str, &Tried>) -> HttpFacts {
    let mut facts = HttpFacts::default();
    for (path, value) in values {
        let Some(fact) = path.strip_prefix("context.http.") else { continue };
        match (fact, value) {
            (_, Tried::Address(address)) => facts.source_ip = Some(*address),
            (_, Tried::Moment(moment)) => facts.time = Some(*moment),
            ("client_cert_subject", Tried::Text(text)) => facts.client_cert_subject = Some(text.clone()),
            (fact, Tried::Text(text)) => {
                let lists = [
                    ("headers.", &mut facts.headers),
                    ("query.", &mut facts.query),
                    ("stage_variables.", &mut facts.stage_variables),
                ];
                for (prefix, list) in lists {
                    if let Some(name) = fact.strip_prefix(prefix) {
                        list.push((name.to_owned(), text.clone()));
                    }
                }
            }
            (_, Tried::Absent | Tried::Long(_) | Tried::Bool(_) | Tried::Texts(_)) => {}
        }
    }
    facts
}

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, size: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % size.max(1) as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_an_address_inside_and_one_outside() {
        let texts = |range| addresses(range).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(texts("10.0.0.0/8"), ["10.0.0.0", "11.0.0.0"]);
        assert_eq!(texts("10.1.2.3"), ["10.1.2.3", "10.1.2.2"]);
        assert_eq!(texts("0.0.0.0/0"), ["0.0.0.0"]);
        assert_eq!(texts("2001:db8::/32"), ["2001:db8::", "2001:db9::"]);
    }
}
