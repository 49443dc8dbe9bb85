"""AWS Bedrock model invocation log: records on S3, or as the messages of a CloudWatch Logs export."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from linkage.intake.formats.base import Format, Record, first_present, list_in, object_in
from linkage.intake.prompts import Prompt, flatten_messages
from linkage.intake.values import number_of

_EVENTS: Final = ("logEvents", "events")
"""What a CloudWatch subscription, or a call for events, has its records in."""

_CALLER_KEYS: Final = ("end_user", "user", "user_id", "tenant")
_CONTRACT: Final = {
    "maxTokens": "max_tokens",
    "temperature": "temperature",
    "topP": "top_p",
    "stopSequences": "stop_sequences",
}
"""Parameters of the Converse operation, as others name them."""
_SUCCESS: Final = ("success", "Success", "SUCCESS")
_INVOCATION: Final = "amazon-bedrock-invocationMetrics"
"""What the last chunk of a stream of InvokeModel holds; that of ConverseStream has ``metadata``."""

_THROTTLED: Final = ("ThrottlingException", "TooManyRequestsException", "ServiceQuotaExceededException")


def records_in(record: Record) -> Iterator[Record]:
    """The record itself, or those inside a CloudWatch export."""
    listed = next((record[name] for name in _EVENTS if isinstance(record.get(name), list)), [record])
    for event in listed:
        if isinstance(event, dict):
            yield logged_in(event) or event


def logged_in(event: Record) -> Record:
    """The record that a CloudWatch event, or a row of Logs Insights, has as text; empty where it has none."""
    return object_in(event, "message") or object_in(event, "@message")


def _read(record: Record) -> Record:
    told, answer = object_in(record, "input"), object_in(record, "output")
    body = object_in(told, "inputBodyJson")
    arn = object_in(record, "identity").get("arn")
    claimed = object_in(record, "requestMetadata")
    prompt = _prompt(body)
    return {
        "timestamp": record.get("timestamp"),
        "request_id": record.get("requestId"),
        "account_id": arn,
        "api_key_id": arn.rpartition("/")[2] if isinstance(arn, str) and ":assumed-role/" in arn else None,
        "model": _model(record.get("modelId")),
        "endpoint": record.get("operation"),
        "prompt": prompt.text,
        "system_prompt": prompt.system,
        "input_tokens": told.get("inputTokenCount"),
        "output_tokens": answer.get("outputTokenCount"),
        "status": _status(first_present(record.get("errorCode"), record.get("status"))),
        "latency_ms": _latency(answer),
        "params": _params(body),
        "end_user": first_present(*(claimed.get(key) for key in _CALLER_KEYS)),
    }


def _prompt(body: Record) -> Prompt:
    """The prompt in a body of any provider's shape."""
    if any(key in body for key in ("messages", "prompt", "input")):
        return flatten_messages(body)
    return flatten_messages(first_present(body.get("inputText"), body.get("message")), system=body.get("system"))


def _model(model: Any) -> Any:
    """A model's id; of an ARN its last part."""
    return model.rpartition("/")[2] if isinstance(model, str) and model.startswith("arn:") else model


def _status(error: Any) -> Any:
    if error is None:
        return 200
    if error in _THROTTLED:
        return 429
    return error if number_of(error) is not None or error in _SUCCESS else 0


def _latency(answer: Record) -> Any:
    """What the answer (an object, or the chunks of a stream) tells of its duration in milliseconds."""
    chunks = [object_in(answer, "outputBodyJson"), *list_in(answer, "outputBodyJson")]
    return first_present(*(_chunk_latency(chunk) for chunk in chunks if isinstance(chunk, dict)))


def _chunk_latency(chunk: Record) -> Any:
    metrics = object_in(chunk, "metrics") or object_in(object_in(chunk, "metadata"), "metrics")
    return first_present(metrics.get("latencyMs"), object_in(chunk, _INVOCATION).get("invocationLatency"))


def _params(body: Record) -> Record:
    inference = object_in(body, "inferenceConfig")
    return {**body, **{name: inference[key] for key, name in _CONTRACT.items() if key in inference}}


FORMAT: Final = Format(
    name="bedrock",
    title="AWS Bedrock invocation log",
    kind="requests",
    marks=(("modelId",), ("requestId",), ("identity", "input", "schemaType")),
    convert=_read,
    looked_in=(("account_id", "identity.arn"),),
    split=records_in,
)
