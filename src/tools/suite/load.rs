//! From files to tests: every name is looked up, and whatever could make a test pass by mistake is an error.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::ops::Range;
use std::sync::OnceLock;

use cedar_policy as cedar;
use toml::{Spanned, Table, Value};

use crate::arn::MethodArn;
use crate::authorizer::{Authorizer, Evidence};
use crate::bundle::Bundle;
use crate::bundle::deployment::{Api, ApiKind, ResponseForm};
use crate::bundle::finding::Finding;
use crate::bundle::source::SourceFiles;
use crate::context::AuthorizerContext;
use crate::entities::HttpFacts;
use crate::event::AuthorizerEvent;
use crate::jose::KeyRing;
use crate::record::Outcome;
use crate::route::{Operation, OperationId};
use crate::time::Timestamp;
use crate::tools::claimant::Claimant;
use crate::tools::desk::{Desk, DeskError};

use super::callers::{Callers, Declared, Known, PRINCIPALS, json, json_object};
use super::expect::{self, Because, Expected, Stated, Statements, Wanted, Wished};
use super::file::{CaseFile, DocumentFile, FactsFile, PrincipalsFile, SuiteFile, Written};
use super::problems::{Problems, meant, meant_key, meant_or_known};
use super::requests::{Closeness, Entry, Request, Values, entries, operations};
use super::unsaid::{LISTS, Readers};
use super::{Case, FOLDER, Question, Suite, Suites, Test, cedar_tests, events};

/// The moment of a test where its suite says none: 2030-01-01T00:00:00Z. No policy of such a test reads the time.
const SOME_MOMENT: Timestamp = Timestamp::from_unix_seconds(1_893_456_000);

/// What to do about a fact that no policy can read.
const DECLARE: &str = "declare it in `Http` of schema/gateway.cedarschema";

/// The folder of events, and of the responses that are expected to them.
const EVENTS: &str = "tests/policies/events/";
const RESPONSES: &str = "tests/policies/responses/";

/// What keeps tests from being run, and what should be known beside it.
#[derive(Clone, Debug)]
pub struct SuiteErrors {
    /// Never empty.
    pub errors: Vec<Finding>,
    /// What should be known.
    pub warnings: Vec<Finding>,
}

impl<'b> Suites<'b> {
    /// Reads all suites. `files` are those of the bundle and those of [`FOLDER`]; `updates` tells that responses are to be
    /// written, so that one that is missing is no error.
    ///
    /// # Errors
    /// [`SuiteErrors`], all of them at once.
    pub fn load(bundle: &'b Bundle, files: &'b SourceFiles, updates: bool) -> Result<Self, SuiteErrors> {
        let mut problems = Problems::new(files);
        let claimant = match Claimant::new(bundle) {
            Ok(claimant) => claimant,
            Err(error) => {
                problems.error(FOLDER, None, format!("no token can be made: {error}"), None);
                let (errors, warnings) = problems.into_parts();
                return Err(SuiteErrors { errors, warnings });
            }
        };
        let mut loader = Loader {
            bundle,
            files,
            updates,
            problems,
            callers: Callers::new(bundle, &claimant),
            desks: Vec::new(),
            times: HashMap::new(),
            readers: HashMap::new(),
            authorizers: Vec::new(),
            suites: Vec::new(),
            tests: Vec::new(),
            statements: Statements::new(),
        };
        loader.read();
        let Loader { problems, callers, desks, authorizers, suites, tests, .. } = loader;
        let callers = callers.into_vec();
        let is_ready = problems.is_empty();
        let (errors, warnings) = problems.into_parts();
        match is_ready {
            true => {
                let authorizers = authorizers.into_iter().map(|(_, authorizer)| authorizer).collect();
                let tracers = desks.iter().map(|_| OnceLock::new()).collect();
                Ok(Self { files, suites, desks, tracers, authorizers, claimant, callers, tests, warnings })
            }
            false => Err(SuiteErrors { errors, warnings }),
        }
    }
}

/// What is read so far.
struct Loader<'l, 'b, 'f> {
    bundle: &'b Bundle,
    files: &'f SourceFiles,
    updates: bool,
    problems: Problems<'f>,
    callers: Callers<'l, 'b>,
    desks: Vec<Desk<'b>>,
    /// Of a desk, the policy that reads the time for an operation.
    times: HashMap<(usize, OperationId), Option<String>>,
    /// Of a desk, the policies that read other volatile facts for an operation.
    readers: HashMap<(usize, OperationId), Option<Readers>>,
    /// By the version that they were made for; without one, as versions.toml has it.
    authorizers: Vec<(Option<String>, Authorizer)>,
    suites: Vec<Suite>,
    tests: Vec<Test>,
    /// What cases say: of a desk, a caller, a request and its facts.
    statements: Statements<(usize, usize, String, String)>,
}

/// What the cases of a suite have in common.
#[derive(Clone, Copy)]
struct Frame<'s> {
    file: &'s str,
    suite: usize,
    /// `None` where the suite does not say which.
    desk: usize,
    /// The version that the suite names.
    version: Option<&'s str>,
    head_now: Option<Timestamp>,
    head_facts: Option<&'s FactsFile>,
    params: &'s BTreeMap<Written, Vec<String>>,
    known: Known<'s>,
}

/// Where and when the requests of a case are made, and by whom.
struct Setting {
    case: usize,
    callers: Vec<(String, Option<usize>)>,
    now: Timestamp,
    /// Whether the case or its suite says the moment.
    says_now: bool,
    facts: FactsFile,
    name_span: Range<usize>,
    name: String,
    skipped: bool,
}

impl<'b> Loader<'_, 'b, '_> {
    fn read(&mut self) {
        let files = self.files;
        let shared = match files.text(PRINCIPALS) {
            None => Declared::default(),
            Some(text) => match self.problems.toml::<PrincipalsFile>(PRINCIPALS, text) {
                // What follows from it is not worth saying.
                None => return,
                Some(file) => {
                    let PrincipalsFile { principal, group, facts } = file;
                    Declared::read(PRINCIPALS, principal, group, facts, None, self.bundle, &mut self.problems)
                }
            },
        };
        let suites: Vec<&str> = files.paths_in(FOLDER, ".toml").filter(|path| *path != PRINCIPALS).collect();
        let cedar_files: Vec<&str> = files.paths_in(FOLDER, ".json").collect();
        if suites.is_empty() && cedar_files.is_empty() {
            let help =
                "write one, such as tests/policies/orders.toml: `cedar-gate test --help` has an example";
            self.problems.error(FOLDER, None, "there is no suite", help.to_owned());
        }
        for file in suites {
            self.suite(file, files.text(file).unwrap_or_default(), &shared);
        }
        for file in cedar_files {
            self.cedar_suite(file, files.text(file).unwrap_or_default());
        }
        shared.warn_of_unused(&mut self.problems);
    }

    fn suite(&mut self, file: &str, text: &str, shared: &Declared) {
        let Some(SuiteFile { suite: head, principal, group, facts, cases }) = self.problems.toml(file, text)
        else {
            return;
        };
        let own =
            Declared::read(file, principal, group, facts, Some(shared), self.bundle, &mut self.problems);
        let known = Known { own: &own, shared };
        let name = head.name.as_ref().map_or_else(|| stem(file), |name| name.get_ref().clone());
        if self.suites.iter().any(|suite| suite.name == name) {
            let span = head.name.as_ref().map(Spanned::span);
            let message = format!("another suite is called `{name}` too");
            self.problems.error(file, span, message, "give one of them another name".to_owned());
        }
        if cases.is_empty() {
            let help =
                "write a [[case]], or remove the file: an empty suite would pass whatever the policies say";
            self.problems.error(file, None, "the suite has no cases", help.to_owned());
        }
        let Some(desk) = self.desk(file, [&head.api, &head.stage, &head.version]) else { return };
        let head_now = head.now.as_ref().and_then(|now| self.moment(file, now));
        let head_facts = head.facts.as_ref().and_then(|facts| self.facts(file, facts, known));
        let suite = self.suites.len();
        let Some(place) = self.desks.get(desk) else { return };
        self.suites.push(Suite {
            name,
            description: head.description.clone(),
            file: file.to_owned(),
            api: place.api().name.clone(),
            stage: place.stage().to_owned(),
            version: place.version().name.clone(),
            cases: Vec::new(),
        });
        let frame = Frame {
            file,
            suite,
            desk,
            version: head.version.as_ref().map(|version| version.get_ref().as_str()),
            head_now,
            head_facts: head_facts.as_ref(),
            params: &head.params,
            known,
        };
        let mut names = HashSet::new();
        for case in &cases {
            if !names.insert(case.name.get_ref().as_str()) {
                let message = format!("another case of the suite is called `{}` too", case.name.get_ref());
                let help = "give one of them another name".to_owned();
                self.problems.error(file, Some(case.name.span()), message, help);
            }
            self.case(&frame, text, case);
        }
        own.warn_of_unused(&mut self.problems);
    }

    /// The stage that a suite is about.
    fn desk(&mut self, file: &str, named: [&Option<Written>; 3]) -> Option<usize> {
        let [api, stage, version] = named.map(|name| name.as_ref().map(|name| name.get_ref().as_str()));
        match self.desk_of(api, stage, version) {
            Ok(desk) => Some(desk),
            Err(error) => {
                let span_of =
                    |which: usize| named.get(which).and_then(|name| name.as_ref()).map(Spanned::span);
                let bundle = self.bundle;
                let apis = || bundle.deployment().apis.iter();
                let versions = || bundle.policy_versions().map(|version| version.name.as_str());
                let (span, help) = match &error {
                    DeskError::UnknownApi { name, .. } => {
                        (span_of(0), meant_or_known(name, apis().map(|api| api.name.as_str())))
                    }
                    DeskError::UnknownStage { api, name, .. } => {
                        let stages = apis().filter(|known| known.name == *api).flat_map(Api::stage_names);
                        (span_of(1), meant_or_known(name, stages))
                    }
                    DeskError::UnknownVersion { name, .. } => (span_of(2), meant_or_known(name, versions())),
                    DeskError::NoVersion { .. } | DeskError::Prepare(_) => {
                        (None, "name one with `version` in [suite]".to_owned())
                    }
                };
                self.problems.error(file, span, error.to_string(), help);
                None
            }
        }
    }

    fn desk_of(
        &mut self,
        api: Option<&str>,
        stage: Option<&str>,
        version: Option<&str>,
    ) -> Result<usize, DeskError> {
        // A desk is costly to prepare, so who names the same place shares one.
        let apis = &self.bundle.deployment().apis;
        let of_the_api = match api {
            None => apis.first(),
            Some(name) => apis.iter().find(|api| api.name == name),
        };
        let place = of_the_api.and_then(|api| {
            let stage = stage.or_else(|| api.stage_names().next())?;
            let active = || self.bundle.active(&api.name, stage).map(|version| version.name.as_str());
            Some((api.name.as_str(), stage, version.or_else(active)?))
        });
        let is_there = |desk: &Desk<'_>| {
            Some((desk.api().name.as_str(), desk.stage(), desk.version().name.as_str())) == place
        };
        if let Some(known) = self.desks.iter().position(is_there) {
            return Ok(known);
        }
        self.desks.push(Desk::new(self.bundle, api, stage, version)?);
        Ok(self.desks.len() - 1)
    }

    fn moment(&mut self, file: &str, written: &Spanned<Value>) -> Option<Timestamp> {
        let moment = match written.get_ref() {
            Value::Datetime(moment) => moment.to_string().parse().ok(),
            Value::String(text) => text.parse().ok(),
            Value::Integer(seconds) => Some(Timestamp::from_unix_seconds(*seconds)),
            _ => None,
        };
        if moment.is_none() {
            let help = "write now = 2026-11-21T10:00:00Z, with its offset, or seconds since 1970";
            let message = format!("`{}` is no moment", written.get_ref());
            self.problems.error(file, Some(written.span()), message, help.to_owned());
        }
        moment
    }

    fn facts(&mut self, file: &str, written: &Spanned<Value>, known: Known<'_>) -> Option<FactsFile> {
        match written.get_ref() {
            Value::String(name) => known.facts(file, written.span(), name, &mut self.problems),
            Value::Table(table) => match table.clone().try_into::<FactsFile>() {
                Ok(facts) => Some(facts),
                Err(error) => {
                    let help = meant_key(error.message());
                    self.problems.error(file, Some(written.span()), error.message(), help);
                    None
                }
            },
            _ => {
                let help = "write the name of facts, or { source_ip = \"…\" }";
                self.problems.error(file, Some(written.span()), "these are no facts", help.to_owned());
                None
            }
        }
    }

    /// The facts as policies see them.
    fn http_facts(&mut self, file: &str, span: Range<usize>, setting: &Setting) -> HttpFacts {
        let shape = &self.bundle.vocabulary().http;
        let facts = &setting.facts;
        let mut undeclared = Vec::new();
        let mut lists = |given: &BTreeMap<String, String>, declared: &[String], kind: &str| {
            let mut found = Vec::new();
            for (name, value) in given {
                let lower = name.to_lowercase();
                match declared.iter().find(|known| *known == name || (kind == "headers" && **known == lower))
                {
                    Some(known) => found.push((known.clone(), value.clone())),
                    None => {
                        let help = match meant(&lower, declared.iter().map(String::as_str)) {
                            Some(meant) => format!("did you mean `{meant}`?"),
                            None => DECLARE.to_owned(),
                        };
                        undeclared.push((format!("{kind}.{name}"), help));
                    }
                }
            }
            found
        };
        let headers = lists(&facts.headers, &shape.headers, "headers");
        let query = lists(&facts.query, &shape.query, "query");
        let stage_variables = lists(&facts.stage_variables, &shape.stage_variables, "stage_variables");
        let declare = |name: &str| (name.to_owned(), DECLARE.to_owned());
        if facts.source_ip.is_some() && !shape.source_ip {
            undeclared.push(declare("source_ip"));
        }
        if facts.client_cert_subject.is_some() && !shape.client_cert_subject {
            undeclared.push(declare("client_cert_subject"));
        }
        for (name, help) in undeclared {
            let message = format!("the schema's `Http` has no `{name}`, so no policy can read it");
            self.problems.error(file, Some(span.clone()), message, help);
        }
        self.check_absent(file, span.clone(), facts);
        let source_ip: Option<IpAddr> = facts.source_ip.as_ref().and_then(|text| match text.parse() {
            Ok(address) => Some(address),
            Err(_) => {
                let message = format!("`{text}` is no address");
                self.problems.error(
                    file,
                    Some(span.clone()),
                    message,
                    "write it like 203.0.113.7".to_owned(),
                );
                None
            }
        });
        HttpFacts {
            source_ip,
            time: shape.time.then_some(setting.now),
            client_cert_subject: facts.client_cert_subject.clone(),
            headers,
            query,
            stage_variables,
        }
    }

    /// What is said to be absent could be there, and is not given.
    fn check_absent(&mut self, file: &str, span: Range<usize>, facts: &FactsFile) {
        let shape = &self.bundle.vocabulary().http;
        let one = [("source_ip", shape.source_ip), ("client_cert_subject", shape.client_cert_subject)];
        let one = one.into_iter().filter(|(_, is_declared)| *is_declared).map(|(name, _)| name.to_owned());
        let lists = LISTS.iter().zip([&shape.headers, &shape.query, &shape.stage_variables]);
        let of_lists = lists.filter(|(_, members)| !members.is_empty()).flat_map(|(list, members)| {
            let members = members.iter().map(move |name| format!("{list}.{name}"));
            std::iter::once((*list).to_owned()).chain(members)
        });
        let declared: Vec<String> = one.chain(of_lists).collect();
        let one = [("source_ip", &facts.source_ip), ("client_cert_subject", &facts.client_cert_subject)];
        let mut given: BTreeSet<String> =
            one.into_iter().filter(|(_, value)| value.is_some()).map(|(name, _)| name.to_owned()).collect();
        for (list, members) in LISTS.iter().zip([&facts.headers, &facts.query, &facts.stage_variables]) {
            given.extend((!members.is_empty()).then(|| (*list).to_owned()));
            given.extend(members.keys().map(|name| as_declared(&format!("{list}.{name}"))));
        }
        for name in &facts.absent {
            let known = as_declared(name);
            let (message, help) = match (declared.contains(&known), given.contains(&known)) {
                (true, false) => continue,
                (true, true) => (format!("`{name}` is given and absent"), "remove one".to_owned()),
                (false, _) if name == "time" => {
                    (format!("`{name}` is never absent"), "write now = 2026-11-21T10:00:00Z".to_owned())
                }
                (false, _) => (
                    format!("the schema's `Http` has no `{name}`, so no policy can read it"),
                    meant_or_known(name, declared.iter().map(String::as_str)),
                ),
            };
            self.problems.error(file, Some(span.clone()), message, help);
        }
    }

    fn case(&mut self, frame: &Frame<'_>, text: &str, case: &CaseFile) {
        let file = frame.file;
        let name_span = case.name.span();
        let index = match self.suites.get_mut(frame.suite) {
            Some(suite) => {
                suite.cases.push(Case {
                    name: case.name.get_ref().clone(),
                    description: case.description.clone(),
                    skip: case.skip.as_ref().map(|why| why.get_ref().clone()),
                    position: position(text, name_span.start),
                    span: name_span.clone(),
                });
                suite.cases.len() - 1
            }
            None => return,
        };
        if let Some(skip) = case.skip.as_ref().filter(|why| why.get_ref().trim().is_empty()) {
            self.problems.error(
                file,
                Some(skip.span()),
                "`skip` does not say why",
                "write the reason".to_owned(),
            );
        }
        let now = case.now.as_ref().and_then(|now| self.moment(file, now)).or(frame.head_now);
        let facts = match &case.facts {
            Some(facts) => self.facts(file, facts, frame.known),
            None => frame.head_facts.cloned(),
        };
        let mut setting = Setting {
            case: index,
            callers: Vec::new(),
            now: now.unwrap_or(SOME_MOMENT),
            says_now: now.is_some(),
            facts: facts.unwrap_or_default(),
            name_span,
            name: case.name.get_ref().clone(),
            skipped: case.skip.is_some(),
        };
        setting.callers = self.callers_of(frame, case, setting.now);
        let wants_nobody = case.event.is_some() && case.principals.is_none() && case.token.is_none();
        if wants_nobody {
            setting.callers.push(("nobody".to_owned(), None));
        }
        match (&case.allow, &case.requests, &case.event) {
            (Some(allow), None, None) => self.exhaustive(frame, case, allow, &setting),
            (None, Some(requests), None) => self.requests(frame, case, requests, &setting),
            (None, None, Some(event)) => self.event(frame, case, event, &setting),
            (None, None, None) if case.expect.is_some() => self.tokens(frame, case, &setting),
            (None, None, None) => {
                let help = "write `allow`, `requests` or `event`";
                self.error_at_name(frame, &setting, "the case asks nothing", help);
            }
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
                let help = "`allow` speaks of every operation, `requests` of those it lists, `event` of one event: split the case";
                self.error_at_name(frame, &setting, "the case is of two kinds", help);
            }
        }
    }

    fn error_at_name(&mut self, frame: &Frame<'_>, setting: &Setting, what: &str, help: &str) {
        let message = format!("case `{}`: {what}", setting.name);
        self.problems.error(frame.file, Some(setting.name_span.clone()), message, help.to_owned());
    }

    /// Those who ask in a case.
    fn callers_of(
        &mut self,
        frame: &Frame<'_>,
        case: &CaseFile,
        now: Timestamp,
    ) -> Vec<(String, Option<usize>)> {
        let file = frame.file;
        let changes = case.token.as_ref();
        if let Some(changes) = changes {
            self.callers.check(file, changes, &mut self.problems);
        }
        let by_token = changes.and_then(|changes| changes.get_ref().principal.as_ref());
        let written: Vec<Written> = match (&case.principals, by_token) {
            (Some(principals), None) => principals.get_ref().clone(),
            (None, Some(principal)) => vec![principal.clone()],
            (Some(_), Some(principal)) => {
                let help = "remove one of the two";
                let message = "`principals` and `token.principal` both say who asks";
                self.problems.error(file, Some(principal.span()), message, help.to_owned());
                return Vec::new();
            }
            (None, None) if case.event.is_some() && changes.is_none() => return Vec::new(),
            (None, None) => {
                let message = format!("case `{}` does not say who asks", case.name.get_ref());
                let help = "write principals = [\"…\"]";
                self.problems.error(file, Some(case.name.span()), message, help.to_owned());
                return Vec::new();
            }
        };
        if written.is_empty() {
            let message = format!("case `{}` is about nobody", case.name.get_ref());
            let help = "name a principal: such a case would pass whatever the policies say";
            let span = case.principals.as_ref().map(Spanned::span);
            self.problems.error(file, span, message, help.to_owned());
        }
        let names = frame.known.named(file, &written, &mut self.problems);
        if names.is_empty() && !written.is_empty() && self.problems.is_empty() {
            let message = format!("case `{}` is about nobody: no principal is declared", case.name.get_ref());
            let help = format!("declare one in {PRINCIPALS} or in the suite");
            self.problems.error(file, Some(case.name.span()), message, help);
        }
        let mut callers = Vec::new();
        for name in names {
            let changed = changes.map(|changes| (file, changes));
            if let Some(caller) = self.callers.caller(frame.known, &name, changed, now, &mut self.problems) {
                callers.push((name, Some(caller)));
            }
        }
        callers
    }

    /// Keys that a kind of case has no use for would be believed to be checked.
    fn refuse(&mut self, frame: &Frame<'_>, kind: &str, keys: &[(&str, Option<Range<usize>>, &str)]) {
        for (key, span, help) in keys {
            if let Some(span) = span {
                let message = format!("`{key}` means nothing in a case with {kind}");
                self.problems.error(frame.file, Some(span.clone()), message, (*help).to_owned());
            }
        }
    }

    /// A case with `allow`: what it does not list must be denied.
    fn exhaustive(
        &mut self,
        frame: &Frame<'_>,
        case: &CaseFile,
        allow: &Spanned<Vec<Written>>,
        setting: &Setting,
    ) {
        let of_requests = "write a case with `requests` for it";
        self.refuse(
            frame,
            "`allow`",
            &[
                ("expect", case.expect.as_ref().map(Spanned::span), of_requests),
                ("because", case.because.as_ref().map(Spanned::span), of_requests),
                ("document", case.document.as_ref().map(Spanned::span), of_requests),
                ("context", case.context.as_ref().map(Spanned::span), of_requests),
                ("response", case.response.as_ref().map(Spanned::span), "write a case with `event` for it"),
            ],
        );
        let Some(desk) = self.desks.get(frame.desk) else { return };
        let file = frame.file;
        let allowed = entries(desk, file, allow.get_ref(), &mut self.problems);
        let none = Vec::new();
        let deny = case.deny.as_ref().map_or(&none, Spanned::get_ref);
        let denied = entries(desk, file, deny, &mut self.problems);
        if allowed.len() != allow.get_ref().len() || denied.len() != deny.len() {
            return;
        }
        let mut values = Values::default();
        values.add_written(desk, file, frame.params, &mut self.problems);
        values.add_written(desk, file, &case.params, &mut self.problems);
        allowed.iter().chain(&denied).for_each(|entry| values.add_bound(desk, entry));
        let mut requests: Vec<Request> =
            operations(desk).flat_map(|operation| values.requests(desk, operation)).collect();
        let mut known: HashSet<String> = requests.iter().map(|request| request.text.clone()).collect();
        for entry in allowed.iter().chain(&denied) {
            if let Entry::Request(request) | Entry::Form(_, _, request) = entry
                && known.insert(request.text.clone())
            {
                requests.push(request.clone());
            }
        }
        let mut makes_exception = vec![false; denied.len()];
        let mut expectations = Vec::new();
        for request in requests {
            let by_allow = closest(&allowed, &request);
            let by_deny = closest(&denied, &request);
            let is_allowed = match (by_allow, by_deny) {
                (None, _) => false,
                (Some(_), None) => true,
                (Some((allow_closeness, _)), Some((deny_closeness, which))) => {
                    if allow_closeness == deny_closeness {
                        let message = format!("`{}` is both allowed and denied by the case", request.text);
                        let help = "the closer of two lines holds, and these are equally close: remove one";
                        let span = deny.get(which).map(Spanned::span);
                        self.problems.error(file, span, message, help.to_owned());
                    }
                    if let Some(makes) = makes_exception.get_mut(which) {
                        *makes |= deny_closeness >= allow_closeness;
                    }
                    allow_closeness > deny_closeness
                }
            };
            expectations.push((request, is_allowed));
        }
        for (line, makes) in deny.iter().zip(makes_exception) {
            if !makes {
                let message = format!("`{}` is no exception to anything that is allowed", line.get_ref());
                let help = "what is not in `allow` must be denied anyway: remove it";
                self.problems.error(file, Some(line.span()), message, help.to_owned());
            }
        }
        for (line, entry) in allow.get_ref().iter().zip(&allowed) {
            if !expectations.iter().any(|(request, _)| entry.closeness(request).is_some()) {
                let message = format!("no request could be made for `{}`", line.get_ref());
                let help = "each value of its parameters is a segment of another route: add one to `params`";
                self.problems.error(file, Some(line.span()), message, help.to_owned());
            }
        }
        for (request, is_allowed) in expectations {
            let outcome = Some(if is_allowed { Wanted::Allow } else { Wanted::Deny(None) });
            let since = match (is_allowed, closest(&denied, &request)) {
                (true, _) => None,
                (false, None) => Some("the case does not list it"),
                (false, Some(_)) => Some("the case makes an exception of it"),
            };
            let expected = Expected { outcome, since, ..Expected::default() };
            self.add_requests(frame, setting, &request, &expected);
        }
    }

    /// A case with `requests`.
    fn requests(
        &mut self,
        frame: &Frame<'_>,
        case: &CaseFile,
        written: &Spanned<Vec<Written>>,
        setting: &Setting,
    ) {
        let exceptions = "it makes exceptions to `allow`; write expect = \"deny\"";
        self.refuse(
            frame,
            "`requests`",
            &[
                ("deny", case.deny.as_ref().map(Spanned::span), exceptions),
                ("response", case.response.as_ref().map(Spanned::span), "write a case with `event` for it"),
            ],
        );
        let file = frame.file;
        if written.get_ref().is_empty() {
            let help = "name a request: such a case would pass whatever the policies say";
            let message = format!("case `{}` asks nothing", setting.name);
            self.problems.error(file, Some(written.span()), message, help.to_owned());
        }
        let Some(expected) = self.expected(frame, case, frame.desk, setting) else { return };
        if let (Some(Wanted::Fault(_)), Some(expect)) = (&expected.outcome, &case.expect) {
            let help = "a fault is about an event or the deployment: write a case with `event`";
            let message = "no request by hand is a fault";
            self.problems.error(file, Some(expect.span()), message, help.to_owned());
        }
        let Some(desk) = self.desks.get(frame.desk) else { return };
        let lines = entries(desk, file, written.get_ref(), &mut self.problems);
        let mut values = Values::default();
        values.add_written(desk, file, frame.params, &mut self.problems);
        values.add_written(desk, file, &case.params, &mut self.problems);
        let mut requests: Vec<Request> = Vec::new();
        for (line, entry) in written.get_ref().iter().zip(&lines) {
            let made = match entry {
                Entry::Request(request) | Entry::Form(_, _, request) => vec![request.clone()],
                Entry::Operation(id) => {
                    let operation = desk.operations().get(id.index());
                    operation.map(|operation| values.requests(desk, operation)).unwrap_or_default()
                }
            };
            if made.is_empty() {
                let message = format!("no request could be made for `{}`", line.get_ref());
                let help = "each value of its parameters is a segment of another route: add one to `params`";
                self.problems.error(file, Some(line.span()), message, help.to_owned());
            }
            for request in made {
                if !requests.contains(&request) {
                    requests.push(request);
                }
            }
        }
        for request in requests {
            self.add_requests(frame, setting, &request, &expected);
        }
    }

    /// A case that says whether tokens are believed, and nothing else.
    fn tokens(&mut self, frame: &Frame<'_>, case: &CaseFile, setting: &Setting) {
        let Some(expected) = self.expected(frame, case, frame.desk, setting) else { return };
        if !matches!(expected.outcome, Some(Wanted::Unauthorized(_))) {
            let help = "write `allow`, `requests` or `event`; without them, a case can expect \"unauthorized\" alone";
            self.error_at_name(frame, setting, "asks nothing", help);
            return;
        }
        for (name, caller) in &setting.callers {
            let Some(caller) = *caller else { continue };
            if !setting.skipped {
                self.tests.push(Test {
                    suite: frame.suite,
                    case: setting.case,
                    principal: name.clone(),
                    request: "its token".to_owned(),
                    question: Question::Token { caller },
                    expected: expected.clone(),
                });
            }
        }
    }

    /// What a case says that it expects.
    fn expected(
        &mut self,
        frame: &Frame<'_>,
        case: &CaseFile,
        desk: usize,
        setting: &Setting,
    ) -> Option<Expected> {
        let file = frame.file;
        let mut expected = Expected::default();
        if let Some(written) = &case.expect {
            match expect::read_expect(written.get_ref()) {
                Ok(wanted) => expected.outcome = Some(wanted),
                Err(message) => {
                    self.problems.error(file, Some(written.span()), message, expect::OUTCOMES.to_owned());
                    return None;
                }
            }
        }
        if let Some(written) = &case.because {
            match expect::read_because(written.get_ref()) {
                Ok(because) => {
                    self.check_policies(file, written.span(), &because, expected.outcome.as_ref(), desk);
                    expected.because = Some(because);
                }
                Err(message) => {
                    self.problems.error(file, Some(written.span()), message, expect::REASONS.to_owned());
                }
            }
        }
        if let Some(context) = &case.context {
            expected.context = self.context(file, context);
        }
        if let Some(document) = &case.document {
            expected.document = self.document(frame, document, desk, setting);
        }
        let says_nothing = expected.outcome.is_none()
            && expected.because.is_none()
            && case.context.is_none()
            && case.document.is_none()
            && case.response.is_none();
        if says_nothing {
            let help = "write expect = \"allow\" or \"deny\", `because`, `document` or `context`";
            self.error_at_name(frame, setting, "expects nothing", help);
            return None;
        }
        Some(expected)
    }

    /// Policies that a case names exist, and can decide so.
    fn check_policies(
        &mut self,
        file: &str,
        span: Range<usize>,
        because: &Because,
        outcome: Option<&Wanted>,
        desk: usize,
    ) {
        let Some(version) = self.desks.get(desk).map(Desk::version) else { return };
        let ids: Vec<String> = version.policies().policies().map(|policy| policy.id().to_string()).collect();
        for id in because.policies() {
            let Some(policy) = version.policies().policies().find(|policy| policy.id().to_string() == *id)
            else {
                let message = format!("no policy `{id}` stands in version `{}`", version.name);
                let help = meant_or_known(id, ids.iter().map(String::as_str));
                self.problems.error(file, Some(span.clone()), message, help);
                continue;
            };
            if matches!(because, Because::Excludes(_)) {
                continue;
            }
            let (does, cannot) = match policy.effect() {
                cedar::Effect::Permit => ("permits", matches!(outcome, Some(Wanted::Deny(_)))),
                cedar::Effect::Forbid => ("forbids", matches!(outcome, Some(Wanted::Allow))),
            };
            let is_no_decision = matches!(outcome, Some(Wanted::Unauthorized(_) | Wanted::Fault(_)));
            if cannot || is_no_decision {
                let wanted = outcome.map(ToString::to_string).unwrap_or_default();
                let message = format!("policy `{id}` {does}: it cannot be why a request is `{wanted}`");
                let help = match policy.effect() {
                    cedar::Effect::Permit if cannot => {
                        "a deny that no policy decides is because = { exact = [] }"
                    }
                    _ => "change `expect` or `because`",
                };
                self.problems.error(file, Some(span.clone()), message, help.to_owned());
            }
        }
    }

    /// The keys of `context` stand in the contract.
    fn context(
        &mut self,
        file: &str,
        written: &Spanned<Table>,
    ) -> serde_json::Map<String, serde_json::Value> {
        let contract = &self.bundle.deployment().context.entries;
        if written.get_ref().is_empty() {
            let help = "write the keys that the integration is told".to_owned();
            self.problems.error(file, Some(written.span()), "`context` says nothing", help);
        }
        for key in written.get_ref().keys() {
            if !contract.contains_key(key.as_str()) && key != AuthorizerContext::DENY_MESSAGE {
                let message = format!("no key `{key}` stands in [context] of schema/authorizer.toml");
                let help = meant_or_known(key, contract.keys().map(AsRef::as_ref));
                self.problems.error(file, Some(written.span()), message, help);
            }
        }
        json_object(written.get_ref())
    }

    fn document(
        &mut self,
        frame: &Frame<'_>,
        written: &Spanned<DocumentFile>,
        desk: usize,
        setting: &Setting,
    ) -> Vec<Stated> {
        let Some(desk) = self.desks.get(desk) else { return Vec::new() };
        let (file, span) = (frame.file, Some(written.span()));
        let DocumentFile { covers, not } = written.get_ref();
        if covers.is_empty() && not.is_empty() {
            let help = "write covers = [...] or not = [...]".to_owned();
            self.problems.error(file, span.clone(), "`document` says nothing", help);
        }
        let api = desk.api();
        let has_none = match (api.kind, api.response) {
            (ApiKind::AppSync, _) | (ApiKind::Http, ResponseForm::Simple) => true,
            (ApiKind::Http, ResponseForm::Iam) | (ApiKind::Rest | ApiKind::WebSocket, _) => false,
        };
        if has_none {
            let message = format!("API `{}` is not answered by a document", api.name);
            let help = "its answers say `isAuthorized` alone: take `document` out";
            self.problems.error(file, span, message, help.to_owned());
            return Vec::new();
        }
        let mut values = Values::default();
        values.add_written(desk, file, frame.params, &mut self.problems);
        let mut found: Vec<Stated> = Vec::new();
        for (list, covered) in [(covers, true), (not, false)] {
            for entry in entries(desk, file, list, &mut self.problems) {
                let requests = match entry {
                    Entry::Request(request) | Entry::Form(_, _, request) => vec![request],
                    Entry::Operation(id) => {
                        let operation = desk.operations().get(id.index());
                        operation.map(|operation| values.requests(desk, operation)).unwrap_or_default()
                    }
                };
                for request in requests {
                    let arn = events::arn(desk, &request);
                    if found.iter().any(|known| known.arn == arn && known.covered != covered) {
                        let message =
                            format!("case `{}`: `{}` is both covered and not", setting.name, request.text);
                        self.problems.error(file, Some(written.span()), message, "remove one".to_owned());
                    }
                    found.push(Stated { arn, request, covered });
                }
            }
        }
        found
    }

    /// Adds the tests of a request, one for each who asks.
    fn add_requests(&mut self, frame: &Frame<'_>, setting: &Setting, request: &Request, expected: &Expected) {
        if !setting.says_now
            && let Some(policy) = self.reads_time(frame.desk, request.operation)
        {
            self.says_no_moment(frame, setting, &policy);
            return;
        }
        let facts = self.http_facts(frame.file, setting.name_span.clone(), setting);
        let facts_key = format!("{facts:?}");
        self.says_facts(frame, setting, request, &facts, expected);
        let by_event = !expected.document.is_empty() || !expected.context.is_empty();
        for (name, caller) in &setting.callers {
            let Some(caller) = *caller else { continue };
            let allowed = match expected.outcome {
                Some(Wanted::Allow) => Some(true),
                Some(Wanted::Deny(_)) => Some(false),
                Some(Wanted::Unauthorized(_) | Wanted::Fault(_)) | None => None,
            };
            if let Some(allowed) = allowed {
                let suite = self.suites.get(frame.suite).map_or("", |suite| suite.name.as_str());
                let here = format!("{suite} / {}", setting.name);
                let key = (frame.desk, caller, request.text.clone(), facts_key.clone());
                if let Some(other) = self.statements.contradicted(key, allowed, &here) {
                    let words = |allowed| if allowed { "allow" } else { "deny" };
                    let message = format!(
                        "case `{}` expects `{}` of `{name}` for `{}`, and case `{other}` expects `{}`",
                        setting.name,
                        words(allowed),
                        request.text,
                        words(!allowed)
                    );
                    let help = "one of them must be wrong; a case with `allow` says `deny` of all that it does not list";
                    self.problems.error(
                        frame.file,
                        Some(setting.name_span.clone()),
                        message,
                        help.to_owned(),
                    );
                    return;
                }
            }
            if setting.skipped {
                continue;
            }
            let question = match by_event {
                false => Question::Request {
                    desk: frame.desk,
                    caller,
                    request: request.clone(),
                    facts: facts.clone(),
                },
                true => {
                    let Some(authorizer) = self.authorizer(frame) else { return };
                    let Some(desk) = self.desks.get(frame.desk) else { return };
                    let event = events::of_request(desk, request, &setting.facts);
                    Question::Event {
                        authorizer,
                        desk: frame.desk,
                        caller: Some(caller),
                        event: Box::new(event),
                        request: Some(request.clone()),
                        now: setting.now,
                    }
                }
            };
            self.tests.push(Test {
                suite: frame.suite,
                case: setting.case,
                principal: name.clone(),
                request: request.text.clone(),
                question,
                expected: expected.clone(),
            });
        }
    }

    fn says_no_moment(&mut self, frame: &Frame<'_>, setting: &Setting, policy: &str) {
        let message = format!("policy `{policy}` reads the time, and case `{}` says no moment", setting.name);
        let help = "write now = 2026-11-21T10:00:00Z in [suite] or in the case, so that it decides the same tomorrow";
        self.problems.error(frame.file, Some(setting.name_span.clone()), message, help.to_owned());
    }

    /// A fact on which a decision depends is given, or said to be absent.
    fn says_facts(
        &mut self,
        frame: &Frame<'_>,
        setting: &Setting,
        request: &Request,
        facts: &HttpFacts,
        expected: &Expected,
    ) {
        let Some(desk) = self.desks.get(frame.desk) else { return };
        let files = self.files;
        let readers = self.readers.entry((frame.desk, request.operation));
        let Some(readers) = readers.or_insert_with(|| Readers::of(desk, request.operation, files)) else {
            return;
        };
        let absent: BTreeSet<String> = setting.facts.absent.iter().map(|name| as_declared(name)).collect();
        let is_told = expected.because.is_some() || !expected.context.is_empty();
        let claims = setting.callers.iter().filter_map(|(_, caller)| self.callers.verified((*caller)?));
        let principals = claims.filter_map(|claims| desk.factory().principal(claims).ok());
        let asked = principals.filter_map(|one| desk.ask(&one, request.target(), facts.clone()).ok());
        let unsaid: BTreeSet<_> = asked.flat_map(|asked| readers.unsaid(&asked, &absent, is_told)).collect();
        for (policy, fact) in unsaid {
            let message = format!(
                "policy `{policy}` reads `context.http.{fact}`, and case `{}` does not say it",
                setting.name
            );
            let example = match fact.split_once('.') {
                Some((list, member)) => format!("{list} = {{ {member:?} = \"…\" }}"),
                None if LISTS.contains(&fact.as_str()) => format!("{fact} = {{ … }}"),
                None => format!("{fact} = \"…\""),
            };
            let help = format!(
                "write facts = {{ {example} }} in [suite] or in the case, or for a request that has none facts = {{ absent = [{fact:?}] }}"
            );
            self.problems.error(frame.file, Some(setting.name_span.clone()), message, help);
        }
    }

    /// The policy that reads the time for an operation.
    fn reads_time(&mut self, desk: usize, operation: OperationId) -> Option<String> {
        let desks = &self.desks;
        let read = || {
            let (_, slice) = desks.get(desk)?.operation(operation)?;
            let reader = slice.policies().filter(|_| slice.reads_http()).find(|policy| reads_time(policy))?;
            Some(reader.id().to_string())
        };
        self.times.entry((desk, operation)).or_insert_with(read).clone()
    }

    /// The authorizer that decides by the suite's version.
    fn authorizer(&mut self, frame: &Frame<'_>) -> Option<usize> {
        let desk = self.desks.get(frame.desk)?;
        let active = self.bundle.active(&desk.api().name, desk.stage()).map(|version| version.name.as_str());
        let version = frame.version.filter(|named| Some(*named) != active).map(str::to_owned);
        if let Some(known) = self.authorizers.iter().position(|(of, _)| *of == version) {
            return Some(known);
        }
        let mut files = SourceFiles::default();
        for path in self.files.paths().filter(|path| !path.starts_with("tests/")) {
            files.insert(path, self.files.bytes(path).unwrap_or_default());
        }
        if let Some(version) = &version {
            files.insert("policies/versions.toml", format!("default = \"{version}\"\n"));
        }
        let made = Bundle::load(&files)
            .map_err(|errors| errors.to_string())
            .and_then(|bundle| Authorizer::new(bundle).map_err(|error| error.to_string()));
        match made {
            Ok(authorizer) => {
                self.authorizers.push((version, authorizer));
                Some(self.authorizers.len() - 1)
            }
            Err(error) => {
                let message = format!("the authorizer cannot be made: {error}");
                self.problems.error(frame.file, None, message, None);
                None
            }
        }
    }

    /// A case with `event`.
    fn event(&mut self, frame: &Frame<'_>, case: &CaseFile, written: &Written, setting: &Setting) {
        let of_requests = "write a case with `requests` for it";
        let in_event = "an event carries its own facts: write them into its file";
        let params = case.params.keys().next().map(Spanned::span);
        self.refuse(
            frame,
            "`event`",
            &[
                ("deny", case.deny.as_ref().map(Spanned::span), of_requests),
                ("params", params, of_requests),
                ("facts", case.facts.as_ref().map(Spanned::span), in_event),
            ],
        );
        let file = frame.file;
        let Some((event, api)) = self.event_file(file, written) else { return };
        let event_desk =
            api.as_ref().and_then(|(api, stage)| self.desk_of(Some(api), Some(stage), frame.version).ok());
        let desk = event_desk.unwrap_or(frame.desk);
        let Some(mut expected) = self.expected(frame, case, desk, setting) else { return };
        if let Some(response) = &case.response {
            expected.response = self.response(file, response);
            if setting.callers.len() > 1 {
                let help = "it names the principal: write a case for each";
                let message = "a response is about one principal";
                self.problems.error(file, Some(response.span()), message, help.to_owned());
            }
        }
        let Some(authorizer) = self.authorizer(&Frame { desk, ..*frame }) else { return };
        if !self.can_be_asked(file, written, authorizer, &event, &expected, setting.now) {
            return;
        }
        if !setting.says_now
            && let Some(policy) = self.any_reads_time(desk)
        {
            self.says_no_moment(frame, setting, &policy);
        }
        for (name, caller) in &setting.callers {
            if setting.skipped {
                continue;
            }
            self.tests.push(Test {
                suite: frame.suite,
                case: setting.case,
                principal: name.clone(),
                request: format!("event {}", written.get_ref()),
                question: Question::Event {
                    authorizer,
                    desk,
                    caller: *caller,
                    event: Box::new(event.clone()),
                    request: None,
                    now: setting.now,
                },
                expected: expected.clone(),
            });
        }
    }

    fn any_reads_time(&mut self, desk: usize) -> Option<String> {
        let operations: Vec<OperationId> = operations(self.desks.get(desk)?).map(Operation::id).collect();
        operations.into_iter().find_map(|operation| self.reads_time(desk, operation))
    }

    /// The event of a file, and API and stage where the deployment names them.
    fn event_file(
        &mut self,
        file: &str,
        written: &Written,
    ) -> Option<(serde_json::Value, Option<(String, String)>)> {
        let path = format!("{EVENTS}{}", written.get_ref());
        let Some(text) = self.files.text(&path) else {
            let known = self.files.paths().filter_map(|path| path.strip_prefix(EVENTS));
            let message = format!("no file `{path}`");
            let help = meant_or_known(written.get_ref(), known);
            self.problems.error(file, Some(written.span()), message, help);
            return None;
        };
        let value: serde_json::Value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(error) => {
                let help = "write the event as the gateway sends it".to_owned();
                self.problems.error(&path, None, format!("the event is not JSON: {error}"), help);
                return None;
            }
        };
        let place = AuthorizerEvent::parse(text).ok().and_then(|event| {
            let apis = self.bundle.deployment();
            match event.method_arn() {
                Some(arn) => {
                    let arn: MethodArn = arn.parse().ok()?;
                    let api = apis.api(arn.account_id(), arn.api_id())?;
                    Some((api.name.clone(), arn.stage().to_owned()))
                }
                None => {
                    let api = apis.api(&event.account_id()?, &event.api_id()?)?;
                    Some((api.name.clone(), Api::APPSYNC_STAGE.to_owned()))
                }
            }
        });
        Some((value, place))
    }

    /// Whether an event is one that the authorizer can judge, unless that is what the case is about.
    fn can_be_asked(
        &mut self,
        file: &str,
        written: &Written,
        authorizer: usize,
        event: &serde_json::Value,
        expected: &Expected,
        now: Timestamp,
    ) -> bool {
        if matches!(expected.outcome, Some(Wanted::Fault(_))) {
            return true;
        }
        let Some((_, authorizer)) = self.authorizers.get(authorizer) else { return false };
        let keys = KeyRing::default();
        let evidence = Evidence { keys: &keys, introspected: None };
        let answered = authorizer.answer_with(event.to_string().as_bytes(), evidence, now);
        // Without its token nobody is known: what faults then would fault for everybody. Keys that are missing are not.
        let faults = answered.record.outcome == Outcome::Fault && answered.need.is_none();
        if faults {
            let detail = answered.record.detail.unwrap_or_default();
            let message = format!("event `{}` cannot be judged: {detail}", written.get_ref());
            let help = "if that is what the case is about, write expect = \"fault\"";
            self.problems.error(file, Some(written.span()), message, help.to_owned());
        }
        !faults
    }

    /// The response that a case expects.
    fn response(&mut self, file: &str, written: &Spanned<Value>) -> Option<Wished> {
        match written.get_ref() {
            Value::Table(_) => Some(Wished { value: json(written.get_ref()), file: None }),
            Value::String(name) if name.ends_with(".json") && !name.contains("..") => {
                let path = format!("{RESPONSES}{name}");
                let value = match self.files.text(&path).map(serde_json::from_str) {
                    Some(Ok(value)) => value,
                    Some(Err(_)) | None if self.updates => serde_json::Value::Null,
                    Some(Err(error)) => {
                        let help = "cedar-gate test --update writes it anew".to_owned();
                        self.problems.error(&path, None, format!("the response is not JSON: {error}"), help);
                        return None;
                    }
                    None => {
                        let known: Vec<&str> =
                            self.files.paths().filter_map(|path| path.strip_prefix(RESPONSES)).collect();
                        let help = match meant(name, known) {
                            Some(meant) => {
                                format!(
                                    "did you mean `{meant}`? Otherwise, cedar-gate test --update writes it"
                                )
                            }
                            None => "cedar-gate test --update writes it".to_owned(),
                        };
                        self.problems.error(file, Some(written.span()), format!("no file `{path}`"), help);
                        return None;
                    }
                };
                Some(Wished { value, file: Some(path) })
            }
            _ => {
                let help = "write a table, or the name of a JSON file in tests/policies/responses";
                self.problems.error(file, Some(written.span()), "this is no response", help.to_owned());
                None
            }
        }
    }

    /// A file in the format of `cedar run-tests`.
    fn cedar_suite(&mut self, file: &str, text: &str) {
        let Some(desk) = self.desk(file, [&None, &None, &None]) else { return };
        let Some(place) = self.desks.get(desk) else { return };
        let tests = cedar_tests::read(file, text, self.bundle, place.version(), &mut self.problems);
        let suite = self.suites.len();
        let name = stem(file);
        if self.suites.iter().any(|suite| suite.name == name) {
            let message = format!("another suite is called `{name}` too");
            self.problems.error(file, None, message, "give one of them another name".to_owned());
        }
        let mut cases = Vec::new();
        for (case, test) in tests.into_iter().enumerate() {
            let start = text.find(&format!("\"{}\"", test.name)).map_or(0, |start| start + 1);
            cases.push(Case {
                name: test.name.clone(),
                description: None,
                skip: None,
                position: position(text, start),
                span: start..start + test.name.len(),
            });
            self.tests.push(Test {
                suite,
                case,
                principal: test.principal.clone(),
                request: test.action.clone(),
                expected: test.expected.clone(),
                question: Question::Cedar { desk, test: Box::new(test) },
            });
        }
        self.suites.push(Suite {
            name,
            description: None,
            file: file.to_owned(),
            api: place.api().name.clone(),
            stage: place.stage().to_owned(),
            version: place.version().name.clone(),
            cases,
        });
    }
}

/// How closely the closest of some lines speaks of a request, and which it is.
fn closest(entries: &[Entry], request: &Request) -> Option<(Closeness, usize)> {
    let speaking =
        entries.iter().enumerate().filter_map(|(index, entry)| Some((entry.closeness(request)?, index)));
    speaking.max_by_key(|(closeness, _)| *closeness)
}

/// Whether a policy reads `context.http.time`, or could.
fn reads_time(policy: &cedar::Policy) -> bool {
    fn names_time(expression: &serde_json::Value) -> bool {
        match expression {
            serde_json::Value::Object(members) => {
                members.get("attr").and_then(serde_json::Value::as_str) == Some("time")
                    || members.values().any(names_time)
            }
            serde_json::Value::Array(items) => items.iter().any(names_time),
            _ => false,
        }
    }
    policy.to_json().map_or(true, |json| names_time(&json))
}

/// The name of a volatile fact as the schema has it: headers in lower case.
fn as_declared(name: &str) -> String {
    if name.starts_with("headers.") { name.to_lowercase() } else { name.to_owned() }
}

/// The name of a file without its folder and ending.
fn stem(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned()
}

/// Line and column of a byte, from 1; columns count characters.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(line_start..).unwrap_or_default().chars().count();
    (before.matches('\n').count() + 1, column + 1)
}
