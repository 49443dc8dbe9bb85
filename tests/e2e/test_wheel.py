"""The wheel carries the queries and works away from the checkout."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from linkage.store.queries import queries_folder, query_names

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel holds, and with what the checkout has compiled of the same functions by now."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "unpacked")
    for compiled in (ROOT / "linkage").rglob("__pycache__/*.nb[ic]"):
        copy = folder / "unpacked" / compiled.relative_to(ROOT)
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(compiled, copy)
    return folder / "unpacked"


def test_in_a_checkout_the_queries_are_found_beside_the_package() -> None:
    assert queries_folder() == ROOT / "queries"


def test_the_wheel_carries_queries_pages_and_types(unpacked: Path) -> None:
    assert sorted(path.stem for path in (unpacked / "linkage" / "_queries").glob("*.sql")) == query_names()
    assert (unpacked / "linkage" / "py.typed").is_file()
    assert list((unpacked / "linkage" / "outputs" / "pages").glob("*.html"))


def test_the_wheel_works_away_from_the_checkout(unpacked: Path, tiny_logs: Path, tmp_path: Path) -> None:
    code = (
        "import sys, linkage as lk; from linkage.store.queries import queries_folder;"
        "assert str(queries_folder()).startswith(sys.argv[1]), queries_folder();"
        "store = lk.open_store('s.db'); store.ingest(sys.argv[2]); print(lk.rebuild(store).counts['accounts'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(unpacked), str(tiny_logs / "requests.ndjson")],
        cwd=tmp_path,
        env={"PYTHONPATH": str(unpacked), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "12"
