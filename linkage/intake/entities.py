"""Ids of entities: derived from what they name, so that batches merge in any order on any machine."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from linkage.arrays import Ints
from linkage.errors import UsageError
from linkage.intake.hashing import hash_texts

PRIVATE_KINDS: Final = ("ip", "ip_prefix", "payment", "email_domain", "client", "end_user", "forwarded")
"""Kinds whose values a :class:`Pseudonymizer` replaces."""

MIN_KEY_BYTES: Final = 16
"""A shorter key could be found by trying; IPv4 addresses are few."""


def entity_id(kind: str, value: str) -> int:
    """The id of a value: 63 bits of BLAKE2b over the kind and the text; never 0.

    Equal on every machine and in every order of loading. Among 10 million values of one kind the chance that
    any two share an id is about 5 in a million (birthday bound ``n**2 / 2**64``).

    Examples
    --------
    >>> entity_id("ip", "203.0.113.7") == entity_id("ip", "203.0.113.7") != entity_id("account", "203.0.113.7")
    True
    """
    digest = hashlib.blake2b(f"{kind}\0{value}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1 or 1


def entity_ids(kind: str, values: Any) -> Ints:
    """The ids of many values, in their order; see :func:`entity_id`.

    Parameters
    ----------
    values : Arrow array of strings without null.
    """
    return hash_texts(f"{kind}\0".encode("utf-8", "surrogatepass"), values)


def address_entity(address: str) -> str | None:
    """The text that stands for one client: an IPv4 address, or the /64 of an IPv6 one; None for a prefix.

    An IPv6 subscriber is given a /64 at least and moves within it at will.

    Examples
    --------
    >>> address_entity("203.0.113.7"), address_entity("2001:db8:1:2::9"), address_entity("203.0.113.0/24")
    ('203.0.113.7', '2001:db8:1:2::/64', None)
    """
    if "/" in address:
        return None
    return str(ipaddress.ip_network(f"{address}/64", strict=False)) if ":" in address else address


def ip_prefix(address: str) -> str:
    """The /24 of an IPv4 address or the /48 of an IPv6 one; a prefix is its own.

    Examples
    --------
    >>> ip_prefix("203.0.113.7"), ip_prefix("2001:db8:1:2::9"), ip_prefix("203.0.113.0/24")
    ('203.0.113.0/24', '2001:db8:1::/48', '203.0.113.0/24')
    """
    if "/" in address:
        return address
    if ":" in address:
        return str(ipaddress.ip_network(f"{address}/48", strict=False))
    return f"{address.rpartition('.')[0]}.0/24"


def address_entities(addresses: Any) -> Any:
    """What :func:`address_entity` says of each text of an Arrow array; null where it drops it."""
    return _with_others(addresses, addresses, address_entity)


def ip_prefixes(addresses: Any) -> Any:
    """What :func:`ip_prefix` says of each text of an Arrow array."""
    networks = pc.list_element(pc.split_pattern(addresses, ".", max_splits=1, reverse=True), 0)
    return _with_others(addresses, pc.binary_join_element_wise(networks, "0/24", "."), ip_prefix)


def _with_others(addresses: Any, of_plain: Any, read: Callable[[str], str | None]) -> Any:
    """What is said of plain IPv4 addresses, most of all there are, with what is read of each other one."""
    is_other = pc.match_substring_regex(addresses, "[:/]")
    if not pc.any(is_other).as_py():
        return of_plain
    told = [read(address) for address in addresses.filter(is_other).to_pylist()]
    return pc.replace_with_mask(of_plain, is_other, pa.array(told, type=pa.string()))


def client_text(user_agent: str | None, tls_fingerprint: str | None) -> str | None:
    """One text for a client: user agent and TLS fingerprint together, a tab between them.

    Neither field can hold a tab, so two clients never share a text.

    Examples
    --------
    >>> client_text("openai-python/2.9.0", None), client_text(None, None)
    ('openai-python/2.9.0', None)
    """
    if tls_fingerprint is None:
        return user_agent
    return f"{user_agent or '-'}\t{tls_fingerprint}"


def client_texts(user_agents: Any, tls_fingerprints: Any) -> Any:
    """What :func:`client_text` says of each row of two Arrow columns of strings that are null or not empty."""
    if tls_fingerprints.null_count == len(tls_fingerprints):
        return user_agents
    both = pc.binary_join_element_wise(user_agents.fill_null("-"), tls_fingerprints, "\t")
    return pc.coalesce(both, user_agents)


class Pseudonymizer:
    """Replaces private values by keyed hashes (HMAC-SHA256) before anything is stored.

    Every kind has its own key, made from the one given: a prefix cannot be matched with an address, nor a
    payment token with a mail domain, without that key. Addresses of one prefix still share the hash of it.
    """

    def __init__(self, key: bytes) -> None:
        """``key`` : at least 16 secret bytes.

        Raises
        ------
        UsageError : the key is shorter.
        """
        if len(key) < MIN_KEY_BYTES:
            raise UsageError(
                f"wanted a secret key of at least {MIN_KEY_BYTES} bytes; found {len(key)}. "
                "Make one: openssl rand -hex 32 > KEYFILE"
            )
        self._keys = {kind: hmac.digest(key, f"linkage:{kind}".encode(), "sha256") for kind in PRIVATE_KINDS}

    def __repr__(self) -> str:
        return f"Pseudonymizer({', '.join(PRIVATE_KINDS)})"

    def replace(self, kind: str, value: str) -> str:
        """The keyed hash of a private value (128 bits, hex); a value of another kind as it is.

        Examples
        --------
        >>> names = Pseudonymizer(b"an example key, not a secret one")
        >>> names.replace("ip", "203.0.113.7").startswith("ip-"), names.replace("model", "sonata")
        (True, 'sonata')
        """
        key = self._keys.get(kind)
        if key is None:
            return value
        return f"{kind}-{hmac.digest(key, value.encode('utf-8', 'surrogatepass'), 'sha256').hex()[:32]}"


def read_keyfile(path: str | PathLike[str]) -> Pseudonymizer:
    """The pseudonymizer with the key in a file; line ends around the key do not count.

    Raises
    ------
    UsageError : the file cannot be read, or the key in it is too short.
    """
    try:
        key = Path(path).read_bytes().strip()
    except OSError as error:
        raise UsageError(
            f"{path}: wanted a key file; {error.strerror}. Make one: openssl rand -hex 32 > KEYFILE"
        ) from error
    return Pseudonymizer(key)


def encode_column(
    kind: str,
    column: Any,
    *,
    derive: Callable[[Any], Any] | None = None,
    pseudonymizer: Pseudonymizer | None = None,
) -> tuple[Any, Any]:
    """A text column as ids, and the table of its entities.

    Every distinct text is hashed once.

    Parameters
    ----------
    kind : what the texts name.
    column : Arrow array or chunked array of strings, or such an array as a dictionary.
    derive : an Arrow array of texts to the entities' values (addresses to their prefixes, say); null drops one.
    pseudonymizer : replaces private values.

    Returns
    -------
    Arrow array of int64 ids (null where the text is), and an Arrow table ``id`` (int64), ``value`` (string)
    of the distinct entities sorted by id.
    """
    encoded = column if isinstance(column, pa.DictionaryArray) else encode_texts(column)
    texts = derive(encoded.dictionary) if derive else encoded.dictionary
    if pseudonymizer and kind in PRIVATE_KINDS:
        names = [None if text is None else pseudonymizer.replace(kind, text) for text in texts.to_pylist()]
        texts = pa.array(names, type=pa.string())
    present = texts.drop_null()
    ids = entity_ids(kind, present)
    if texts.null_count:
        per_text = np.zeros(len(texts), np.int64)
        per_text[np.asarray(texts.is_valid().to_numpy(zero_copy_only=False))] = ids
        column_ids = pa.array(per_text, mask=np.asarray(texts.is_null().to_numpy(zero_copy_only=False)))
    else:
        column_ids = pa.array(ids)
    return pc.take(column_ids, encoded.indices), entity_table(ids, present)


def encode_texts(column: Any) -> Any:
    """An Arrow array or chunked array of strings as one dictionary array."""
    encoded = pa.chunked_array([column]) if isinstance(column, pa.Array) else column
    encoded = encoded.combine_chunks().dictionary_encode()
    return encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded


def entity_table(ids: Ints, values: Any) -> Any:
    """Distinct entities (Arrow strings) as an Arrow table ``id`` (int64), ``value`` (string), sorted by id."""
    _, at = np.unique(ids, return_index=True)
    return pa.table({"id": pa.array(ids[at], type=pa.int64()), "value": values.take(pa.array(at)).cast(pa.string())})
