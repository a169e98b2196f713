"""deploy/template.yaml on a local gateway: ministack emulates API Gateway, Lambda and SQS in one process.

What stands in the template (routes, authorizers, integrations, mapping templates, gateway responses, CORS) is created
through the AWS API calls that CloudFormation would make, because the emulator's own OpenAPI import leaves out part of it.
"""

import io
import json
import re
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy"))

from check_template import authorizers, expand, operations  # noqa: E402
from emulator import REGION, Emulator  # noqa: E402

ACCOUNT = "000000000000"
STAGE = "prod"
ORIGIN = "https://app.example.com"


def resolve(value, known: dict):
    """An intrinsic function's value, as far as the template uses them."""
    if isinstance(value, list):
        return [resolve(item, known) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        (function, argument), = value.items()
        if function == "Ref":
            return known[argument]
        if function == "Fn::GetAtt":
            return known[argument if isinstance(argument, str) else ".".join(argument)]
        if function == "Fn::Join":
            return argument[0].join(resolve(argument[1], known))
        if function == "Fn::Sub":
            text, local = argument if isinstance(argument, list) else (argument, {})
            names = {**known, **{name: resolve(item, known) for name, item in local.items()}}
            return re.sub(r"\$\{([^}!]+)\}", lambda match: names[match.group(1)], text)
    return {key: resolve(item, known) for key, item in value.items()}


def package(files: dict[str, bytes], executable: tuple[str, ...] = ()) -> bytes:
    """A function's deployment package."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o755 if name in executable else 0o644) << 16
            archive.writestr(info, content, compress_type=zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


class Stack:
    """The template's three APIs, queue and backend, and one authorizer function.

    `authorizer_zip` makes the package once the ids of the APIs are known: authorizer.toml names them.
    """

    def __init__(self, emulator: Emulator, name: str, authorizer_zip):
        self.emulator, self.name = emulator, name
        self.template = expand()["Resources"]
        self.known = {
            "AWS::Partition": "aws", "AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "AWS::URLSuffix": "amazonaws.com", "AWS::StackName": name,
            "StageName": STAGE, "AllowedOrigin": ORIGIN, "QueueWriterRole.Arn": f"arn:aws:iam::{ACCOUNT}:role/queue-writer",
        }
        self.rest, self.http = emulator.client("apigateway"), emulator.client("apigatewayv2")
        self.functions, self.queues = emulator.client("lambda"), emulator.client("sqs")
        self.create_queue()
        self.create_apis()
        self.create_function("BackendFunction", self.backend_package())
        self.create_function("AuthorizerFunction", authorizer_zip(self.ids))
        self.create_alias()
        for resource in ("OrdersRest", "OrdersRequest"):
            self.fill_rest_api(resource)
        self.fill_http_api("OrdersHttp")

    def properties(self, resource: str) -> dict:
        return self.template[resource]["Properties"]

    def body(self, resource: str) -> dict:
        return resolve(self.properties(resource)["Body"], self.known)

    def create_queue(self) -> None:
        name = f"{self.name}-orders"
        self.queue_url = self.queues.create_queue(QueueName=name)["QueueUrl"]
        self.known |= {"OrdersQueue": self.queue_url, "OrdersQueue.QueueName": name}

    def create_apis(self) -> None:
        """Ids first, contents later: the authorizer's package names the ids."""
        for resource in ("OrdersRest", "OrdersRequest"):
            self.known[resource] = self.rest.create_rest_api(name=self.properties(resource)["Name"])["id"]
        cors = resolve(self.properties("OrdersHttp")["Body"]["x-amazon-apigateway-cors"], self.known)
        self.known["OrdersHttp"] = self.http.create_api(
            Name="orders-http", ProtocolType="HTTP",
            CorsConfiguration={key[0].upper() + key[1:]: item for key, item in cors.items()},
        )["ApiId"]
        self.ids = {name: self.known[resource] for name, resource in
                    (("orders-rest", "OrdersRest"), ("orders-request", "OrdersRequest"), ("orders-http", "OrdersHttp"))}

    def backend_package(self) -> bytes:
        return package({"index.py": self.properties("BackendFunction")["Code"]["ZipFile"].encode()})

    def create_function(self, resource: str, code: bytes) -> None:
        properties = self.properties(resource)
        function = self.functions.create_function(
            FunctionName=f"{self.name}-{resource}", Runtime=properties["Runtime"], Handler=properties["Handler"],
            Role=f"arn:aws:iam::{ACCOUNT}:role/function", Code={"ZipFile": code}, MemorySize=properties.get("MemorySize", 128),
            Timeout=properties["Timeout"], Environment=resolve(properties["Environment"], self.known),
        )
        self.known |= {resource: function["FunctionName"], f"{resource}.Arn": function["FunctionArn"]}

    def create_alias(self) -> None:
        name = self.known["AuthorizerFunction"]
        version = self.functions.publish_version(FunctionName=name)["Version"]
        alias = self.functions.create_alias(FunctionName=name, Name="live", FunctionVersion=version)
        self.known["AuthorizerFunctionAliaslive"] = alias["AliasArn"]

    # --- REST ---------------------------------------------------------------------------------------------------

    def fill_rest_api(self, resource: str) -> None:
        api, body = self.known[resource], self.body(resource)
        schemes = {name: self.rest_authorizer(api, name, scheme) for name, scheme in authorizers(body).items()}
        (root,) = self.rest.get_resources(restApiId=api)["items"]
        resources = {"": root["id"]}
        for path, verb, operation in operations(body):
            at = self.rest_resource(api, resources, path)
            self.rest_method(api, at, verb, operation, schemes)
        for kind, response in body["x-amazon-apigateway-gateway-responses"].items():
            self.rest.put_gateway_response(restApiId=api, responseType=kind, **response)
        self.rest.create_deployment(restApiId=api, stageName=STAGE)

    def rest_authorizer(self, api: str, name: str, scheme: dict) -> str:
        of = scheme["x-amazon-apigateway-authorizer"]
        return self.rest.create_authorizer(
            restApiId=api, name=name, type=of["type"].upper(), authorizerUri=of["authorizerUri"],
            identitySource=of.get("identitySource", f"method.request.header.{scheme['name']}"),
            identityValidationExpression=of.get("identityValidationExpression", ""),
            authorizerResultTtlInSeconds=of["authorizerResultTtlInSeconds"],
        )["id"]

    def rest_resource(self, api: str, resources: dict[str, str], path: str) -> str:
        at = ""
        for segment in path.strip("/").split("/"):
            parent, at = at, f"{at}/{segment}"
            if at not in resources:
                made = self.rest.create_resource(restApiId=api, parentId=resources[parent], pathPart=segment)
                resources[at] = made["id"]
        return resources[at]

    def rest_method(self, api: str, resource: str, verb: str, operation: dict, schemes: dict[str, str]) -> None:
        method = {"restApiId": api, "resourceId": resource, "httpMethod": verb}
        guards = [schemes[name] for entry in operation.get("security", []) for name in entry]
        guarded = {"authorizationType": "CUSTOM", "authorizerId": guards[0]} if guards else {"authorizationType": "NONE"}
        self.rest.put_method(**method, **guarded)
        integration = operation["x-amazon-apigateway-integration"]
        optional = {to: integration[key] for key, to in (
            ("httpMethod", "integrationHttpMethod"), ("uri", "uri"), ("credentials", "credentials"),
            ("requestParameters", "requestParameters"), ("requestTemplates", "requestTemplates"),
            ("passthroughBehavior", "passthroughBehavior"),
        ) if key in integration}
        self.rest.put_integration(**method, type=integration["type"].upper(), **optional)
        for pattern, response in integration.get("responses", {}).items():
            selection = {} if pattern == "default" else {"selectionPattern": pattern}
            parameters = response.get("responseParameters", {})
            self.rest.put_method_response(
                **method, statusCode=response["statusCode"], responseParameters=dict.fromkeys(parameters, False))
            self.rest.put_integration_response(
                **method, statusCode=response["statusCode"], responseParameters=parameters,
                responseTemplates=response.get("responseTemplates", {}), **selection)

    # --- HTTP ---------------------------------------------------------------------------------------------------

    def fill_http_api(self, resource: str) -> None:
        api, body = self.known[resource], self.body(resource)
        schemes = {}
        for name, scheme in authorizers(body).items():
            of = scheme["x-amazon-apigateway-authorizer"]
            schemes[name] = self.http.create_authorizer(
                ApiId=api, Name=name, AuthorizerType="REQUEST", AuthorizerUri=of["authorizerUri"],
                IdentitySource=of["identitySource"], AuthorizerPayloadFormatVersion=of["authorizerPayloadFormatVersion"],
                EnableSimpleResponses=of["enableSimpleResponses"],
                AuthorizerResultTtlInSeconds=of["authorizerResultTtlInSeconds"],
            )["AuthorizerId"]
        for path, verb, operation in operations(body):
            integration = operation["x-amazon-apigateway-integration"]
            made = self.http.create_integration(
                ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=integration["uri"],
                PayloadFormatVersion=integration["payloadFormatVersion"])
            guards = [schemes[name] for entry in operation.get("security", []) for name in entry if name in schemes]
            guarded = {"AuthorizationType": "CUSTOM", "AuthorizerId": guards[0]} if guards else {}
            self.http.create_route(
                ApiId=api, RouteKey=f"{verb} {path}", Target=f"integrations/{made['IntegrationId']}", **guarded)
        self.http.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)

    # --- Requests -----------------------------------------------------------------------------------------------

    def send(self, api: str, verb: str, path: str, token: str | None = None, body: str | None = None):
        """A request to one of the three APIs as a browser on ORIGIN sends it."""
        headers = {"Origin": ORIGIN} | ({"Authorization": f"Bearer {token}"} if token else {})
        if body is not None:
            headers["Content-Type"] = "application/json"
        if verb == "OPTIONS":
            headers["Access-Control-Request-Method"] = "GET"
        stage = "" if api == "orders-http" else f"/{STAGE}"
        return self.emulator.send(verb, f"/_aws/execute-api/{self.ids[api]}{stage}{path}", headers, body)

    def queued(self) -> list[dict]:
        """The messages in the orders queue, taken out of it."""
        answer = self.queues.receive_message(
            QueueUrl=self.queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=0, MessageAttributeNames=["All"])
        for message in answer.get("Messages", []):
            self.queues.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
        return [{"body": json.loads(message["Body"]),
                 **{name: held["StringValue"] for name, held in message["MessageAttributes"].items()}}
                for message in answer.get("Messages", [])]
