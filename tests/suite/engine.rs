//! The engine layer gives exactly Cedar's answer, whatever it leaves out on the way: held against Cedar's own authorizer
//! over random policies, hierarchies and requests, and against the written cases of `tests/engine`.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use cedar_gate::bundle::built::Section;
use cedar_gate::decision::{Effect, Engine, EngineAnswer};
use cedar_gate::tools::eval::answer_line;
use cedar_policy as cedar;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};
use serde::Deserialize;
use serde_json::{Value, json};

/// Cedar's own answer to a request, from the whole set of policies.
fn cedar_answers(
    policies: &cedar::PolicySet,
    request: &cedar::Request,
    entities: &cedar::Entities,
) -> EngineAnswer {
    let response = cedar::Authorizer::new().is_authorized(request, policies, entities);
    let mut reasons: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
    reasons.sort_unstable();
    let mut errors: Vec<_> = response
        .diagnostics()
        .errors()
        .map(|cedar::AuthorizationError::PolicyEvaluationError(error)| cedar_gate::decision::PolicyError {
            policy: error.policy_id().to_string(),
            message: error.inner().to_string(),
        })
        .collect();
    errors.sort_unstable();
    let decision = match response.decision() {
        cedar::Decision::Allow => Effect::Allow,
        cedar::Decision::Deny => Effect::Deny,
    };
    EngineAnswer { decision, reasons, errors }
}

/// How often something was seen, so that a test can say that it proves something.
#[derive(Default)]
struct Seen(Cell<u32>);

impl Seen {
    fn note(&self, seen: bool) {
        self.0.set(self.0.get() + u32::from(seen));
    }

    fn at_least(&self, percent: u32, of: u32, what: &str) {
        let seen = self.0.get();
        assert!(seen * 100 >= percent * of, "{what}: {seen} of {of}, fewer than {percent} %");
    }
}

/// Sets of policies with their entities; each is asked every request that its names make.
const WORLDS: u32 = 250;

#[test]
fn the_engine_answers_as_cedar_does() {
    let seen: [Seen; 8] = Default::default();
    let [allows, reasons, errors, errors_of_denies, forbids, several, sliced, reopened] = &seen;
    let asked = Cell::new(0);
    let config = Config { cases: WORLDS, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&world(), |world| {
        let (policies, entities, context) = world.build();
        let engine = Engine::new(policies.clone()).unwrap();
        let built = built(&engine, &policies);
        let effect = |id: &String| policies.policy(&cedar::PolicyId::new(id)).map(cedar::Policy::effect);
        for request in requests(&context) {
            let expected = cedar_answers(&policies, &request, &entities);
            prop_assert_eq!(&engine.evaluate(&request, &entities).unwrap(), &expected, "{:?}", world);
            if let Some(built) = &built {
                prop_assert_eq!(&built.evaluate(&request, &entities).unwrap(), &expected, "{:?}", world);
                reopened.note(true);
            }
            // The slices that the authorizer makes once, from the closures alone.
            let slice =
                engine.slice(request.action().unwrap(), request.resource().unwrap(), &entities).unwrap();
            prop_assert_eq!(&slice.evaluate(&request, &entities), &expected, "{:?}", world);
            asked.set(asked.get() + 1);
            allows.note(expected.decision == Effect::Allow);
            reasons.note(!expected.reasons.is_empty());
            errors.note(!expected.errors.is_empty());
            errors_of_denies.note(!expected.errors.is_empty() && expected.decision == Effect::Deny);
            forbids
                .note(expected.reasons.first().is_some_and(|id| effect(id) == Some(cedar::Effect::Forbid)));
            several.note(expected.reasons.len() > 1);
            sliced.note(slice.len() < policies.num_of_policies() && !slice.is_empty());
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    for (seen, percent, what) in [
        (allows, 15, "allows"),
        (reasons, 25, "answers with a reason"),
        (errors, 8, "answers with an error"),
        (errors_of_denies, 4, "denies with an error"),
        (forbids, 6, "denies by a forbid"),
        (several, 3, "answers with several reasons"),
        (reopened, 80, "answers of a built engine"),
        (sliced, 40, "slices that leave something out and something in"),
    ] {
        seen.at_least(percent, asked.get(), what);
    }
}

/// Who can sign a bundle could sign one whose index or records say anything at all. The digests keep everybody else from that;
/// that nothing panics, and nothing runs for ever, does not rest on them.
#[test]
fn an_engine_of_any_bytes_answers_or_says_that_they_are_damaged() {
    let (answered, damaged) = (Cell::new(0), Cell::new(0));
    let config = Config { cases: 150, failure_persistence: None, ..Config::default() };
    let changes = prop::collection::vec((0..3_usize, any::<Index>(), any::<u8>()), 1..4);
    let inputs = (world(), prop::collection::vec(changes, 20));
    let result = TestRunner::new(config).run(&inputs, |(world, changes)| {
        let (policies, entities, context) = world.build();
        let engine = Engine::new(policies.clone()).unwrap();
        let Some(parts) = parts(&engine, &policies) else { return Ok(()) };
        let requests = requests(&context);
        for (changes, request) in changes.iter().zip(requests.iter().cycle()) {
            let mut parts = parts.clone();
            for (part, at, byte) in changes {
                let at = at.index(parts[*part].len());
                parts[*part][at] = *byte;
            }
            let [index, rules, sources] = parts.map(Section::of_memory);
            let answer =
                Engine::open(index, rules, sources).and_then(|engine| engine.evaluate(request, &entities));
            let count = if answer.is_ok() { &answered } else { &damaged };
            count.set(count.get() + 1);
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    assert!(answered.get() > 100 && damaged.get() > 100, "{answered:?} answers, {damaged:?} refusals");
}

/// The engine as a built bundle has it: its policies are read when they are asked. Those that are linked have no text.
fn built(engine: &Engine, policies: &cedar::PolicySet) -> Option<Engine> {
    let [index, rules, sources] = parts(engine, policies)?.map(Section::of_memory);
    Some(Engine::open(index, rules, sources).unwrap())
}

/// Index, records and sources.
fn parts(engine: &Engine, policies: &cedar::PolicySet) -> Option<[Vec<u8>; 3]> {
    let (mut sources, mut places) = (String::from("// Not a policy.\n"), HashMap::new());
    for policy in policies.policies() {
        let text = policy.to_cedar().filter(|_| policy.is_static())?;
        places.insert(policy.id().to_string(), [sources.len(), text.len()]);
        sources.push_str(&text);
    }
    let (index, rules) = engine.write(|id| places.get(id).copied()).unwrap();
    Some([index, rules, sources.into_bytes()])
}

/// A request for everything that anybody may be and do.
fn requests(context: &cedar::Context) -> Vec<cedar::Request> {
    let mut requests = Vec::new();
    for principal in PRINCIPALS {
        for action in ACTIONS {
            for resource in RESOURCES {
                let [principal, action, resource] =
                    [principal, action, resource].map(|uid| uid.parse().unwrap());
                requests
                    .push(cedar::Request::new(principal, action, resource, context.clone(), None).unwrap());
            }
        }
    }
    requests
}

/// A random case, as the texts that it is made of.
#[derive(Clone, Debug)]
struct World {
    policies: Vec<String>,
    linked: Option<(String, String)>,
    entities: Vec<Value>,
    context: Value,
}

impl World {
    fn build(&self) -> (cedar::PolicySet, cedar::Entities, cedar::Context) {
        let text = self.policies.join("\n");
        let mut policies: cedar::PolicySet = text.parse().unwrap_or_else(|error| panic!("{error:?}\n{text}"));
        if let Some((template, resource)) = &self.linked {
            let id = cedar::PolicyId::new("template");
            policies.add_template(cedar::Template::parse(Some(id.clone()), template).unwrap()).unwrap();
            let slots = HashMap::from([(cedar::SlotId::resource(), resource.parse().unwrap())]);
            policies.link(id, cedar::PolicyId::new("linked"), slots).unwrap();
        }
        let entities = cedar::Entities::from_json_value(Value::Array(self.entities.clone()), None)
            .unwrap_or_else(|error| panic!("{error:?}\n{:?}", self.entities));
        let context = cedar::Context::from_json_value(self.context.clone(), None).unwrap();
        (policies, entities, context)
    }
}

const PRINCIPALS: [&str; 4] = [r#"User::"a""#, r#"User::"b""#, r#"App::User::"a""#, r#"Group::"é\"""#];
const GROUPS: [&str; 3] = [r#"Group::"staff""#, r#"Group::"é\"""#, r#"Group::"all""#];
const ACTIONS: [&str; 3] = [r#"Action::"view""#, r#"Action::"edit""#, r#"App::Action::"view""#];
const ACTION_GROUPS: [&str; 2] = [r#"Action::"read""#, r#"Action::"any""#];
const RESOURCES: [&str; 4] = [r#"Doc::"1""#, r#"Doc::"2""#, r#"App::Doc::"1""#, r#"Folder::"in""#];
const FOLDERS: [&str; 3] = [r#"Folder::"in""#, r#"Folder::"mid""#, r#"Folder::"root""#];
const TYPES: [&str; 6] = ["User", "App::User", "Group", "Doc", "App::Doc", "Folder"];

fn world() -> impl Strategy<Value = World> {
    let linked = prop::option::weighted(0.1, (effect(), select(&FOLDERS)));
    (prop::collection::vec(policy(), 1..8), linked, entities(), attributes()).prop_map(
        |(policies, linked, entities, context)| World {
            policies,
            linked: linked.map(|(effect, folder)| {
                (format!("{effect}(principal, action, resource in ?resource);"), folder.to_owned())
            }),
            entities,
            context,
        },
    )
}

fn effect() -> impl Strategy<Value = &'static str> {
    prop_oneof![3 => Just("permit"), 1 => Just("forbid")]
}

fn policy() -> impl Strategy<Value = String> {
    let clause = (prop_oneof![4 => Just("when"), 1 => Just("unless")], boolean()).boxed();
    let conditions = prop_oneof![
        5 => Just(Vec::new()),
        5 => clause.clone().prop_map(|clause| vec![clause]),
        1 => prop::collection::vec(clause, 2),
    ];
    (
        effect(),
        scope("principal", &PRINCIPALS, &GROUPS),
        action_scope(),
        scope("resource", &RESOURCES, &FOLDERS),
        conditions,
    )
        .prop_map(|(effect, principal, action, resource, conditions)| {
            let conditions: String = conditions
                .into_iter()
                .map(|(word, condition)| format!(" {word} {{ {condition} }}"))
                .collect();
            format!("{effect}({principal}, {action}, {resource}){conditions};")
        })
}

fn scope(
    variable: &'static str,
    own: &'static [&'static str],
    groups: &'static [&'static str],
) -> impl Strategy<Value = String> {
    prop_oneof![
        6 => Just(variable.to_owned()),
        1 => select(own).prop_map(move |uid| format!("{variable} == {uid}")),
        2 => select(groups).prop_map(move |uid| format!("{variable} in {uid}")),
        1 => select(own).prop_map(move |uid| format!("{variable} in {uid}")),
        1 => select(&TYPES).prop_map(move |kind| format!("{variable} is {kind}")),
        1 => (select(&TYPES), select(groups)).prop_map(move |(kind, uid)| format!("{variable} is {kind} in {uid}")),
    ]
}

fn action_scope() -> impl Strategy<Value = String> {
    let any = || prop_oneof![select(&ACTIONS), select(&ACTION_GROUPS)];
    prop_oneof![
        5 => Just("action".to_owned()),
        2 => select(&ACTIONS).prop_map(|uid| format!("action == {uid}")),
        2 => any().prop_map(|uid| format!("action in {uid}")),
        3 => prop::collection::vec(any(), 0..4).prop_map(|uids| format!("action in [{}]", uids.join(", "))),
    ]
}

/// Conditions of every kind; some of them fail: by overflow, by an attribute or entity that is not there, by a type.
fn boolean() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        3 => Just("true".to_owned()),
        1 => Just("false".to_owned()),
        3 => (number(), select(&["==", "!=", "<", "<=", ">", ">="]), number()).prop_map(|(a, op, b)| format!("({a}) {op} ({b})")),
        3 => (holder(), select(&ATTRIBUTES)).prop_map(|(holder, name)| format!("{holder} has {name}")),
        2 => holder().prop_map(|holder| format!("{holder} has r.x")),
        2 => (holder(), select(&["a*", "*", "", "*\\**", "é*", "?"])).prop_map(|(holder, pattern)| format!("{holder}.s like \"{pattern}\"")),
        1 => (holder(), select(&["a", "b", "é"])).prop_map(|(holder, text)| format!("{holder}.s == \"{text}\"")),
        2 => (holder(), select(&["a", "b"])).prop_map(|(holder, text)| format!("{holder}.set.contains(\"{text}\")")),
        1 => (holder(), select(&["containsAll", "containsAny"])).prop_map(|(holder, call)| format!("{holder}.set.{call}([\"a\", \"b\"])")),
        1 => holder().prop_map(|holder| format!("{holder}.set.isEmpty()")),
        1 => (select(&["principal", "resource", "principal.e"]), groups()).prop_map(|(entity, groups)| format!("{entity} in {groups}")),
        1 => (select(&["principal", "resource", "context.e"]), select(&TYPES)).prop_map(|(entity, kind)| format!("{entity} is {kind}")),
        1 => select(&ACTION_GROUPS).prop_map(|group| format!("action in {group}")),
        1 => (holder(), select(&["10.0.0.0/8", "::/0", "10.1.2.3"])).prop_map(|(holder, range)| format!("{holder}.ip.isInRange(ip(\"{range}\"))")),
        1 => holder().prop_map(|holder| format!("{holder}.ip.isLoopback()")),
        1 => (holder(), select(&["lessThan", "greaterThanOrEqual"])).prop_map(|(holder, call)| format!("{holder}.d.{call}(decimal(\"1.5\"))")),
        1 => holder().prop_map(|holder| format!("{holder}.t < datetime(\"2026-11-21\").offset(duration(\"-1h\"))")),
        1 => holder().prop_map(|holder| format!("{holder}.t.toDate() == datetime(\"2026-11-21\")")),
        1 => holder().prop_map(|holder| format!("{holder}.b")),
        1 => holder().prop_map(|holder| format!("{{x: 1, \"y z\": [{holder}.s]}} == {{x: 1, \"y z\": [\"a\"]}}")),
        1 => holder().prop_map(|holder| format!("[1, \"a\", {holder}.s].contains({holder}.n)")),
        1 => select(&["principal.s + 1 == 2", "ip(principal.s).isIpv4()", "decimal(\"x\").lessThan(decimal(\"1.0\"))", "principal.missing", "context like \"a\"", "!context.n"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            3 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) && ({b})")),
            3 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) || ({b})")),
            2 => inner.clone().prop_map(|a| format!("!({a})")),
            2 => (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("if ({a}) then ({b}) else ({c})")),
        ]
    })
}

fn number() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        3 => (-3..4_i64).prop_map(|number| format!("({number})")),
        1 => select(&["9223372036854775807", "(-9223372036854775808)"]).prop_map(str::to_owned),
        2 => holder().prop_map(|holder| format!("{holder}.n")),
        1 => holder().prop_map(|holder| format!("{holder}.r.x")),
        1 => holder().prop_map(|holder| format!("{holder}.t.toTime().toSeconds()")),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        (inner.clone(), select(&["+", "-", "*"]), inner).prop_map(|(a, op, b)| format!("({a}) {op} ({b})"))
    })
}

fn holder() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        4 => Just("principal"),
        3 => Just("resource"),
        4 => Just("context"),
        1 => Just("User::\"b\""),
        1 => Just("principal.e"),
    ]
}

fn groups() -> impl Strategy<Value = String> {
    let any = || prop_oneof![select(&GROUPS), select(&FOLDERS), select(&PRINCIPALS)];
    prop_oneof![
        any().prop_map(str::to_owned),
        prop::collection::vec(any(), 0..3).prop_map(|uids| format!("[{}]", uids.join(", "))),
    ]
}

const ATTRIBUTES: [&str; 9] = ["n", "s", "b", "set", "ip", "d", "t", "r", "e"];

/// Values for the attributes, each there or not.
fn attributes() -> impl Strategy<Value = Value> {
    let extension = |name: &'static str, texts: &'static [&'static str]| {
        select(texts).prop_map(move |text| json!({ "__extn": { "fn": name, "arg": text } })).boxed()
    };
    let entity = prop_oneof![select(&PRINCIPALS), select(&GROUPS)].prop_map(|text| {
        let uid: cedar::EntityUid = text.parse().unwrap();
        json!({ "__entity": uid_json(&uid) })
    });
    let n = prop_oneof![4 => -3..4_i64, 1 => Just(i64::MAX), 1 => Just(i64::MIN)].prop_map(|n| json!(n));
    let mut all = vec![
        n.boxed(),
        select(&["a", "b", "é", "a*", ""]).prop_map(|s| json!(s)).boxed(),
        any::<bool>().prop_map(|b| json!(b)).boxed(),
        prop::sample::subsequence(vec!["a", "b", "c"], 0..=3).prop_map(|set| json!(set)).boxed(),
    ];
    all.push(extension("ip", &["10.1.2.3", "127.0.0.1", "::1", "10.0.0.0/16"]));
    all.push(extension("decimal", &["1.5", "-1.0", "1.4999"]));
    all.push(extension("datetime", &["2026-11-21", "2026-11-20T23:30:00Z", "1969-12-31T23:59:59.999Z"]));
    all.push((-1..2_i64).prop_map(|x| json!({ "x": x })).boxed());
    all.push(entity.boxed());
    let present = prop::collection::vec(prop::bool::weighted(0.85), all.len());
    (all, present).prop_map(|(values, present)| {
        let named = ATTRIBUTES.iter().zip(values).zip(present).filter(|(_, present)| *present);
        Value::Object(named.map(|((name, value), _)| ((*name).to_owned(), value)).collect())
    })
}

fn uid_json(uid: &cedar::EntityUid) -> Value {
    json!({ "type": uid.type_name().to_string(), "id": uid.id().unescaped() })
}

/// A hierarchy without circles in which entities may be missing: those that stand in the store, and those that only
/// their members name.
fn entities() -> impl Strategy<Value = Vec<Value>> {
    let order: Vec<&str> =
        [&PRINCIPALS[..], &GROUPS, &ACTIONS, &ACTION_GROUPS, &RESOURCES, &FOLDERS].concat();
    let one = (prop::bool::weighted(0.85), prop::collection::vec(any::<Index>(), 0..3), attributes());
    prop::collection::vec(one, order.len()).prop_map(move |drawn| {
        let mut listed = BTreeSet::new();
        let mut entities = Vec::new();
        for (position, (text, (present, picks, attributes))) in order.iter().zip(drawn).enumerate() {
            if !present || !listed.insert(*text) {
                continue;
            }
            let uid: cedar::EntityUid = text.parse().unwrap();
            let is_action = uid.type_name().basename() == "Action";
            let above: Vec<&str> = parents_of(&order, position, is_action);
            let parents: BTreeSet<&str> = picks
                .iter()
                .filter(|_| !above.is_empty())
                .map(|pick| above[pick.index(above.len())])
                .collect();
            let parents: Vec<Value> =
                parents.into_iter().map(|parent| uid_json(&parent.parse().unwrap())).collect();
            let attributes = if is_action { json!({}) } else { attributes };
            entities.push(json!({ "uid": uid_json(&uid), "attrs": attributes, "parents": parents }));
        }
        entities
    })
}

/// Whatever stands later in the order and is a group of the right sort; the first place of a name counts.
fn parents_of<'o>(order: &[&'o str], position: usize, is_action: bool) -> Vec<&'o str> {
    let first = |text: &str| order.iter().position(|other| *other == text).unwrap();
    let later = order.iter().copied().filter(|text| first(text) > position);
    later
        .filter(|text| match is_action {
            true => ACTION_GROUPS.contains(text),
            false => GROUPS.contains(text) || FOLDERS.contains(text),
        })
        .collect()
}

/// A written case: what `eval --batch` is asked, and what Cedar's documentation says must come out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// The fact that the case shows.
    about: String,
    policies: String,
    schema: Option<String>,
    entities: Option<String>,
    requests: String,
    expected: String,
}

#[test]
fn eval_answers_each_written_case_as_cedar_documents_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engine");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 25, "{} cases", files.len());
    let mut failed = Vec::new();
    for path in files {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let case: Written = toml::from_str(&std::fs::read_to_string(&path).unwrap())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        // The texts of entities and requests go in as they are: a member that stands twice must reach the engine.
        let line = format!(
            r#"{{"id":{},"policies":{},"schema":{},"entities":{},"requests":{}}}"#,
            json!(name),
            json!(case.policies),
            json!(case.schema),
            case.entities.as_deref().unwrap_or("[]"),
            case.requests
        );
        let mut expected: Value =
            serde_json::from_str(&case.expected).unwrap_or_else(|error| panic!("{name}: {error}"));
        expected["id"] = json!(name);
        let answer: Value = serde_json::from_str(&answer_line(&line)).unwrap();
        if answer != expected {
            failed.push(format!("{name}: {}\n  expected {expected}\n  answered {answer}", case.about));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
