"""The layers of the package, held as data and compared with what the files really import."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "linkage"

GROUND = ("errors", "arrays", "terms", "coding", "settings", "parallel", "memory", "compiled", "kernels", "sorting")
WINGS = ("store", "templates", "intake", "engines", "evidence", "clusters", "outputs", "worlds")
TOP = ("stages", "rebuild", "notebook", "cli")

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "arrays": set(),
    "terms": {"errors"},
    "coding": {"errors", "arrays", "terms", "kernels"},
    "settings": {"errors", "terms"},
    "parallel": set(),
    "memory": set(),
    "compiled": set(),
    "kernels": set(),
    "sorting": {"arrays", "kernels"},
    "store": set(GROUND),
    "templates": set(GROUND),
    "evidence": set(GROUND),
    "clusters": set(GROUND),
    "outputs": set(GROUND),
    "worlds": set(GROUND),
    "intake": {*GROUND, "templates"},
    "engines": {*GROUND, "intake", "store"},
    "stages": {*GROUND, "store", "evidence", "clusters"},
    "rebuild": {*GROUND, "store", "templates", "evidence", "clusters", "stages"},
    "notebook": {*GROUND, *WINGS, "stages", "rebuild"},
    "cli": {*GROUND, *WINGS, "stages", "rebuild", "notebook"},
    "__init__": {*GROUND, *WINGS, "stages", "rebuild", "notebook"},
    "__main__": {"cli"},
}

IGRAPH_ROOMS = {"clusters/graph.py", "clusters/communities.py", "outputs/layout.py"}
SQLITE_WING = "store"
LONGEST_FUNCTION = 60
LONGEST_ROOM = 600

FILES = sorted(path for path in PACKAGE.rglob("*.py"))


def wing_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").as_posix().removesuffix("/__init__")


def imports_of(path: Path) -> list[str]:
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


def own_rooms(path: Path) -> set[str]:
    """Rooms of this package that a file imports."""
    rooms = {room_of(file) for file in FILES}
    named = {
        name.removeprefix("linkage.").replace(".", "/") for name in imports_of(path) if name.startswith("linkage.")
    }
    return named & rooms


@pytest.mark.parametrize("path", FILES, ids=room_of)
def test_a_room_imports_only_what_its_wing_may(path: Path) -> None:
    wing = wing_of(path)
    imported = {name.split(".")[1] for name in imports_of(path) if name.startswith("linkage.")}
    assert imported - {wing} <= MAY_IMPORT[wing]


def test_every_wing_and_top_room_of_the_design_is_in_the_table_and_in_the_tree() -> None:
    there = {wing_of(path) for path in FILES}
    assert there == set(MAY_IMPORT)
    assert set(GROUND) | set(WINGS) | set(TOP) <= there


def test_rooms_do_not_import_in_a_circle() -> None:
    edges = {room_of(path): own_rooms(path) - {room_of(path)} for path in FILES}
    done: set[str] = set()

    def visit(room: str, trail: tuple[str, ...]) -> None:
        assert room not in trail, " -> ".join((*trail, room))
        if room in done:
            return
        for target in sorted(edges[room]):
            visit(target, (*trail, room))
        done.add(room)

    for room in sorted(edges):
        visit(room, ())
    assert done == set(edges)


def test_only_three_rooms_touch_igraph() -> None:
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in FILES
        if any(name.split(".")[0] == "igraph" for name in imports_of(path))
    }
    assert users <= IGRAPH_ROOMS


def test_only_the_store_opens_a_database() -> None:
    users = {
        wing_of(path)
        for path in FILES
        if any(name.split(".")[0] in {"sqlite3", "sqlite_utils"} for name in imports_of(path))
    }
    assert users == {SQLITE_WING}


def test_there_is_no_utils_room() -> None:
    assert not [path for path in FILES if re.fullmatch(r"(utils?|helpers?|common|misc)\.py", path.name)]


def length_without_docstring(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert function.end_lineno is not None
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        assert first.end_lineno is not None
        lines -= first.end_lineno - first.lineno + 1
    return lines


@pytest.mark.parametrize("path", FILES, ids=room_of)
def test_no_function_is_longer_than_a_screen(path: Path) -> None:
    long = {
        node.name: length_without_docstring(node)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and length_without_docstring(node) > LONGEST_FUNCTION
    }
    assert long == {}


@pytest.mark.parametrize("path", FILES, ids=room_of)
def test_no_room_outgrows_its_size(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_ROOM


@pytest.mark.parametrize("path", FILES, ids=room_of)
def test_every_public_name_has_a_docstring(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), path
    bare = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert bare == []


def is_kernel(function: ast.FunctionDef) -> bool:
    """Compiled by numba, which takes arguments by position only."""
    return any(re.search(r"njit|kernel|inlined", ast.unparse(decorator)) for decorator in function.decorator_list)


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def called_from_python(path: Path) -> set[tuple[str, str]]:
    """Module and name of what a file names outside of compiled functions, its own names and those it imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    known = {node.name: (module_of(path), node.name) for node in tree.body if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            known |= {alias.asname or alias.name: (node.module, alias.name) for alias in node.names}
    found: set[tuple[str, str]] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef) and is_kernel(node):
            return
        if isinstance(node, ast.Name) and node.id in known:
            found.add(known[node.id])
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in known:
            found.add((".".join(known[node.value.id]), node.attr))
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree)
    return found


def test_what_has_no_wrapper_is_called_by_compiled_functions_alone() -> None:
    """Python calling one would end the process: there is nothing at its address."""
    inner = {
        (module_of(path), node.name)
        for path in FILES
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and "inner_kernel" in map(ast.unparse, node.decorator_list)
    }
    assert ("linkage.templates.patterns", "choose") in inner
    assert ("linkage.templates.patterns", "choose") not in called_from_python(PACKAGE / "templates" / "learning.py")
    assert ("linkage.templates.patterns", "end_keys") in called_from_python(PACKAGE / "templates" / "learning.py")
    rooms = [*FILES, *(path for folder in ("tests", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py")))]
    assert not inner & set.union(*map(called_from_python, rooms))


def test_every_compiled_function_says_who_calls_it() -> None:
    """Python, other compiled functions, or nobody, since it is put into its callers."""
    said = {"kernel", "inner_kernel", "inlined"}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and is_kernel(node):
                assert set(map(ast.unparse, node.decorator_list)) <= said, f"{path}:{node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=room_of)
def test_public_functions_take_few_positional_arguments(path: Path) -> None:
    wide = [
        node.name
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith("_")
        and not is_kernel(node)
        and len(node.args.posonlyargs) + len(node.args.args) > 3
    ]
    assert wide == []


def test_sql_is_never_pasted_together() -> None:
    verbs = re.compile(r"\b(select|insert|update|delete|replace)\b.*\b(from|into|set)\b", re.IGNORECASE | re.DOTALL)
    for path in FILES:
        if wing_of(path) != SQLITE_WING:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                text = "".join(part.value for part in node.values if isinstance(part, ast.Constant))
                assert not verbs.search(text), f"{path}:{node.lineno}"


def test_no_two_rooms_of_tests_have_the_same_name() -> None:
    """Tests have no packages, so the name of a file is the name of its module."""
    names = sorted(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name in names if names.count(name) > 1] == []
