"""A caller written from the proto files alone, with stock gRPC for Python.

It starts nothing: it is given the address of a server with the standard policy, and the directory
of the proto files. Ends with 0 if every answer is the one that the published guide gives.
"""

import datetime
import importlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import grpc
import grpc_tools
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status
from grpc_tools import protoc
from google.protobuf.descriptor_pool import DescriptorPool
from google.rpc import error_details_pb2

SERVICE = "requite.v1.RefundPolicyService"

# No call here takes as long as this.
TIMEOUT_SECONDS = 10


def generated(protos, into):
    """Generates the stubs of every proto file into a directory, and makes them importable."""
    files = sorted(str(path.relative_to(protos)) for path in protos.rglob("*.proto"))
    well_known = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    arguments = [f"--proto_path={protos}", f"--proto_path={well_known}", f"--python_out={into}", f"--grpc_python_out={into}"]
    assert protoc.main(["protoc", *arguments, *files]) == 0, "the proto files compile"
    sys.path.insert(0, str(into))
    importlib.invalidate_caches()


def moment(text):
    from google.protobuf.timestamp_pb2 import Timestamp

    timestamp = Timestamp()
    timestamp.FromDatetime(datetime.datetime.fromisoformat(text))
    return timestamp


class Caller:
    """The three requests of the acceptance, and what is asked of their answers."""

    def __init__(self, address):
        from google.type import fraction_pb2, money_pb2
        from requite.v1 import claim_pb2, order_pb2, refund_policy_service_pb2, refund_policy_service_pb2_grpc, words_pb2

        self.money = money_pb2.Money
        self.fraction = fraction_pb2.Fraction
        self.order = order_pb2
        self.claim = claim_pb2
        self.words = words_pb2
        self.api = refund_policy_service_pb2
        self.address = address
        self.channel = grpc.insecure_channel(address)
        self.stub = refund_policy_service_pb2_grpc.RefundPolicyServiceStub(self.channel)

    def late(self, *evidence, stage="ORDER_STAGE_IN_PROGRESS"):
        """Boosting for 200.00 with three eighths done, promised for a moment that has passed."""
        line = self.order.OrderLine(
            line_id="l-1",
            product_type="boosting",
            stage=self.words.OrderStage.Value(stage),
            paid=self.money(currency_code="CNY", units=200),
            completed=self.fraction(numerator=3, denominator=8),
        )
        order = self.order.Order(
            order_id="o-1",
            placed_at=moment("2026-03-02T10:00:00+08:00"),
            times={"promised_at": moment("2026-03-05T18:00:00+08:00")},
            lines=[line],
        )
        claim = self.claim.Claim(
            request_type=self.words.REQUEST_TYPE_REFUND,
            reason="late_delivery",
            liable_party=self.words.LIABLE_PARTY_PLATFORM,
            evidence=[self.claim.Evidence(evidence_id=kind, kind=kind) for kind in evidence],
            channel="app",
            requested_at=moment("2026-03-06T10:00:00+08:00"),
        )
        return self.api.EvaluateRefundRequest(request_id="r-1", order=order, claim=claim)

    def decide(self, request):
        answer = self.stub.EvaluateRefund(request, timeout=TIMEOUT_SECONDS)
        assert answer.request_id == request.request_id, answer
        assert len(answer.decision_id) == 32, answer
        assert answer.policy.policy_id == "standard" and answer.policy.generation >= 1, answer
        assert answer.policy.digest.startswith("blake3:"), answer
        return answer

    def approves_the_part_that_was_not_done(self):
        answer = self.decide(self.late("order_record", "promised_time_record"))
        assert answer.outcome == self.words.OUTCOME_APPROVED_PARTIAL, answer
        assert answer.refund == self.money(currency_code="CNY", units=125), answer
        [deduction] = answer.deductions
        assert deduction.kind == self.words.DEDUCTION_KIND_CONSUMED_VALUE, answer
        assert deduction.amount == self.money(currency_code="CNY", units=75), answer

    def asks_for_the_record_that_is_missing(self):
        answer = self.decide(self.late("order_record"))
        assert answer.outcome == self.words.OUTCOME_MORE_INFO_REQUIRED, answer
        assert [list(missing.kinds) for missing in answer.evidence.missing] == [["promised_time_record"]], answer
        assert answer.reason_code == self.words.REASON_CODE_EVIDENCE_MISSING, answer

    def denies_a_finished_order_and_shows_the_appeal(self):
        answer = self.decide(self.late(stage="ORDER_STAGE_COMPLETED"))
        assert answer.outcome == self.words.OUTCOME_DENIED, answer
        assert answer.reason_code == self.words.REASON_CODE_ORDER_COMPLETED, answer
        assert answer.next_steps[0].action == "after_sales_appeal", answer

    def names_every_bad_field(self):
        request = self.late("order_record")
        request.order.lines[0].paid.nanos = 1
        request.order.lines[0].completed.denominator = 0
        request.claim.reason = "boredom"
        request.claim.ClearField("requested_at")
        try:
            answer = self.stub.EvaluateRefund(request, timeout=TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
            status = rpc_status.from_call(error)
        else:
            raise AssertionError(f"a bad request was answered: {answer}")
        [detail] = status.details
        bad = error_details_pb2.BadRequest()
        assert detail.Unpack(bad), status
        named = {violation.field for violation in bad.field_violations}
        expected = {
            "claim.reason",
            "claim.requested_at",
            "order.lines[0].completed.denominator",
            "order.lines[0].paid",
        }
        assert named == expected, status

    def keeps_the_cents_in_the_program_of_the_readme(self):
        """86.32 paid, of which 3/8 are done: 32.37 held back, 53.95 back. The program runs as it stands there."""
        [program] = re.findall(r"```python\n(.*?)```", pathlib.Path("README.md").read_text(encoding="utf-8"), re.DOTALL)
        request = json.loads(pathlib.Path("policies/standard/requests/platform-late-partial.json").read_text(encoding="utf-8"))
        for paid in [request["order"]["lines"][0], *request["order"].get("tenders", [])]:
            paid["paid"] = {"currencyCode": "CNY", "units": "86", "nanos": 320000000}
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "request.json"
            file.write_text(json.dumps(request), encoding="utf-8")
            command = [sys.executable, "-c", program.replace("127.0.0.1:50051", self.address), str(file)]
            environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
            ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        expected = "OUTCOME_APPROVED_PARTIAL\nheld back: paid * completed_share 32.37 CNY\nback: 53.95 CNY\n"
        assert ran.stdout == expected, (ran.stdout, ran.stderr)

    def is_healthy(self):
        health = health_pb2_grpc.HealthStub(self.channel)
        for service in ["", SERVICE]:
            answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=TIMEOUT_SECONDS)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING, (service, answer)

    def describes_itself(self):
        described = ProtoReflectionDescriptorDatabase(self.channel)
        assert SERVICE in described.get_services(), described.get_services()
        methods = DescriptorPool(described).FindServiceByName(SERVICE).methods_by_name
        expected = {"EvaluateRefund", "BatchEvaluateRefund", "ValidateEvidence", "GetServerInfo"}
        assert set(methods) == expected, set(methods)
        amount = methods["EvaluateRefund"].output_type.fields_by_name["refund"]
        assert amount.message_type.full_name == "google.type.Money", amount.message_type.full_name


CHECKS = [
    Caller.approves_the_part_that_was_not_done,
    Caller.asks_for_the_record_that_is_missing,
    Caller.denies_a_finished_order_and_shows_the_appeal,
    Caller.names_every_bad_field,
    Caller.keeps_the_cents_in_the_program_of_the_readme,
    Caller.is_healthy,
    Caller.describes_itself,
]


def main(address, protos):
    with tempfile.TemporaryDirectory() as into:
        generated(pathlib.Path(protos).resolve(), pathlib.Path(into))
        caller = Caller(address)
        failed = 0
        for check in CHECKS:
            try:
                check(caller)
            except (AssertionError, grpc.RpcError) as error:
                failed += 1
                print(f"FAILED {check.__name__}: {error}")
            else:
                print(f"ok     {check.__name__}")
        print(f"{len(CHECKS) - failed} passed, {failed} failed")
        return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: client.py HOST:PORT PROTO_DIRECTORY")
    sys.exit(main(*sys.argv[1:]))
