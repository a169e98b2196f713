"""Cedarling: it verifies the token and decides; the policies read the token's claims as tags."""

import base64
import json
import os

from cedarling_python import (
    AuthorizeMultiIssuerRequest,
    BootstrapConfig,
    Cedarling,
    EntityData,
    TokenInput,
)

from answer import WORKLOAD, answer, bearer, context_of, unauthorized

CEDARLING = Cedarling(BootstrapConfig({
    "CEDARLING_APPLICATION_NAME": "peers",
    "CEDARLING_POLICY_STORE_LOCAL_FN": os.environ.get("PEERS_CEDARLING_STORE", str(WORKLOAD / "cedarling")),
    "CEDARLING_LOG_TYPE": "off",
    "CEDARLING_JWT_SIG_VALIDATION": "enabled",
    "CEDARLING_JWT_STATUS_VALIDATION": "disabled",
    "CEDARLING_JWT_SIGNATURE_ALGORITHMS_SUPPORTED": ["RS256"],
}))
OPERATIONS = set(json.loads((WORKLOAD / "cedar/operations.json").read_text(encoding="utf-8")))


def claims_of(token):
    """The claims that the answer states: Cedarling gives back a decision, not what the token says."""
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def lambda_handler(event, _context):
    token = bearer(event)
    operation = f"{event['httpMethod']} {event['resource']}"
    if operation not in OPERATIONS:
        return answer(event, "nobody", False, {})
    resource = {
        "cedar_entity_mapping": {"entity_type": "Api::Route", "id": event["resource"]},
        **{name: value for name, value in event["pathParameters"].items() if name != "id"},
    }
    try:
        result = CEDARLING.authorize_multi_issuer(AuthorizeMultiIssuerRequest(
            tokens=[TokenInput(mapping="Pool::Access_token", payload=token)],
            action=f"Api::Action::{json.dumps(operation)}",
            resource=EntityData.from_dict(resource),
            context={},
        ))
    except Exception as error:
        # No token is left: it was not believed.
        if os.environ.get("PEERS_DEBUG"):
            print(type(error), error)
        raise unauthorized() from None
    if result.dropped_tokens():
        raise unauthorized()
    claims = claims_of(token)
    return answer(event, claims["sub"], result.is_allowed(), context_of(claims))
