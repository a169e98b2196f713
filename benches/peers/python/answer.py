"""What the authorizers in Python have in common: the words of a request, and the answer."""

import json
import os
from pathlib import Path

WORKLOAD = Path(os.environ["PEERS_WORKLOAD"])


def workload(name):
    return (WORKLOAD / name).read_text(encoding="utf-8")


def bearer(event):
    header = event["headers"].get("Authorization", "")
    if not header.startswith("Bearer "):
        raise unauthorized()
    return header[len("Bearer "):]


def unauthorized():
    """What API Gateway answers with 401."""
    return Exception("Unauthorized")


def answer(event, sub, allowed, context):
    return {
        "principalId": sub,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{
                "Action": "execute-api:Invoke",
                "Effect": "Allow" if allowed else "Deny",
                "Resource": event["methodArn"],
            }],
        },
        "context": context,
    }


def context_of(claims):
    return {"tenant": claims["custom:tenant"], "roles": json.dumps(claims.get("cognito:groups", []))}
