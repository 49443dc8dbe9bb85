"""How public a template is, and which earlier version it follows, seen in a store of a few accounts."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import linkage as lk

WORDS = ["river", "engine", "letter", "garden", "market", "window", "copper", "violin", "harbour", "winter"]
FIRST = "You are a careful grader of short essays. Score this essay from one to ten and say why.\nEssay: {}"
SECOND = "You are a careful grader of short essays. Score this essay from one to twenty and explain why.\nEssay: {}"
PUBLIC = "Use the pieces of context below to answer. If you do not know, say so.\nContext: {}\nAnswer:"
START = datetime(2026, 9, 1, tzinfo=UTC)


def essay(at: int) -> str:
    return " ".join(WORDS[(at * step + step) % len(WORDS)] + str(at * step % 97) for step in range(3, 15))


def requests() -> list[dict[str, object]]:
    """Four accounts behind two addresses use the first version for two days and then the second; six others,
    each with an address of its own, use a public scaffold."""
    rows: list[dict[str, object]] = []
    for at in range(4):
        for hour in range(96):
            text = (FIRST if hour < 48 else SECOND).format(essay(at * 96 + hour))
            rows.append({"account_id": f"moved-{at}", "ip": f"203.0.113.{at % 2}", "hour": hour, "prompt": text})
    for at in range(6):
        for hour in range(10):
            text = PUBLIC.format(essay(1000 + at * 10 + hour))
            rows.append({"account_id": f"apart-{at}", "ip": f"198.51.100.{at}", "hour": hour, "prompt": text})
    return [
        {
            "request_id": f"r{at}",
            "timestamp": (START + timedelta(hours=int(str(row.pop("hour"))))).isoformat(),
            "prompt": row.pop("prompt"),
            **row,
        }
        for at, row in enumerate(rows)
    ]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> lk.Store:
    folder: Path = tmp_path_factory.mktemp("origins")
    (folder / "requests.ndjson").write_text("\n".join(json.dumps(row) for row in requests()) + "\n", encoding="utf-8")
    opened = lk.open_store(folder / "store.db")
    assert opened.ingest(folder / "requests.ndjson").kept == len(requests())
    return opened


def row_of(store: lk.Store, words: str) -> dict[str, object]:
    table = store.templates
    found = table[table["text"].str.contains(words)]
    assert len(found) == 1, table["text"].tolist()
    return dict(found.iloc[0])


def test_accounts_that_share_an_address_are_not_counted_as_unrelated(store: lk.Store) -> None:
    assert row_of(store, "one to ten")["accounts"] == 4
    assert row_of(store, "one to ten")["unrelated_accounts"] == 0


def test_a_public_scaffold_is_known_by_the_unrelated_accounts_that_use_it(store: lk.Store) -> None:
    assert row_of(store, "pieces of context")["unrelated_accounts"] == 6


def test_an_edited_template_follows_the_version_its_accounts_left(store: lk.Store) -> None:
    assert row_of(store, "one to twenty")["follows_id"] == row_of(store, "one to ten")["template_id"]
    assert row_of(store, "one to twenty")["family_id"] == row_of(store, "one to ten")["family_id"]


def test_a_first_version_and_a_template_like_no_other_follow_nothing(store: lk.Store) -> None:
    assert store.templates.set_index("template_id")["follows_id"].notna().sum() == 1
