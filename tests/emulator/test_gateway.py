"""The real `bootstrap` behind an API gateway: HTTP request → gateway → bootstrap → backend.

    python tests/emulator/test_gateway.py

deploys deploy/template.yaml twice on a local emulator (see gateway.py), once with the bundle of this repository and
once with a damaged one, and asks the three APIs. An emulator is no oracle: what it answers on AWS's behalf (401
without a token, the wording of refusals) is asserted only where it follows from our template and our documents.

Environment: BOOTSTRAP, CEDAR_GATE: the two binaries (default: target/debug/).
"""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from emulator import Emulator
from gateway import ACCOUNT, ORIGIN, ROOT, STAGE, Stack, package

BOOTSTRAP = Path(os.environ.get("BOOTSTRAP", ROOT / "target" / "debug" / "bootstrap"))
CEDAR_GATE = Path(os.environ.get("CEDAR_GATE", ROOT / "target" / "debug" / "cedar-gate"))

# The whole run takes well under a minute; past this something hangs.
LIMIT_SECONDS = 300

REST_APIS = ("orders-rest", "orders-request")
ALL_APIS = (*REST_APIS, "orders-http")


def mint(*claims: str) -> str:
    """A token of the development issuer."""
    minted = subprocess.run(
        [CEDAR_GATE, "token", "mint", "--issuer", "dev", "--tenant", "acme", *claims], cwd=ROOT, timeout=30,
        capture_output=True, text=True, env={"PATH": os.environ["PATH"], "CEDAR_GATE_HOME": str(Suite.scratch)},
    )
    if minted.returncode != 0:
        raise RuntimeError(f"`cedar-gate token mint {' '.join(claims)}` failed: {minted.stderr}")
    return minted.stdout.strip()


def with_ids(authorizer_toml: str, ids: dict[str, str]) -> str:
    """authorizer.toml as one fills it in after the first deployment: this gateway's account, ids and stages."""
    head, *apis = re.split(r"(?m)^(?=\[\[api\]\])", authorizer_toml)
    filled = []
    for api in apis:
        name = re.search(r'(?m)^name\s*=\s*"([^"]+)"', api).group(1)
        stage = "$default" if name == "orders-http" else STAGE
        for key, value in (("account", f'"{ACCOUNT}"'), ("id", f'"{ids[name]}"'), ("stages", f'["{stage}"]')):
            api, replaced = re.subn(rf"(?m)^{key}\s*=.*$", lambda _: f"{key} = {value}", api)  # noqa: B023
            if replaced != 1:
                raise RuntimeError(f"schema/authorizer.toml: api `{name}` has {replaced} lines `{key} = …`, not one")
        filled.append(api)
    return head + "".join(filled)


def built_bundle(ids: dict[str, str]) -> bytes:
    """The bundle of policies/ and schema/ as they are in this repository, but for the ids, as it is released."""
    with tempfile.TemporaryDirectory(dir=Suite.scratch) as folder:
        folder = Path(folder)
        for part in ("policies", "schema"):
            shutil.copytree(ROOT / part, folder / part)
        settings = folder / "schema/authorizer.toml"
        settings.write_text(with_ids(settings.read_text(), ids))
        # The function runs elsewhere than the command line that mints: its bundle pins the public key.
        issuer = folder / "policies/issuers/dev.toml"
        text, count = re.subn('keys *= *"development"', 'keys = { file = "dev.jwks.json" }', issuer.read_text())
        assert count == 1, "policies/issuers/dev.toml no longer says keys = \"development\""
        issuer.write_text(text)
        (folder / "policies/issuers/dev.jwks.json").write_bytes(public_keys())
        built = folder / "bundle.cgb"
        subprocess.run([CEDAR_GATE, "--bundle", folder, "bundle", "build", "--out", built], check=True, timeout=30)
        return built.read_bytes()


def public_keys() -> bytes:
    """The public half of the development key that `token mint` makes on first use."""
    mint("--sub", "nobody")
    return (Suite.scratch / "development.jwks.json").read_bytes()


def good_package(ids: dict[str, str]) -> bytes:
    return package({"bootstrap": BOOTSTRAP.read_bytes(), "bundle.cgb": built_bundle(ids)}, executable=("bootstrap",))


def damaged_package(ids: dict[str, str]) -> bytes:
    """A bundle that cannot be opened: the function fails in its init phase, for every request."""
    files = {"bootstrap": BOOTSTRAP.read_bytes(), "bundle.cgb": built_bundle(ids) + b"\n"}
    return package(files, executable=("bootstrap",))


class Suite:
    """What all cases share."""

    scratch: Path
    emulator: Emulator
    stack: Stack
    damaged: Stack


def setUpModule():
    signal.alarm(LIMIT_SECONDS)
    Suite.scratch = Path(tempfile.mkdtemp(prefix="cedar-gate-emulator-"))
    unittest.addModuleCleanup(shutil.rmtree, Suite.scratch, ignore_errors=True)
    Suite.emulator = Emulator(Suite.scratch)
    unittest.addModuleCleanup(Suite.emulator.stop)
    Suite.stack = Stack(Suite.emulator, "good", good_package)
    Suite.damaged = Stack(Suite.emulator, "damaged", damaged_package)


class Gateway(unittest.TestCase):
    maxDiff = None

    def check(self, expected: int, api: str, verb: str, path: str, token: str | None = None, body: str | None = None,
              stack: Stack | None = None):
        """Status, and on REST the CORS header without which a browser hides the answer; gives headers and body."""
        status, headers, text = (stack or Suite.stack).send(api, verb, path, token, body)
        what = f"{verb} {path} on {api}"
        self.assertEqual(expected, status, f"{what}: {text}\n{Suite.emulator.log.read_text(errors='replace')[-1500:]}")
        # On an HTTP API the gateway adds the header itself, and the emulator does not to its own refusals.
        if api in REST_APIS:
            self.assertEqual(ORIGIN, headers.get("access-control-allow-origin"), f"{what}: {headers}")
        return headers, text


class Allowed(Gateway):
    def test_the_backend_sees_who_asks(self):
        token = mint("--sub", "alice", "--role", "clerk")
        for api in ALL_APIS:
            with self.subTest(api=api):
                _, text = self.check(200, api, "GET", "/orders/17", token)
                seen = json.loads(text)
                self.assertEqual(("GET", "/orders/17"), (seen["method"], seen["path"].removeprefix(f"/{STAGE}")))
                self.assertIn("alice", seen["authorizer"]["principal"])
                roles = seen["authorizer"]["roles"]
                self.assertEqual(["clerk"], roles if isinstance(roles, list) else json.loads(roles))
                self.assertTrue(seen["authorizer"]["policyVersion"])

    def test_an_integration_without_code_gets_the_roles(self):
        token = mint("--sub", "carol", "--role", "clerk")
        self.check(202, "orders-rest", "POST", "/orders", token, body='{"item":"a&b=c"}')
        (message,) = Suite.stack.queued()
        self.assertEqual({"item": "a&b=c"}, message["body"])
        self.assertEqual(["clerk"], json.loads(message["roles"]))
        self.assertIn("carol", message["principal"])

    def test_an_allow_of_one_route_opens_no_other(self):
        # Nor does a refusal close one: the gateway keeps the answers of `orders-request`.
        token = mint("--sub", "alice", "--role", "clerk")
        for api in ALL_APIS:
            with self.subTest(api=api):
                self.check(200, api, "GET", "/orders", token)
                self.check(403, api, "GET", "/admin/reports", token)
                self.check(200, api, "GET", "/orders", token)


class Refused(Gateway):
    def test_no_token_is_401(self):
        # On `orders-request` by the gateway alone, which has a result cache and so asks for its identity source.
        for api in ALL_APIS:
            with self.subTest(api=api):
                self.check(401, api, "GET", "/orders")

    def test_a_bad_token_is_401_where_unauthorized_is_an_error(self):
        for bad in self.bad_tokens():
            headers, text = self.check(401, "orders-rest", "GET", "/orders", bad)
            self.assertEqual({"message": "Unauthorized"}, json.loads(text))
            self.assertEqual("Bearer", headers.get("www-authenticate"))

    def test_a_bad_token_is_403_where_unauthorized_is_a_deny(self):
        for bad in self.bad_tokens():
            self.check(403, "orders-request", "GET", "/orders", bad)

    def test_a_bad_token_is_403_on_http(self):
        # A thrown `Unauthorized` is a 500 on an HTTP API; the explicit refusal of the simple form is a 403.
        for bad in self.bad_tokens():
            self.check(403, "orders-http", "GET", "/orders", bad)

    @staticmethod
    def bad_tokens():
        """A text that is no token, and a token with another signature."""
        signed, _, signature = mint("--sub", "alice", "--role", "clerk").rpartition(".")
        return "not.a.token", f"{signed}.{'A' * len(signature)}"

    def test_what_no_policy_permits_is_403(self):
        token = mint("--sub", "alice", "--role", "clerk")
        for api in ALL_APIS:
            with self.subTest(api=api):
                self.check(403, api, "DELETE", "/orders/17", token)
                self.check(403, api, "GET", "/nowhere/at/all", token)

    def test_a_wildcard_in_the_path_is_403(self):
        token = mint("--sub", "alice", "--role", "clerk")
        for api in ALL_APIS:
            with self.subTest(api=api):
                self.check(403, api, "GET", "/orders/*", token)

    def test_a_refused_order_does_not_reach_the_queue(self):
        self.check(403, "orders-rest", "POST", "/orders", mint("--sub", "nora", "--role", "auditor"), body='{"item":1}')
        self.assertEqual([], Suite.stack.queued())


class Unprotected(Gateway):
    def test_a_preflight_needs_no_token(self):
        for api in REST_APIS:
            with self.subTest(api=api):
                self.check(200, api, "OPTIONS", "/orders")
        self.check(204, "orders-http", "OPTIONS", "/orders")


class Failing(Gateway):
    def test_a_damaged_bundle_allows_nobody(self):
        token = mint("--sub", "alice", "--role", "clerk")
        for api in ALL_APIS:
            with self.subTest(api=api):
                self.check(500, api, "GET", "/orders", token, stack=Suite.damaged)


if __name__ == "__main__":
    unittest.main(verbosity=2)
