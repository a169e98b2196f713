//! From event bytes to response bytes: each case of `tests/pipeline/cases`, for every kind of API that it names, and what
//! must hold whatever is asked.
//!
//! A case file says what is asked; from its first `[expected.…]` on it says what must come out. `UPDATE_GOLDEN=1` writes
//! that part anew; read the difference before you believe it. The events are those of `tests/pipeline/events`, with the
//! case's words in place of `{{…}}`.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cedar_gate::authorizer::{Answered, Authorizer};
use cedar_gate::bundle::Bundle;
use cedar_gate::fetch::read_bundle;
use cedar_gate::jose::Algorithm;
use cedar_gate::record::Outcome;
use cedar_gate::response::Reply;
use cedar_gate::time::Timestamp;
use cedar_gate::tools::mint::DevelopmentKey;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The kinds of events, each with its API's id and stage.
const KINDS: [(&str, &str, &str); 8] = [
    ("rest-token", "a1b2c3d4e5", "prod"),
    ("rest-request", "a1b2c3d4e5", "prod"),
    ("rest-guarded", "f6g7h8i9j0", "prod"),
    ("http-v1", "k1l2m3n4o5", "$default"),
    ("http-v2-iam", "k1l2m3n4o5", "$default"),
    ("http-v2-simple", "p6q7r8s9t0", "live"),
    ("websocket", "u1v2w3x4y5", "prod"),
    ("appsync", "abcdefghijklmnopqrstuvwxyz", ""),
];

/// The same events, to APIs whose answers speak of the whole API: the kind, its API's id and stage, whose event it has.
const WHOLE_KINDS: [(&str, &str, &str, &str); 4] = [
    ("rest-whole", "b2c3d4e5f6", "prod", "rest-request"),
    ("guarded-whole", "g7h8i9j0k1", "prod", "rest-token"),
    ("http-whole", "l2m3n4o5p6", "$default", "http-v2-iam"),
    ("rest-unkept", "c3d4e5f6g7", "prod", "rest-request"),
];

const ACCOUNT: &str = "123456789012";

/// The moment of the property tests: 2026-11-21T12:00:00.250Z.
pub(crate) const NOW: Timestamp = Timestamp::from_unix_millis(1_795_262_400_250);

/// Where the cases stand.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pipeline")
}

/// The bundle of the cases: every kind of API, two issuers, and a schema that declares all that can be declared.
pub(crate) fn bundle() -> Bundle {
    Bundle::load(&read_bundle(&folder().join("bundle")).unwrap()).unwrap_or_else(|errors| panic!("{errors}"))
}

fn authorizer() -> &'static Authorizer {
    static AUTHORIZER: OnceLock<Authorizer> = OnceLock::new();
    AUTHORIZER.get_or_init(|| Authorizer::new(bundle()).unwrap())
}

/// What is asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// The fact that the case shows.
    about: String,
    now: String,
    kinds: Vec<String>,
    #[serde(default = "get")]
    verb: String,
    #[serde(default = "one_order")]
    path: String,
    /// The route that the gateway picked.
    #[serde(default = "orders")]
    route: String,
    account: Option<String>,
    api: Option<String>,
    /// Another API for each kind.
    #[serde(default)]
    apis: BTreeMap<String, String>,
    stage: Option<String>,
    /// The value of the header `X-Purpose`.
    #[serde(default)]
    purpose: String,
    /// Whose token it is; without one, `token`.
    caller: Option<Caller>,
    /// The credential itself; `none` for an event that has no member with one.
    token: Option<String>,
    #[serde(default = "bearer")]
    scheme: String,
    /// Members to take out, by their JSON pointers, where they are.
    #[serde(default)]
    without: Vec<String>,
    /// Members that are `null`.
    #[serde(default)]
    nulls: Vec<String>,
    /// Members to put in, for each kind, by their JSON pointers.
    #[serde(default)]
    event: BTreeMap<String, BTreeMap<String, Value>>,
    /// The whole event, where it is none.
    raw: Option<String>,
    #[serde(default)]
    expected: BTreeMap<String, Expected>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Caller {
    issuer: String,
    claims: Map<String, Value>,
    /// Another key than the issuer's.
    key: Option<String>,
    /// Another `typ` than an access token's.
    typ: Option<String>,
}

/// What must come out.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    outcome: String,
    reason: String,
    detail: Option<String>,
    #[serde(default)]
    policies: Vec<String>,
    #[serde(default)]
    policy_errors: Vec<String>,
    /// The response, to the byte.
    response: Option<String>,
    /// The error message, where there is no response.
    error: Option<String>,
}

fn get() -> String {
    "GET".to_owned()
}

fn one_order() -> String {
    "/orders/42".to_owned()
}

fn orders() -> String {
    "/orders/{orderId}".to_owned()
}

fn bearer() -> String {
    "Bearer".to_owned()
}

/// An event as it is asked, and what must not come out of it.
struct Asked {
    event: Vec<u8>,
    json: Option<Value>,
    token: Option<String>,
}

impl Case {
    fn read(path: &Path) -> Self {
        toml::from_str(&std::fs::read_to_string(path).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn ask(&self, kind: &str) -> Asked {
        let token = match (&self.caller, &self.token) {
            (Some(caller), None) => Some(caller.token()),
            (None, Some(text)) if text == "none" => None,
            (None, Some(text)) => Some(text.clone()),
            (None, None) if self.raw.is_some() => None,
            (Some(_), Some(_)) | (None, None) => panic!("{}: a caller, or else a token", self.about),
        };
        if let Some(raw) = &self.raw {
            return Asked { event: raw.clone().into_bytes(), json: None, token };
        }
        let (own_api, own_stage, event) = WHOLE_KINDS
            .into_iter()
            .map(|(name, api, stage, event)| (name, (api, stage, event)))
            .chain(KINDS.map(|(name, api, stage)| (name, (api, stage, name))))
            .find(|(name, _)| *name == kind)
            .unwrap_or_else(|| panic!("no kind `{kind}`"))
            .1;
        let mut event = template(event);
        for (pointer, value) in self.event.get(kind).into_iter().flatten() {
            put(&mut event, pointer, value.clone());
        }
        for pointer in self.without.iter().chain(&self.nulls) {
            if let Some((parent, name)) = pointer.rsplit_once('/') {
                let parent = event.pointer_mut(parent).and_then(Value::as_object_mut);
                parent.and_then(|parent| parent.remove(name));
            }
        }
        self.nulls.iter().for_each(|pointer| put(&mut event, pointer, Value::Null));
        let api = self.apis.get(kind).or(self.api.as_ref()).map_or(own_api, String::as_str);
        let words = [
            ("{{account}}", self.account.as_deref().unwrap_or(ACCOUNT)),
            ("{{api}}", api),
            ("{{stage}}", self.stage.as_deref().unwrap_or(own_stage)),
            ("{{verb}}", &self.verb),
            ("{{path}}", &self.path),
            ("{{route}}", &self.route),
            ("{{purpose}}", &self.purpose),
            ("Bearer {{token}}", &format!("{} {{{{token}}}}", self.scheme)),
        ];
        fill(&mut event, &words, token.as_deref());
        Asked { event: serde_json::to_vec(&event).unwrap(), json: Some(event), token }
    }
}

impl Caller {
    /// Signs what the case says, with what every token of the issuer says.
    fn token(&self) -> String {
        let (iss, key_name) = match self.issuer.as_str() {
            "staff" => ("https://id.staff.example/", "acme-1"),
            "partner" => ("https://id.partner.example", "partner-ed25519"),
            other => panic!("no issuer `{other}`"),
        };
        let mut claims =
            json!({ "iss": iss, "aud": "orders", "exp": 1_795_266_000, "iat": 1_795_262_000, "jti": "t-1" });
        claims.as_object_mut().unwrap().extend(self.claims.clone());
        let key = self.key.as_deref().unwrap_or(key_name);
        sign(key, key_name, self.typ.as_deref().unwrap_or("at+jwt"), &claims)
    }
}

/// A token by one of the test keys.
pub(crate) fn sign(key: &str, kid: &str, typ: &str, claims: &Value) -> String {
    let file = format!("tests/tokens/keys/{key}.test-key.json");
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let key = DevelopmentKey::from_json(&text).unwrap();
    let algorithm: Algorithm = key.algorithm();
    let header = json!({ "alg": algorithm.to_string(), "typ": typ, "kid": kid }).to_string();
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = key.signing_key().sign(algorithm, &signed).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn template(kind: &str) -> Value {
    let text = std::fs::read_to_string(folder().join(format!("events/{kind}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Puts a value where a JSON pointer says; the parents must be there.
fn put(event: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = event.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent} to put {name} into"));
    parent.as_object_mut().unwrap().insert(name.to_owned(), value);
}

/// Fills in the words. Where there is no token, a member or element that would hold it is left out.
fn fill(value: &mut Value, words: &[(&str, &str)], token: Option<&str>) {
    let is_credential = |value: &Value| value.as_str().is_some_and(|text| text.contains("{{token}}"));
    match value {
        Value::String(text) => {
            for (from, to) in words {
                *text = text.replace(from, to);
            }
            if let Some(token) = token {
                *text = text.replace("{{token}}", token);
            }
        }
        Value::Array(items) => {
            items.retain(|item| token.is_some() || !is_credential(item));
            items.iter_mut().for_each(|item| fill(item, words, token));
        }
        Value::Object(members) => {
            members.retain(|_, member| token.is_some() || !is_credential(member));
            members.values_mut().for_each(|member| fill(member, words, token));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl Expected {
    fn of(answered: &Answered) -> Self {
        let record = &answered.record;
        let (response, error) = match &answered.reply {
            Reply::Json(json) => (Some(json.as_str().to_owned()), None),
            Reply::Unauthorized => (None, Some(Reply::UNAUTHORIZED.to_owned())),
            Reply::Fault(message) => (None, Some(message.clone())),
        };
        Self {
            outcome: format!("{:?}", record.outcome).to_lowercase(),
            reason: record.reason.to_owned(),
            detail: record.detail.clone(),
            policies: record.policies.clone(),
            policy_errors: record.policy_errors.clone(),
            response: response.map(|text| {
                let text = text.replace(authorizer().bundle().digest(), "{{digest}}");
                let versions = authorizer().read_bundle().unwrap().policy_versions();
                versions.fold(text, |text, version| text.replace(&version.digest, "{{policy_digest}}"))
            }),
            error,
        }
    }

    fn write(&self, kind: &str, toml: &mut String) {
        let line =
            |toml: &mut String, key: &str, value: &toml::Value| writeln!(toml, "{key} = {value}").unwrap();
        let text = |text: &String| toml::Value::String(text.clone());
        let list = |items: &Vec<String>| toml::Value::Array(items.iter().map(text).collect());
        write!(toml, "\n[expected.{kind}]\n").unwrap();
        line(toml, "outcome", &text(&self.outcome));
        line(toml, "reason", &text(&self.reason));
        self.detail.iter().for_each(|detail| line(toml, "detail", &text(detail)));
        if !self.policies.is_empty() {
            line(toml, "policies", &list(&self.policies));
        }
        if !self.policy_errors.is_empty() {
            line(toml, "policy_errors", &list(&self.policy_errors));
        }
        self.response.iter().for_each(|response| line(toml, "response", &text(response)));
        self.error.iter().for_each(|error| line(toml, "error", &text(error)));
    }
}

/// Every event that a case asks, with the case's name and moment.
pub(crate) fn every_event() -> Vec<(String, Vec<u8>, Timestamp)> {
    let mut paths: Vec<_> =
        std::fs::read_dir(folder().join("cases")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut events = Vec::new();
    for path in paths {
        let case = Case::read(&path);
        let name = path.file_stem().unwrap().to_str().unwrap();
        let now: Timestamp = case.now.parse().unwrap();
        events.extend(case.kinds.iter().map(|kind| (format!("{name}, {kind}"), case.ask(kind).event, now)));
    }
    events
}

#[test]
fn each_case_is_answered_as_it_says() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut paths: Vec<_> =
        std::fs::read_dir(folder().join("cases")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let (mut answers, mut failed) = (0, Vec::new());
    for path in &paths {
        let case = Case::read(path);
        let name = path.file_stem().unwrap().to_str().unwrap();
        let now: Timestamp = case.now.parse().unwrap();
        let mut written = String::new();
        for kind in &case.kinds {
            let asked = case.ask(kind);
            let answered = authorizer().answer(&asked.event, now);
            match WHOLE_KINDS.iter().any(|(whole, ..)| whole == kind) {
                true => check_whole(&format!("{name}, {kind}"), &asked, &answered),
                false => check_invariants(&format!("{name}, {kind}"), &asked, &answered),
            }
            // By then the token is known, which changes nothing.
            let again = authorizer().answer(&asked.event, now);
            assert_eq!(
                format!("{:?} {:?}", answered.reply, answered.record),
                format!("{:?} {:?}", again.reply, again.record),
                "{name}, {kind}: same input, same answer"
            );
            let found = Expected::of(&answered);
            found.write(kind, &mut written);
            answers += 1;
            if !update && case.expected.get(kind) != Some(&found) {
                failed.push(format!(
                    "{name}, {kind}: {}\n  expected {:?}\n  answered {found:?}",
                    case.about,
                    case.expected.get(kind)
                ));
            }
        }
        if case.expected.keys().any(|kind| !case.kinds.contains(kind)) && !update {
            failed.push(format!("{name}: expects something of a kind that it does not ask"));
        }
        if update {
            let text = std::fs::read_to_string(path).unwrap();
            let head = text.split("\n[expected.").next().unwrap().trim_end();
            std::fs::write(path, format!("{head}\n{written}")).unwrap();
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(answers >= 400, "{answers} answers of {} cases", paths.len());
}

/// What holds for every answer, whatever was asked.
fn check_invariants(name: &str, asked: &Asked, answered: &Answered) {
    let record = serde_json::to_string(&answered.record).unwrap();
    let text = match &answered.reply {
        Reply::Json(json) => json.as_str().to_owned(),
        Reply::Unauthorized => Reply::UNAUTHORIZED.to_owned(),
        Reply::Fault(message) => message.clone(),
    };
    for part in asked.token.iter().flat_map(|token| token.split(['.', ' '])).filter(|part| part.len() > 8) {
        assert!(!text.contains(part), "{name}: token text in the response {text}");
        assert!(!record.contains(part), "{name}: token text in the record {record}");
    }
    let arn = asked.json.as_ref().and_then(arn_of);
    let outcome = answered.record.outcome;
    match (&answered.reply, outcome) {
        (Reply::Json(_), Outcome::Allow | Outcome::Deny | Outcome::Unauthorized) => {
            let reply: Value = serde_json::from_str(&text).unwrap();
            check_reply(name, &reply, outcome == Outcome::Allow, arn);
        }
        (Reply::Unauthorized, Outcome::Unauthorized) | (Reply::Fault(_), Outcome::Fault) => {}
        (reply, outcome) => panic!("{name}: {reply:?} for {outcome:?}"),
    }
    // Only a decision, which is about a path in normal form, may name the path. (What is no event has no path.)
    let may_name =
        matches!(answered.record.reason, "policy" | "no_permit" | "policy_error" | "malformed_event");
    if let (false, Some(path)) = (may_name, arn.and_then(path_of)) {
        // `$default` is a word of our own messages too.
        let segments = path.split('/').filter(|segment| segment.len() > 3 && *segment != "$default");
        for part in segments.chain((path.len() > 3).then_some(path)) {
            assert!(!text.contains(part), "{name}: `{part}` of the path in {text}");
            let escaped = json!(part).to_string();
            assert!(!text.contains(escaped.trim_matches('"')), "{name}: {escaped} of the path in {text}");
        }
    }
}

/// What holds for every answer about a whole API: the document says of the asked method what was decided, and where the API
/// has a resource policy it is silent about nothing.
fn check_whole(name: &str, asked: &Asked, answered: &Answered) {
    let Reply::Json(json) = &answered.reply else { return check_invariants(name, asked, answered) };
    let text = json.as_str().to_owned();
    let record = serde_json::to_string(&answered.record).unwrap();
    for part in asked.token.iter().flat_map(|token| token.split(['.', ' '])).filter(|part| part.len() > 8) {
        assert!(!text.contains(part) && !record.contains(part), "{name}: token text in {text} or {record}");
    }
    let reply: Value = serde_json::from_str(&text).unwrap();
    let document = &reply["policyDocument"];
    let arn = asked.json.as_ref().and_then(arn_of).unwrap();
    let said = iam_says(document, arn);
    assert_eq!(said == Some(true), answered.record.outcome == Outcome::Allow, "{name}: {document}");
    let stage = arn.splitn(3, '/').take(2).collect::<Vec<_>>().join("/");
    if stage.contains(":g7h8i9j0k1/") {
        for other in ["GET/never/asked", "PUT/", "$connect"] {
            let said = iam_says(document, &format!("{stage}/{other}"));
            assert!(said.is_some(), "{name}: {document} is silent about {other}");
        }
    }
    assert!(text.len() <= 16_384, "{name}: {} bytes", text.len());
}

/// The ARN that the gateway asks about: an HTTP API 2.0 event calls it otherwise.
fn arn_of(event: &Value) -> Option<&str> {
    let is_http_v2 = event["version"] == "2.0" && event["type"] != "TOKEN";
    let route_arn = event["routeArn"].as_str().filter(|_| is_http_v2);
    route_arn.or(event["methodArn"].as_str())
}

/// The path of an ARN, without its leading slash; none for `$connect`.
fn path_of(arn: &str) -> Option<&str> {
    arn.splitn(6, ':').nth(5)?.splitn(4, '/').nth(3)
}

fn check_reply(name: &str, reply: &Value, allowed: bool, arn: Option<&str>) {
    assert!(!has_null(reply), "{name}: null in {reply}");
    let members: Vec<&str> = reply.as_object().unwrap().keys().map(String::as_str).collect();
    if let Some(is_authorized) = reply.get("isAuthorized") {
        assert_eq!(is_authorized, &json!(allowed), "{name}");
        let known = ["context", "isAuthorized", "resolverContext", "ttlOverride"];
        assert!(members.iter().all(|member| known.contains(member)), "{name}: {members:?}");
        if let Some(context) = reply.get("resolverContext") {
            assert!(context.as_object().unwrap().values().all(Value::is_string), "{name}: {context}");
            assert_eq!(reply["ttlOverride"], 0, "{name}");
        }
        return;
    }
    let known = ["context", "policyDocument", "principalId", "usageIdentifierKey"];
    assert!(members.iter().all(|member| known.contains(member)), "{name}: {members:?}");
    assert!(!reply["principalId"].as_str().unwrap().is_empty(), "{name}");
    assert!(allowed || reply.get("usageIdentifierKey").is_none(), "{name}");
    if let Some(context) = reply.get("context") {
        let values = || context.as_object().unwrap().values();
        assert!(values().all(|value| !value.is_array() && !value.is_object()), "{name}: {context}");
        assert!(values().next().is_some(), "{name}: an empty context");
    }
    let arn = arn.unwrap_or_else(|| panic!("{name}: a document without an ARN"));
    check_document(name, &reply["policyDocument"], allowed, arn);
    assert!(reply.to_string().len() <= 8_192, "{name}: more than a WebSocket API takes");
}

fn check_document(name: &str, document: &Value, allowed: bool, arn: &str) {
    let stage_wide = format!("{}/*", arn.splitn(3, '/').take(2).collect::<Vec<_>>().join("/"));
    assert_eq!(document["Version"], "2012-10-17", "{name}");
    let statements = document["Statement"].as_array().unwrap_or_else(|| panic!("{name}: {document}"));
    let resource = match (statements[0]["Effect"].as_str().unwrap(), &statements[0]["Resource"]) {
        (effect @ ("Allow" | "Deny"), Value::Array(resources)) if resources.len() == 1 => {
            assert_eq!(effect == "Allow", allowed, "{name}");
            resources[0].as_str().unwrap()
        }
        other => panic!("{name}: {other:?}"),
    };
    let named = resource == arn || (!allowed && resource == stage_wide);
    assert!(named, "{name}: {resource} is neither what was asked nor the stage");
    let effect = if allowed { "Allow" } else { "Deny" };
    let mut expected =
        vec![json!({ "Action": "execute-api:Invoke", "Effect": effect, "Resource": [resource] })];
    // The guarded API has a resource policy: what is not named must be denied, or that policy decides.
    let is_guarded = arn.contains(":f6g7h8i9j0/");
    if is_guarded && resource == arn {
        expected.push(json!({ "Action": "execute-api:Invoke", "Effect": "Deny", "NotResource": [resource] }));
    }
    assert_eq!(statements, &expected, "{name}");
    assert_eq!(iam_says(document, arn), Some(allowed), "{name}: {document}");
    for other in neighbours(arn) {
        let said = iam_says(document, &other);
        assert_ne!(said, Some(true), "{name}: {document} allows {other}");
        assert!(!is_guarded || said == Some(false), "{name}: {document} is silent about {other}");
    }
}

/// Methods of the same stage that an answer about `arn` must not allow: its authorizer can be asked for no others.
fn neighbours(arn: &str) -> Vec<String> {
    let parts: Vec<&str> = arn.splitn(4, '/').collect();
    let base = parts[..2].join("/");
    let mut all = vec![
        format!("{arn}x"),
        format!("{arn}/x"),
        format!("{base}/GET/never/asked"),
        format!("{base}/DELETE/orders/42"),
        format!("{base}/GET/"),
        format!("{base}/$connect"),
    ];
    all.extend(arn.char_indices().skip(base.len() + 1).map(|(at, _)| {
        let mut changed = arn.to_owned();
        let end = at + arn[at..].chars().next().unwrap().len_utf8();
        changed.replace_range(at..end, if &arn[at..end] == "Z" { "Y" } else { "Z" });
        changed
    }));
    all.retain(|other| other != arn);
    all
}

/// What an IAM document says about an ARN, read from its JSON by the rules of the IAM user guide.
fn iam_says(document: &Value, arn: &str) -> Option<bool> {
    let lists = |statement: &Value, member: &str| -> Option<bool> {
        let patterns = statement.get(member)?.as_array().unwrap();
        Some(patterns.iter().any(|pattern| matches_arn(pattern.as_str().unwrap(), arn)))
    };
    let mut said = None;
    for statement in document["Statement"].as_array().unwrap() {
        let covers = lists(statement, "Resource").or(lists(statement, "NotResource").map(|listed| !listed));
        match (covers.unwrap(), statement["Effect"].as_str().unwrap()) {
            (true, "Deny") => return Some(false),
            (true, "Allow") => said = Some(true),
            _ => {}
        }
    }
    said
}

/// `*` is any text, `?` any character. A variable could become anything, so it matches everything here.
fn matches_arn(pattern: &str, arn: &str) -> bool {
    if pattern.contains("${") {
        return true;
    }
    if !pattern.contains(['*', '?']) {
        return pattern == arn;
    }
    let arn: Vec<char> = arn.chars().collect();
    let mut reached = vec![false; arn.len() + 1];
    reached[0] = true;
    for expected in pattern.chars() {
        let mut next = vec![false; arn.len() + 1];
        for at in 0..=arn.len() {
            next[at] = match expected {
                '*' => reached[at] || (at > 0 && next[at - 1]),
                _ => at > 0 && reached[at - 1] && (expected == '?' || arn[at - 1] == expected),
            };
        }
        reached = next;
    }
    reached[arn.len()]
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(members) => members.values().any(has_null),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[test]
fn the_matcher_of_these_tests_reads_patterns_as_iam_does() {
    for (pattern, arn, expected) in [
        ("a/*", "a/b/c", true),
        ("a/*", "a/", true),
        ("a/*", "a", false),
        ("a/?", "a/b", true),
        ("a/?", "a/", false),
        ("*b*", "abc", true),
        ("a", "A", false),
        ("a/${x}", "a", true),
        ("*/é?", "x/éy", true),
    ] {
        assert_eq!(matches_arn(pattern, arn), expected, "{pattern} {arn}");
    }
}

/// A clerk of acme, who may do anything but the admin pages.
fn clerk_token() -> &'static str {
    static TOKEN: OnceLock<String> = OnceLock::new();
    TOKEN.get_or_init(|| {
        let claims = json!({ "sub": "ann", "client_id": "shop", "roles": ["clerk"], "tenant": "acme" });
        let claims = claims.as_object().unwrap().clone();
        Caller { issuer: "staff".to_owned(), claims, key: None, typ: None }.token()
    })
}

/// An event that is allowed.
pub(crate) fn clerk_event(kind: &str, verb: &str, path: &str, route: &str) -> Value {
    let (_, api, stage) = KINDS.into_iter().find(|(name, ..)| *name == kind).unwrap();
    let mut event = template(kind);
    let words = [
        ("{{account}}", ACCOUNT),
        ("{{api}}", api),
        ("{{stage}}", stage),
        ("{{verb}}", verb),
        ("{{path}}", path),
        ("{{route}}", route),
        ("{{purpose}}", "test"),
    ];
    fill(&mut event, &words, Some(clerk_token()));
    event
}

fn answer(event: &Value) -> Answered {
    authorizer().answer(&serde_json::to_vec(event).unwrap(), NOW)
}

/// Runs a property, and says how many of its cases were allowed.
fn check_many<S: Strategy>(
    cases: u32,
    strategy: S,
    property: impl Fn(S::Value) -> Result<Outcome, TestCaseError>,
) -> u32 {
    let allowed = Cell::new(0);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&strategy, |case| {
        let outcome = property(case)?;
        allowed.set(allowed.get() + u32::from(outcome == Outcome::Allow));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    allowed.get()
}

#[test]
fn a_known_token_is_judged_by_the_bundle_that_knows_it() {
    let event =
        serde_json::to_vec(&clerk_event("rest-request", "GET", "/orders/42", "/orders/{orderId}")).unwrap();
    let bundle = |file: &str, says: &str, instead: &str| {
        let mut files = read_bundle(&folder().join("bundle")).unwrap();
        let text = files.text(file).unwrap().to_owned();
        assert!(text.contains(says), "{file} does not contain {says:?}");
        files.insert(file, text.replace(says, instead));
        Authorizer::new(Bundle::load(&files).unwrap_or_else(|errors| panic!("{errors}"))).unwrap()
    };
    let staff = "policies/issuers/staff.toml";
    for (authorizer, outcome, reason, known) in [
        (bundle(staff, "", ""), Outcome::Allow, "policy", true),
        (
            bundle("schema/authorizer.toml", "[context]", "[tokens]\ncache = 0\n[context]"),
            Outcome::Allow,
            "policy",
            false,
        ),
        (bundle(staff, "\"clerk\", ", ""), Outcome::Deny, "no_permit", true),
        (bundle(staff, "[\"orders\"]", "[\"invoices\"]"), Outcome::Unauthorized, "wrong_audience", false),
    ] {
        for token_known in [false, known] {
            let answered = authorizer.answer(&event, NOW);
            assert_eq!((answered.record.outcome, answered.record.reason), (outcome, reason));
            assert_eq!(answered.token_known, token_known, "{reason}");
        }
    }
}

#[test]
fn no_bytes_without_a_token_panic_or_allow() {
    let json_like = prop::collection::vec(
        select(&[
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "\"type\"",
            "\"TOKEN\"",
            "\"REQUEST\"",
            "\"methodArn\"",
            "\"\\ud800\"",
            "null",
            "1e999",
            "\"",
            "\\",
            "é",
            "\u{0}",
            "\"headers\"",
        ]),
        0..40,
    );
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        json_like.prop_map(|parts| parts.concat().into_bytes()),
    ];
    let allowed = check_many(2_000, bytes, |bytes| {
        let answered = authorizer().answer(&bytes, NOW);
        check_invariants("bytes", &Asked { event: bytes, json: None, token: None }, &answered);
        prop_assert_ne!(answered.record.reason, "panic");
        Ok(answered.record.outcome)
    });
    assert_eq!(allowed, 0);
}

const MEMBERS: [&str; 22] = [
    "type",
    "version",
    "methodArn",
    "routeArn",
    "authorizationToken",
    "identitySource",
    "resource",
    "path",
    "rawPath",
    "routeKey",
    "cookies",
    "httpMethod",
    "protocolData",
    "headers",
    "multiValueHeaders",
    "queryStringParameters",
    "multiValueQueryStringParameters",
    "pathParameters",
    "stageVariables",
    "requestHeaders",
    "requestContext",
    "isAuthorized",
];

/// JSON out of the words that events are made of.
fn event_like() -> impl Strategy<Value = Value> {
    let words = vec![
        json!("TOKEN"),
        json!("REQUEST"),
        json!("1.0"),
        json!("2.0"),
        json!("arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/prod/GET/orders"),
        json!("arn:aws:execute-api:eu-west-1:123456789012:k1l2m3n4o5/$default/GET/files/x"),
        json!("arn:aws:execute-api:eu-west-1:123456789012:u1v2w3x4y5/prod/$connect"),
        json!("Bearer eyJhbGciOiJub25lIn0.e30."),
        json!("Bearer a.b.c"),
        json!("abcdefghijklmnopqrstuvwxyz"),
        json!("123456789012"),
        json!("/orders"),
        json!(""),
        json!(null),
        json!(true),
        json!(-1),
        json!(1e300),
        json!({ "apiId": "abcdefghijklmnopqrstuvwxyz", "accountId": "123456789012", "queryString": "query" }),
        json!({ "authorization": "Bearer a.b.c", "Authorization": ["x", null] }),
    ];
    let value = select(words).prop_recursive(3, 12, 4, |inner| {
        let name = prop_oneof![select(&MEMBERS).prop_map(str::to_owned), ".{0,4}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::btree_map(name, inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    let base = prop_oneof![
        1 => Just(json!({})),
        3 => select(&KINDS).prop_map(|(kind, ..)| {
            let event = clerk_event(kind, "GET", "/orders/42", "/orders/{orderId}").to_string();
            serde_json::from_str(&event.replace(clerk_token(), "eyJhbGciOiJub25lIn0.e30.")).unwrap()
        }),
    ];
    (base, prop::collection::btree_map(select(&MEMBERS), value, 0..8)).prop_map(|(mut event, members)| {
        let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
        event.as_object_mut().unwrap().extend(members);
        event
    })
}

#[test]
fn no_json_without_a_token_panics_or_allows() {
    let decided = Cell::new(0);
    let allowed = check_many(3_000, event_like(), |event| {
        let answered = answer(&event);
        check_invariants("json", &Asked { event: Vec::new(), json: Some(event), token: None }, &answered);
        prop_assert_ne!(answered.record.reason, "panic");
        decided.set(decided.get() + u32::from(answered.record.outcome != Outcome::Fault));
        Ok(answered.record.outcome)
    });
    assert_eq!(allowed, 0);
    assert!(decided.get() >= 200, "{} of the events were understood as such", decided.get());
}

/// How one text of an event is changed.
#[derive(Clone, Debug)]
enum Change {
    Insert(Index, &'static str),
    Remove(Index),
    Replace(Index, &'static str),
    Whole(Value),
    Swap(&'static str, &'static str),
}

const HOSTILE: [&str; 40] = [
    "/",
    "//",
    ".",
    "..",
    "/../",
    "%",
    "%2F",
    "%2f",
    "%2e%2e",
    "%252e",
    "%00",
    "*",
    "%2A",
    "?",
    "%3F",
    "$",
    "${",
    "${aws:username}",
    "{",
    "}",
    "{proxy+}",
    "\\",
    "%5C",
    ";",
    ":",
    "@",
    "é",
    "%C3%A9",
    "%c3%a9",
    "e\u{301}",
    " ",
    "%20",
    "+",
    "#",
    "\n",
    "\u{0}",
    "\u{fffd}",
    "\u{202e}",
    "a",
    "%61",
];

fn change() -> impl Strategy<Value = Change> {
    let part =
        || prop_oneof![2 => select(&HOSTILE), 1 => select(&["A", "0", "_", "-", "=", ",", "Bearer ", "x"])];
    prop_oneof![
        4 => (any::<Index>(), part()).prop_map(|(at, text)| Change::Insert(at, text)),
        2 => any::<Index>().prop_map(Change::Remove),
        4 => (any::<Index>(), part()).prop_map(|(at, text)| Change::Replace(at, text)),
        1 => select(vec![json!(null), json!(0), json!(""), json!([]), json!({}), json!(["a", "b"])]).prop_map(Change::Whole),
        2 => select(&[("prod", "live"), ("prod", "*"), ("123456789012", "210987654321"), ("a1b2c3d4e5", "f6g7h8i9j0"), ("orders", "admin"), ("GET", "DELETE"), ("/42", "/*"), ("/42", ""), ("k1l2m3n4o5", "p6q7r8s9t0"), ("$default", "live"), ("eu-west-1", "us-east-1"), ("arn:aws:", "arn:aws-cn:")])
            .prop_map(|(from, to)| Change::Swap(from, to)),
    ]
}

impl Change {
    fn apply(&self, value: &mut Value) {
        if let Self::Whole(other) = self {
            *value = other.clone();
            return;
        }
        let Value::String(text) = value else { return };
        let chars: Vec<char> = text.chars().collect();
        let at = match self {
            Self::Insert(at, _) => at.index(chars.len() + 1),
            Self::Remove(at) | Self::Replace(at, _) => at.index(chars.len().max(1)).min(chars.len()),
            Self::Whole(_) | Self::Swap(..) => 0,
        };
        let (before, after): (String, String) = (chars[..at].iter().collect(), chars[at..].iter().collect());
        let without_first = || after.chars().skip(1).collect::<String>();
        *text = match self {
            Self::Insert(_, part) => format!("{before}{part}{after}"),
            Self::Remove(_) => format!("{before}{}", without_first()),
            Self::Replace(_, part) => format!("{before}{part}{}", without_first()),
            Self::Swap(from, to) => after.replacen(from, to, 1),
            Self::Whole(_) => return,
        };
    }
}

/// The pointers to an event's texts. The ARN, the path and the credential stand more than once, to be picked more often.
fn texts(event: &Value) -> Vec<String> {
    fn walk(value: &Value, at: &str, found: &mut Vec<String>) {
        let escape = |name: &str| name.replace('~', "~0").replace('/', "~1");
        match value {
            Value::String(_) => {
                let often = ["Arn", "ath", "uthorization", "token", "/0"].iter().any(|end| at.ends_with(end));
                found.extend(std::iter::repeat_n(at.to_owned(), if often { 4 } else { 1 }));
            }
            Value::Array(items) => {
                items
                    .iter()
                    .enumerate()
                    .for_each(|(index, item)| walk(item, &format!("{at}/{index}"), found));
            }
            Value::Object(members) => {
                members.iter().for_each(|(name, item)| walk(item, &format!("{at}/{}", escape(name)), found));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut found = Vec::new();
    walk(event, "", &mut found);
    found
}

#[test]
fn a_changed_event_allows_nothing_but_what_its_arn_names() {
    const CASES: u32 = 3_000;
    let allowed = check_many(
        CASES,
        (select(&KINDS), any::<Index>(), prop::collection::vec(change(), 1..3)),
        |((kind, _, _), at, changes)| {
            let mut event = clerk_event(kind, "GET", "/orders/42", "/orders/{orderId}");
            let pointers = texts(&event);
            let pointer = &pointers[at.index(pointers.len())];
            for change in &changes {
                change.apply(event.pointer_mut(pointer).unwrap());
            }
            let answered = answer(&event);
            let token = event.to_string().contains(clerk_token()).then(|| clerk_token().to_owned());
            let outcome = answered.record.outcome;
            prop_assert_ne!(answered.record.reason, "panic");
            // Without its token intact, nobody is allowed.
            prop_assert!(outcome != Outcome::Allow || token.is_some(), "{}", event);
            if let (Outcome::Allow, Some(arn)) = (outcome, arn_of(&event)) {
                let asked: cedar_gate::arn::MethodArn = arn.parse().unwrap();
                prop_assert_eq!(asked.account_id(), ACCOUNT);
                let known = KINDS.iter().any(|(_, api, stage)| {
                    asked.api_id() == *api && asked.stage() == *stage || asked.stage() == "test-invoke-stage"
                });
                prop_assert!(known, "{}", arn);
                prop_assert!(!arn.contains("admin"), "{}", arn);
            }
            check_invariants(kind, &Asked { event: Vec::new(), json: Some(event), token }, &answered);
            Ok(outcome)
        },
    );
    assert!(allowed >= CASES / 5, "{allowed} of {CASES} were allowed: too few to show anything");
    assert!(allowed <= CASES * 9 / 10, "{allowed} of {CASES} were allowed: the changes change too little");
}

#[test]
fn a_changed_token_is_nobody() {
    let token = clerk_token();
    let part = select(&["A", "b", "0", "-", "_", "=", ".", "~", "+", "/"]);
    let allowed = check_many(1_500, (any::<Index>(), part, 0..3_u8), |(at, part, how)| {
        let at = at.index(token.len());
        let tail = if how == 0 { &token[at..] } else { token.get(at + 1..).unwrap_or_default() };
        let part = if how == 1 { "" } else { part };
        let changed = format!("{}{part}{tail}", &token[..at]);
        let mut event = clerk_event("rest-token", "GET", "/orders/42", "");
        event["authorizationToken"] = json!(format!("Bearer {changed}"));
        let answered = answer(&event);
        let expected = if changed == token { Outcome::Allow } else { Outcome::Unauthorized };
        prop_assert_eq!(answered.record.outcome, expected, "{} {:?}", changed, answered);
        check_invariants(
            "token",
            &Asked { event: Vec::new(), json: Some(event), token: Some(changed) },
            &answered,
        );
        Ok(answered.record.outcome)
    });
    assert!(allowed < 150, "{allowed} tokens were not changed at all");
}

#[test]
fn an_allowed_hostile_path_is_named_as_it_was_asked_and_matches_itself_alone() {
    const CASES: u32 = 3_000;
    let named = [KINDS[0], KINDS[1], KINDS[2], KINDS[3], KINDS[4]];
    let plain = select(&["a", "b", "7", "-", "/c", ".x"]);
    let part = prop_oneof![2 => plain, 1 => select(&HOSTILE)];
    let path = prop::collection::vec(part, 1..7).prop_map(|parts| parts.concat());
    let start = select(&["/files/", "/files", "/orders/", "/"]);
    let allowed = check_many(CASES, (select(named.to_vec()), start, path), |((kind, _, _), start, path)| {
        let mut event = clerk_event(kind, "GET", &format!("{start}{path}"), "");
        event.as_object_mut().unwrap().remove("resource");
        event.as_object_mut().unwrap().remove("routeKey");
        let answered = answer(&event);
        prop_assert_ne!(answered.record.reason, "panic");
        prop_assert_ne!(answered.record.outcome, Outcome::Unauthorized);
        if let (Outcome::Allow, Reply::Json(json)) = (answered.record.outcome, &answered.reply) {
            let reply: Value = serde_json::from_str(json.as_str()).unwrap();
            let resource = reply["policyDocument"]["Statement"][0]["Resource"][0].as_str().unwrap();
            prop_assert_eq!(resource.as_bytes(), arn_of(&event).unwrap().as_bytes());
            prop_assert!(!resource.contains(['*', '?', '$', '\\', '#']) || resource.contains("/$default/"));
            prop_assert!(!resource.contains("//") && !resource.contains("/../") && !resource.ends_with('/'));
        }
        let outcome = answered.record.outcome;
        check_invariants(kind, &Asked { event: Vec::new(), json: Some(event), token: None }, &answered);
        Ok(outcome)
    });
    assert!(allowed >= CASES / 20, "{allowed} of {CASES} were allowed: too few to show anything");
}
