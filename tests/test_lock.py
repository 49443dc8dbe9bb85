"""One writer at a time; a dead holder's lock frees itself."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from linkage.errors import StoreBusyError, StoreError
from linkage.store.lock import writer_lock

HOLD = """
import sys, time
from pathlib import Path
from linkage.store.lock import writer_lock
with writer_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "s.db")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_writer_is_told_who_holds_the_lock(holder: "subprocess.Popen[str]", tmp_path: Path) -> None:
    told = rf"process {holder.pid} is writing, for \d+ s now. Wait for it to end, or say --wait 600"
    with pytest.raises(StoreBusyError, match=told), writer_lock(tmp_path / "s.db"):
        pass
    an_hour_ago = time.time() - 3600
    os.utime(tmp_path / "s.db.lock", (an_hour_ago, an_hour_ago))
    with pytest.raises(StoreBusyError, match="for 60 min now"), writer_lock(tmp_path / "s.db"):
        pass


def test_the_lock_of_a_killed_writer_is_free(holder: "subprocess.Popen[str]", tmp_path: Path) -> None:
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with writer_lock(tmp_path / "s.db"):
        assert (tmp_path / "s.db.lock").read_text() == str(os.getpid())


def test_waiting_gets_the_lock_when_the_holder_ends(holder: "subprocess.Popen[str]", tmp_path: Path) -> None:
    holder.kill()
    with writer_lock(tmp_path / "s.db", wait_s=10):
        assert (tmp_path / "s.db.lock").read_text() == str(os.getpid())


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="wanted to write the lock file"), writer_lock(tmp_path / "no" / "s.db"):
        pass


def test_a_store_has_one_lock_whatever_links_lead_to_it(holder: "subprocess.Popen[str]", tmp_path: Path) -> None:
    (tmp_path / "s.db").touch()
    link = tmp_path / "folder" / "current.db"
    link.parent.mkdir()
    link.symlink_to(tmp_path / "s.db")
    with pytest.raises(StoreBusyError, match=f"process {holder.pid} is writing"), writer_lock(link):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_store_that_root_wrote_to_once_can_be_written_to_by_its_owner(tmp_path: Path) -> None:
    os.chown(tmp_path, 65_534, 65_534)
    (tmp_path / "s.db").touch()
    os.chown(tmp_path / "s.db", 65_534, 65_533)
    with writer_lock(tmp_path / "s.db"):
        owner = (tmp_path / "s.db.lock").stat()
    assert (owner.st_uid, owner.st_gid) == (65_534, 65_533)


def test_a_lock_file_that_leads_elsewhere_is_refused_and_what_it_leads_to_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("precious")
    (tmp_path / "s.db.lock").symlink_to(other)
    with pytest.raises(StoreError, match="wanted to write the lock file"), writer_lock(tmp_path / "s.db"):
        pass
    assert other.read_text() == "precious"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_with_another_name_is_not_given_away(tmp_path: Path) -> None:
    (tmp_path / "s.db").touch()
    os.chown(tmp_path / "s.db", 65_534, 65_534)
    (tmp_path / "other").touch()
    os.link(tmp_path / "other", tmp_path / "s.db.lock")
    with writer_lock(tmp_path / "s.db"):
        assert (tmp_path / "other").stat().st_uid == 0


def test_a_file_system_without_locks_is_told_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", fail)
    with (
        pytest.raises(StoreError, match=r"wanted a lock.*Put the store on a file system that has locks") as told,
        writer_lock(tmp_path / "s.db", wait_s=2),
    ):
        pass
    assert not isinstance(told.value, StoreBusyError)
