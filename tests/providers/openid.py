"""The OpenID provider of provider.mjs: started, signed in to, its keys rotated."""

import base64
import hashlib
import http.cookiejar
import json
import os
import secrets
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

SECRET = "not-a-secret-of-anybody"
ORDERS, INVOICES, PARTNER, REPORTS = "urn:orders-api", "urn:invoices-api", "urn:partner-api", "urn:reports-api"

# What the provider shares with the authorizer, by the names under which issuer files look for it.
SHARED = {
    "SHARED_SECRET": secrets.token_hex(32),
    "INTROSPECTION_SECRET": secrets.token_hex(16),
}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class OpenIdProvider:
    """The running provider."""

    def __init__(self, script: Path, scratch: Path):
        self.script, self.log, self.port = script, scratch / "provider.log", free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["node", self.script, str(self.port)], env={"PATH": os.environ["PATH"]} | SHARED, cwd=self.script.parent,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.metadata()
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"the provider did not start:\n{self.log.read_text(errors='replace')[-4000:]}")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=10)

    def metadata(self) -> dict:
        return self.get("/.well-known/openid-configuration")

    def keys(self) -> list[dict]:
        return self.get("/jwks")["keys"]

    def rotate(self) -> None:
        """New keys in place of all that it has, at once."""
        self.post("/rotate", {})

    def user_tokens(self, person: str, client: str, resource: str = ORDERS, scope: str = "orders:read") -> dict:
        """Access and ID token of a person who signs in (authorization code with PKCE)."""
        verifier = secrets.token_urlsafe(32)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        redirect = f"{self.issuer}/signed-in"
        question = {
            "client_id": client, "redirect_uri": redirect, "response_type": "code", "resource": resource,
            "scope": f"openid {scope}", "login_hint": person, "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
        try:
            with browser.open(f"{self.issuer}/auth?{urllib.parse.urlencode(question)}", timeout=30) as answer:
                end = answer.url
        except urllib.error.HTTPError as nothing_there:
            end = nothing_there.url
        code = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(end).query)).get("code")
        if code is None:
            raise RuntimeError(f"{person} is not signed in: {end}")
        return self.post("/token", {
            "grant_type": "authorization_code", "code": code, "redirect_uri": redirect, "code_verifier": verifier,
            "resource": resource,
        }, client)

    def client_token(self, client: str, resource: str = ORDERS, scope: str = "orders:read") -> str:
        """Access token of a client by itself (client credentials)."""
        form = {"grant_type": "client_credentials", "resource": resource, "scope": scope}
        return self.post("/token", form, client)["access_token"]

    def revoke(self, token: str, client: str) -> None:
        self.post("/token/revocation", {"token": token}, client)

    def get(self, path: str) -> dict:
        with urllib.request.urlopen(self.issuer + path, timeout=30) as answer:
            return json.load(answer)

    def post(self, path: str, form: dict, client: str | None = None) -> dict:
        headers = {}
        if client is not None:
            headers["Authorization"] = "Basic " + base64.b64encode(f"{client}:{SECRET}".encode()).decode()
        body = urllib.parse.urlencode(form).encode()
        request = urllib.request.Request(self.issuer + path, body, headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or "null")
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"POST {path}: {error.code} {error.read().decode(errors='replace')}") from None
