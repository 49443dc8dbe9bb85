"""Personal data left out of what leaves the building: addresses become prefixes, cards fingerprints.

An IPv4 address is shown as its /24, an IPv6 address as its /48, a payment instrument or API key as a
short fingerprint. Account ids stay: without them nobody could act on a report.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import ipaddress
import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import pandas as pd

from linkage.outputs.text import fingerprint
from linkage.terms import ClusterDetail

PREFIX_LENGTHS: Final[Mapping[int, int]] = {4: 24, 6: 48}
"""Bits of an address that are shown, by IP version."""

_TOKEN: Final = re.compile(r"[\w.:/@#+*%-]+")
_NUMBERED: Final = re.compile(r"\S+/\d+ #\d+")
_FINGERPRINT: Final = re.compile(r"#[0-9a-f]{8}")
_BETWEEN: Final = "; "
_SHORTEST_REPLACED: Final = 4  # a payment id such as "12" would also replace plain numbers in sentences

_FINGERPRINTED: Final = frozenset({"payment", "api_key"})
_PREFIXED: Final = frozenset({"ip", "ip_prefix"})
_MASKED_KINDS: Final = _FINGERPRINTED | _PREFIXED
_OCTET: Final = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_PLAIN_ADDRESS: Final = re.compile(rf"((?:{_OCTET}\.){{3}}){_OCTET}(?:/24)?", re.ASCII)
"""An IPv4 address as nearly all are written, or its /24: the library for addresses takes thirty times as long, and one
cluster may have 400,000 of them."""


def mask_detail(detail: ClusterDetail) -> ClusterDetail:
    """The same detail without raw addresses, payment instruments and keys, in tables, sentences and case notes.

    Two addresses in one prefix stay two values ("203.0.113.0/24 #1" and "#2"), numbered within this detail.
    A prefix narrower than what may be shown is widened. Values of three characters or fewer are not looked
    for inside sentences. The detail handed in is not changed; masking twice is masking once.
    """
    masks = Masks.of([detail])
    whole = detail.whole
    return dataclasses.replace(
        detail,
        cluster=masks.row(detail.cluster),
        members=masks.sentences(detail.members, "reasons"),
        links=masks.values(detail.links),
        shared=masks.values(detail.shared),
        statements=masks.sentences(detail.statements, "sentence", "rows"),
        case_notes=masks.sentences(detail.case_notes, "note"),
        whole=whole and dataclasses.replace(whole, value_ties=masks.values(whole.value_ties)),
    )


def mask_clusters(clusters: pd.DataFrame, details: Iterable[ClusterDetail]) -> pd.DataFrame:
    """The table of clusters with its sentences masked like those of the details."""
    return Masks.of(details).sentences(clusters, "strongest", "readings")


class Masks:
    """What stands for the values of some tables that may not be shown raw, in tables and in sentences alike.

    Parameters
    ----------
    tables : each with ``kind`` and ``value``; two addresses in one prefix stay two values over all of them.

    Examples
    --------
    >>> table = pd.DataFrame({"kind": ["ip", "payment"], "value": ["203.0.113.7", "card-1"]})
    >>> masks = Masks([table])
    >>> list(masks.values(table)["value"]), masks.sentence("Paid with card-1.")
    (['203.0.113.0/24 #1', '#f3a75029'], 'Paid with #f3a75029.')
    """

    def __init__(self, tables: Iterable[pd.DataFrame]) -> None:
        self._shown = _shown_values(list(tables))
        self.sentence = _sentence_masker({value: shown for (_, value), shown in self._shown.items()})
        """The sentence with these values masked, and any other address."""

    @classmethod
    def of(cls, details: Iterable[ClusterDetail]) -> Masks:
        """Those for everything said of some clusters: what a page does not list, a sentence may name."""
        tables = [(each.shared, each.links, *([each.whole.value_ties] if each.whole else [])) for each in details]
        return cls(itertools.chain.from_iterable(tables))

    def values(self, table: pd.DataFrame) -> pd.DataFrame:
        """The table with its ``value`` masked."""
        is_hidden = table["kind"].isin(_MASKED_KINDS).to_numpy()
        hidden = zip(*(table.loc[is_hidden, name].tolist() for name in ("kind", "value")), strict=True)
        value = table["value"].astype(object)
        value[is_hidden] = [self._shown.get(pair, pair[1]) for pair in hidden]
        return table.assign(value=value.astype(table["value"].dtype))

    def sentences(self, table: pd.DataFrame, *columns: str) -> pd.DataFrame:
        """The table with columns of sentences masked; nulls stay."""
        masked = {}
        for name in columns:
            column = table[name]
            masked[name] = pd.Series(map(self._any, column), index=table.index, dtype=column.dtype)
        return table.assign(**masked)

    def row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The row with its texts masked."""
        return {name: self._any(value) for name, value in row.items()}

    def _any(self, value: Any) -> Any:
        return self.sentence(value) if isinstance(value, str) else value


def mask_value(kind: str, value: str) -> str:
    """One entity value as it may be shown.

    Examples
    --------
    >>> mask_value("ip", "203.0.113.77"), mask_value("ip", "2001:db8:1:2::5")
    ('203.0.113.0/24', '2001:db8:1::/48')
    >>> mask_value("payment", "card-1"), mask_value("client", "curl/8")
    ('#f3a75029', 'curl/8')
    """
    if kind in _FINGERPRINTED:
        return _fingerprint(value)
    if kind in _PREFIXED and not _NUMBERED.fullmatch(value):
        return _prefix_of(value) or _fingerprint(value)
    return value


def _fingerprint(value: str) -> str:
    """A bare mark: sentences and tables name the kind beside it already ("payment instrument #f3a75029")."""
    return value if _FINGERPRINT.fullmatch(value) else f"#{fingerprint(value)}"


def _prefix_of(value: str) -> str | None:
    plain = _PLAIN_ADDRESS.fullmatch(value)
    if plain:
        return f"{plain[1]}0/24"
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        return None
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped:
        return _prefix_of(str(network.network_address.ipv4_mapped))
    length = min(network.prefixlen, PREFIX_LENGTHS[network.version])
    return str(ipaddress.ip_network((network.network_address, length), strict=False))


def _shown_values(tables: list[pd.DataFrame]) -> dict[tuple[str, str], str]:
    """(kind, raw value) to what is shown, for every value that may not be shown raw."""
    every: dict[tuple[str, str], str] = {}
    for kind in sorted(_MASKED_KINDS):
        held = {value for table in tables for value in table.loc[table["kind"] == kind, "value"].unique().tolist()}
        values = sorted(value for value in held if isinstance(value, str))
        shown = _number_addresses(values) if kind == "ip" else {value: mask_value(kind, value) for value in values}
        every |= {(kind, value): masked for value, masked in shown.items() if masked != value}
    return every


def _number_addresses(values: list[str]) -> dict[str, str]:
    """Prefixes of addresses, numbered: two in one prefix stay two."""
    shown: dict[str, str] = {}
    counts: dict[str, int] = {}
    for value in values:
        prefix = _prefix_of(value)
        if prefix is None or prefix == value:
            shown[value] = mask_value("ip", value)
        else:
            counts[prefix] = counts.get(prefix, 0) + 1
            shown[value] = f"{prefix} #{counts[prefix]}"
    return shown


def _sentence_masker(shown: Mapping[str, str]) -> Callable[[str], str]:
    """A function that masks the known values, and any other address, inside a sentence."""
    known = {value: masked for value, masked in shown.items() if len(value) >= _SHORTEST_REPLACED}
    odd = sorted((value for value in known if not _TOKEN.fullmatch(value)), key=len, reverse=True)
    odd_pattern = re.compile("|".join(map(re.escape, odd))) if odd else None

    def mask_token(match: re.Match[str]) -> str:
        token = match.group()
        core = token.rstrip(".:/")
        return (known[core] if core in known else _mask_address(core)) + token[len(core) :]

    @functools.cache
    def hide_part(part: str) -> str:
        return _TOKEN.sub(mask_token, part)

    def hide(sentence: str) -> str:
        if odd_pattern is not None:
            sentence = odd_pattern.sub(lambda match: known[match.group()], sentence)
        # No token holds the mark between two reasons, and thousands of members have the same ones.
        return _BETWEEN.join(map(hide_part, sentence.split(_BETWEEN)))

    return hide


def _mask_address(token: str) -> str:
    if token.count(".") != 3 and token.count(":") < 2:
        return token
    return _prefix_of(token) or token


def pseudonym(account_id: str, *, key: bytes = b"") -> str:
    """16 hex digits that stand for an account id, the same each time.

    Without a key, who can guess an id can check the guess.

    Examples
    --------
    >>> pseudonym("acct-1") == pseudonym("acct-1"), pseudonym("acct-1") == pseudonym("acct-1", key=b"secret")
    (True, False)
    """
    return hashlib.blake2b(account_id.encode("utf-8", "surrogatepass"), digest_size=8, key=key[:64]).hexdigest()
