"""User pools of an emulated Cognito. Their tokens carry the `iss` of the real service, and each pool has its own keys."""

import base64
import json
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from emulator import REGION, Emulator

PASSWORD = "Correct-horse-1"


class UserPool:
    """A pool with one app client."""

    def __init__(self, emulator: Emulator, scratch: Path, name: str):
        self.emulator, self.scratch, self.name = emulator, scratch, name
        self.cognito = emulator.client("cognito-idp")
        pool = self.cognito.create_user_pool(PoolName=name, Schema=[
            {"Name": "department", "AttributeDataType": "String", "Mutable": True},
        ])
        self.id = pool["UserPool"]["Id"]
        self.issuer = f"https://cognito-idp.{REGION}.amazonaws.com/{self.id}"
        self.keys_url = f"{emulator.endpoint}/{self.id}/.well-known/jwks.json"
        self.client = self.new_client("orders")

    def new_client(self, name: str) -> str:
        made = self.cognito.create_user_pool_client(
            UserPoolId=self.id, ClientName=name, ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH"])
        return made["UserPoolClient"]["ClientId"]

    def add_group(self, name: str) -> None:
        self.cognito.create_group(UserPoolId=self.id, GroupName=name)

    def add_user(self, name: str, groups: tuple[str, ...] = (), **attributes: str) -> None:
        self.cognito.admin_create_user(
            UserPoolId=self.id, Username=name, MessageAction="SUPPRESS",
            UserAttributes=[{"Name": key, "Value": value} for key, value in attributes.items()])
        self.cognito.admin_set_user_password(UserPoolId=self.id, Username=name, Password=PASSWORD, Permanent=True)
        for group in groups:
            self.cognito.admin_add_user_to_group(UserPoolId=self.id, Username=name, GroupName=group)

    def subject(self, name: str) -> str:
        user = self.cognito.admin_get_user(UserPoolId=self.id, Username=name)
        return next(held["Value"] for held in user["UserAttributes"] if held["Name"] == "sub")

    def tokens(self, name: str, client: str | None = None) -> dict[str, str]:
        """AccessToken and IdToken of a user who signs in."""
        answer = self.cognito.initiate_auth(
            AuthFlow="USER_PASSWORD_AUTH", ClientId=client or self.client,
            AuthParameters={"USERNAME": name, "PASSWORD": PASSWORD})
        return answer["AuthenticationResult"]

    def private_key(self):
        """The key that the pool signs access tokens with, where the emulator keeps it."""
        path = self.scratch / "state" / "cognito-pool-keys" / f"{self.id}-access.pem"
        return load_pem_private_key(path.read_bytes(), password=None)


def forge(claims: dict, kid: str | None, key) -> str:
    """A token as the emulator makes them, with claims and `kid` of one's own."""
    named = {"alg": "RS256"} | ({"kid": kid} if kid else {})
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (named, claims)]
    signature = base64.urlsafe_b64encode(key.sign(b".".join(parts), PKCS1v15(), SHA256())).rstrip(b"=")
    return b".".join([*parts, signature]).decode()
