"""A process beside this one: the same values in the same order, and what happens when either of the two ends."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from beside_work import dying, failing, ids, tables

from linkage.engines.beside import Worker
from linkage.engines.templates import _name_beside
from linkage.errors import FormatError, SourceError
from linkage.intake.mining import Naming, name_templates
from linkage.settings import TemplateSettings


def test_values_come_in_order_and_one_process_serves_several_streams() -> None:
    with Worker() as worker:
        for _ in range(2):
            found = list(worker.stream(tables, {"count": 3}, about="a.json"))
            assert [at for at, _ in found] == [0, 1, 2]
            assert found[2][1]["text"][-1].as_py() == "text 2 999"
            assert found[1][1]["row"].to_pylist() == list(range(1_000))


def test_a_failure_over_there_comes_as_it_is_after_the_values_before_it() -> None:
    with Worker() as worker:
        values = worker.stream(failing, {"count": 2}, about="a.json")
        assert [next(values), next(values)] == [0, 1]
        with pytest.raises(FormatError, match="found poems"):
            next(values)
        assert len(list(worker.stream(tables, {"count": 1}, about="a.json"))) == 1


def test_a_process_that_dies_is_told_and_the_next_stream_has_a_new_one() -> None:
    with Worker() as worker:
        values = worker.stream(dying, {"count": 1}, about="logs/a.json")
        assert next(values) == 0
        with pytest.raises(SourceError, match=r"logs/a.json: wanted its records .* ended with code -9"):
            next(values)
        assert len(list(worker.stream(tables, {"count": 1}, about="a.json"))) == 1


def test_a_user_who_may_not_have_large_pipes_has_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    start = subprocess.Popen

    def refusing(*command: object, pipesize: int, **how: object) -> object:
        if pipesize > 0:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        return start(*command, **how)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "Popen", refusing)
    with Worker() as worker:
        assert [at for at, _ in worker.stream(tables, {"count": 3}, about="a.json")] == [0, 1, 2]


def test_a_process_that_cannot_be_started_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "Popen", failing)
    with (
        Worker() as worker,
        pytest.raises(SourceError, match=r"logs/a\.json: wanted a process beside this one; Resource"),
    ):
        list(worker.stream(tables, {"count": 1}, about="logs/a.json"))


def test_a_stream_that_is_left_ends_the_process() -> None:
    with Worker() as worker:
        values = worker.stream(ids, {}, about="a.json")
        process = next(values)
        values.close()
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks at /proc")
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_the_process_ends_when_this_one_is_killed(ending: signal.Signals) -> None:
    script = "from linkage.engines.beside import Worker; from beside_work import ids\n"
    script += "values = Worker().stream(ids, {}, about='a.json'); print(next(values), flush=True)\n"
    script += "import time; time.sleep(60)"
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}) as parent:
        process = int(parent.stdout.readline())  # type: ignore[union-attr]
        parent.send_signal(ending)
        parent.wait()
        for _ in range(600):
            if not _is_running(process):
                return
            time.sleep(0.05)
    os.kill(process, signal.SIGKILL)
    pytest.fail("the process works on for nobody")


def _is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"  # nobody may be there to ask how it ended


def test_templates_are_named_by_the_process_beside_and_here_when_it_has_died() -> None:
    naming = Naming({5: "Translate <*> to French, please."}, {7: ["Name a bird of Peru", "Name a bird of Chile"]})
    wanted = name_templates(naming, settings=TemplateSettings())
    assert [each.text for each in wanted.described] == ["Name a bird of <*>"]
    assert [each.template_id for each in wanted.tied] == [5, 7]
    with Worker() as worker:
        assert not worker.is_started
        assert len(list(worker.stream(tables, {"count": 2}, about="a.json"))) == 2
        assert _name_beside(worker, naming, TemplateSettings()) == wanted
        assert worker.is_started
        worker._started().kill()
        assert _name_beside(worker, naming, TemplateSettings()) == wanted
        assert not worker.is_started
