"""Single values of a log record, read strictly: times, addresses, counts, ids and texts.

A reader takes one raw value and returns the canonical one. It raises :class:`~linkage.errors.RecordError`
with a reason when the value cannot be used, and returns :class:`Repaired` when it can, but not as it came.
Reasons never quote the value: they are counted and shown, and values may be private.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple

from linkage.errors import RecordError

Reader = Callable[[Any], Any]

# One type at a time: as keys of a dictionary 1, 1.0 and True are the same.
_HASHED_TYPES: Final[set[type]] = {str, int, float}

ABSENT_TEXTS: Final = frozenset({"", "-", "{}", "None"})
"""What sources write for "no value" (null, a missing key, ``{}`` and ``[]`` mean the same)."""

FIRST_TIME_US: Final = 1_420_070_400_000_000
"""2015-01-01: no LLM API is older, so an earlier time is a unit mistake."""

LAST_TIME_US: Final = 4_102_444_800_000_000
"""2100-01-01, exclusive."""

MAX_LATENCY_MS: Final = 1e9
"""Eleven days; a longer request is a unit mistake."""

RAW_KEY: Final = r"^(?:sk-|(?i:bearer) )"
"""What an API key begins with that is no id of one."""

_RAW_KEY: Final = re.compile(RAW_KEY)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ISO_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)(?:[.,](\d{1,9}))? ?(Z|z|UTC|[+-]\d\d(?::?\d\d)?)?", re.ASCII
)
_ISO_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_WHOLE: Final = re.compile(r"\d{1,18}", re.ASCII)
_DECIMAL: Final = re.compile(r"\d{1,18}(?:\.\d{1,18})?", re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SPACES: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
PLAIN_V4: Final = rf"^(?:{_OCTET}\.){{3}}{_OCTET}$"
NO_CLIENT_V4: Final = r"^(?:0\.0\.0\.0$|127\.|169\.254\.|22[4-9]\.|23[0-9]\.)"
_CLIENT_V4: Final = re.compile(rf"(?!{NO_CLIENT_V4}){PLAIN_V4}")
"""Plain IPv4 addresses that may name a client: they are their own canonical text, and most of all there are.
The two patterns of it read alike to Arrow, which cannot look ahead."""

_MASKED_V4: Final = re.compile(r"(\d{1,3}\.\d{1,3}\.\d{1,3})\.(?:\*{1,3}|[xX]{1,3})", re.ASCII)
_CARD_NUMBER: Final = re.compile(r"[2-6]\d{3}(?:[ -]?\d){9,15}", re.ASCII)
_WORD_STATUS: Final = {"success": 200, "ok": 200, "failure": 0, "error": 0}


class Moment(int):
    """A time already read by a format: UTC epoch microseconds, not a bare number of unknown unit."""


class Hops(list[str]):
    """Addresses of a request from what the caller claims to the peer, the last, which is the one that is certain."""


class Repaired(NamedTuple):
    """A value that is kept, but not as it came, and why."""

    value: Any
    reason: str


class Fault(NamedTuple):
    """A value that cannot be used, and why."""

    reason: str


class Column(NamedTuple):
    """One field of a batch after reading: canonical values, and reasons by row."""

    values: list[Any]
    faults: dict[int, str]
    """Rows whose value could not be used; the value there is None."""
    repairs: dict[int, str]
    """Rows whose value was kept after a repair."""


def read_column(raw: Sequence[Any], read: Reader) -> Column:
    """The canonical values of one field; equal texts are read once.

    Parameters
    ----------
    raw : values as the format gave them; None and the absent forms stay None.
    read : reader of one present value.
    """
    kinds = set(map(type, raw)) - {type(None)}
    if len(kinds) <= 1 and kinds <= _HASHED_TYPES:
        known = {value: read_present(value, read) for value in set(raw)}
        found, results = [known[value] for value in raw], list(known.values())
    else:
        found = results = [read_present(value, read) for value in raw]
    if not {Fault, Repaired} & set(map(type, results)):
        return Column(found, {}, {})
    faults = {row: result.reason for row, result in enumerate(found) if isinstance(result, Fault)}
    repairs = {row: result.reason for row, result in enumerate(found) if isinstance(result, Repaired)}
    for row in faults:
        found[row] = None
    for row in repairs:
        found[row] = found[row].value
    return Column(found, faults, repairs)


def read_present(value: Any, read: Reader) -> Any:
    """What the reader makes of a value, a fault where it or the format cannot use it, None where it is absent."""
    if isinstance(value, Fault):
        return value
    if is_absent(value):
        return None
    try:
        return read(value)
    except RecordError as error:
        return Fault(str(error))


def is_absent(value: Any) -> bool:
    """Whether a raw value means "no value"; 0 and False are values.

    Examples
    --------
    >>> [is_absent(value) for value in (None, "-", {}, 0, "0")]
    [True, True, True, False, False]
    """
    if type(value) is str:
        return value in ABSENT_TEXTS or value.isspace()
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or (isinstance(value, dict | list) and not value)


def read_time(value: Any, *, zone: str = "") -> int | Repaired:
    """UTC epoch microseconds from ISO 8601 text (or a typed time).

    Digits beyond microseconds are cut. A second of 60 is read as ``:59.999999``.

    Parameters
    ----------
    zone : of text that names none, as ISO 8601 writes it; empty: nobody knows it, and it is read as UTC.

    Raises
    ------
    RecordError : a bare number (its unit is never guessed), another form, or outside 2015 to 2099.

    Examples
    --------
    >>> read_time("2026-11-24T05:52:28.104Z")
    1795499548104000
    >>> read_time("2026-11-24 05:52:28").reason
    'time without a zone, read as UTC'
    """
    if isinstance(value, Moment):
        return _within_years(int(value))
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return _within_years(_micros_of(aware))
    if not isinstance(value, str):
        raise RecordError(f"a bare {_kind_of(value)} is no time: give ISO 8601 text, or the unit in a mapping file")
    return _read_iso(value, zone)


def read_moment(value: Any, *, zone: str = "") -> Moment:
    """The moment that :func:`read_time` reads, for a format to hand on: what was repaired in it is told no more.

    Parameters
    ----------
    zone : as of :func:`read_time`.

    Raises
    ------
    RecordError : as :func:`read_time`.
    """
    found = read_time(value, zone=zone)
    return Moment(found.value if isinstance(found, Repaired) else found)


def _read_iso(text: str, known_zone: str = "") -> int | Repaired:
    match = _ISO_TIME.fullmatch(text.strip())
    if match is None:
        raise RecordError("not an ISO 8601 time such as 2026-11-24T05:52:28.104Z; a mapping file can name other units")
    day, minutes, seconds, fraction, own_zone = match.groups()
    zone = own_zone or known_zone
    leap = seconds == "60"
    if leap:
        seconds, fraction = "59", "999999"
    zone_text = "+00:00" if zone in ("", "Z", "z", "UTC") else zone
    digits = (fraction or "0")[:6].ljust(6, "0")
    try:
        moment = datetime.fromisoformat(f"{day}T{minutes}:{seconds}.{digits}{zone_text}")
    except ValueError as error:
        raise RecordError("a date or clock time that does not exist") from error
    micros = _within_years(_micros_of(moment))
    if leap:
        return Repaired(micros, "leap second, read as the last microsecond before it")
    return micros if zone else Repaired(micros, "time without a zone, read as UTC")


def _micros_of(moment: datetime) -> int:
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def read_day(value: Any) -> int | Repaired:
    """UTC epoch microseconds as :func:`read_time`, taking a plain date as its midnight too.

    Raises
    ------
    RecordError : as :func:`read_time`.
    """
    if isinstance(value, date) and not isinstance(value, datetime):
        value = value.isoformat()
    if isinstance(value, str) and _ISO_DATE.fullmatch(value.strip()):
        return _read_iso(f"{value.strip()}T00:00:00Z")
    return read_time(value)


def _within_years(micros: int) -> int:
    if not FIRST_TIME_US <= micros < LAST_TIME_US:
        raise RecordError("a time outside the years 2015 to 2099; the unit may be another")
    return micros


def moment_from_number(value: Any, *, micros_per_unit: float) -> Moment | None:
    """The moment of an epoch number in a known unit; None where the value is not such a number.

    Parameters
    ----------
    value : a number, or decimal text; whole numbers are never passed through a float.
    micros_per_unit : 1e6 for seconds, 1000 for ms, 1 for us, 0.001 for ns.

    Examples
    --------
    >>> moment_from_number(1795499548.104, micros_per_unit=1e6)
    1795499548104000
    """
    number = number_of(value)
    if number is None or not abs(number) < 1e30:
        return None
    if isinstance(number, int):
        if micros_per_unit >= 1:
            return Moment(number * int(micros_per_unit))
        return Moment(number // round(1 / micros_per_unit))
    return Moment(round(number * micros_per_unit))


def number_of(value: Any) -> int | float | None:
    """A finite number from a number or plain decimal text (no exponent); None for everything else.

    Examples
    --------
    >>> number_of("12"), number_of("1.5"), number_of("1e5"), number_of(True)
    (12, 1.5, None, None)
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        text = value.strip()
        sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text)
        if _WHOLE.fullmatch(digits) or (digits.isascii() and digits.isdigit() and len(digits) < 40):
            return sign * int(digits)
        if _DECIMAL.fullmatch(digits):
            return sign * float(digits)
    return None


def count_reader(most: int) -> Reader:
    """A reader of counts: whole numbers from 0 to ``most``, as numbers or plain decimal text."""

    def read(value: Any) -> int:
        number = number_of(value)
        if number is None or number != int(number):
            raise RecordError("not a whole number")
        if not 0 <= number <= most:
            raise RecordError("a negative count" if number < 0 else f"a count above {most}")
        return int(number)

    return read


def read_duration(value: Any) -> float:
    """Milliseconds, 0 to eleven days.

    Raises
    ------
    RecordError : not a plain number, negative, or too long.
    """
    number = number_of(value)
    if number is None:
        raise RecordError("not a number")
    if not 0 <= number <= MAX_LATENCY_MS:
        raise RecordError("a negative duration" if number < 0 else "a duration above eleven days")
    return float(number)


def read_status(value: Any) -> int:
    """HTTP status 100 to 599, or 0 for "failed, code unknown"; ``success`` is 200, ``failure`` 0.

    Raises
    ------
    RecordError : anything else.
    """
    if isinstance(value, str) and value.strip().lower() in _WORD_STATUS:
        return _WORD_STATUS[value.strip().lower()]
    number = number_of(value)
    if number is None or (number != 0 and not (100 <= number <= 599 and number == int(number))):
        raise RecordError("not an HTTP status, success or failure")
    return int(number)


def id_reader(longest: int) -> Reader:
    """A reader of ids: opaque text kept exactly as it came; whole JSON numbers become their digits.

    Raises (the reader)
    -------------------
    RecordError : another type (a fraction or exponent has lost its text), longer than ``longest`` characters,
        or a control character inside (NUL and line ends break what stores and shows ids).
    """

    def read(value: Any) -> str | Repaired:
        if isinstance(value, int) and not isinstance(value, bool):
            return Repaired(str(value), "a number, kept as its digits")
        if not isinstance(value, str):
            raise RecordError(f"an id must be text; found a {_kind_of(value)}")
        if len(value) > longest:
            raise RecordError(f"an id longer than {longest} characters")
        if _CONTROL.search(value):
            raise RecordError("a control character inside an id")
        return value

    return read


def key_reader(longest: int) -> Reader:
    """A reader of API key ids that never lets a raw key through: ``sk-…`` becomes its SHA-256, as LiteLLM does."""
    read_id = id_reader(longest)

    def read(value: Any) -> Any:
        found = read_id(value)
        if isinstance(found, str) and _RAW_KEY.match(found):
            return Repaired(hide_raw_key(found), "a raw key, replaced by its SHA-256")
        return found

    return read


def hide_raw_key(key: Any) -> Any:
    """The SHA-256 of a raw API key, also of one with ``Bearer`` before it; any other value as it is.

    Examples
    --------
    >>> hide_raw_key("Bearer sk-1234") == hide_raw_key("sk-1234"), hide_raw_key("key_9f3a")
    (True, 'key_9f3a')
    """
    if not isinstance(key, str) or not _RAW_KEY.match(key):
        return key
    bare = key if key.startswith("sk-") else key.partition(" ")[2].strip()
    return hashlib.sha256(bare.encode()).hexdigest()


def payment_reader(longest: int) -> Reader:
    """A reader of payment tokens that refuses card numbers (13 to 19 digits with a valid Luhn sum)."""
    read_id = id_reader(longest)

    def read(value: Any) -> Any:
        found = read_id(value)
        text = found.value if isinstance(found, Repaired) else found
        if _CARD_NUMBER.fullmatch(text) and _passes_luhn(text):
            raise RecordError("looks like a card number: give the processor's token or fingerprint")
        return found

    return read


def _passes_luhn(text: str) -> bool:
    digits = [int(mark) for mark in reversed(text) if mark.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def text_reader(longest: int) -> Reader:
    """A reader of one-line texts (user agent, model): runs of blanks and control characters become one blank."""

    def read(value: Any) -> str | Repaired | None:
        if not isinstance(value, str):
            raise RecordError(f"must be text; found a {_kind_of(value)}")
        if len(value) > longest:
            raise RecordError(f"text longer than {longest} characters")
        if value.isprintable() and "  " not in value:
            return value.strip()
        line = _SPACES.sub(" ", value).strip()
        return line or None

    return read


def endpoint_reader(longest: int) -> Reader:
    """A reader of paths and operation names: what follows a ``?`` is dropped, as it may hold the caller's key."""
    read_text = text_reader(longest)

    def read(value: Any) -> Any:
        return read_text(value.partition("?")[0] if isinstance(value, str) else value)

    return read


def read_prompt(value: Any) -> str | Repaired:
    """Prompt text of any length; NUL, which SQLite text cannot carry safely, becomes U+FFFD.

    Raises
    ------
    RecordError : not text.
    """
    if not isinstance(value, str):
        raise RecordError(f"must be text; found a {_kind_of(value)}")
    if "\0" in value:
        return Repaired(value.replace("\0", "\ufffd"), "NUL characters, replaced by U+FFFD")
    return value


def read_domain(value: Any) -> str:
    """An e-mail domain: what follows the last ``@``, lower case, IDNA.

    Raises
    ------
    RecordError : not text, or not a domain name.

    Examples
    --------
    >>> read_domain("ann@Example.ORG"), read_domain("bücher.example")
    ('example.org', 'xn--bcher-kva.example')
    """
    if not isinstance(value, str):
        raise RecordError(f"must be text; found a {_kind_of(value)}")
    name = value.rpartition("@")[2].strip().rstrip(".").lower()
    try:
        domain = name.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise RecordError("not a domain name") from error
    if not re.fullmatch(r"[a-z0-9_](?:[a-z0-9._-]{0,252})", domain):
        raise RecordError("not a domain name")
    return domain


def address_reader(trusted_proxies: int) -> Reader:
    """A reader of client addresses: one canonical text per address.

    Ports, brackets and zone ids are dropped and IPv4-mapped IPv6 folds to IPv4. A masked address
    (``203.0.113.***``) or prefix gives ``203.0.113.0/24``: it is worth its prefix, never one address.

    Parameters
    ----------
    trusted_proxies : how many of the last entries of a forwarded-for list the operator's own proxies wrote;
        that many from the right is the client. 0: a list names no trustworthy client, and of :class:`Hops` the peer
        is taken.

    Raises (the reader)
    -------------------
    RecordError : not an address, an address that names no client (loopback, unspecified, multicast, link
        local), or a list while ``trusted_proxies`` is 0 or larger than the list.
    """

    def read(value: Any) -> str | None:
        if isinstance(value, Hops):
            if trusted_proxies >= len(value):
                raise RecordError("a list of forwarded addresses shorter than trusted_proxies")
            value = value[-1 - trusted_proxies]
        if not isinstance(value, str):
            raise RecordError(f"an address must be text; found a {_kind_of(value)}")
        text = value.strip()
        if "," in text:
            text = _trusted_hop(text, trusted_proxies)
        return None if text.lower() == "unknown" else read_address(text)

    return read


def read_claimed_address(value: Any) -> str | None:
    """The canonical text of the first address of a forwarded-for list: whoever sent the request may have written it.

    Raises
    ------
    RecordError : not an address, or one that names no client.

    Examples
    --------
    >>> read_claimed_address("192.0.2.1, 203.0.113.7")
    '192.0.2.1'
    """
    if not isinstance(value, str):
        raise RecordError(f"an address must be text; found a {_kind_of(value)}")
    first = value.partition(",")[0].strip()
    return None if first.lower() == "unknown" else read_address(first)


def _trusted_hop(text: str, trusted_proxies: int) -> str:
    hops = text.split(",")
    if not trusted_proxies:
        raise RecordError("a list of forwarded addresses: set [ingest] trusted_proxies to choose one")
    if trusted_proxies > len(hops):
        raise RecordError("a list of forwarded addresses shorter than trusted_proxies")
    return hops[-trusted_proxies].strip()


def read_address(text: str) -> str:
    """The canonical text of one address, or of a /24 or /48 prefix.

    Raises
    ------
    RecordError : not an address, or one that names no client.

    Examples
    --------
    >>> read_address("[2001:db8::1]:443"), read_address("::ffff:203.0.113.7"), read_address("203.0.113.***")
    ('2001:db8::1', '203.0.113.7', '203.0.113.0/24')
    """
    if _CLIENT_V4.fullmatch(text):
        return text
    if len(text) > 64:
        raise RecordError("not an address")
    masked = _MASKED_V4.fullmatch(text)
    if masked:
        text = f"{masked[1]}.0/24"
    try:
        if "/" in text:
            return _read_prefix(text)
        address = _fold(ipaddress.ip_address(bare_host(text)))
    except ValueError as error:
        raise RecordError("not an address") from error
    _refuse_no_client(address)
    return str(address)


def bare_host(text: str) -> str:
    """An address without its port, brackets and zone id."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    return text.partition("%")[0]


def _fold(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def _read_prefix(text: str) -> str:
    network = ipaddress.ip_network(text, strict=False)
    _refuse_no_client(network.network_address)
    if network.prefixlen == network.max_prefixlen or (network.version == 6 and network.prefixlen == 64):
        return str(_fold(network.network_address))
    if network.prefixlen != (24 if network.version == 4 else 48):
        raise RecordError("a prefix other than /24 or /48")
    return str(network)


def _refuse_no_client(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local:
        raise RecordError("an address that names no client (loopback, unspecified, multicast or link local)")


def _kind_of(value: Any) -> str:
    """What a JSON value is, in words for a message."""
    if isinstance(value, bool):
        return "truth value"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, dict | list):
        return "object" if isinstance(value, dict) else "list"
    return type(value).__name__
