"""Tokens of real providers, judged by the real `cedar-gate`.

    python tests/providers/test_providers.py

An OpenID provider (npm oidc-provider, see provider.mjs) and a Cognito emulator (ministack) issue tokens on loopback. A copy
of this repository's bundle comes to trust them by `cedar-gate issuer add`, and `token inspect` and `authorize` say what
they make of the tokens.

Environment: CEDAR_GATE, the binary (default: target/debug/cedar-gate); PROVIDER, provider.mjs beside its node_modules
(default: target/ci/openid-provider/provider.mjs).
"""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "emulator"))

from cognito import UserPool, forge  # noqa: E402
from emulator import Emulator  # noqa: E402
from openid import INVOICES, ORDERS, PARTNER, REPORTS, SHARED, OpenIdProvider  # noqa: E402

CEDAR_GATE = Path(os.environ.get("CEDAR_GATE", ROOT / "target" / "debug" / "cedar-gate")).resolve()
PROVIDER = Path(os.environ.get("PROVIDER", ROOT / "target" / "ci" / "openid-provider" / "provider.mjs")).resolve()

# The whole run takes well under a minute; past this something hangs.
LIMIT_SECONDS = 300

ARN = "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/prod"
ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519")


class Suite:
    """What all cases share."""

    scratch: Path
    provider: OpenIdProvider
    acme: UserPool
    globex: UserPool


def setUpModule():
    signal.alarm(LIMIT_SECONDS)
    Suite.scratch = Path(tempfile.mkdtemp(prefix="cedar-gate-providers-"))
    unittest.addModuleCleanup(shutil.rmtree, Suite.scratch, ignore_errors=True)
    Suite.provider = OpenIdProvider(PROVIDER, Suite.scratch)
    unittest.addModuleCleanup(Suite.provider.stop)
    emulator = Emulator(Suite.scratch)
    unittest.addModuleCleanup(emulator.stop)
    Suite.acme, Suite.globex = (UserPool(emulator, Suite.scratch, name) for name in ("acme", "globex"))
    for pool in (Suite.acme, Suite.globex):
        for group in ("clerk", "auditor", "admin"):
            pool.add_group(group)
    Suite.acme.add_user("alice", ("clerk", "admin"), **{"custom:department": "support"})
    Suite.globex.add_user("bob", ("auditor", "clerk"))


class Bundle:
    """A copy of this repository's bundle, in a folder of its own."""

    def __init__(self, secrets: dict[str, str] = SHARED):
        self.folder = Path(tempfile.mkdtemp(dir=Suite.scratch))
        self.environment = {"PATH": os.environ["PATH"], "CEDAR_GATE_HOME": str(Suite.scratch), "NO_COLOR": "1"} | secrets
        for part in ("policies", "schema"):
            shutil.copytree(ROOT / part, self.folder / part)

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess:
        return subprocess.run([CEDAR_GATE, *arguments], cwd=self.folder, input=stdin, timeout=60, capture_output=True,
                              text=True, env=self.environment)

    def trust(self, name: str, *arguments: str) -> None:
        added = self.run("issuer", "add", "--name", name, "--development", *arguments)
        if added.returncode != 0:
            raise RuntimeError(f"`issuer add --name {name}` failed: {added.stderr}")

    def trust_provider(self, name: str = "staff", *arguments: str, audience: str = ORDERS) -> None:
        self.trust(name, "--provider", "oidc", "--issuer", Suite.provider.issuer, "--audience", audience,
                   "--tenant-claim", "tenant", "--allow-tenant", "acme", "--allow-tenant", "globex",
                   "--role", "clerk", "--role", "auditor", *arguments)

    def trust_pool(self, pool: UserPool, *arguments: str, keys: UserPool | None = None) -> None:
        """`keys` is the pool whose keys are taken for this pool's."""
        self.trust(f"{pool.name}-pool", "--provider", "cognito", "--pool", pool.id, "--client-id", pool.client,
                   "--tenant", pool.name, "--keys-url", (keys or pool).keys_url, *arguments)

    def append(self, name: str, lines: str) -> None:
        """Adds lines to an issuer's file."""
        with (self.folder / "policies" / "issuers" / f"{name}.toml").open("a") as file:
            file.write(lines)

    def inspect(self, token: str, *arguments: str) -> dict:
        """What `token inspect` says."""
        inspected = self.run("token", "inspect", "--format", "json", *arguments, stdin=token)
        if inspected.returncode not in (0, 1):
            raise RuntimeError(f"`token inspect` failed: {inspected.stderr}")
        said = json.loads(inspected.stdout)
        if said["accepted"] != (inspected.returncode == 0):
            raise RuntimeError(f"`token inspect` exits with {inspected.returncode} and says {said}")
        # Of an opaque token this is all of it.
        if token.rpartition(".")[2] in inspected.stdout + inspected.stderr:
            raise RuntimeError("`token inspect` shows a signature or an opaque token")
        return said

    def probe(self, name: str) -> tuple[int, dict]:
        """Exit code, and what `issuer probe` says."""
        probed = self.run("issuer", "probe", name, "--format", "json")
        (issuer,) = json.loads(probed.stdout)["issuers"]
        return probed.returncode, issuer


class Batch:
    """`authorize --batch`: one process that answers event after event, as a warm Lambda does."""

    def __init__(self, bundle: Bundle):
        self.process = subprocess.Popen(
            [CEDAR_GATE, "authorize", "--batch"], cwd=bundle.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env=bundle.environment)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(timeout=30)
        self.process.stdout.close()

    def ask(self, token: str, method: str = "GET/orders", now: float | None = None) -> dict:
        line = {"event": {"type": "TOKEN", "authorizationToken": f"Bearer {token}", "methodArn": f"{ARN}/{method}"}}
        if now is not None:
            line["now"] = int(now)
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def header(token: str) -> dict:
    return json.loads(base64.urlsafe_b64decode(token.partition(".")[0] + "=="))


class Case(unittest.TestCase):
    maxDiff = None

    def accepted(self, said: dict, **expected):
        self.assertTrue(said["accepted"], said)
        found = {key: said["principal"][key] for key in expected}
        self.assertEqual(expected, found)

    def refused(self, reason: str, said: dict):
        self.assertEqual((False, reason), (said["accepted"], said.get("reason")), said)
        self.assertNotIn("principal", said)


class OpenId(Case):
    @classmethod
    def setUpClass(cls):
        cls.bundle = Bundle()
        cls.bundle.trust_provider()
        cls.provider = Suite.provider

    def test_a_user_is_accepted_with_each_algorithm(self):
        for algorithm in ALGORITHMS:
            with self.subTest(algorithm=algorithm):
                token = self.provider.user_tokens("alice", f"orders-{algorithm.lower()}")["access_token"]
                self.assertEqual(algorithm, header(token)["alg"])
                self.accepted(self.bundle.inspect(token), id="staff|alice", kind="User", tenant="acme",
                              roles=["clerk"], refused_roles=[], scopes=["orders:read"])

    def test_a_client_is_accepted_as_one(self):
        token = self.provider.client_token("orders-es256", scope="orders:read orders:write")
        self.accepted(self.bundle.inspect(token), id="staff|orders-es256", kind="Client", tenant="acme",
                      scopes=["orders:read", "orders:write"])

    def test_an_id_token_opens_no_api(self):
        for algorithm in ALGORITHMS:
            with self.subTest(algorithm=algorithm):
                client = f"orders-{algorithm.lower()}"
                self.refused("wrong_token_use", self.bundle.inspect(self.provider.user_tokens("alice", client)["id_token"]))

    def test_where_id_tokens_are_wanted_access_tokens_are_not(self):
        bundle = Bundle()
        bundle.trust_provider("portal", "--token-use", "id", audience="orders-eddsa")
        tokens = self.provider.user_tokens("bob", "orders-eddsa")
        self.accepted(bundle.inspect(tokens["id_token"]), id="portal|bob", kind="User", tenant="globex",
                      roles=["auditor"])
        self.refused("wrong_token_use", bundle.inspect(tokens["access_token"]))
        others = self.provider.user_tokens("bob", "orders-rs256")
        self.refused("wrong_audience", bundle.inspect(others["id_token"]))

    def test_a_role_that_is_not_granted_is_gained_by_nobody(self):
        token = self.provider.user_tokens("mallory", "orders-ps256")["access_token"]
        self.accepted(self.bundle.inspect(token), roles=["clerk"], refused_roles=["admin"])

    def test_a_tenant_that_is_not_listed_is_refused(self):
        token = self.provider.user_tokens("eve", "orders-es256")["access_token"]
        self.refused("wrong_tenant", self.bundle.inspect(token))

    def test_a_token_for_another_api_is_refused(self):
        token = self.provider.client_token("orders-es256", INVOICES, "invoices:read")
        self.refused("wrong_audience", self.bundle.inspect(token))

    def test_a_token_ends(self):
        token = self.provider.client_token("orders-es256")
        self.refused("expired", self.bundle.inspect(token, "--now", str(int(time.time()) + 301)))

    def test_a_changed_token_is_refused(self):
        head, payload, signature = self.provider.client_token("orders-eddsa").split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
        claims["roles"] = ["auditor"]
        payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
        self.refused("bad_signature", self.bundle.inspect(f"{head}.{payload}.{signature}"))

    def test_keys_are_not_fetched_where_it_is_forbidden(self):
        said = self.bundle.inspect(self.provider.client_token("orders-es256"), "--offline")
        self.refused("keys_unavailable", said)
        self.assertIn("--offline", said["help"])

    def test_what_is_revoked_here_is_refused_before_it_expires(self):
        bundle = Bundle()
        bundle.trust_provider()
        alice, bob, other = (self.provider.user_tokens(person, "orders-es256")["access_token"]
                             for person in ("alice", "bob", "bob"))
        for arguments, token in ((("--issuer", "staff", "--sub", "alice"), alice), (("--token", "-"), bob)):
            self.accepted(bundle.inspect(token))
            revoked = bundle.run("revoke", *arguments, stdin=token)
            self.assertEqual(0, revoked.returncode, revoked.stderr)
            self.refused("revoked", bundle.inspect(token))
        self.accepted(bundle.inspect(other), id="staff|bob")

    def test_policies_decide_by_what_the_token_says(self):
        alice = self.provider.user_tokens("alice", "orders-es256")["access_token"]
        bob = self.provider.user_tokens("bob", "orders-rs256")["access_token"]
        with Batch(self.bundle) as authorizer:
            for token, method, outcome, reason in (
                (alice, "GET/orders", "allow", "policy"), (alice, "POST/orders", "allow", "policy"),
                (alice, "GET/admin/reports", "deny", "no_permit"), (alice, "GET/users/alice", "allow", "policy"),
                (alice, "GET/users/bob", "deny", "no_permit"), (bob, "GET/orders", "allow", "policy"),
                (bob, "POST/orders", "deny", None), (bob[:-4] + "AAAA", "GET/orders", "unauthorized", "bad_signature"),
            ):
                with self.subTest(method=method, outcome=outcome):
                    answer = authorizer.ask(token, method)
                    self.assertEqual(outcome, answer["outcome"], answer)
                    if reason is not None:
                        self.assertEqual(reason, answer["record"]["reason"])

    def test_a_probe_shows_what_would_be_accepted(self):
        code, said = self.bundle.probe("staff")
        self.assertEqual((0, "usable"), (code, said["verdict"]), said)
        self.assertEqual(f"{self.provider.issuer}/jwks", said["found"]["url"])
        self.assertEqual([], said["found"]["skipped"])
        found = {key["kid"]: (key["kty"], key["bits"], key["algorithms"]) for key in said["found"]["keys"]}
        kinds = {"RS256": ("RSA", 2048, ["RS256"]), "PS256": ("RSA", 2048, ["PS256"]), "ES256": ("EC", 256, ["ES256"]),
                 "EdDSA": ("OKP", 255, ["EdDSA"]), "Ed25519": ("OKP", 255, ["EdDSA"])}
        self.assertEqual({key["kid"]: kinds[key["alg"]] for key in self.provider.keys()}, found)

    def test_a_probe_says_when_the_issuer_is_spelt_otherwise(self):
        bundle = Bundle()
        bundle.trust("slash", "--provider", "oidc", "--issuer", f"{self.provider.issuer}/", "--audience", ORDERS)
        code, said = bundle.probe("slash")
        self.assertEqual((1, "not-usable"), (code, said["verdict"]))
        self.assertIn(f"`{self.provider.issuer}`", said["reason"])
        self.assertIn(f"`{self.provider.issuer}/`", said["reason"])


class Opaque(Case):
    """Tokens that say nothing: the provider is asked about each."""

    INTROSPECTION = """introspection = {{ url = "{}/token/introspection", client_id = "authorizer", \
client_secret = {{ env = "INTROSPECTION_SECRET" }}, absent_sub = "client" }}
"""

    def bundle(self, **secrets: str) -> Bundle:
        bundle = Bundle(SHARED | secrets)
        bundle.trust_provider(audience=REPORTS)
        bundle.append("staff", self.INTROSPECTION.format(self.provider.issuer))
        return bundle

    def setUp(self):
        self.provider = Suite.provider
        self.bob = self.provider.user_tokens("bob", "orders-es256", REPORTS, "reports:read")["access_token"]

    def test_what_the_provider_says_of_a_token_is_held_to_the_same_rules(self):
        bundle = self.bundle()
        self.accepted(bundle.inspect(self.bob), id="staff|bob", kind="User", tenant="globex", roles=["auditor"],
                      scopes=["reports:read"])
        mallory = self.provider.user_tokens("mallory", "orders-es256", REPORTS, "reports:read")["access_token"]
        self.accepted(bundle.inspect(mallory), roles=["clerk"], refused_roles=["admin"])
        eve = self.provider.user_tokens("eve", "orders-es256", REPORTS, "reports:read")["access_token"]
        self.refused("wrong_tenant", bundle.inspect(eve))
        client = self.provider.client_token("orders-es256", REPORTS, "reports:read")
        self.accepted(bundle.inspect(client), id="staff|orders-es256", kind="Client", tenant="acme")

    def test_a_revoked_token_is_not_active(self):
        bundle = self.bundle()
        self.accepted(bundle.inspect(self.bob), id="staff|bob")
        self.provider.revoke(self.bob, "orders-es256")
        self.refused("inactive_token", bundle.inspect(self.bob))
        self.refused("inactive_token", bundle.inspect("a-token-that-nobody-was-given"))

    def test_jwts_of_the_same_provider_are_verified_beside(self):
        bundle = self.bundle()
        token = self.provider.client_token("orders-rs256")
        self.refused("wrong_token_use", bundle.inspect(token))
        bundle.append("staff", 'keys = "discovery"\n')
        self.refused("wrong_audience", bundle.inspect(token))
        self.accepted(bundle.inspect(self.bob), id="staff|bob")

    def test_whoever_is_not_asked_says_nothing(self):
        self.refused("introspection_unavailable", self.bundle().inspect(self.bob, "--offline"))
        said = self.bundle(INTROSPECTION_SECRET="another").inspect(self.bob)
        self.refused("introspection_unavailable", said)
        self.assertIn("does not accept the client id or the client secret", said["help"])

    def test_a_probe_says_whether_the_provider_knows_us(self):
        code, said = self.bundle().probe("staff")
        self.assertEqual((0, "usable"), (code, said["verdict"]), said)
        code, said = self.bundle(INTROSPECTION_SECRET="another").probe("staff")
        self.assertEqual((1, "not-usable"), (code, said["verdict"]), said)
        code, said = self.bundle(INTROSPECTION_SECRET="").probe("staff")
        self.assertEqual((2, "not-asked"), (code, said["verdict"]), said)

    def test_policies_decide_by_what_the_provider_says(self):
        with Batch(self.bundle()) as authorizer:
            for token, outcome, reason in (
                (self.bob, "allow", "policy"), (self.bob, "allow", "policy"),
                ("a-token-that-nobody-was-given", "unauthorized", "inactive_token"),
            ):
                answer = authorizer.ask(token)
                self.assertEqual((outcome, reason), (answer["outcome"], answer["record"]["reason"]), answer)


class SharedSecret(Case):
    def test_a_mac_is_verified_by_the_one_secret_and_algorithm(self):
        token = Suite.provider.client_token("orders-rs256", PARTNER)
        self.assertEqual("HS256", header(token)["alg"])
        for secrets, algorithm, reason in (
            ({}, "HS256", None), ({}, "HS512", "wrong_algorithm"), ({"SHARED_SECRET": "x" * 64}, "HS256", "bad_signature"),
            ({"SHARED_SECRET": "short"}, "HS256", "keys_unavailable"),
        ):
            with self.subTest(secrets=secrets, algorithm=algorithm):
                bundle = Bundle(SHARED | secrets)
                bundle.trust_provider(audience=PARTNER)
                bundle.append("staff", f'keys = {{ secret = {{ env = "SHARED_SECRET" }}, algorithm = "{algorithm}" }}\n')
                said = bundle.inspect(token)
                if reason is None:
                    self.accepted(said, id="staff|orders-rs256", kind="Client", tenant="acme", roles=["clerk"])
                else:
                    self.refused(reason, said)

    def test_where_keys_are_published_a_mac_is_nothing(self):
        bundle = Bundle()
        bundle.trust_provider(audience=PARTNER)
        self.refused("wrong_algorithm", bundle.inspect(Suite.provider.client_token("orders-rs256", PARTNER)))


class Rotation(Case):
    """With a provider of its own, whose keys change and which then ends."""

    def setUp(self):
        self.provider = OpenIdProvider(PROVIDER, Suite.scratch)
        self.addCleanup(self.provider.stop)
        self.bundle = Bundle()
        self.bundle.trust("rotating", "--provider", "oidc", "--issuer", self.provider.issuer, "--audience", ORDERS,
                          "--tenant-claim", "tenant", "--allow-tenant", "acme", "--role", "clerk")

    def outcome(self, answer: dict) -> tuple[str, str]:
        return answer["outcome"], answer["record"]["reason"]

    # The moments are a minute ahead, so that no token comes from the future, however slow the machine is.

    def test_new_keys_are_found_and_old_ones_end(self):
        now = time.time() + 60
        with Batch(self.bundle) as authorizer:
            for algorithm in ALGORITHMS:
                with self.subTest(algorithm=algorithm):
                    old = self.provider.client_token(f"orders-{algorithm.lower()}")
                    self.assertEqual(("allow", "policy"), self.outcome(authorizer.ask(old, now=now + 1)))
                    self.provider.rotate()
                    new = self.provider.client_token(f"orders-{algorithm.lower()}")
                    self.assertNotEqual(header(old)["kid"], header(new)["kid"])
                    self.assertEqual(("allow", "policy"), self.outcome(authorizer.ask(new, now=now + 12)))
                    self.assertEqual(("unauthorized", "unknown_key"), self.outcome(authorizer.ask(old, now=now + 12)))
                now += 20

    def test_whatever_key_a_token_names_the_provider_is_not_asked_again_at_once(self):
        now = int(time.time()) + 60
        with Batch(self.bundle) as authorizer:
            token = self.provider.client_token("orders-es256")
            self.assertEqual(("allow", "policy"), self.outcome(authorizer.ask(token, now=now + 1)))
            self.provider.rotate()
            token = self.provider.client_token("orders-es256")
            self.assertEqual(("unauthorized", "unknown_key"), self.outcome(authorizer.ask(token, now=now + 10)))
            self.assertEqual(("allow", "policy"), self.outcome(authorizer.ask(token, now=now + 11)))

    def test_a_dead_provider_refuses_nobody_before_its_keys_are_too_old(self):
        now = int(time.time())
        token = self.provider.client_token("orders-es256")
        with Batch(self.bundle) as authorizer:
            self.assertEqual(("allow", "policy"), self.outcome(authorizer.ask(token, now=now + 60)))
            self.provider.stop()
            self.assertEqual(("allow", "policy"), self.outcome(authorizer.ask(token, now=now + 299)))
            with Batch(self.bundle) as cold:
                self.assertEqual(("fault", "keys_unavailable"), self.outcome(cold.ask(token, now=now + 299)))
        code, said = self.bundle.probe("rotating")
        self.assertEqual((2, "not-asked"), (code, said["verdict"]), said)
        said = self.bundle.inspect(token)
        self.refused("keys_unavailable", said)
        self.assertIn("no connection", said["help"])


class Cognito(Case):
    @classmethod
    def setUpClass(cls):
        cls.acme, cls.globex = Suite.acme, Suite.globex
        cls.bundle = Bundle()
        cls.bundle.trust_pool(cls.acme, "--role", "clerk", "--role", "auditor")
        cls.bundle.trust_pool(cls.globex, "--role", "auditor")
        cls.alice, cls.bob = cls.acme.tokens("alice"), cls.globex.tokens("bob")

    def test_each_pool_speaks_for_its_own_people_and_confers_what_it_may(self):
        self.accepted(self.bundle.inspect(self.alice["AccessToken"]), id=f"acme-pool|{self.acme.subject('alice')}",
                      kind="User", tenant="acme", roles=["clerk"], refused_roles=["admin"],
                      scopes=["aws.cognito.signin.user.admin"])
        self.accepted(self.bundle.inspect(self.bob["AccessToken"]), id=f"globex-pool|{self.globex.subject('bob')}",
                      kind="User", tenant="globex", roles=["auditor"], refused_roles=["clerk"])

    def test_an_id_token_opens_no_api(self):
        for token in (self.alice["IdToken"], self.bob["IdToken"]):
            self.refused("wrong_token_use", self.bundle.inspect(token))

    def test_where_id_tokens_are_wanted_access_tokens_are_not(self):
        bundle = Bundle()
        bundle.trust_pool(self.acme, "--token-use", "id", "--role", "clerk", "--claim", "department=custom:department")
        self.accepted(bundle.inspect(self.alice["IdToken"]), kind="User", tenant="acme", roles=["clerk"])
        self.refused("wrong_token_use", bundle.inspect(self.alice["AccessToken"]))

    def test_a_pool_that_nobody_added_is_not_trusted(self):
        bundle = Bundle()
        bundle.trust_pool(self.acme, "--role", "clerk")
        self.accepted(bundle.inspect(self.alice["AccessToken"]), roles=["clerk"])
        said = bundle.inspect(self.bob["AccessToken"])
        self.refused("unknown_issuer", said)
        self.assertIn(f"issuer add --name NAME --provider cognito --pool {self.globex.id}", said["help"])

    def test_another_app_client_is_not_ours(self):
        token = self.acme.tokens("alice", self.acme.new_client("another"))["AccessToken"]
        said = self.bundle.inspect(token)
        self.refused("wrong_audience", said)
        self.assertIn(self.acme.client, said["help"])

    def test_a_pool_s_keys_verify_no_other_pool_s_tokens(self):
        bundle = Bundle()
        bundle.trust_pool(self.acme, "--role", "clerk", keys=self.globex)
        self.refused("unknown_key", bundle.inspect(self.alice["AccessToken"]))

    def test_a_pool_cannot_sign_for_another(self):
        theirs, ours = header(self.bob["AccessToken"])["kid"], header(self.alice["AccessToken"])["kid"]
        claims = json.loads(base64.urlsafe_b64decode(self.alice["AccessToken"].split(".")[1] + "=="))
        for kid, reason in ((theirs, "unknown_key"), (ours, "bad_signature"), (None, "unknown_key")):
            with self.subTest(kid=kid):
                self.refused(reason, self.bundle.inspect(forge(claims, kid, self.globex.private_key())))
        self.accepted(self.bundle.inspect(forge(claims, ours, self.acme.private_key())), tenant="acme")

    def test_policies_decide_by_groups(self):
        with Batch(self.bundle) as authorizer:
            for token, method, outcome in (
                (self.alice, "GET/orders", "allow"), (self.alice, "POST/orders", "allow"),
                (self.alice, "GET/admin/reports", "deny"),
                (self.bob, "GET/orders", "allow"), (self.bob, "POST/orders", "deny"),
            ):
                with self.subTest(method=method, outcome=outcome):
                    answer = authorizer.ask(token["AccessToken"], method)
                    self.assertEqual(outcome, answer["outcome"], answer)

    def test_a_probe_finds_both_keys_of_a_pool(self):
        code, said = self.bundle.probe("acme-pool")
        self.assertEqual((0, "usable"), (code, said["verdict"]), said)
        self.assertEqual({header(token)["kid"] for token in (self.alice["AccessToken"], self.alice["IdToken"])},
                         {key["kid"] for key in said["found"]["keys"]})


if __name__ == "__main__":
    unittest.main(verbosity=2)
