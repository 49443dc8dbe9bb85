"""Every notebook runs from top to bottom in a real kernel, on data it makes."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent.parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_there_are_seven() -> None:
    assert [path.stem for path in NOTEBOOKS] == [
        "1-first-look",
        "2-prompts-to-templates",
        "3-evidence",
        "4-is-it-a-campaign",
        "5-tuning",
        "6-thirty-days",
        "7-export",
    ]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_shows_what_it_showed(path: Path, tmp_path: Path) -> None:
    kept = nbformat.read(path, as_version=4)
    fresh = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(fresh, timeout=300, kernel_name="python3", resources=resources).execute()
    for before, after in zip(kept.cells, fresh.cells, strict=True):
        if before.cell_type == "code":
            assert [output.output_type for output in after.outputs] == [o.output_type for o in before.outputs]
            assert not any(output.output_type == "error" for output in after.outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_kept_with_its_outputs(path: Path) -> None:
    cells = code_cells(path)
    assert all(cell.execution_count for cell in cells)
    pictures = [output for cell in cells for output in cell.outputs if "image/png" in output.get("data", {})]
    assert pictures, "each has a picture"
    assert not [output for cell in cells for output in cell.outputs if output.get("name") == "stderr"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_says_what_it_does(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    assert re.match(r"# \d\. ", cells[0].source)
    words = sum(len(cell.source.split()) for cell in cells if cell.cell_type == "markdown")
    assert words > 150
    assert "tmp" not in re.findall(r"/(\w+)/", "".join(str(cell.get("outputs", "")) for cell in cells))
