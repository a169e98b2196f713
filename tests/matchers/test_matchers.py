"""Documents of the authorizer, before evaluators of IAM documents that are not ours.

    python tests/matchers/test_matchers.py

asks each evaluator about the documents and requests that the oracle of the Rust tests was asked about (`cargo test`
leaves them in target/tmp), and about those of tests/oracle/documents.toml, and compares.

    iam-simulate         @cloud-copilot/iam-simulate from npm. AGPL-3.0-or-later: it runs as a program of its own, and
                         nothing of it is linked, copied or shipped.
    ministack gateway    what the emulator's REST API does with an authorizer's document. MIT.
    ministack IAM        what the emulator's other services do with a policy. MIT.

A form that an evaluator does not know is not put before it: see EVALUATORS. How many questions remain is asserted.

Environment: DOCUMENTS, the oracle's file; SIMULATE, simulate.mjs beside its node_modules (default:
target/ci/simulator/simulate.mjs).
"""

import json
import os
import subprocess
import sys
import tomllib
import unittest
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = Path(os.environ.get("DOCUMENTS", ROOT / "target" / "tmp" / "oracle-documents.json"))
SIMULATE = Path(os.environ.get("SIMULATE", ROOT / "target" / "ci" / "simulator" / "simulate.mjs")).resolve()

NOW = "2026-11-21T18:00:00Z"


@dataclass
class Case:
    """A document, and what it says of some requests: `Allow`, `Deny` or `Silent`."""

    about: str
    document: dict
    requests: dict[str, str]


def oracle_cases() -> list[Case]:
    samples = json.loads(DOCUMENTS.read_text(encoding="utf-8"))
    return [Case(about, sample["document"], sample["requests"]) for about, sample in samples.items()]


def written_cases() -> list[Case]:
    told = tomllib.loads((ROOT / "tests" / "oracle" / "documents.toml").read_text(encoding="utf-8"))
    assert told["now"] == NOW
    return [
        Case(case["about"], case["document"],
             {arn: effect for effect in ("Allow", "Deny", "Silent") for arn in case[effect.lower()]})
        for case in told["case"]
    ]


def patterns(document: dict) -> list[str]:
    return [
        pattern for statement in document["Statement"] for member in ("Resource", "NotResource")
        for pattern in statement.get(member, [])
    ]


def has_not_resource(document: dict) -> bool:
    return any("NotResource" in statement for statement in document["Statement"])


def has_condition(document: dict) -> bool:
    return any("Condition" in statement for statement in document["Statement"])


def has_escape(document: dict) -> bool:
    return any("${" in pattern for pattern in patterns(document))


@dataclass
class Evaluator:
    name: str
    # All cases at once: for each the effects, by ARN.
    evaluate: Callable[[list[Case]], list[dict[str, str]]]
    # Documents of a form that it reads as something else or not at all.
    unknown: tuple[Callable[[dict], bool], ...]
    # Requests of which that is true: their ARN has one of these texts in it.
    unknown_in_arn: tuple[str, ...] = ()

    def known(self, cases: list[Case]) -> list[Case]:
        """What can be put before it."""
        def asks(arn: str) -> bool:
            return not any(text in arn for text in self.unknown_in_arn)

        known = [case for case in cases if not any(form(case.document) for form in self.unknown)]
        asked = [Case(case.about, case.document, {arn: effect for arn, effect in case.requests.items() if asks(arn)})
                 for case in known]
        return [case for case in asked if case.requests]


def iam_simulate(cases: list[Case]) -> list[dict[str, str]]:
    questions = [{"document": case.document, "arns": list(case.requests), "now": NOW} for case in cases]
    ran = subprocess.run(["node", SIMULATE], input=json.dumps(questions), capture_output=True, text=True, timeout=300)
    if ran.returncode != 0:
        raise RuntimeError(f"simulate.mjs failed: {ran.stderr[-4000:]}")
    words = {"Allowed": "Allow", "ExplicitlyDenied": "Deny", "ImplicitlyDenied": "Silent"}
    return [
        {arn: words[answer] for arn, answer in zip(case.requests, answers, strict=True)}
        for case, answers in zip(cases, json.loads(ran.stdout), strict=True)
    ]


def ministack_gateway(cases: list[Case]) -> list[dict[str, str]]:
    from ministack.services.apigateway_v1 import _evaluate_policy

    words = {"Allow": "Allow", "Deny": "Deny", "NoMatch": "Silent"}
    return [{arn: words[_evaluate_policy(case.document, arn)] for arn in case.requests} for case in cases]


def ministack_iam(cases: list[Case]) -> list[dict[str, str]]:
    from ministack.core.iam_evaluator import EvalContext, evaluate, parse_policy_document

    words = {"Allow": "Allow", "Deny": "Deny", "ImplicitDeny": "Silent"}

    def effect(statements: list, arn: str) -> str:
        asked = EvalContext(
            principal_arn="arn:aws:iam::123456789012:user/caller", principal_type="User",
            principal_account="123456789012", action="execute-api:Invoke", resource_arn=arn, region="eu-west-1",
            source_ip="192.0.2.1", secure_transport=True,
        )
        return words[evaluate(asked, [statements]).decision]

    parsed = [parse_policy_document(case.document) for case in cases]
    return [{arn: effect(statements, arn) for arn in case.requests}
            for case, statements in zip(cases, parsed, strict=True)]


EVALUATORS = (
    # It reads a request's ARN as a pattern too: the star that a client sends matches, and so does the text `${*}` itself.
    Evaluator("iam-simulate", iam_simulate, (), unknown_in_arn=("*", "?", "${")),
    # Its gateway looks at Resource and Effect alone, and neither of the two knows that `${*}` is a star.
    Evaluator("ministack gateway", ministack_gateway, (has_not_resource, has_condition, has_escape)),
    # It asks its own clock.
    Evaluator("ministack IAM", ministack_iam, (has_condition, has_escape)),
)


class Matchers(unittest.TestCase):
    longMessage = True

    def compare(self, cases: list[Case], each: int, least: float) -> None:
        """Of each effect there are `each` requests, and every evaluator is asked the share `least` of all."""
        asked = sum(len(case.requests) for case in cases)
        effects = [effect for case in cases for effect in case.requests.values()]
        for effect in ("Allow", "Deny", "Silent"):
            self.assertGreaterEqual(effects.count(effect), each, f"requests of which a document says {effect}")
        for evaluator in EVALUATORS:
            with self.subTest(evaluator.name):
                known = evaluator.known(cases)
                differences, compared = [], 0
                for case, answers in zip(known, evaluator.evaluate(known), strict=True):
                    compared += len(answers)
                    differences += [
                        f"{case.about}: {arn}: {effect} here, {answers[arn]} there\n{json.dumps(case.document)}"
                        for arn, effect in case.requests.items() if answers[arn] != effect
                    ]
                print(f"{evaluator.name}: {compared} of {asked} requests, {len(known)} of {len(cases)} documents",
                      file=sys.stderr)
                self.assertEqual(differences, [], f"{len(differences)} differences")
                self.assertGreaterEqual(compared, least * asked)

    def test_the_oracle_s_documents(self):
        self.compare(oracle_cases(), each=100, least=0.6)

    def test_the_written_documents(self):
        self.compare(written_cases(), each=5, least=0.6)


if __name__ == "__main__":
    unittest.main(verbosity=2)
