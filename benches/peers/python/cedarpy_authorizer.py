"""PyJWT and cedarpy: keys and policies are parsed once, the entities of an operation at its first request."""

import functools
import json

import cedarpy
import jwt

from answer import answer, bearer, context_of, unauthorized, workload

SETTINGS = json.loads(workload("settings.json"))
KEYS = {key.key_id: key for key in jwt.PyJWKSet.from_json(workload("jwks.json")).keys}
POLICIES = cedarpy.PolicySet.from_str(workload("cedar/policies.cedar"))
OPERATIONS = json.loads(workload("cedar/operations.json"))


@functools.cache
def entities_of(operation):
    """A base that stays; only the caller's entity is added for a request."""
    return cedarpy.Entities.from_json_str(json.dumps(OPERATIONS[operation]))


def verified(token):
    """The claims of an access token of ours. Cognito's have no `aud`: their client is in `client_id`."""
    try:
        key = KEYS[jwt.get_unverified_header(token)["kid"]]
        claims = jwt.decode(token, key, algorithms=["RS256"], issuer=SETTINGS["issuer"],
                            options={"require": ["exp", "iss", "sub"]})
    except (jwt.InvalidTokenError, KeyError):
        raise unauthorized() from None
    if claims.get("client_id") != SETTINGS["client"] or claims.get("token_use") != "access":
        raise unauthorized()
    return claims


def lambda_handler(event, _context):
    claims = verified(bearer(event))
    allowed = False
    operation = f"{event['httpMethod']} {event['resource']}"
    if operation in OPERATIONS:
        user = {"type": "User", "id": claims["sub"]}
        entity = {
            "uid": user,
            "attrs": {"sub": claims["sub"], "claims": {"tenant": claims["custom:tenant"]}},
            "parents": [{"type": "Role", "id": group} for group in claims.get("cognito:groups", [])],
        }
        request = {
            "principal": user,
            "action": {"type": "Action", "id": operation},
            "resource": {"type": "Route", "id": event["resource"]},
            "context": {"params": event["pathParameters"]},
        }
        allowed = cedarpy.is_authorized(
            request, POLICIES, entities_of(operation).with_added_json_str(json.dumps([entity]))).allowed
    return answer(event, claims["sub"], allowed, context_of(claims))
