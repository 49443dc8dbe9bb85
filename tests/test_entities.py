"""Ids of entities: the same everywhere, and nothing private behind a key."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from linkage.errors import UsageError
from linkage.intake.entities import (
    Pseudonymizer,
    address_entities,
    address_entity,
    client_text,
    client_texts,
    encode_column,
    encode_texts,
    entity_id,
    entity_ids,
    ip_prefix,
    ip_prefixes,
    read_keyfile,
)

KEY = b"0123456789abcdef0123456789abcdef"


def test_ids_never_change_between_versions_or_machines() -> None:
    # Stores in the field hold these numbers: a change here needs a migration.
    assert entity_id("account", "acct_0071") == 4925116182376167385
    assert entity_id("ip", "203.0.113.7") == 4811283232129930863
    assert entity_id("account", "") == 981310254528182611


def test_ids_are_positive_63_bit_and_differ_by_kind_and_text() -> None:
    texts = [f"v{n}" for n in range(5000)]
    ids = {entity_id(kind, text) for kind in ("ip", "account") for text in texts}
    assert len(ids) == 10_000
    assert 0 < min(ids) < 2**61 < 2**62 < max(ids) < 2**63


def test_many_ids_are_the_single_ids() -> None:
    texts = ["", "a", "é", *("x" * size for size in (124, 125, 126, 252, 253, 254, 5000))]
    assert entity_ids("ip", pa.array(texts)).tolist() == [entity_id("ip", text) for text in texts]
    assert entity_ids("ip", pa.array(texts)[3:6]).tolist() == [entity_id("ip", text) for text in texts[3:6]]
    assert entity_ids("ip", pa.array([], pa.string())).dtype == np.int64


@pytest.mark.parametrize(
    ("address", "entity", "prefix"),
    [
        ("203.0.113.7", "203.0.113.7", "203.0.113.0/24"),
        ("203.0.113.0/24", None, "203.0.113.0/24"),
        ("2001:db8:1:2:3::9", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("2001:db8:1::/48", None, "2001:db8:1::/48"),
    ],
)
def test_ipv6_is_one_client_per_64_and_a_masked_address_is_none(address: str, entity: str | None, prefix: str) -> None:
    assert (address_entity(address), ip_prefix(address)) == (entity, prefix)
    several = pa.array(["192.0.2.1", None, address])
    assert address_entities(several).to_pylist() == ["192.0.2.1", None, entity]
    assert ip_prefixes(several).to_pylist() == ["192.0.2.0/24", None, prefix]


def test_client_is_user_agent_and_tls_fingerprint_together() -> None:
    assert client_text("ua", "ja4") == "ua\tja4"
    assert client_text(None, "ja4") == "-\tja4"
    assert client_text("ua", None) == "ua"
    assert client_text(None, None) is None


def test_many_clients_are_the_single_clients() -> None:
    agents, prints = ["ua", None, "ua", None], ["ja4", "ja4", None, None]
    texts = client_texts(pa.chunked_array([agents]), pa.chunked_array([prints], pa.string()))
    assert texts.to_pylist() == [client_text(*pair) for pair in zip(agents, prints, strict=True)]
    blank = pa.chunked_array([pa.nulls(4, pa.string())])
    assert client_texts(pa.chunked_array([agents]), blank).to_pylist() == agents


def test_column_becomes_ids_and_the_table_of_what_they_name() -> None:
    column = pa.chunked_array([["b", None, "a"], ["b"]])
    ids, table = encode_column("model", column)
    a, b = entity_id("model", "a"), entity_id("model", "b")
    assert ids.to_pylist() == [b, None, a, b]
    assert table["id"].to_pylist() == sorted([a, b])
    assert dict(zip(table["id"].to_pylist(), table["value"].to_pylist(), strict=True)) == {a: "a", b: "b"}
    assert encode_column("model", encode_texts(column)) == (ids, table)


@pytest.mark.parametrize("column", [pa.nulls(3, pa.string()), pa.array([], pa.string())])
def test_column_of_nothing_gives_an_empty_table(column: pa.Array) -> None:
    ids, table = encode_column("model", column)
    assert (ids.null_count, len(ids)) == (len(column), len(column))
    assert table.schema == pa.schema({"id": pa.int64(), "value": pa.string()})
    assert len(table) == 0


def test_pseudonyms_hide_values_but_keep_which_are_equal() -> None:
    names = Pseudonymizer(KEY)
    hidden = names.replace("ip", "203.0.113.7")
    assert hidden == Pseudonymizer(KEY).replace("ip", "203.0.113.7")
    assert "203" not in hidden
    assert hidden != Pseudonymizer(KEY[::-1]).replace("ip", "203.0.113.7")
    assert hidden.removeprefix("ip-") != names.replace("payment", "203.0.113.7").removeprefix("payment-")
    assert names.replace("account", "acct_0071") == "acct_0071"
    assert "0123" not in repr(names)


def test_prefix_of_pseudonymised_addresses_is_still_shared() -> None:
    column = pa.array(["203.0.113.7", "203.0.113.8", "198.51.100.1"])
    ids, table = encode_column("ip_prefix", column, derive=ip_prefixes, pseudonymizer=Pseudonymizer(KEY))
    assert ids[0] == ids[1] != ids[2]
    assert all(value.startswith("ip_prefix-") for value in table["value"].to_pylist())


def test_keyfile_must_hold_a_real_key(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(KEY + b"\n")
    assert read_keyfile(tmp_path / "key").replace("ip", "x") == Pseudonymizer(KEY).replace("ip", "x")
    (tmp_path / "short").write_bytes(b"secret\n")
    with pytest.raises(UsageError, match="at least 16 bytes; found 6"):
        read_keyfile(tmp_path / "short")
    with pytest.raises(UsageError, match="No such file"):
        read_keyfile(tmp_path / "none")
