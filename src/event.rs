//! The authorizer events of API Gateway and AppSync: from bytes to the kind of event and the facts it carries
//! (the context handler of NIST SP 800-162).
//!
//! An event holds text that the client chose: header names and values, query parameters, cookies. Nothing of that can
//! make an event unreadable: a value is kept as the JSON it came as and decoded only when a policy or the credential
//! search asks for it, so an odd header that nobody reads changes nothing.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The kind of gateway, and of authorizer, that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// REST API, authorizer type `TOKEN`: one header value and the method ARN, nothing else.
    RestToken,
    /// REST API, authorizer type `REQUEST`.
    RestRequest,
    /// HTTP API, payload format 1.0.
    HttpV1,
    /// HTTP API, payload format 2.0.
    HttpV2,
    /// WebSocket API, route `$connect`: the only route of such an API that can have an authorizer.
    WebSocketConnect,
    /// AppSync GraphQL API: it has no method ARN and no route.
    AppSync,
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RestToken => "REST TOKEN",
            Self::RestRequest => "REST REQUEST",
            Self::HttpV1 => "HTTP API 1.0",
            Self::HttpV2 => "HTTP API 2.0",
            Self::WebSocketConnect => "WebSocket $connect",
            Self::AppSync => "AppSync",
        })
    }
}

/// One authorizer event, read but not believed: every fact in it but the ARN's account, API and stage is the client's.
///
/// A member that is `null` or not of the usual type counts as absent, unknown members are ignored: API Gateway may add
/// some at any time. The `Debug` form shows the kind only, because headers, cookies and query parameters hold
/// credentials.
pub struct AuthorizerEvent<'a> {
    kind: EventKind,
    members: Members<'a>,
}

impl<'a> AuthorizerEvent<'a> {
    /// The largest event that is read, in bytes: Lambda's limit for the payload of a synchronous invocation.
    pub const MAX_BYTES: usize = 6 * 1024 * 1024;

    /// The text of an event's bytes. Bytes that are not UTF-8 become U+FFFD: the client may have put them into a string.
    #[must_use]
    pub fn text(bytes: &[u8]) -> Cow<'_, str> {
        // It looks at ASCII many bytes at a time, the other byte by byte.
        match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(bytes),
        }
    }

    /// Reads one event.
    ///
    /// # Errors
    /// A text that is not one JSON object, an object that is none of the six events, or an event without its ARN.
    pub fn parse(text: &'a str) -> Result<Self, EventError> {
        if text.len() > Self::MAX_BYTES {
            return Err(EventError::TooLarge { bytes: text.len() });
        }
        let members = Members::read(text)?;
        Ok(Self { kind: members.kind()?, members })
    }

    /// Which of the six events this is.
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        self.kind
    }

    /// `methodArn`, or `routeArn` of an HTTP API 2.0 event, as sent. Absent from AppSync events only.
    #[must_use]
    pub fn method_arn(&self) -> Option<&str> {
        match self.kind {
            EventKind::RestToken
            | EventKind::RestRequest
            | EventKind::HttpV1
            | EventKind::WebSocketConnect => self.members.text(Field::MethodArn),
            EventKind::HttpV2 => self.members.text(Field::RouteArn),
            EventKind::AppSync => None,
        }
    }

    /// The request's path as the event spells it beside the ARN: `path`, or `rawPath` of an HTTP API 2.0 event.
    /// REST APIs leave percent-encoding as it was sent, HTTP APIs decode it, and with a named stage HTTP API 2.0 puts
    /// the stage in front. TOKEN, WebSocket and AppSync events carry none.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        match self.kind {
            EventKind::RestRequest | EventKind::HttpV1 => self.members.text(Field::Path),
            EventKind::HttpV2 => self.members.text(Field::RawPath),
            EventKind::RestToken | EventKind::WebSocketConnect | EventKind::AppSync => None,
        }
    }

    /// The route that the gateway picked: `resource` (`/orders/{orderId}`), or the path of an HTTP API 2.0 `routeKey`
    /// (`/orders/{orderId}` of `GET /orders/{orderId}`; `$default` stays `$default`). Other events carry none.
    #[must_use]
    pub fn route_template(&self) -> Option<&str> {
        match self.kind {
            EventKind::RestRequest | EventKind::HttpV1 => self.members.text(Field::Resource),
            EventKind::HttpV2 => {
                let route_key = self.route_key()?;
                Some(route_key.split_once(' ').map_or(route_key, |(_verb, template)| template))
            }
            EventKind::RestToken | EventKind::WebSocketConnect | EventKind::AppSync => None,
        }
    }

    /// The gateway's own name of the route it picked: `GET /orders/{orderId}`, `ANY /files/{proxy+}` or `$default`. Events of
    /// HTTP APIs 2.0 alone carry one.
    #[must_use]
    pub fn route_key(&self) -> Option<&str> {
        match self.kind {
            EventKind::HttpV2 => self.members.text(Field::RouteKey),
            EventKind::RestToken
            | EventKind::RestRequest
            | EventKind::HttpV1
            | EventKind::WebSocketConnect
            | EventKind::AppSync => None,
        }
    }

    /// The whole header value that a TOKEN authorizer or AppSync hands over, with its scheme. An HTTP API 1.0 event has
    /// a member of this name too, all identity sources joined by commas: it is not a header value and not given here.
    #[must_use]
    pub fn authorization_token(&self) -> Option<&str> {
        match self.kind {
            EventKind::RestToken | EventKind::AppSync => self.members.text(Field::AuthorizationToken),
            EventKind::RestRequest | EventKind::HttpV1 | EventKind::HttpV2 | EventKind::WebSocketConnect => {
                None
            }
        }
    }

    /// The API of an AppSync event. The other events name it in their ARN, and only there is it to be believed.
    #[must_use]
    pub fn api_id(&self) -> Option<Cow<'_, str>> {
        self.appsync_context("apiId")
    }

    /// The AWS account of an AppSync event. The other events name it in their ARN.
    #[must_use]
    pub fn account_id(&self) -> Option<Cow<'_, str>> {
        self.appsync_context("accountId")
    }

    /// The gateway's id of the request, for the decision record. TOKEN events carry none.
    #[must_use]
    pub fn request_id(&self) -> Option<Cow<'_, str>> {
        self.context(&["requestId"])
    }

    /// The address that the gateway saw the connection come from, not checked to be one. TOKEN and AppSync events carry
    /// none.
    #[must_use]
    pub fn source_ip(&self) -> Option<Cow<'_, str>> {
        match self.kind {
            EventKind::RestRequest | EventKind::HttpV1 | EventKind::WebSocketConnect => {
                self.context(&["identity", "sourceIp"])
            }
            EventKind::HttpV2 => self.context(&["http", "sourceIp"]),
            EventKind::RestToken | EventKind::AppSync => None,
        }
    }

    /// When the gateway received the request, in milliseconds since the epoch, where the event says so.
    #[must_use]
    pub fn time_epoch_millis(&self) -> Option<i64> {
        let context = self.members.object(Field::RequestContext)?;
        let time = context.first("requestTimeEpoch").or_else(|| context.first("timeEpoch"))?;
        time.get().parse().ok()
    }

    /// The subject of the client certificate, where the API uses mutual TLS.
    #[must_use]
    pub fn client_cert_subject(&self) -> Option<Cow<'_, str>> {
        match self.kind {
            EventKind::RestRequest | EventKind::HttpV1 | EventKind::WebSocketConnect => {
                self.context(&["identity", "clientCert", "subjectDN"])
            }
            EventKind::HttpV2 => self.context(&["authentication", "clientCert", "subjectDN"]),
            EventKind::RestToken | EventKind::AppSync => None,
        }
    }

    /// The one value of a header; `None` where there is none, or more than one. The name is compared without case.
    /// HTTP APIs join the values of a repeated header by commas before we see them.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        single(self.header_values(name))
    }

    /// The one value of a query parameter; `None` where there is none, or more than one. Names are case-sensitive.
    /// HTTP APIs join the values of a repeated parameter by commas before we see them.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        single(self.query_values(name))
    }

    /// A stage variable; names are case-sensitive.
    #[must_use]
    pub fn stage_variable(&self, name: &str) -> Option<Cow<'_, str>> {
        self.members.object(Field::StageVariables)?.first(name).and_then(text)
    }

    /// Every value of a header, the name compared without case: so `authorization` beside `Authorization` is seen, and
    /// so is what `headers` holds beside `multiValueHeaders`.
    #[must_use]
    pub fn header_values(&self, name: &str) -> Vec<Cow<'_, str>> {
        let (all, last) = match self.kind {
            EventKind::AppSync => (None, self.members.object(Field::RequestHeaders)),
            EventKind::RestToken
            | EventKind::RestRequest
            | EventKind::HttpV1
            | EventKind::HttpV2
            | EventKind::WebSocketConnect => {
                (self.members.object(Field::MultiValueHeaders), self.members.object(Field::Headers))
            }
        };
        let same = |key: &str| key.eq_ignore_ascii_case(name);
        union(Object::values(all, same), Object::values(last, same))
    }

    /// Every value of a query parameter, decoded by the gateway.
    #[must_use]
    pub fn query_values(&self, name: &str) -> Vec<Cow<'_, str>> {
        let all = self.members.object(Field::MultiValueQueryStringParameters);
        let last = self.members.object(Field::QueryStringParameters);
        let same = |key: &str| key == name;
        union(Object::values(all, same), Object::values(last, same))
    }

    /// Every value of a cookie (RFC 6265 §4.2.1), from `cookies` of an HTTP API 2.0 event and from the header `Cookie`.
    #[must_use]
    pub fn cookie_values(&self, name: &str) -> Vec<Cow<'_, str>> {
        let listed = self.members.other(Field::Cookies).map(values).unwrap_or_default();
        union(cookies_named(name, &listed), cookies_named(name, &self.header_values("Cookie")))
    }

    fn context(&self, path: &[&str]) -> Option<Cow<'_, str>> {
        let (name, rest) = path.split_first()?;
        let value = text_at(self.members.object(Field::RequestContext)?.first(name)?, rest)?;
        (!value.is_empty()).then_some(value)
    }

    fn appsync_context(&self, name: &str) -> Option<Cow<'_, str>> {
        match self.kind {
            EventKind::AppSync => self.context(&[name]),
            EventKind::RestToken
            | EventKind::RestRequest
            | EventKind::HttpV1
            | EventKind::HttpV2
            | EventKind::WebSocketConnect => None,
        }
    }
}

impl fmt::Debug for AuthorizerEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizerEvent").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Why bytes are not an authorizer event. No variant holds a value of the event but a short, unknown `type`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// More than [`AuthorizerEvent::MAX_BYTES`].
    #[error("event of {bytes} bytes is too large: the limit is {} bytes", AuthorizerEvent::MAX_BYTES)]
    TooLarge {
        /// The event's length.
        bytes: usize,
    },
    /// Not JSON.
    #[error("event is not JSON: {reason}")]
    Syntax {
        /// What the parser found, with line and column.
        reason: String,
    },
    /// JSON, but not an object.
    #[error("event is not a JSON object")]
    NotAnObject,
    /// A member that decides how the event is read stands in it twice.
    #[error("event has more than one `{member}`")]
    Repeated {
        /// The member's name.
        member: &'static str,
    },
    /// An authorizer event without its ARN.
    #[error("{kind} event without `{member}`: expected {expected} as a string")]
    Incomplete {
        /// What the rest of the event says it is.
        kind: EventKind,
        /// The member's name.
        member: &'static str,
        /// What it must hold.
        expected: &'static str,
    },
    /// None of the six events.
    #[error("not an authorizer event, rather {guess}: `{member}` is {found}, expected {expected}")]
    NotAnAuthorizer {
        /// What it looks like.
        guess: &'static str,
        /// The member that an authorizer event would have.
        member: &'static str,
        /// What stands there.
        found: String,
        /// What would have to stand there.
        expected: &'static str,
    },
}

const METHOD_ARN: &str = "the ARN of the requested method";
const ROUTE_ARN: &str = "the ARN of the requested route";

/// The members of the event's object that are read. All others are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Type,
    Version,
    MethodArn,
    RouteArn,
    AuthorizationToken,
    Resource,
    Path,
    RawPath,
    RouteKey,
    Cookies,
    HttpMethod,
    ProtocolData,
    // From here on objects of values.
    Headers,
    MultiValueHeaders,
    QueryStringParameters,
    MultiValueQueryStringParameters,
    StageVariables,
    RequestHeaders,
    RequestContext,
}

impl Field {
    /// By place.
    const ALL: [(&'static str, Self); 19] = [
        ("type", Self::Type),
        ("version", Self::Version),
        ("methodArn", Self::MethodArn),
        ("routeArn", Self::RouteArn),
        ("authorizationToken", Self::AuthorizationToken),
        ("resource", Self::Resource),
        ("path", Self::Path),
        ("rawPath", Self::RawPath),
        ("routeKey", Self::RouteKey),
        ("cookies", Self::Cookies),
        ("httpMethod", Self::HttpMethod),
        ("protocolData", Self::ProtocolData),
        ("headers", Self::Headers),
        ("multiValueHeaders", Self::MultiValueHeaders),
        ("queryStringParameters", Self::QueryStringParameters),
        ("multiValueQueryStringParameters", Self::MultiValueQueryStringParameters),
        ("stageVariables", Self::StageVariables),
        ("requestHeaders", Self::RequestHeaders),
        ("requestContext", Self::RequestContext),
    ];

    fn of(key: &str) -> Option<Self> {
        Self::ALL.iter().find_map(|(text, name)| (*text == key).then_some(*name))
    }

    fn text(self) -> &'static str {
        Self::ALL.get(self as usize).map_or("", |(text, _)| text)
    }

    const fn is_object(self) -> bool {
        self as usize >= Self::Headers as usize
    }
}

/// The members of the event's object that have a [`Field`], each at most once.
struct Members<'a> {
    known: Vec<(Field, Member<'a>)>,
    repeated: Option<Field>,
}

enum Member<'a> {
    Text(Cow<'a, str>),
    Object(Object<'a>),
    /// A number, `null`, an array, or an object where a text is usual.
    Other(&'a RawValue),
}

impl<'a> Members<'a> {
    fn read(json: &'a str) -> Result<Self, EventError> {
        let read = |names| {
            let mut deserializer = serde_json::Deserializer::from_str(json);
            let members = MembersSeed(names).deserialize(&mut deserializer)?;
            deserializer.end().map(|()| members)
        };
        let members = read(Names::Text).or_else(|_| read(Names::Lossy));
        let members = members.map_err(|error| match error.classify() {
            // The parser's words for wrong data quote the data, those for wrong syntax do not.
            serde_json::error::Category::Data => EventError::NotAnObject,
            serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof
            | serde_json::error::Category::Io => EventError::Syntax { reason: error.to_string() },
        })?;
        match members.repeated {
            Some(member) => Err(EventError::Repeated { member: member.text() }),
            None => Ok(members),
        }
    }

    fn kind(&self) -> Result<EventKind, EventError> {
        let event_type = self.text(Field::Type);
        if event_type == Some("TOKEN") {
            self.with_method_arn(EventKind::RestToken)
        } else if self.text(Field::Version) == Some("2.0") && self.text(Field::RouteArn).is_some() {
            Ok(EventKind::HttpV2)
        } else if event_type == Some("REQUEST") {
            self.request_kind()
        } else if self.is_appsync() {
            Ok(EventKind::AppSync)
        } else {
            Err(self.not_an_authorizer())
        }
    }

    fn request_kind(&self) -> Result<EventKind, EventError> {
        let version = self.text(Field::Version);
        if version == Some("1.0") {
            self.with_method_arn(EventKind::HttpV1)
        } else if self.is_connect() {
            self.with_method_arn(EventKind::WebSocketConnect)
        } else if version == Some("2.0") && self.text(Field::MethodArn).is_none() {
            Err(EventError::Incomplete { kind: EventKind::HttpV2, member: "routeArn", expected: ROUTE_ARN })
        } else {
            self.with_method_arn(EventKind::RestRequest)
        }
    }

    fn with_method_arn(&self, kind: EventKind) -> Result<EventKind, EventError> {
        match self.text(Field::MethodArn) {
            Some(_) => Ok(kind),
            None => Err(EventError::Incomplete { kind, member: "methodArn", expected: METHOD_ARN }),
        }
    }

    fn is_connect(&self) -> bool {
        // The ARN of a REST method can end so too, but its verb stands before the path: the client wrote that one.
        let is_route_key =
            |arn: &str| arn.strip_suffix("/$connect").is_some_and(|stage| stage.matches('/').count() == 1);
        self.text(Field::MethodArn).is_some_and(is_route_key)
            || self.context_text("eventType").is_some_and(|event_type| event_type == "CONNECT")
    }

    fn is_appsync(&self) -> bool {
        self.is_absent(Field::Type)
            && self.text(Field::AuthorizationToken).is_some()
            && self.context_text("queryString").is_some()
    }

    /// Says what the event looks like, for whoever wired the wrong function to the wrong trigger.
    fn not_an_authorizer(&self) -> EventError {
        let is_absent = |member| self.is_absent(member);
        // Without a member, it is the one of an AppSync event that stands in an object.
        let (guess, member, expected) = if !is_absent(Field::ProtocolData) {
            ("an AWS IoT custom authorizer event", Some(Field::Type), "`TOKEN` or `REQUEST`")
        } else if !is_absent(Field::Type) {
            ("an event of another service", Some(Field::Type), "`TOKEN` or `REQUEST`")
        } else if self.text(Field::Version) == Some("2.0") {
            ("an HTTP API 2.0 integration event", Some(Field::RouteArn), ROUTE_ARN)
        } else if !is_absent(Field::MethodArn) && !is_absent(Field::AuthorizationToken) {
            ("an incomplete REST TOKEN event", Some(Field::Type), "`TOKEN`")
        } else if !is_absent(Field::MethodArn) {
            ("an incomplete REST REQUEST event", Some(Field::Type), "`REQUEST`")
        } else if !is_absent(Field::HttpMethod) {
            ("a REST API integration event", Some(Field::Type), "`REQUEST`")
        } else if !is_absent(Field::AuthorizationToken) {
            ("an incomplete AppSync event", None, "the GraphQL document")
        } else if self.context_text("queryString").is_some() {
            (
                "an incomplete AppSync event",
                Some(Field::AuthorizationToken),
                "the value of the header `Authorization`",
            )
        } else {
            ("an event of another service", Some(Field::Type), "`TOKEN` or `REQUEST`")
        };
        let found = member.map_or_else(|| "missing".to_owned(), |member| self.found(member));
        let member = member.map_or("requestContext.queryString", Field::text);
        EventError::NotAnAuthorizer { guess, member, found, expected }
    }

    fn found(&self, member: Field) -> String {
        match self.text(member) {
            Some(text) if text.chars().count() <= 32 && !text.chars().any(char::is_control) => {
                format!("`{text}`")
            }
            Some(_) => "another text".to_owned(),
            None if self.is_absent(member) => "missing".to_owned(),
            None => "not a string".to_owned(),
        }
    }

    fn is_absent(&self, name: Field) -> bool {
        match self.member(name) {
            None => true,
            Some(Member::Other(raw)) => raw.get() == "null",
            Some(Member::Text(_) | Member::Object(_)) => false,
        }
    }

    fn context_text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.object(Field::RequestContext)?.first(name).and_then(text)
    }

    fn member(&self, name: Field) -> Option<&Member<'a>> {
        self.known.iter().find_map(|(known, member)| (*known == name).then_some(member))
    }

    fn text(&self, name: Field) -> Option<&str> {
        match self.member(name)? {
            Member::Text(text) => Some(text),
            Member::Object(_) | Member::Other(_) => None,
        }
    }

    fn object(&self, name: Field) -> Option<&Object<'a>> {
        match self.member(name)? {
            Member::Object(object) => Some(object),
            Member::Text(_) | Member::Other(_) => None,
        }
    }

    fn other(&self, name: Field) -> Option<&RawValue> {
        match self.member(name)? {
            Member::Other(raw) => Some(raw),
            Member::Text(_) | Member::Object(_) => None,
        }
    }

    fn insert(&mut self, name: Field, member: Member<'a>) {
        if self.member(name).is_some() {
            self.repeated = Some(name);
        } else {
            self.known.push((name, member));
        }
    }
}

/// How the names of members are read. What is no text in one is rare, and to look for it takes as long as all else.
#[derive(Clone, Copy)]
enum Names {
    /// As texts: a lone surrogate makes what it stands in unreadable.
    Text,
    /// As bytes that are looked through: a lone surrogate becomes U+FFFD.
    Lossy,
}

impl<'de> DeserializeSeed<'de> for Names {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let LossyText(name) = match self {
            Self::Text => deserializer.deserialize_str(LossyTextVisitor)?,
            Self::Lossy => deserializer.deserialize_bytes(LossyTextVisitor)?,
        };
        Ok(name)
    }
}

struct MembersSeed(Names);

impl<'de> DeserializeSeed<'de> for MembersSeed {
    type Value = Members<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MembersSeed {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Members { known: Vec::with_capacity(16), repeated: None };
        while let Some(key) = map.next_key_seed(self.0)? {
            match Field::of(&key) {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some(name) if name.is_object() => {
                    members.insert(name, Member::Object(map.next_value_seed(ObjectSeed(self.0))?));
                }
                Some(name) => {
                    let raw: &'de RawValue = map.next_value()?;
                    members.insert(name, text(raw).map_or(Member::Other(raw), Member::Text));
                }
            }
        }
        Ok(members)
    }
}

/// The members of one object in their order, repeated names and all, the values unread. Anything that is not an object
/// has no members: the gateways send `null` for an empty one.
#[derive(Default)]
struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Object<'a> {
    fn first(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().find_map(|(key, value)| (key == name).then_some(*value))
    }

    fn values<'o>(object: Option<&'o Self>, is_named: impl Fn(&str) -> bool) -> Vec<Cow<'o, str>> {
        let mut found = Vec::new();
        for (_, value) in object.into_iter().flat_map(|object| &object.0).filter(|(key, _)| is_named(key)) {
            push_values(value, &mut found);
        }
        found
    }
}

struct ObjectSeed(Names);

impl<'de> DeserializeSeed<'de> for ObjectSeed {
    type Value = Object<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ObjectSeed {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        // As many as the headers of a browser, and no more than the allocator has at hand (1,032 bytes with glibc).
        let mut members = Vec::with_capacity(25);
        while let Some(key) = map.next_key_seed(self.0)? {
            members.push((key, map.next_value()?));
        }
        Ok(Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Object::default())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Object::default())
    }

    fn visit_bool<E>(self, _value: bool) -> Result<Self::Value, E> {
        Ok(Object::default())
    }

    fn visit_i64<E>(self, _value: i64) -> Result<Self::Value, E> {
        Ok(Object::default())
    }

    fn visit_u64<E>(self, _value: u64) -> Result<Self::Value, E> {
        Ok(Object::default())
    }

    fn visit_f64<E>(self, _value: f64) -> Result<Self::Value, E> {
        Ok(Object::default())
    }

    fn visit_str<E>(self, _value: &str) -> Result<Self::Value, E> {
        Ok(Object::default())
    }
}

/// A JSON string; a lone surrogate in it (`\ud800`) becomes U+FFFD, where `str` would refuse the whole event.
struct LossyText<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for LossyText<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(LossyTextVisitor)
    }
}

struct LossyTextVisitor;

impl<'de> Visitor<'de> for LossyTextVisitor {
    type Value = LossyText<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        Ok(LossyText(match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(bytes),
        }))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(LossyText(Cow::Owned(String::from_utf8_lossy(bytes).into_owned())))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(LossyText(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(LossyText(Cow::Owned(text.to_owned())))
    }
}

/// The text of a JSON string, without a copy where it has no escapes; `None` for any other value.
fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    match memchr(b'\\', inner.as_bytes()) {
        Some(_) => serde_json::from_str(raw.get()).ok().map(|LossyText(text)| text),
        None => Some(Cow::Borrowed(inner)),
    }
}

/// The text at a path of member names below a value.
fn text_at<'x>(raw: &'x RawValue, path: &[&str]) -> Option<Cow<'x, str>> {
    let Some((name, rest)) = path.split_first() else { return text(raw) };
    if !raw.get().starts_with('{') {
        return None;
    }
    let read =
        |names| MemberNamed(name, names).deserialize(&mut serde_json::Deserializer::from_str(raw.get()));
    text_at(read(Names::Text).or_else(|_| read(Names::Lossy)).ok()??, rest)
}

/// Finds the first member of an object that has a name; the others are skipped unread.
struct MemberNamed<'n>(&'n str, Names);

impl<'de> DeserializeSeed<'de> for MemberNamed<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MemberNamed<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key_seed(self.1)? {
            if found.is_none() && key == self.0 {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// The text, or the texts in an array; what is no text is left out.
fn values(raw: &RawValue) -> Vec<Cow<'_, str>> {
    let mut found = Vec::new();
    push_values(raw, &mut found);
    found
}

fn push_values<'x>(raw: &'x RawValue, found: &mut Vec<Cow<'x, str>>) {
    match text(raw) {
        Some(text) => found.push(text),
        // What is no array has no texts.
        None => drop(serde_json::Deserializer::from_str(raw.get()).deserialize_seq(Texts(found))),
    }
}

/// Takes the texts out of an array.
struct Texts<'f, 'x>(&'f mut Vec<Cow<'x, str>>);

impl<'de> Visitor<'de> for Texts<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        while let Some(element) = array.next_element::<&'de RawValue>()? {
            self.0.extend(text(element));
        }
        Ok(())
    }
}

/// What both members of an event say about one name. REST APIs list all values in `multiValue…` and repeat the last one
/// in the plain member; a value that stands only in the plain member must not be overlooked.
fn union<'x>(mut all: Vec<Cow<'x, str>>, last: Vec<Cow<'x, str>>) -> Vec<Cow<'x, str>> {
    if all.is_empty() {
        return last;
    }
    for value in last {
        if !all.contains(&value) {
            all.push(value);
        }
    }
    all
}

fn single<T>(mut values: Vec<T>) -> Option<T> {
    let value = values.pop()?;
    values.is_empty().then_some(value)
}

fn cookies_named(name: &str, cookies: &[Cow<'_, str>]) -> Vec<Cow<'static, str>> {
    let pairs = cookies.iter().flat_map(|text| text.split(';')).filter_map(|pair| pair.split_once('='));
    pairs
        .filter(|(key, _)| key.trim() == name)
        .map(|(_, value)| Cow::Owned(value.trim().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_its_place_and_its_name() {
        for (place, (text, field)) in Field::ALL.into_iter().enumerate() {
            assert_eq!((field as usize, field.text(), Field::of(text)), (place, text, Some(field)));
            let holds_values = text.ends_with("eaders")
                || text.ends_with("Parameters")
                || ["stageVariables", "requestContext"].contains(&text);
            assert_eq!(field.is_object(), holds_values, "{text}");
        }
        assert_eq!(Field::of("Type"), None);
    }
}
