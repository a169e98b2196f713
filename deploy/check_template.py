"""Checks deploy/template.yaml as CloudFormation will see it: after the SAM transform.

What cfn-lint and `sam validate` cannot know: that no route is without the authorizer but a preflight, that refusals
carry CORS headers and the deny message, and that the template and schema/ say the same about TTL, identity sources
and routes. Needs aws-sam-translator; asks no AWS account.
"""

import json
import os
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "deploy" / "template.yaml"

# The transform asks boto for a region, and no call is made with it.
os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")

# The template's resource for each API that schema/authorizer.toml names.
RESOURCES = {"orders-rest": "OrdersRest", "orders-request": "OrdersRequest", "orders-http": "OrdersHttp"}


def expand(template: Path = TEMPLATE) -> dict:
    """The template's CloudFormation form; the function's code is a placeholder, it need not be built."""
    import logging

    from samtranslator.translator.transform import transform
    from samtranslator.yaml_helper import yaml_parse

    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    # The round trip gives each YAML alias its own copy, as `sam package` writes it: the transform changes in place.
    source = json.loads(json.dumps(yaml_parse(template.read_text())))
    for resource in source["Resources"].values():
        if "CodeUri" in resource.get("Properties", {}):
            resource["Properties"]["CodeUri"] = "s3://placeholder/placeholder"
    return transform(source, {}, SimpleNamespace(load=lambda: {}))


def operations(body: dict):
    """Each (path, verb, operation) of an OpenAPI document; ANY for any-method."""
    for path, item in body["paths"].items():
        for verb, operation in item.items():
            yield path, {"x-amazon-apigateway-any-method": "ANY"}.get(verb, verb.upper()), operation


def authorizers(body: dict) -> dict:
    """The security schemes of an OpenAPI 2 or 3 document."""
    return body.get("securityDefinitions") or body["components"]["securitySchemes"]


def route_findings(name: str, body: dict):
    schemes = authorizers(body)
    for path, verb, operation in operations(body):
        named = [scheme for entry in operation.get("security", []) for scheme in entry]
        guarded = named != [] and all(scheme in schemes for scheme in named)
        if verb == "OPTIONS" and guarded:
            yield f"{name}: `OPTIONS {path}` has an authorizer; browsers send preflights without credentials"
        if verb != "OPTIONS" and not guarded:
            yield f"{name}: `{verb} {path}` has no authorizer"


def refusal_findings(name: str, body: dict):
    responses = body.get("x-amazon-apigateway-gateway-responses", {})
    for kind in ("UNAUTHORIZED", "ACCESS_DENIED", "DEFAULT_4XX", "DEFAULT_5XX"):
        if "gatewayresponse.header.Access-Control-Allow-Origin" not in responses.get(kind, {}).get("responseParameters", {}):
            yield f"{name}: gateway response {kind} has no Access-Control-Allow-Origin"
    denied = responses.get("ACCESS_DENIED", {}).get("responseTemplates", {}).get("application/json", "")
    if "$context.authorizer.messageString" not in denied:
        yield f"{name}: gateway response ACCESS_DENIED does not carry the deny message"


def mapping_findings(name: str, body: dict):
    """A context value in a mapping template has to pass an escaping function: API Gateway does not escape it."""
    for path, verb, operation in operations(body):
        templates = operation["x-amazon-apigateway-integration"].get("requestTemplates", {})
        for text in templates.values():
            text = json.dumps(text)
            for part in text.split("$context.authorizer.")[:-1]:
                if not part.endswith(("$util.urlEncode(", "$util.escapeJavaScript(", "$util.base64Encode(")):
                    yield f"{name}: `{verb} {path}` puts an authorizer value into a mapping template unescaped"


def listed_routes(body: dict) -> set[str]:
    """What the template lists one by one: without preflights and the greedy rest."""
    return {f"{verb} {path}" for path, verb, _ in operations(body) if verb != "OPTIONS" and path != "/{proxy+}"}


def findings(template: dict, schema: Path):
    bodies = {name: template["Resources"][resource]["Properties"]["Body"] for name, resource in RESOURCES.items()}
    for name, body in bodies.items():
        yield from route_findings(name, body)
        yield from mapping_findings(name, body)
        if name != "orders-http":
            yield from refusal_findings(name, body)

    routes = tomllib.loads((schema / "routes.toml").read_text())
    known = {f"{method} {route['path']}" for route in routes["route"] for method in route["methods"]}
    for name, body in bodies.items():
        for route in sorted(listed_routes(body) - known):
            yield f"{name}: `{route}` is not in schema/routes.toml"
        if name != "orders-rest":
            for route in sorted(known - listed_routes(body)):
                yield f"{name}: `{route}` of schema/routes.toml is not in the template"

    deployment = tomllib.loads((schema / "authorizer.toml").read_text())
    if sorted(api["name"] for api in deployment["api"]) != sorted(RESOURCES):
        yield f"schema/authorizer.toml does not name the APIs {', '.join(RESOURCES)} and no other"
        return
    for api in deployment["api"]:
        body = bodies[api["name"]]
        if api["kind"] == "rest" and api["resource_policy"] != ("x-amazon-apigateway-policy" in body):
            yield f"{api['name']}: authorizer.toml says resource_policy = {str(api['resource_policy']).lower()}, the template differs"
        for scheme in authorizers(body).values():
            yield from authorizer_findings(api, scheme, scheme["x-amazon-apigateway-authorizer"])


def plain(source: str) -> str:
    return source.strip().removeprefix("method.request.").removeprefix("$request.").removeprefix("$")


def authorizer_findings(api: dict, scheme: dict, authorizer: dict):
    """Where an [[api]] of authorizer.toml and an authorizer of the template disagree."""
    ttl, stated = authorizer["authorizerResultTtlInSeconds"], api["result_ttl_seconds"]
    if ttl != stated:
        yield f"{api['name']}: the template caches for {ttl} s, authorizer.toml says {stated} s"
    # REST spells a source `method.request.header.X`, in one comma-separated text; HTTP `$request.header.X`, in a list.
    sources = authorizer.get("identitySource", f"method.request.header.{scheme['name']}")
    sources = sources.split(",") if isinstance(sources, str) else sources
    found = sorted(plain(source) for source in sources)
    written = api.get("identity_sources", [f"header.{source['header']}" for source in api["token"]])
    wanted = sorted(plain(source) for source in written)
    if found != wanted:
        yield f"{api['name']}: the template's identity sources are {found}, authorizer.toml's {wanted}"
    if authorizer.get("enableSimpleResponses", False) != (api.get("response") == "simple"):
        yield f"{api['name']}: authorizer.toml and the template differ in simple responses"


def main() -> int:
    found = list(findings(expand(), ROOT / "schema"))
    for finding in found:
        print(f"deploy/template.yaml: {finding}", file=sys.stderr)
    print(f"deploy/template.yaml: {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
