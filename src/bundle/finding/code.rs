//! Every kind of finding: its code, which stays the same for good, and what a person should know about it.
//!
//! `CG` and four digits: two for the subject, two for the finding. A code that is no longer used is not given again.

use super::Severity;

/// Makes the enum and its table from one list, so that no code is without its words.
macro_rules! codes {
    ($($name:ident $number:literal $slug:literal $severity:ident, $title:literal,
       why $why:literal, fix $fix:literal, example $example:literal;)*) => {
        /// A kind of finding.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $title] $name,)*
        }

        impl Code {
            /// All of them, by number.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code: `CG0110`.
            #[must_use]
            pub const fn number(self) -> &'static str {
                match self { $(Self::$name => $number,)* }
            }

            /// The code in words: `unknown-role`.
            #[must_use]
            pub const fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug,)* }
            }

            /// How bad it is.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }

            /// What it is, in half a line.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// Why it matters.
            #[must_use]
            pub const fn why(self) -> &'static str {
                match self { $(Self::$name => $why,)* }
            }

            /// What to do about it.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $fix,)* }
            }

            /// The mistake, and where one text is better than another what to write instead, after `=>`.
            #[must_use]
            pub const fn example(self) -> &'static str {
                match self { $(Self::$name => $example,)* }
            }
        }
    };
}

/// The subject of the codes that begin so, by the two digits after `CG`.
pub const SUBJECTS: [(&str, &str); 12] = [
    ("00", "files"),
    ("01", "policies and roles"),
    ("02", "schema"),
    ("03", "routes"),
    ("04", "issuers and keys"),
    ("05", "versions"),
    ("06", "deployment"),
    ("07", "revocations"),
    ("08", "answers under the gateway's cache"),
    ("09", "documents for the whole API"),
    ("10", "policies that hold together and do not say what was meant"),
    ("11", "suites of tests"),
];

impl Code {
    /// The code of that number or slug, in whatever case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let is_it =
            |code: &Self| code.number().eq_ignore_ascii_case(name) || code.slug().eq_ignore_ascii_case(name);
        Self::ALL.iter().copied().find(is_it)
    }
}

codes! {
    // 00: files.
    BundleUnreadable "CG0001" "bundle-unreadable" Error, "the bundle could not be read",
        why "nothing can be decided without it",
        fix "report it: what is wrong with a bundle has a finding of its own",
        example "a bundle that is refused without a reason";
    NotText "CG0002" "not-text" Error, "a file is not UTF-8 text",
        why "its rules would be read as something else than what its author sees",
        fix "save it as UTF-8",
        example "a file saved in another encoding (UTF-16, Latin-1) => the same file, saved as UTF-8";
    ByteOrderMark "CG0003" "byte-order-mark" Error, "a file begins with a byte order mark",
        why "it is invisible, and the parsers take it for a part of the first word",
        fix "save the file as UTF-8 without one",
        example "\\u{feff}default = \"v1\" => default = \"v1\"";
    FileUnread "CG0004" "file-unread" Error, "nothing reads a file",
        why "its author believes that it counts: a forbid in a folder too deep would allow what it forbids",
        fix "move it to its place in the bundle, or begin its name with a dot",
        example "policies/v1/more/orders.cedar => policies/v1/orders.cedar";
    TomlSyntax "CG0005" "toml" Error, "a file is not TOML, or has another key or type than its format",
        why "a key that nobody reads would be a setting that does not hold",
        fix "correct the place; the file's format stands at the top of the module that reads it, and in the example",
        example "defualt = \"v1\" => default = \"v1\"";
    TooDeep "CG0006" "nested-too-deep" Error, "text of Cedar nests too deep",
        why "the parser calls itself for each bracket, and text that nests without end would end the process",
        fix "take the expression apart into several policies",
        example "when { ((((…)))) }, more than 100 brackets in each other";

    // 01: policies and roles.
    PolicySyntax "CG0101" "policy-syntax" Error, "a policy file cannot be parsed",
        why "none of its policies would count, its forbids neither",
        fix "correct the place; `cedar-gate fmt` shows the form of what can be parsed",
        example "permit principal, action, resource; => permit (principal, action, resource);";
    PolicyWithoutId "CG0102" "policy-without-id" Error, "a policy has no @id",
        why "answers, logs, tests and reviews name the deciding policy by its @id",
        fix "write @id(\"what-it-grants\") before it",
        example "permit (principal, action, resource); => @id(\"everyone\") permit (principal, action, resource);";
    PolicyId "CG0103" "policy-id" Error, "a text cannot be a policy's @id",
        why "it stands in logs, in headers and in command lines",
        fix "use 1 to 128 of A-Z a-z 0-9 . _ : / -",
        example "@id(\"admins cancel\") => @id(\"admins-cancel\")";
    PolicyIdTwice "CG0104" "policy-id-twice" Error, "two policies have one @id",
        why "a log that names it would not tell which of them decided",
        fix "give one of them another @id; the file of the other is named",
        example "@id(\"orders\") in orders.cedar and in admin.cedar => @id(\"orders\") and @id(\"admin-orders\")";
    PolicyTemplate "CG0105" "policy-template" Error, "a policy is a template",
        why "a template decides nothing until it is linked, and nothing links it here",
        fix "write the policy out, with the principal or resource in the place of the slot",
        example "permit (principal == ?principal, action, resource); => permit (principal in Role::\"clerk\", action, resource);";
    DenyMessage "CG0106" "deny-message" Error, "a @deny_message cannot stand in a response template",
        why "gateway responses take it in without escaping, so a quote in it would end the text around it",
        fix "use at most 256 bytes without \" \\ $ # < > & and control characters",
        example "@deny_message(\"\\\"Archived\\\" orders\") => @deny_message(\"Archived orders cannot be changed.\")";
    UnknownRole "CG0107" "unknown-role" Error, "a policy speaks of a role that does not exist",
        why "a permit for it grants nothing, and a forbid for it forbids nothing, without a word",
        fix "correct the name, or define the role in roles.toml beside the policies",
        example "principal in Role::\"auditr\" => principal in Role::\"auditor\"";
    UnknownRoute "CG0108" "unknown-route" Error, "a policy speaks of a route that does not exist",
        why "it never applies",
        fix "correct the path template, or add the route to schema/routes.toml",
        example "resource == Route::\"/order\" => resource == Route::\"/orders\"";
    UnknownPath "CG0109" "unknown-path" Error, "a policy speaks of a path that no route has",
        why "it never applies",
        fix "correct the path, or add a route below it to schema/routes.toml",
        example "resource in Path::\"/order\" => resource in Path::\"/orders\"";
    UnknownTag "CG0110" "unknown-tag" Error, "a policy speaks of a tag that no route has",
        why "it never applies",
        fix "correct the tag, or give it to a route in schema/routes.toml",
        example "resource in Tag::\"admins\" => resource in Tag::\"admin\"";
    UnknownTenant "CG0111" "unknown-tenant" Error, "a policy speaks of a tenant that no issuer speaks for",
        why "nobody is in it: it never applies",
        fix "correct the name, or let an issuer in policies/issuers speak for it",
        example "principal in Tenant::\"globx\" => principal in Tenant::\"globex\"";
    UnknownAction "CG0112" "unknown-action" Error, "a policy speaks of an action that does not exist",
        why "it never applies; an operation of the route table is an action by its method and template",
        fix "correct it: `cedar-gate routes list` shows what a policy calls each operation",
        example "action == Action::\"POST /order\" => action == Action::\"POST /orders\"";
    UnknownType "CG0113" "unknown-type" Error, "a policy speaks of an entity type that the schema does not declare",
        why "nothing is of that type: it never applies",
        fix "use User, Client, Role, Tenant, Route, Path or Tag, as schema/gateway.cedarschema declares them",
        example "principal in Group::\"clerk\" => principal in Role::\"clerk\"";
    UnknownAttribute "CG0114" "unknown-attribute" Error, "a policy reads an attribute that is not declared",
        why "reading it fails, and where a policy fails the answer is a deny",
        fix "correct its name, declare it in schema/gateway.cedarschema, or name the operations whose path has the parameter",
        example "context.params.order == \"7\" => context.params.orderId == \"7\"";
    OptionalAttribute "CG0115" "optional-attribute" Error, "a policy reads an optional attribute without asking whether it is there",
        why "for whoever does not have it the policy fails, and where a policy fails the answer is a deny",
        fix "ask with `has` first",
        example "when { principal.email like \"*@a.example\" } => when { principal has email && principal.email like \"*@a.example\" }";
    TypeMismatch "CG0116" "type-mismatch" Error, "a policy puts types together that do not go together",
        why "the comparison fails or is always false",
        fix "compare like with like: path parameters, headers and claims of type String are texts",
        example "context.params.userId == 7 => context.params.userId == \"7\"";
    FunctionMisused "CG0118" "function-misused" Error, "a policy calls a function that does not exist, or with other arguments than it takes",
        why "the call fails, and where a policy fails the answer is a deny",
        fix "see the functions of Cedar: ip, decimal, datetime, duration and their methods take literals in policies",
        example "ip(\"10.0.0.0/40\") => ip(\"10.0.0.0/24\")";
    EntityTooFar "CG0119" "entity-too-far" Error, "a policy reads an attribute of another entity than the principal and the route",
        why "no other entity is handed to the policies, so there is nothing to read",
        fix "read principal, resource and context; what a role or a tenant means stands in its name",
        example "Role::\"clerk\".level > 3 => principal in Role::\"senior-clerk\"";
    PolicyInvalid "CG0120" "policy-invalid" Error, "a policy does not agree with the schema",
        why "Cedar's strict validation refuses it: it could fail where it decides",
        fix "see the message, and the vocabulary in schema/gateway.cedarschema",
        example "[].contains(1), an empty set, which has no type";
    RolesMissing "CG0121" "roles-missing" Error, "the file that names the roles is missing",
        why "without it a misspelt role would be a silent deny",
        fix "add roles.toml to the folder of the version: `[clerk]`, then `description = \"…\"`",
        example "policies/v2/ without roles.toml => policies/v2/roles.toml";
    RoleName "CG0122" "role-name" Error, "a text cannot be a role's name",
        why "roles stand in lists and templates that do not escape",
        fix "use 1 to 64 of A-Z a-z 0-9 . _ -",
        example "[\"shop clerk\"] => [shop-clerk]";
    RoleIncludesUnknown "CG0123" "role-includes-unknown" Error, "a role includes one that is not defined",
        why "whoever holds it would hold less than its author believes",
        fix "correct the name, or define the role",
        example "includes = [\"clark\"] => includes = [\"clerk\"]";
    RoleCircle "CG0124" "role-circle" Error, "a role includes itself",
        why "all roles of the circle would be one",
        fix "take it out of `includes`, of one of the roles of the circle",
        example "[admin] includes = [\"clerk\"], [clerk] includes = [\"admin\"]";

    // 02: schema.
    SchemaMissing "CG0201" "schema-missing" Error, "the schema that the policies speak is missing",
        why "without it no policy can be validated",
        fix "add schema/gateway.cedarschema; the example's is a start",
        example "a bundle without schema/gateway.cedarschema";
    SchemaSyntax "CG0202" "schema-syntax" Error, "the schema cannot be parsed",
        why "without it no policy can be validated",
        fix "correct the place",
        example "entity Tenant => entity Tenant;";
    SchemaTypeMissing "CG0203" "schema-type-missing" Error, "the schema does not declare a type that requests are made of",
        why "the authorizer hands over entities of these types, whatever the policies speak of",
        fix "declare it as the help says",
        example "a schema without `entity Tag;`";
    SchemaAttribute "CG0204" "schema-attribute" Error, "the schema declares an attribute that cannot be supplied",
        why "policies that read it would be valid, and would never find it",
        fix "remove it, or give it the name and type that the help lists; claims of your own go under `claims`",
        example "entity User = { age: Long } => entity User = { claims: { age?: Long } }";
    SchemaOptional "CG0205" "schema-optional" Error, "an attribute is optional that is always there, or required and not always there",
        why "an attribute that a token does not carry would make each of its requests fail",
        fix "add or remove the `?` as the help says",
        example "email: String => email?: String";
    SchemaClaimType "CG0206" "schema-claim-type" Error, "a claim has a type that a claim cannot have",
        why "a token cannot supply it",
        fix "use String, Long, Bool or Set<String>",
        example "claims: { since?: datetime } => claims: { since?: Long }";
    HeaderCase "CG0207" "header-case" Error, "a header is not written in lower case",
        why "header names are compared in lower case: this one would never be there",
        fix "write it in lower case",
        example "headers?: { \"X-Tier\"?: String } => headers?: { \"x-tier\"?: String }";
    RoutesSchema "CG0208" "routes-schema" Error, "the generated schema of the routes is out of step",
        why "people read it to write policies, so it must not say something else than what is enforced",
        fix "run: cedar-gate routes schema --write, or cedar-gate check --fix",
        example "a route added to schema/routes.toml alone";
    SchemaConflict "CG0209" "schema-conflict" Error, "vocabulary and operations make no schema together",
        why "without a schema no policy can be validated",
        fix "see the message: a type or an action group is missing or declared twice",
        example "`action read;` left out of schema/gateway.cedarschema";

    // 03: routes.
    RouteTable "CG0301" "route-table" Error, "the route table cannot be read",
        why "without it no request has an operation",
        fix "correct the place; the format stands at the top of the example's schema/routes.toml",
        example "[[routes]] => [[route]]";
    RouteEntry "CG0302" "route-entry" Error, "a route is not written as API Gateway has it",
        why "its requests would be taken for another route's, or for none's",
        fix "correct the place as the message says",
        example "path = \"orders\" => path = \"/orders\"";
    RouteTwice "CG0303" "route-twice" Error, "a route, an operation or a name is defined twice",
        why "it would be a matter of order which of the two counts",
        fix "put them together: one [[route]] holds all methods of a path",
        example "two [[route]] with path = \"/orders\"";

    // 04: issuers and keys.
    IssuerFile "CG0401" "issuer-file" Error, "an issuer's file is not in its format",
        why "whose tokens are believed must be beyond doubt",
        fix "correct the place; `cedar-gate issuer add` writes such a file",
        example "token_use = \"acces\" => token_use = \"access\"";
    IssuerAudience "CG0402" "issuer-audience" Error, "an issuer's file does not say for whom its tokens are",
        why "a token that was made for another service would be believed",
        fix "list the audiences or client ids under `audience`, or write `audience = \"any\"`",
        example "a file without audience => audience = [\"1example23456789\"]";
    IssuerRoleMap "CG0403" "issuer-role-map" Error, "an issuer's file maps a name to a role that it may not confer",
        why "the role would never be conferred",
        fix "list the role in `roles.grant`, or take the line out of `roles.map`",
        example "roles = { claim = \"g\", map = { x = \"admin\" }, grant = [\"clerk\"] }";
    DevelopmentIssuer "CG0404" "development-issuer" Error, "a development issuer in a bundle that is no development bundle",
        why "whoever has the development key could be anybody",
        fix "remove the file, or write development = true in schema/authorizer.toml",
        example "policies/issuers/dev.toml in production";
    KeyFileMissing "CG0405" "key-file-missing" Error, "the key file of an issuer does not exist",
        why "none of its tokens could be verified",
        fix "add it beside the issuer's file, or name the keys' address",
        example "keys = { file = \"acme.json\" } => keys = { file = \"acme.jwks.json\" }";
    KeySet "CG0406" "key-set" Error, "a key set cannot be read, or none of its keys can be used",
        why "none of the issuer's tokens could be verified",
        fix "put the issuer's JWK Set into the file, as it publishes it",
        example "{\"keys\": []}";
    IssuerRoleUnknown "CG0407" "issuer-role-unknown" Error, "an issuer may confer a role that does not exist",
        why "whoever is given it has nothing",
        fix "correct the name, or define the role in each version's roles.toml",
        example "grant = [\"clark\"] => grant = [\"clerk\"]";
    IssuerClaimUndeclared "CG0408" "issuer-claim-undeclared" Error, "an issuer maps a claim that the schema does not declare",
        why "no policy can read it",
        fix "declare it in `claims` of User or Client in schema/gateway.cedarschema",
        example "claims = { level = \"custom:level\" } without `level?: Long` in the schema";
    IssuerClaimRequired "CG0409" "issuer-claim-required" Error, "an issuer does not map a claim that the schema requires",
        why "all of its tokens would be refused",
        fix "map it under `claims`, or declare it with a `?`",
        example "claims: { department: String } => claims: { department?: String }";
    IssuerNameTwice "CG0410" "issuer-name-twice" Error, "two issuers have one alias",
        why "their principals could not be told apart",
        fix "give each an alias of its own",
        example "name = \"acme\" in two files";
    IssuerTwice "CG0411" "issuer-twice" Error, "two files trust one issuer",
        why "it would be a matter of order whose rules hold",
        fix "leave one file that says whose tokens are believed",
        example "issuer = \"https://a.example\" in two files";
    IssuerContested "CG0412" "issuer-contested" Error, "two issuers would be asked about the same opaque tokens",
        why "a token would be shown to an issuer that did not make it",
        fix "give each a `prefix` that its tokens begin with, and that begins no other",
        example "two files with introspection, and no prefix";

    // 05: versions.
    VersionsMissing "CG0501" "versions-missing" Error, "the file that names the active version is missing",
        why "nothing says which policies decide",
        fix "write default = \"v1\" into policies/versions.toml",
        example "a bundle without policies/versions.toml";
    VersionUnknown "CG0502" "version-unknown" Error, "versions.toml points at a version that does not exist",
        why "nothing would decide there",
        fix "name a folder of policies/ that has .cedar files",
        example "default = \"v11\" => default = \"v1\"";
    VersionStage "CG0503" "version-stage" Error, "versions.toml names an API or a stage that does not ask",
        why "the line has no effect: another version decides than its author believes",
        fix "name API and stage as schema/authorizer.toml does",
        example "[stage.orders.prd] => [stage.orders.prod]";
    StageWithoutVersion "CG0504" "stage-without-version" Error, "no version decides a stage",
        why "each of its requests would be a fault",
        fix "write a default, or active under the stage",
        example "an empty policies/versions.toml => default = \"v1\"";
    ShadowOfNothing "CG0505" "shadow-of-nothing" Error, "a shadow is compared with nothing, or with itself",
        why "its author waits for disagreements that can never come",
        fix "name the candidate as the shadow, beside the default or under the stage that it is for",
        example "default = \"v1\", shadow = \"v1\" => default = \"v1\", shadow = \"v2\"";

    // 06: deployment.
    DeploymentMissing "CG0601" "deployment-missing" Error, "the file with the facts of the deployment is missing",
        why "an API that is not named in it is refused",
        fix "add schema/authorizer.toml; the example's is a start",
        example "a bundle without schema/authorizer.toml";
    NoApi "CG0602" "no-api" Error, "the deployment names no API",
        why "any API that is not named is refused",
        fix "write an [[api]] for each API that may ask",
        example "an empty schema/authorizer.toml";
    ApiName "CG0603" "api-name" Error, "a text cannot be an API's name",
        why "it stands in logs and in attributes",
        fix "use 1 to 64 of A-Z a-z 0-9 . _ -",
        example "name = \"orders api\" => name = \"orders-api\"";
    ApiStages "CG0604" "api-stages" Error, "an API names no stages, or has none to name",
        why "a stage that is not named is refused",
        fix "write stages = [\"prod\"], or none for appsync",
        example "stages = [] => stages = [\"prod\"]";
    ResourcePolicy "CG0605" "resource-policy" Error, "an API does not say rightly whether it has a resource policy",
        why "where a resource policy allows, an authorizer that is silent about a request is an Allow",
        fix "write resource_policy = true or false, as the API has it; only REST APIs can have one",
        example "kind = \"rest\" without resource_policy => resource_policy = false";
    ResponseForm "CG0606" "response-form" Error, "an API does not say rightly which form its answers have",
        why "an answer in the other form is a fault of the gateway for each request",
        fix "for an HTTP API write \"simple\" (with EnableSimpleResponses) or \"iam\"; for others leave it out",
        example "kind = \"http\" without response => response = \"simple\"";
    UnauthorizedForm "CG0607" "unauthorized-form" Error, "an API cannot answer 401 by an error",
        why "only REST and WebSocket APIs are known to make a 401 of it; others may answer 500",
        fix "leave `unauthorized` out",
        example "kind = \"http\" with unauthorized = \"error\"";
    BasePath "CG0608" "base-path" Error, "a text cannot be a base path",
        why "it would never be found in front of a request's path",
        fix "write the mapping's path, of A-Z a-z 0-9 - _ . ~ and slashes",
        example "base_paths = [\"v1/*\"] => base_paths = [\"v1\"]";
    UsageKeys "CG0609" "usage-keys" Error, "an API cannot use usage plan keys",
        why "only REST APIs have them",
        fix "leave usage_keys out",
        example "kind = \"http\" with usage_keys = true";
    TokenSource "CG0610" "token-source" Error, "an API looks for its token where it cannot be, or twice in one place",
        why "no request could be authorized, or each would hold two credentials",
        fix "name each place once; an AppSync event carries a header's value alone",
        example "token = [{ header = \"Authorization\" }, { header = \"authorization\" }]";
    ApiTwice "CG0611" "api-twice" Error, "two APIs have one name, or one account and id",
        why "it would be a matter of order which of them counts",
        fix "leave one [[api]], or correct the name or the id of the other",
        example "two [[api]] with name = \"orders\"";
    ContextKey "CG0612" "context-key" Error, "a text cannot be a context key",
        why "mapping templates cannot name it, or the gateway has another value under that name",
        fix "use a letter, then letters, digits and _, and none of the names that the gateway uses itself",
        example "[context] principalId = … => [context] caller = …";
    ContextList "CG0613" "context-list" Error, "a list cannot be told to the integration in that form",
        why "REST and WebSocket APIs take texts, numbers and booleans alone, and answer 500 for an array",
        fix "write list = \"json\", or a separator such as \",\"",
        example "roles = { source = \"roles\", list = \"array\" } => roles = { source = \"roles\", list = \"json\" }";
    ContextSource "CG0614" "context-source" Error, "a text is no source of context values",
        why "the key would always be empty",
        fix "use principal, roles, tenant, issuer, sub, client-id, scopes, email, policy-version, bundle-digest or claim.<name>",
        example "source = \"role\" => source = \"roles\"";
    SettingRange "CG0615" "setting-range" Error, "a setting has a value that it cannot have",
        why "it bounds the memory or the time of an answer",
        fix "write a value in the range that the help names",
        example "[tokens] cache = -1 => [tokens] cache = 1000";

    // 07: revocations.
    RevocationIssuer "CG0701" "revocation-issuer" Error, "a revocation names an issuer that does not exist",
        why "it revokes nothing",
        fix "correct the alias: it is the `name` of an issuer's file",
        example "issuer = \"acme-stuff\" => issuer = \"acme-staff\"";
    RevocationTwice "CG0702" "revocation-twice" Error, "the same is revoked twice",
        why "whoever removes one of the two believes that it is believed again",
        fix "remove one of the two entries",
        example "two [[revoke]] with one issuer and sub";
    RevocationEntry "CG0703" "revocation-entry" Error, "a revocation does not say what is revoked in one way",
        why "it would revoke more or less than its author believes",
        fix "write one of sub, client and jti; not_before goes with the first two",
        example "[[revoke]] with sub and jti";
    RevocationValue "CG0704" "revocation-value" Error, "a revocation names what no token can have, or has an empty reason",
        why "it revokes nothing",
        fix "write 1 to 255 characters without control characters",
        example "sub = \"\" => sub = \"alice\"";

    // 08: answers under the gateway's cache.
    AnswerScope "CG0801" "answer-scope" Error, "an API cannot have answers about the whole of it",
        why "such an answer has nowhere to state the operations",
        fix "leave scope out, or do what the help says",
        example "kind = \"websocket\" with scope = \"api\"";
    ResultTtl "CG0802" "result-ttl" Error, "the gateway cannot keep answers for that long",
        why "the real time would be another than the one that `check` reckons with",
        fix "write 0 to 3600, as AuthorizerResultTtlInSeconds is set",
        example "result_ttl_seconds = 7200 => result_ttl_seconds = 3600";
    IdentitySource "CG0803" "identity-source" Error, "a text is no identity source of the API",
        why "the gateway's cache key would be another than the one that `check` reckons with",
        fix "spell it as the API's own kind does, each source once",
        example "\"method.request.header.Authorization\" for an HTTP API => \"$request.header.Authorization\"";
    UnsafeCache "CG0804" "unsafe-cache" Error, "a kept answer would be given to a request that it is not about",
        why "the gateway gives an answer to every request with the same identity sources, whatever its method and path",
        fix "write scope = \"api\", add what is missing to identity_sources, or write result_ttl_seconds = 0",
        example "scope = \"request\" with result_ttl_seconds = 300";
    KeptFact "CG0805" "kept-fact" Error, "a kept answer can be the wrong one: a policy reads a fact that is not in the cache key",
        why "a request could be allowed that Cedar denies",
        fix "add the fact to identity_sources, write result_ttl_seconds = 0, or decide by what is fixed while a token lives",
        example "when { context.http.source_ip.isInRange(ip(\"10.0.0.0/8\")) } under a cache";
    UntoldFact "CG0806" "untold-fact" Warning, "a document about the whole API cannot depend on a fact: what depends on it is denied",
        why "a request can be denied that Cedar allows",
        fix "answer about the asked method alone for these routes, or decide by what is fixed while a token lives",
        example "when { context.http has time } with scope = \"api\" under a cache";
    LonePath "CG0807" "lone-path" Warning, "one answer is kept for all paths of a route, and names one of them",
        why "the others are refused until it is forgotten",
        fix "write scope = \"api\", add $context.path to identity_sources, or write result_ttl_seconds = 0",
        example "an HTTP API with $context.routeKey in its cache key, and IAM answers";

    // 09: documents for the whole API.
    UnstatedGrant "CG0901" "unstated-grant" Warning, "a document does not state all that Cedar allows",
        why "the named request is denied, to the named callers, though the policies allow it",
        fix "do what the help says, or give these routes an authorizer without a cache",
        example "everyone may read /users/{id}, and only oneself /users/{id}/settings";
    NoDocument "CG0902" "no-document" Warning, "for some callers there is no document about the whole API",
        why "their answers are about the asked method alone, so that a kept one refuses their next request",
        fix "raise the limits in [document], or write result_ttl_seconds = 0",
        example "[document] work = 1";

    // 10: policies that hold together and do not say what was meant.
    ImpossiblePolicy "CG1001" "impossible-policy" Warning, "a policy can never apply",
        why "what it permits is denied, and what it forbids is not forbidden",
        fix "correct the scope or the condition that is always false; or remove the policy",
        example "when { false && principal has email }";
    PolicyWithoutOperation "CG1002" "policy-without-operation" Warning, "no operation of the route table is in a policy's scope",
        why "it never applies, though each name in it exists",
        fix "let action and resource meet: `cedar-gate routes list` shows what belongs together; or remove the policy",
        example "action == Action::\"POST /orders\", resource in Path::\"/health\"";
    ShadowedPermit "CG1003" "shadowed-permit" Warning, "forbids without a condition cover all that a permit could allow",
        why "a forbid always wins: the permit allows nothing to anybody",
        fix "narrow the forbid, or remove the permit; a forbid with another condition than the permit's is not looked at",
        example "permit (principal in Role::\"clerk\", …) under forbid (principal, action, resource)";
    RedundantPolicy "CG1004" "redundant-policy" Warning, "a policy says nothing that wider ones do not say",
        why "whoever removes it to take a right away takes nothing away",
        fix "remove it, or narrow what covers it; scopes are compared over the whole route table and all roles, conditions as they are written",
        example "permit for Role::\"admin\" beside the same permit for Role::\"clerk\", where admin includes clerk";
    WriteForEveryone "CG1005" "write-for-everyone" Warning, "a permit lets everyone with a token change something",
        why "it asks for no role, no tenant and nothing else of the caller",
        fix "name a role or a tenant, compare an attribute of `principal`, or leave the writing operations out",
        example "permit (principal, action, resource in Path::\"/orders\") => permit (principal in Role::\"clerk\", action, resource in Path::\"/orders\")";
    LikeCrossesSegments "CG1006" "like-crosses-segments" Warning, "a `*` of a pattern on the path matches more segments than one",
        why "in `like`, `*` stands for any text, slashes too: the policy reaches deeper than the pattern looks",
        fix "name the operation and compare its parameter; or, where all below is meant, write resource in Path::\"…\"",
        example "context.path like \"/orders/*\" => action == Action::\"GET /orders/{orderId}\"";
    OperationWithoutPermit "CG1007" "operation-without-permit" Warning, "no permit reaches an operation",
        why "each request for it is denied, whoever asks",
        fix "permit it to somebody, or remove it from the route table; a method that needs no token needs no authorizer",
        example "a new route in schema/routes.toml that no policy speaks of";
    RoleWithoutIssuer "CG1008" "role-without-issuer" Warning, "no issuer may confer a role",
        why "nobody holds it: policies for it never apply",
        fix "list it in `roles.grant` of an issuer, or remove it",
        example "[auditor] in roles.toml, and no issuer with grant = [\"auditor\"]";
    RoleWithoutPolicy "CG1009" "role-without-policy" Warning, "no policy speaks of a role, nor of one that it includes",
        why "whoever holds it has the same rights as whoever does not",
        fix "write the policy that was meant, or remove the role",
        example "[intern] in roles.toml alone";
    IssuerWithoutPermit "CG1010" "issuer-without-permit" Warning, "no permit can apply to an issuer's tokens",
        why "they are verified, and then denied for every operation",
        fix "let it confer a role that a permit speaks of, or remove its file",
        example "a file without `roles`, where every permit asks for a role";
    ContextKeysAlike "CG1011" "context-keys-alike" Warning, "two context keys differ in nothing but upper and lower case",
        why "whoever mixes them up in a mapping template, or puts them into headers, reads the other value",
        fix "give one of them another name",
        example "[context] tenantId = … and tenantid = …";
    ContextClaim "CG1012" "context-claim" Warning, "a context key tells a claim that no issuer maps",
        why "the integration always reads it as empty",
        fix "map the claim under `claims` of an issuer's file, or remove the key",
        example "level = { source = \"claim.level\" } where no file maps `level`";
    DenyMessageOnPermit "CG1013" "deny-message-on-permit" Warning, "a permit has a @deny_message",
        why "a permit never decides a refusal: nobody will read it",
        fix "put it on the forbid that refuses, or remove it",
        example "@deny_message(\"…\") permit (…)";
    LookalikeText "CG1014" "lookalike-text" Warning, "a policy holds characters that look like others, or change the order of reading",
        why "a reviewer sees another text than the one that decides",
        fix "write plain letters, or spell the character as an escape: \\u{…}",
        example "Role::\"аdmin\" with a Cyrillic а => Role::\"admin\"";
    RedundantHas "CG1015" "redundant-has" Note, "a policy asks whether an attribute is there that always is",
        why "the question is always answered yes: a reader believes that it guards something",
        fix "leave the question out",
        example "when { principal has sub && principal.sub == context.params.userId } => when { principal.sub == context.params.userId }";
    UnknownAllow "CG1016" "unknown-allow" Warning, "an @allow names no code that it could allow",
        why "its author believes that something is hidden; an error cannot be",
        fix "write codes of warnings and notes, with commas between: @allow(\"CG1005\")",
        example "@allow(\"everything\") => @allow(\"write-for-everyone\")";

    // 11: suites of tests.
    Suite "CG1101" "suite" Error, "a suite of tests cannot be run as it is written",
        why "a test that asks for what there is not, or says a thing twice, would pass whatever the policies say",
        fix "correct the place as the message says: `cedar-gate help test` has the format",
        example "[[case]] about Role::\"auditr\", whom every policy refuses";
    SuiteDoubtful "CG1102" "suite-doubtful" Warning, "something in the tests is written and not used",
        why "its author believes that it is tested",
        fix "use it in a case, or remove it",
        example "a principal in principals.toml that no case names";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn numbers_and_slugs_are_unique_and_in_order() {
        assert!(Code::ALL.windows(2).all(|pair| pair[0].number() < pair[1].number()));
        let slugs: BTreeSet<&str> = Code::ALL.iter().map(|code| code.slug()).collect();
        assert_eq!(slugs.len(), Code::ALL.len());
    }

    #[test]
    fn every_code_has_a_subject_and_its_words() {
        for code in Code::ALL {
            let subject = code.number().strip_prefix("CG").and_then(|number| number.get(..2));
            assert!(SUBJECTS.iter().any(|(digits, _)| Some(*digits) == subject), "{}", code.number());
            assert!(code.number().len() == 6 && code.slug().len() <= 28, "{}", code.number());
            for words in [code.title(), code.why(), code.remedy(), code.example()] {
                assert!(words.len() >= 12 && !words.ends_with('.'), "{}: {words}", code.number());
                assert!(!words.contains('\n'), "{}: {words}", code.number());
            }
        }
    }

    #[test]
    fn a_code_is_found_by_number_and_slug() {
        assert_eq!(Code::named("cg0107"), Some(Code::UnknownRole));
        assert_eq!(Code::named("unknown-role"), Some(Code::UnknownRole));
        assert_eq!(Code::named("CG9999"), None);
    }
}
