"""The published JSON Schema describes the reports that are written, and refuses what they are not."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from details import make_detail

import linkage as lk
from linkage.outputs.masking import mask_detail
from linkage.outputs.schema import SCHEMA_FILE, report_schema
from linkage.outputs.tables import detail_json


def check(report: Any) -> None:
    jsonschema.Draft202012Validator(
        report_schema(), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    ).validate(report)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(report_schema())


@pytest.mark.parametrize("hostile", [False, True])
def test_reports_are_what_the_schema_says(hostile: bool) -> None:
    detail = make_detail(14, hostile=hostile)
    for shown in (detail, mask_detail(detail)):
        check(json.loads(json.dumps(detail_json(shown))))


def test_a_report_from_a_store_is_what_the_schema_beside_it_says(tiny_store: lk.Store, tmp_path: Path) -> None:
    run = lk.rebuild(tiny_store)
    run.cluster(run.clusters["cluster_id"].iloc[0]).decide("watched", note="n", author="a", at="2026-09-09")
    run.report(tmp_path)
    schema = json.loads((tmp_path / SCHEMA_FILE).read_bytes())
    assert schema == report_schema()
    reports = [json.loads(path.read_bytes()) for path in tmp_path.glob("c-*.json")]
    assert len(reports) == len(run.clusters)
    for report in reports:
        check(report)
    assert [note["state"] for note in reports[0]["case_notes"]] == ["watched"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), 2),
        (("cluster", "tier"), "guilty"),
        (("cluster", "controller_probability"), 1.2),
        (("members", 0, "membership"), "suspect"),
        (("members", 0, "flagged"), "yes"),
        (("links", 0, "accounts"), -1),
        (("activity", 0, "hour_at"), "2026-11-06 09:00"),
        (("run", "settings"), None),
    ],
)
def test_what_no_report_says_is_refused(path: tuple[Any, ...], value: object) -> None:
    report = copy.deepcopy(detail_json(make_detail(14)))
    place = report
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        check(report)
    del place[path[-1]]
    with pytest.raises(jsonschema.ValidationError, match="is a required property"):
        check(report)
