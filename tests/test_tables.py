"""CSV that no spreadsheet runs, JSON that every parser reads, and personal data that stays out of both."""

import csv
import dataclasses
import io
import ipaddress
import json
import os
from pathlib import Path

import numpy as np
import orjson
import pandas as pd
import pytest
from details import HOSTILE, SURROGATE, make_detail
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage.errors import OutputFileError
from linkage.outputs import files, tables, ties
from linkage.outputs.masking import mask_clusters, mask_detail, mask_value
from linkage.outputs.text import fingerprint, visible
from linkage.terms import CLUSTERS, MEMBERS, make_frame

ANY_TEXT = st.text(st.characters(codec=None), max_size=40)


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1", "-", "="])
def test_a_cell_that_begins_like_a_formula_gains_an_apostrophe(cell: str) -> None:
    [[_], [shown]] = csv.reader(io.StringIO(tables.to_csv(pd.DataFrame({"account_id": [cell]}))))
    assert shown.startswith("'")
    assert shown[1:] == visible(cell)


def test_numbers_flags_times_and_nulls_keep_their_kind() -> None:
    frame = pd.DataFrame(
        {
            "requests": [-3, 4],
            "bits": [-0.5, float("nan")],
            "flagged": [True, False],
            "at": pd.to_datetime(["2026-11-20T09:14:03.120Z", None]),
            "reasons": ["a, b", None],
        }
    )
    assert tables.to_csv(frame).splitlines() == [
        "requests,bits,flagged,at,reasons",
        '-3,-0.5,true,2026-11-20T09:14:03.120Z,"a, b"',
        "4,,false,,",
    ]


def test_a_hostile_header_is_data_too() -> None:
    assert tables.to_csv(pd.DataFrame({"=cmd": [1]})) == "'=cmd\n1\n"


def test_an_empty_table_has_its_header_and_an_empty_list() -> None:
    assert tables.to_csv(make_frame(MEMBERS)) == ",".join(MEMBERS) + "\n"
    assert tables.to_json(make_frame(MEMBERS)) == "[]\n"


def test_pandas_reads_the_csv_back() -> None:
    members = make_detail(50).members
    back = pd.read_csv(io.StringIO(tables.to_csv(members)))
    assert list(back.columns) == list(MEMBERS)
    assert list(back["account_id"]) == list(members["account_id"])
    assert list(back["controller_probability"]) == list(members["controller_probability"])
    assert list(back["flagged"]) == list(members["flagged"])


def test_hostile_ids_break_no_csv() -> None:
    members = make_detail(14, hostile=True).members
    rows = list(csv.DictReader(io.StringIO(tables.to_csv(members))))
    assert [row["account_id"].removeprefix("'") for row in rows] == [visible(name) for name in members["account_id"]]


@settings(deadline=None)
@given(st.lists(ANY_TEXT, min_size=1, max_size=5))
def test_any_text_survives_csv_and_json_as_text(cells: list[str]) -> None:
    frame = pd.DataFrame({"cell": pd.Series(cells, dtype=object)})
    source = tables.to_csv(frame)
    assert source.encode()
    rows = list(csv.reader(io.StringIO(source, newline="")))[1:]
    assert [row[0] if row else "" for row in rows] == [
        f"'{visible(cell)}"
        if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"))
        else visible(cell.replace("\r\n", "\n"))
        for cell in cells
    ]
    assert len(orjson.loads(tables.to_json(frame))) == len(cells)


def test_json_is_what_strict_parsers_take() -> None:
    frame = pd.DataFrame(
        {
            "text": pd.Series([SURROGATE, "\u202e\x00"], dtype=object),
            "bits": [float("inf"), 1.5],
            "count": np.array([1, 2], dtype="int32"),
        }
    )
    assert orjson.loads(tables.to_json(frame)) == [
        {"text": "x\\ud800y", "bits": None, "count": 1},
        {"text": "\u202e\x00", "bits": 1.5, "count": 2},
    ]


def test_input_frames_are_not_changed() -> None:
    detail = make_detail(14)
    before = detail.members.copy(deep=True)
    tables.to_csv(detail.members)
    mask_detail(detail)
    pd.testing.assert_frame_equal(detail.members, before)


@pytest.mark.parametrize("hostile", [False, True])
def test_the_text_of_a_detail_is_its_json_indented(hostile: bool) -> None:
    made = make_detail(14, hostile=hostile)
    odd = pd.DataFrame(
        {
            "100%": ["a%s", None, "口\n"],
            "bits": [-0.0, float("inf"), float("nan")],
            "at": pd.to_datetime(["2026-11-20T10:00:00.5Z", None, "2026-11-20T10:00:00.0Z"]),
            "flag": [True, False, True],
            "list": [[1, {"a": None}], [], "text"],
            "kind": pd.Categorical(["x", None, "x"]),
        }
    )
    for detail in (made, dataclasses.replace(made, events=odd, links=made.links.iloc[:0])):
        wanted = json.dumps(tables.detail_json(detail), allow_nan=False, indent=1)
        assert tables.detail_text(detail) == wanted


def test_the_json_of_a_detail_has_every_table_and_no_odd_number() -> None:
    detail = make_detail(14, hostile=True)
    content = tables.detail_json(detail)
    assert list(content) == [
        "format",
        "run",
        "cluster",
        "members",
        "links",
        "shared",
        "activity",
        "templates",
        "statements",
        "events",
        "case_notes",
    ]
    again = orjson.loads(json.dumps(content, allow_nan=False))
    assert again["cluster"]["accounts"] == 14
    assert again["run"]["as_of"] == "2026-11-20T00:00:00.000Z"
    assert again["cluster"]["strongest"] == "hostile x\\ud800y"
    assert len(again["links"]) == len(detail.links)
    assert again["members"][0]["account_id"] == HOSTILE["script"]


def test_addresses_become_prefixes_and_cards_fingerprints() -> None:
    assert mask_value("ip", "203.0.113.77") == "203.0.113.0/24"
    assert mask_value("ip", "::ffff:203.0.113.77") == "203.0.113.0/24"
    assert mask_value("ip", "2001:db8:aa:bb::1") == "2001:db8:aa::/48"
    assert mask_value("ip_prefix", "203.0.113.64/26") == "203.0.113.0/24"
    assert mask_value("ip_prefix", "10.0.0.0/8") == "10.0.0.0/8"
    assert mask_value("template", "203.0.113.77") == "203.0.113.77"
    masked = {mask_value("payment", "card-1"), mask_value("payment", "card-2"), mask_value("api_key", "sk-1")}
    assert len(masked) == 3
    assert not any(part in value for value in masked for part in ("card", "sk-"))
    assert mask_value("ip", "not an address") == mask_value("payment", "not an address")


@given(st.ip_addresses(v=4) | st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){2,4}(/[0-9]{1,2})?", fullmatch=True))
@settings(max_examples=400)
def test_addresses_are_masked_as_the_library_for_addresses_reads_them(address: object) -> None:
    value = str(address)
    try:
        network = ipaddress.IPv4Network(value, strict=False)
    except ValueError:
        assert mask_value("ip", value) == f"#{fingerprint(value)}"
    else:
        wanted = ipaddress.IPv4Network((network.network_address, min(network.prefixlen, 24)), strict=False)
        assert mask_value("ip", value) == str(wanted)


def test_masking_keeps_values_apart_and_is_stable() -> None:
    detail = make_detail(400)
    masked = mask_detail(detail)
    for kind in ("ip", "payment"):
        before = detail.shared.loc[detail.shared["kind"] == kind, "value"]
        after = masked.shared.loc[masked.shared["kind"] == kind, "value"]
        assert before.nunique() == after.nunique() > 1
        assert not set(before) & set(after)
    again = mask_detail(masked)
    pd.testing.assert_frame_equal(again.shared, masked.shared)
    pd.testing.assert_frame_equal(again.links, masked.links)
    assert len(ties.shared_values(detail)) == len(ties.shared_values(masked))


def test_sentences_lose_addresses_and_cards_but_not_times_and_numbers() -> None:
    detail = make_detail(14)
    sentence = "At 09:14:03 card-0000-0000, 203.0.113.1; 192.0.2.9 (2001:db8::5:1). Version 1.2.3, 14 accounts."
    members = detail.members.assign(reasons=sentence)
    clusters = make_frame(CLUSTERS, {"cluster_id": ["c"], "strongest": [sentence], "readings": [None]})
    shown = mask_clusters(clusters, [detail])["strongest"].iloc[0]
    assert shown == (
        f"At 09:14:03 {mask_value('payment', 'card-0000-0000')}, 203.0.113.0/24 #1; 192.0.2.0/24 "
        "(2001:db8::/48). Version 1.2.3, 14 accounts."
    )
    assert mask_detail(dataclasses.replace(detail, members=members)).members["reasons"].iloc[0] == shown


def test_shared_values_count_members_and_others_apart() -> None:
    values = ties.shared_values(make_detail(14)).set_index("value")
    client = values.loc["python-httpx/0.27 771,4865"]
    assert (client["inside"], client["accounts"], client["unrelated_accounts"]) == (14, 426, 412)
    assert pd.isna(values.loc["198.51.0.0/24", "bits"])
    told = values["bits"].fillna(1.0) * values["inside"]
    assert told.is_monotonic_decreasing, "what ties two with many bits does not stand above what ties all"
    assert not values["bits"].dropna().is_monotonic_decreasing


def test_a_family_without_shared_values_is_counted_by_its_links() -> None:
    conduct = ties.family_ties(make_detail(14)).set_index("family").loc["conduct"]
    assert (conduct["inside"], conduct["pairs"]) == (10, 6)


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_no_rest(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    files.write_whole(b"old", out=target)
    with pytest.raises(OutputFileError, match=r"wanted to write 3 bytes; .*Check that the folder exists"):
        files.write_whole(b"new", out=tmp_path / "missing" / "table.csv")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "full").write_text("x")
    with pytest.raises(OutputFileError):
        files.write_whole(b"new", out=tmp_path / "folder")
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "table.csv"]


def test_a_device_or_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert files.write_whole(b"new", out=pipe) == pipe
    assert (os.read(reader, 10), pipe.is_fifo()) == (b"new", True)
    os.close(reader)
    with (tmp_path / "shown").open("wb") as shown, pytest.raises(OutputFileError, match="that a program has open"):
        files.write_whole(b"new", out=f"/dev/fd/{shown.fileno()}")
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["pipe", "shown"]


def test_a_masked_sentence_names_each_kind_once() -> None:
    detail = make_detail(14)
    sentence = "Of 14 members, 8 share payment instrument card-0000-0000 and 6 share address 203.0.113.1."
    said = detail.statements.assign(sentence=sentence)
    [shown, *_] = mask_detail(dataclasses.replace(detail, statements=said)).statements["sentence"]
    card = fingerprint("card-0000-0000")
    assert shown == f"Of 14 members, 8 share payment instrument #{card} and 6 share address 203.0.113.0/24 #1."
