"""The workload: one set of rules in every peer's own form, requests about it, and what each must be answered.

`N` policies: roles x services grants (`read` or `write`), the owner of a profile, and one rule that keeps every tenant
to itself. All is made from a seed, but for the tokens, which have to be valid now. Nothing outside the standard library is
needed, so that the answers can be checked without an installation.
"""

import base64
import hashlib
import json
import math
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

ISSUER = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC123456"
CLIENT = "1example23456789"
KEY_ID = "yD2pHy0tSqxBCbG0Q4fXvjTQ0kZ0wzF5aV8o3uQ6h9E="
ACCOUNT, API, STAGE = "123456789012", "a1b2c3d4e5", "prod"
TENANTS = ("acme", "globex")
READ, WRITE = "read", "write"
ACCESS_OF = {"GET": READ, "POST": WRITE, "PUT": WRITE, "DELETE": WRITE}

# A caller's own profile, and the paths of a service.
USERS = "/tenants/{tenant}/users/{user}"
COLLECTION, ITEM = "/tenants/{{tenant}}/{}", "/tenants/{{tenant}}/{}/{{id}}"


# --- tokens ---------------------------------------------------------------------------------------------------------

def part(data):
    """Base64url without padding, RFC 7515 section 2; of JSON, if it is not bytes."""
    if not isinstance(data, bytes):
        data = json.dumps(data, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class RsaKey:
    """An RSA-2048 key for a benchmark: made from a seed, so it protects nothing."""

    def __init__(self, seed, kid=KEY_ID):
        numbers = random.Random(seed)
        self.kid, self.e = kid, 65537
        self.p, self.q = _prime(numbers, self.e), _prime(numbers, self.e)
        self.n = self.p * self.q
        d = pow(self.e, -1, (self.p - 1) * (self.q - 1))
        self.dp, self.dq, self.q_inverse = d % (self.p - 1), d % (self.q - 1), pow(self.q, -1, self.p)
        self.fast = self._fast(d)

    def _fast(self, d):
        """Signs ten times as fast, where the library is installed: thousands of tokens are wanted for a measurement."""
        try:
            from cryptography.hazmat.primitives.asymmetric import padding, rsa
            from cryptography.hazmat.primitives.hashes import SHA256
        except ImportError:
            return None
        public = rsa.RSAPublicNumbers(self.e, self.n)
        numbers = rsa.RSAPrivateNumbers(self.p, self.q, d, self.dp, self.dq, self.q_inverse, public)
        private = numbers.private_key()
        return lambda signed: private.sign(signed, padding.PKCS1v15(), SHA256())

    def jwks(self):
        number = lambda n: part(n.to_bytes((n.bit_length() + 7) // 8, "big"))
        return {"keys": [{"kid": self.kid, "kty": "RSA", "use": "sig", "alg": "RS256",
                          "n": number(self.n), "e": number(self.e)}]}

    def token(self, claims, kid=None):
        """RS256, RFC 7518 section 3.3: the padding of RFC 8017 section 9.2, its prefix for SHA-256 among the notes there."""
        signed = f"{part({'kid': kid or self.kid, 'alg': 'RS256'})}.{part(claims)}"
        if self.fast:
            return f"{signed}.{part(self.fast(signed.encode()))}"
        prefix = bytes.fromhex("3031300d060960864801650304020105000420")
        digest = prefix + hashlib.sha256(signed.encode()).digest()
        padded = int.from_bytes(b"\x00\x01" + b"\xff" * (253 - len(digest)) + b"\x00" + digest, "big")
        m1, m2 = pow(padded % self.p, self.dp, self.p), pow(padded % self.q, self.dq, self.q)
        signature = m2 + (self.q_inverse * (m1 - m2) % self.p) * self.q
        return f"{signed}.{part(signature.to_bytes(256, 'big'))}"


def _prime(numbers, e):
    while True:
        # The two highest bits: a product of two has 2048 bits.
        n = numbers.getrandbits(1024) | (3 << 1022) | 1
        if n % e != 1 and _is_prime(n, numbers):
            return n


def _is_prime(n, numbers):
    if any(n % small == 0 for small in (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47)):
        return False
    odd, twos = n - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for _ in range(24):  # Miller-Rabin
        x = pow(numbers.randrange(2, n - 1), odd, n)
        if x in (1, n - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


@dataclass
class Caller:
    """Whom a token speaks of."""
    sub: str
    tenant: str
    roles: list

    def claims(self, now, number, **changed):
        """An access token as Cognito issues it: with what it puts beside what anybody reads."""
        # One group is the identity provider's own and no role, as in many pools.
        claims = {
            "sub": self.sub,
            "device_key": "eu-west-1_0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
            "cognito:groups": [*self.roles, "eu-west-1_AbC123456_CorporateDirectory"],
            "iss": ISSUER,
            "version": 2,
            "client_id": CLIENT,
            "origin_jti": f"5b9f50a3-05da-454a-8b99-{number:012}",
            "event_id": "0ed5ad5c-7182-4ecf-bd3a-4d0d4a1d7a2b",
            "token_use": "access",
            "scope": "aws.cognito.signin.user.admin openid profile email api/read api/write",
            "auth_time": now - 600,
            "exp": now + 24 * 3600,
            "iat": now - 600,
            "jti": f"0f1e2d3c-4b5a-6978-8796-{number:012}",
            "username": self.sub,
            "custom:tenant": self.tenant,
        }
        claims.update(changed)
        return {name: value for name, value in claims.items() if value is not None}


# --- the rules ------------------------------------------------------------------------------------------------------

@dataclass
class Rules:
    """Who may do what: `grants` has (role, service) -> access."""
    policies: int
    services: list = field(default_factory=list)
    roles: list = field(default_factory=list)
    grants: dict = field(default_factory=dict)

    def __post_init__(self):
        wanted = self.policies - 2  # the owner and the tenant
        width = math.ceil(math.sqrt(wanted / 2))
        self.services = [f"svc{n:02}" for n in range(1, width + 1)]
        self.roles = [f"role-{n:02}" for n in range(1, math.ceil(wanted / width) + 1)]
        for number in range(wanted):
            role, service = self.roles[number // width], self.services[number % width]
            # Neither all of a role's nor all of a service's grants are of one kind.
            self.grants[role, service] = READ if (number // width + number % width) % 3 else WRITE

    def operations(self):
        """(method, template, service) of each."""
        for service in self.services:
            yield from ((method, COLLECTION.format(service), service) for method in ("GET", "POST"))
            yield from ((method, ITEM.format(service), service) for method in ("GET", "PUT", "DELETE"))
        yield from ((method, USERS, "users") for method in ("GET", "PUT"))

    def allows(self, caller, asked):
        """The rules once more, to say what must be answered to a caller who is known."""
        if asked.tenant != caller.tenant or asked.service not in {*self.services, "users"}:
            return False
        if asked.service == "users":
            return asked.method in ("GET", "PUT") and asked.last == caller.sub
        return any(self.grants.get((role, asked.service)) == ACCESS_OF[asked.method] for role in caller.roles)


@dataclass
class Asked:
    """A request: to a collection where `last` is empty."""
    method: str
    tenant: str
    service: str
    last: str = ""

    @property
    def template(self):
        if self.service == "users":
            return USERS
        return (ITEM if self.last else COLLECTION).format(self.service)

    @property
    def parameters(self):
        named = {"tenant": self.tenant}
        if self.last:
            named["user" if self.service == "users" else "id"] = self.last
        return named

    @property
    def path(self):
        return f"/tenants/{self.tenant}/{self.service}" + (f"/{self.last}" if self.last else "")

    def event(self, token):
        """A REST REQUEST event as a browser behind CloudFront causes it: each header twice, as API Gateway sends them."""
        host = f"{API}.execute-api.eu-west-1.amazonaws.com"
        headers = {
            "Accept": "application/json, text/plain, */*",
            "Accept-Encoding": "gzip, deflate, br, zstd",
            "Accept-Language": "en-GB,en;q=0.9,de;q=0.8",
            "Cache-Control": "no-cache",
            "CloudFront-Forwarded-Proto": "https",
            "CloudFront-Is-Desktop-Viewer": "true",
            "CloudFront-Is-Mobile-Viewer": "false",
            "CloudFront-Is-SmartTV-Viewer": "false",
            "CloudFront-Is-Tablet-Viewer": "false",
            "CloudFront-Viewer-ASN": "64496",
            "CloudFront-Viewer-Country": "IE",
            "Host": host,
            "Origin": "https://app.example",
            "Referer": "https://app.example/",
            "Sec-Fetch-Dest": "empty",
            "Sec-Fetch-Mode": "cors",
            "Sec-Fetch-Site": "cross-site",
            "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "Via": "2.0 0a1b2c3d4e5f60718293a4b5c6d7e8f9.cloudfront.net (CloudFront)",
            "X-Amz-Cf-Id": "u1s4QXw0Jr8eYp2vKxT7dLZ9mN3bC6hG5fA0qW8oI2yE4tRzV7xPjA==",
            "X-Amzn-Trace-Id": "Root=1-5759e988-bd862e3fe1be46a994272793",
            "X-Forwarded-For": "192.0.2.17, 198.51.100.4",
            "X-Forwarded-Port": "443",
            "X-Forwarded-Proto": "https",
        }
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return {
            "type": "REQUEST",
            "methodArn": f"arn:aws:execute-api:eu-west-1:{ACCOUNT}:{API}/{STAGE}/{self.method}{self.path}",
            "resource": self.template,
            "path": self.path,
            "httpMethod": self.method,
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "queryStringParameters": {"expand": "lines"},
            "multiValueQueryStringParameters": {"expand": ["lines"]},
            "pathParameters": self.parameters,
            "stageVariables": None,
            "requestContext": {
                "resourceId": "abc123",
                "resourcePath": self.template,
                "httpMethod": self.method,
                "path": f"/{STAGE}{self.path}",
                "accountId": ACCOUNT,
                "stage": STAGE,
                "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
                "extendedRequestId": "NvWWKEZbliAFliA=",
                "requestTimeEpoch": 1795255200000,
                "apiId": API,
                "protocol": "HTTP/1.1",
                "domainName": host,
                "identity": {"sourceIp": "192.0.2.17", "userAgent": "Mozilla/5.0", "apiKey": None, "clientCert": None},
            },
        }


# --- the requests ---------------------------------------------------------------------------------------------------

class Requests:
    """Events with the answer that each must get: `allow`, `deny` or `unauthorized`."""

    def __init__(self, rules, key, now):
        self.rules, self.key, self.now = rules, key, now
        self.numbers = random.Random(f"requests {rules.policies}")
        self.issued = 0

    def caller(self, name, tenant=TENANTS[0]):
        return Caller(f"{name}-{self.numbers.getrandbits(64):016x}", tenant,
                      sorted(self.numbers.sample(self.rules.roles, min(3, len(self.rules.roles)))))

    def token(self, caller, key=None, kid=None, **changed):
        self.issued += 1
        return (key or self.key).token(caller.claims(self.now, self.issued, **changed), kid)

    def line(self, name, expect, asked, token):
        return {"name": name, "expect": expect, "event": asked.event(token)}

    def judged(self, name, caller, asked, token=None):
        expect = "allow" if self.rules.allows(caller, asked) else "deny"
        return self.line(name, expect, asked, token or self.token(caller))

    def granted(self, caller):
        """A request that one of the caller's roles allows."""
        role = self.numbers.choice([role for role in caller.roles
                                    if any(granted == role for granted, _ in self.rules.grants)])
        service, access = self.numbers.choice([(service, access) for (granted, service), access
                                               in self.rules.grants.items() if granted == role])
        method = self.numbers.choice([method for method, of in ACCESS_OF.items() if of == access])
        last = {"POST": False, "GET": self.numbers.random() < 0.5}.get(method, True)
        return Asked(method, caller.tenant, service, f"item-{self.numbers.randrange(10**6)}" if last else "")

    def refused(self, caller):
        """A request in the caller's own tenant that none of the caller's roles allows."""
        for _ in range(20):
            method, service = self.numbers.choice(["GET", "PUT", "DELETE"]), self.numbers.choice(self.rules.services)
            asked = Asked(method, caller.tenant, service, "item-1")
            if not self.rules.allows(caller, asked):
                return asked
        return Asked("GET", caller.tenant, "users", "somebody-else")

    def asked(self, caller, turn):
        """What is measured, in turns of eight: six grants, one profile of one's own, one refusal."""
        if turn % 8 == 3:
            return Asked("GET", caller.tenant, "users", caller.sub)
        return self.refused(caller) if turn % 8 == 7 else self.granted(caller)

    def distinct(self, count):
        """Each with a token of its own, each of a caller of its own."""
        for turn in range(count):
            caller = self.caller("user", TENANTS[turn % 2])
            yield self.judged("distinct", caller, self.asked(caller, turn))

    def same(self, count):
        """All with one token."""
        caller = self.caller("user")
        token = self.token(caller)
        for turn in range(count):
            yield self.judged("same", caller, self.asked(caller, turn), token)

    def checks(self, random_ones=100):
        """What has to be right before anything is measured."""
        ann, bob = self.caller("ann"), self.caller("bob", TENANTS[1])
        nobody = Caller("nobody-0123456789abcdef", TENANTS[0], [])
        theirs = self.granted(ann)
        elsewhere = Asked(theirs.method, TENANTS[1], theirs.service, theirs.last)
        profile = lambda method, tenant, user: Asked(method, tenant, "users", user)
        for name, expect, caller, asked in [
            ("a role's grant", "allow", ann, theirs),
            ("no role's grant", "deny", ann, self.refused(ann)),
            ("no role at all", "deny", nobody, theirs),
            ("the other tenant", "deny", ann, elsewhere),
            ("one's own profile", "allow", ann, profile("GET", ann.tenant, ann.sub)),
            ("a change of one's own profile", "allow", bob, profile("PUT", bob.tenant, bob.sub)),
            ("a role is not needed for it", "allow", nobody, profile("GET", nobody.tenant, nobody.sub)),
            ("somebody else's profile", "deny", ann, profile("GET", ann.tenant, "somebody-else")),
            ("a profile of one's name in the other tenant", "deny", ann, profile("GET", bob.tenant, ann.sub)),
        ]:
            line = self.judged(name, caller, asked)
            assert line["expect"] == expect, f"the rules say otherwise: {name}"
            yield line
        unknown = Asked("GET", ann.tenant, "svc99", "item-1")
        yield self.judged("a service that there is not", ann, unknown)

        hour, stranger = 3600, RsaKey("a stranger")
        good = self.token(ann)
        head, claims, signature = good.split(".")
        broken = signature[:100] + ("A" if signature[100] != "A" else "B") + signature[101:]
        for name, token in [
            ("no token", None),
            ("expired an hour ago", self.token(ann, exp=self.now - hour)),
            ("the wrong audience", self.token(ann, client_id="2example98765432")),
            ("an id token", self.token(ann, token_use="id", aud=CLIENT, client_id=None)),
            ("another issuer", self.token(ann, iss=ISSUER[:-1] + "7")),
            ("a stranger's key", self.token(ann, key=stranger)),
            ("a key that there is not", self.token(ann, kid="unknown")),
            ("a broken signature", f"{head}.{claims}.{broken}"),
            ("no signature", f"{part({'alg': 'none'})}.{claims}."),
        ]:
            yield self.line(name, "unauthorized", theirs, token)

        callers = [self.caller("random", self.numbers.choice(TENANTS)) for _ in range(20)]
        for _ in range(random_ones):
            caller = self.numbers.choice(callers)
            service = self.numbers.choice([*self.rules.services, "users"])
            method = self.numbers.choice(["GET", "PUT"] if service == "users" else list(ACCESS_OF))
            last = caller.sub if self.numbers.random() < 0.5 else self.numbers.choice(callers).sub
            if service != "users":
                last = {"POST": "", "GET": self.numbers.choice(["", "item-7"])}.get(method, "item-7")
            tenant = caller.tenant if self.numbers.random() < 0.8 else self.numbers.choice(TENANTS)
            yield self.judged("at random", caller, Asked(method, tenant, service, last))


# --- the rules in everybody's own form ------------------------------------------------------------------------------

def cedar_policies(rules):
    texts = []
    for (role, service), access in rules.grants.items():
        texts.append(f'@id("{role}-{service}")\n'
                     f'permit (\n  principal in Role::"{role}",\n  action in Action::"{access}",\n'
                     f'  resource in Path::"{COLLECTION.format(service)}"\n);\n')
    texts.append(f'@id("own-profile")\n'
                 f'permit (\n  principal is User,\n  action in\n    [Action::"GET {USERS}",\n     Action::"PUT {USERS}"],\n'
                 f'  resource\n)\nwhen {{ context.params.user == principal.sub }};\n')
    texts.append('@id("own-tenant")\n'
                 'forbid (principal, action, resource)\n'
                 'unless { principal.claims has tenant && principal.claims.tenant == context.params.tenant };\n')
    return "\n".join(texts)


def gate_bundle(rules, key, records):
    """cedar-gate: what people edit; schema/routes.cedarschema is written by `cedar-gate routes schema`."""
    routes = {}
    for method, template, _ in rules.operations():
        routes.setdefault(template, []).append(method)
    listed = lambda names: "[" + ", ".join(json.dumps(name) for name in names) + "]"
    identity = ("  sub: String,\n  issuer: String,\n  client_id?: String,\n  scopes: Set<String>,\n"
                "  claims: { tenant?: String },\n")
    return {
        "policies/v1/rules.cedar": cedar_policies(rules),
        "policies/v1/roles.toml": "\n".join(f'[{role}]\ndescription = "Some grants."\n' for role in rules.roles),
        "policies/versions.toml": 'default = "v1"\n',
        "policies/issuers/pool.toml": (
            f'name = "pool"\nissuer = "{ISSUER}"\nprovider = "cognito"\ntoken_use = "access"\naudience = ["{CLIENT}"]\n'
            f'tenant = {{ claim = "custom:tenant", allow = {listed(TENANTS)} }}\n'
            f'roles = {{ claim = "cognito:groups", grant = {listed(rules.roles)} }}\n'
            f'claims = {{ tenant = "custom:tenant" }}\nkeys = {{ file = "pool.jwks.json" }}\n'),
        "policies/issuers/pool.jwks.json": json.dumps(key.jwks()),
        "schema/authorizer.toml": (
            f'[[api]]\nname = "peers"\nkind = "rest"\naccount = "{ACCOUNT}"\nid = "{API}"\nstages = ["{STAGE}"]\n'
            'resource_policy = false\ntoken = [{ header = "Authorization" }]\nunauthorized = "error"\nscope = "request"\n'
            'result_ttl_seconds = 0\n\n[context]\nroles = { source = "roles", list = "json" }\n'
            'tenant = { source = "tenant" }\nprincipal = { source = "principal" }\n\n'
            f'[log]\nallow = "{"all" if records else "none"}"\n\n[tokens]\ncache = 1000\n'),
        "schema/gateway.cedarschema": (
            "entity Role in [Role];\nentity Tenant;\n"
            f"entity User in [Role, Tenant] = {{\n{identity}}};\n"
            f"entity Client in [Role, Tenant] = {{\n{identity}}};\n"
            "entity Path in [Path];\nentity Tag;\n"
            "entity Route in [Path, Tag] = { api: String, stage: String, template: String };\n"
            "type Http = { source_ip?: ipaddr, time?: datetime };\n"
            "action read;\naction write;\naction connect;\naction OPTIONS;\naction GET, HEAD in [read];\n"
            "action POST, PUT, PATCH, DELETE in [write];\n"),
        "schema/routes.toml": "\n".join(f'[[route]]\npath = "{template}"\nmethods = {listed(methods)}\n'
                                        for template, methods in routes.items()),
    }


def cedar_files(rules):
    """cedarpy and cedar-wasm: the same policies, and the entities of each operation ready to be sent along."""
    uid = lambda kind, name: {"type": kind, "id": name}
    entity = lambda kind, name, parents: {"uid": uid(kind, name), "attrs": {}, "parents": parents}
    operations = {}
    for method, template, _ in rules.operations():
        action, access = f"{method} {template}", ACCESS_OF[method]
        segments = template.split("/")[1:]
        paths = ["/"] + ["/" + "/".join(segments[:count]) for count in range(1, len(segments) + 1)]
        # The way up is given whole, so that no library has to close it: in Cedar `in` reads nothing but ancestors.
        operations[action] = [
            entity("Action", action, [uid("Action", method), uid("Action", access)]),
            entity("Route", template, [uid("Path", path) for path in paths]),
        ]
    return {"policies.cedar": cedar_policies(rules), "operations.json": json.dumps(operations)}


def cedarling_files(rules):
    """Cedarling: a policy store directory. Its tokens are entities of the context and have no parents: a role is a tag."""
    token = "context.tokens.pool_access_token"
    tag = lambda name, value: f'{token}.hasTag("{name}") && {token}.getTag("{name}").contains({value})'
    guard = "context has tokens.pool_access_token"
    policies = []
    for (role, service), access in rules.grants.items():
        policies.append(f'@id("{role}-{service}")\npermit (principal, action in Api::Action::"{service}.{access}", resource)\n'
                        f'when {{ {guard} && {tag("cognito:groups", json.dumps(role))} }};\n')
    policies.append('@id("own-profile")\npermit (principal, action in Api::Action::"users", resource)\n'
                    f'when {{ {guard} && resource has user && {tag("sub", "resource.user")} }};\n')
    policies.append('@id("own-tenant")\nforbid (principal, action, resource)\n'
                    f'unless {{ {guard} && {tag("custom:tenant", "resource.tenant")} }};\n')
    # What the other authorizers check themselves, Cedarling leaves to its policies.
    policies.append('@id("access-tokens-of-this-client")\nforbid (principal, action, resource)\n'
                    f'unless {{ {guard} && {tag("client_id", json.dumps(CLIENT))} && {tag("token_use", json.dumps("access"))} }};\n')
    applies = "appliesTo { principal: [Any], resource: [Route], context: { tokens: Tokens } }"
    actions = ["  action users;"]
    actions += [f'  action "{service}.{access}";' for service in rules.services for access in (READ, WRITE)]
    for method, template, service in rules.operations():
        group = "users" if service == "users" else f"{service}.{ACCESS_OF[method]}"
        actions.append(f'  action "{method} {template}" in ["{group}"] {applies};')
    # The namespace of an issuer's entities is the issuer's name; there is no principal, so a placeholder stands for one.
    schema = ("namespace Jans {\n  type Url = { host: String, path: String, protocol: String };\n}\n"
              "namespace Pool {\n  entity TrustedIssuer = { issuer_entity_id: Jans::Url };\n"
              "  entity Access_token = {\n    token_type?: String, jti?: String, iss?: TrustedIssuer, exp?: Long, validated_at?: Long,\n"
              "  } tags Set<String>;\n}\n"
              "namespace Api {\n  entity Any;\n  entity Route = { tenant: String, user?: String };\n"
              "  type Tokens = { total_token_count: Long, pool_access_token?: Pool::Access_token };\n"
              + "\n".join(actions) + "\n}\n")
    return {
        "metadata.json": json.dumps({"cedar_version": "4.4.0", "policy_store": {
            "id": "5e7a1f0c9b34", "name": "peers", "version": "1.0.0"}}),
        "schema.cedarschema": schema,
        "policies/rules.cedar": "\n".join(policies),
    }


def rego_files(rules):
    """Rego: the grants are data, as the documentation of OPA has it, and the rules look them up."""
    grants = {}
    for (role, service), access in rules.grants.items():
        grants.setdefault(role, {}).setdefault(service, {})[access] = True
    policy = """package api

default allow := false

own_tenant if input.claims["custom:tenant"] == input.params.tenant

granted if {
\tsome role in input.claims["cognito:groups"]
\tdata.grants[role][input.service][input.access]
}

own_profile if {
\tinput.service == "users"
\tinput.params.user == input.claims.sub
}

allow if {
\town_tenant
\tgranted
}

allow if {
\town_tenant
\town_profile
}
"""
    return {"policy.rego": policy, "data.json": json.dumps({"grants": grants})}


def casbin_files(rules):
    """casbin: a line a grant. The caller's roles come with the request, because they stand in the token."""
    model = """[request_definition]
r = sub, roles, tenant, asked_tenant, user, service, access

[policy_definition]
p = role, service, access

[policy_effect]
e = some(where (p.eft == allow))

[matchers]
m = p.service == r.service && p.access == r.access && r.tenant == r.asked_tenant && (p.role in r.roles || p.role == "owner" && r.user == r.sub)
"""
    lines = [f"p, {role}, {service}, {access}" for (role, service), access in rules.grants.items()]
    lines += [f"p, owner, users, {access}" for access in (READ, WRITE)]
    return {"model.conf": model, "policy.csv": "\n".join(lines) + "\n"}


def cerbos_files(rules):
    """Cerbos: a resource policy a service, and one for the profiles."""
    condition = lambda expression: f"\n      condition:\n        match:\n          expr: {expression}"
    rule = lambda actions, effect, roles, when="": (
        f"    - actions: {json.dumps(actions)}\n      effect: EFFECT_{effect}\n      roles: {json.dumps(roles)}{when}\n")
    policy = lambda resource, rules_of_it: (
        f"apiVersion: api.cerbos.dev/v1\nresourcePolicy:\n  resource: {resource}\n  version: default\n  rules:\n"
        + rule(["*"], "DENY", ["*"], condition("request.principal.attr.tenant != request.resource.attr.tenant"))
        + rules_of_it)
    files = {}
    for service in rules.services:
        grants = [rule([access], "ALLOW", [role]) for (role, of), access in rules.grants.items() if of == service]
        files[f"{service}.yaml"] = policy(service, "".join(grants))
    own = rule([READ, WRITE], "ALLOW", ["*"], condition("request.resource.attr.user == request.principal.id"))
    files["users.yaml"] = policy("users", own)
    return files


# --- all of it, in a folder -----------------------------------------------------------------------------------------

def write(folder, files):
    for name, text in files.items():
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def write_lines(path, lines):
    with open(path, "w", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(line, separators=(",", ":")) + "\n")


def key():
    return RsaKey("peers")


def write_rules(folder, policies, signing_key, bundles_only=False):
    """The rules in every form; the requests are written by `write_requests`."""
    rules, folder = Rules(policies), Path(folder)
    write(folder / "gate", gate_bundle(rules, signing_key, records=True))
    write(folder / "gate-quiet", gate_bundle(rules, signing_key, records=False))
    if not bundles_only:
        write(folder, {"jwks.json": json.dumps(signing_key.jwks()),
                       "settings.json": json.dumps({"issuer": ISSUER, "client": CLIENT})})
        write(folder / "cedar", cedar_files(rules))
        write(folder / "cedarling", cedarling_files(rules))
        write(folder / "rego", rego_files(rules))
        write(folder / "casbin", casbin_files(rules))
        write(folder / "cerbos", cerbos_files(rules))
    return rules


def write_requests(folder, rules, signing_key, distinct=0, same=0):
    requests = Requests(rules, signing_key, int(time.time()))
    write_lines(Path(folder) / "checks.jsonl", requests.checks())
    if distinct:
        write_lines(Path(folder) / "distinct.jsonl", requests.distinct(distinct))
        write_lines(Path(folder) / "same.jsonl", requests.same(same))
