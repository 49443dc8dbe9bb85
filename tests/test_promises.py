"""Pages of promises keep to the code: tests they name exist, examples compile, settings they quote are the defaults."""

import re
import tomllib
from pathlib import Path

import pytest

from linkage.settings import HealthSettings

ROOT = Path(__file__).resolve().parent.parent
RELIABILITY = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
SCHEDULE = (ROOT / "docs" / "schedule.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", RELIABILITY)))


def test_every_promise_names_a_test_that_exists() -> None:
    assert len(NAMED) > 25
    texts = {path: (ROOT / path).read_text(encoding="utf-8") for path, _ in NAMED}
    assert [pair for pair in NAMED if f"def {pair[1]}(" not in texts[pair[0]]] == []


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", SCHEDULE, re.DOTALL), ids=["airflow", "dagster"])
def test_examples_for_schedulers_compile(block: str) -> None:
    compile(block, "docs/schedule.md", "exec")


def test_settings_on_the_page_are_the_defaults() -> None:
    [told] = [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", SCHEDULE, re.DOTALL)]
    assert told["health"] == {name: getattr(HealthSettings(), name) for name in told["health"]}


def test_the_lock_file_pins_every_requirement_with_its_hash() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()[1:]
    assert all(re.fullmatch(r"[a-z0-9_.-]+==\S+ --hash=sha256:[0-9a-f]{64}", line) for line in lines)
    pinned = {line.partition("==")[0] for line in lines}
    wanted = [*project["dependencies"], *project["optional-dependencies"]["serve"]]
    assert {re.split(r"[><=;\[]", name)[0].strip().lower() for name in wanted} <= pinned


def test_every_pinned_distribution_has_its_licence() -> None:
    told = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()[1:]
    names = {line.partition("==")[0] for line in lines} - {"pip", "setuptools"}
    assert [name for name in sorted(names) if f"| {name} |" not in told] == []
