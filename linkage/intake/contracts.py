"""The request contract: the parameters of a call that do not depend on its message."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import orjson

from linkage.errors import RecordError
from linkage.intake.trees import parse_text

CONTRACT_KEYS: Final = frozenset(
    {
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "n",
        "max_tokens",
        "max_completion_tokens",
        "max_output_tokens",
        "stop",
        "stop_sequences",
        "stream",
        "presence_penalty",
        "frequency_penalty",
        "repetition_penalty",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "response_format",
        "text",
        "tools",
        "functions",
        "tool_choice",
        "parallel_tool_calls",
        "reasoning",
        "reasoning_effort",
        "thinking",
        "verbosity",
        "modalities",
        "service_tier",
    }
)
"""Parameters a program sets once; a seed, a caller's id or metadata may change with every call."""

LONG_VALUE: Final = 200
"""A longer value (a tool schema, a JSON schema) is kept as a hash: it is compared, not read."""

_OPTIONS: Final = orjson.OPT_SORT_KEYS


def read_contract(params: Any) -> str | None:
    """Canonical JSON of the contract in a parameter object; None where no parameter is one.

    Keys are sorted, nulls dropped and whole numbers written without a fraction, so that equal contracts have
    equal texts whatever logged them. Tool and output schemas stand as a hash.

    Parameters
    ----------
    params : an object, or its JSON text.

    Raises
    ------
    RecordError : neither.

    Examples
    --------
    >>> read_contract({"temperature": 1.0, "seed": 7, "stop": None, "max_tokens": 4096})
    '{"max_tokens":4096,"temperature":1}'
    """
    if isinstance(params, str):
        params = parse_text(params)
    if not isinstance(params, dict):
        raise RecordError("parameters must be an object or its JSON text")
    kept = {key: _shorten(_plain(value)) for key, value in params.items() if key in CONTRACT_KEYS and value is not None}
    return orjson.dumps(kept, default=str, option=_OPTIONS).decode() if kept else None


def params_text(params: Any) -> Any:
    """JSON text of a parameter object, so that equal ones are read once; anything else as it is."""
    return orjson.dumps(params, default=str).decode() if type(params) is dict else params


def _plain(value: Any) -> Any:
    """The value with whole floats as integers and null members of objects dropped (Parquet fills them in)."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def _shorten(value: Any) -> Any:
    text = orjson.dumps(value, default=str, option=_OPTIONS)
    if len(text) <= LONG_VALUE:
        return value
    return f"blake2b:{hashlib.blake2b(text, digest_size=8).hexdigest()}"
