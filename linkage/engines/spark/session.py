"""Spark itself: a session of our own, what is set for the length of one call, and files by any path Spark can reach."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from py4j.protocol import Py4JError, Py4JNetworkError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from linkage.engines.spark.parts import PACKED, PART, BatchMap
from linkage.errors import SourceError, UsageError

_LOCAL: Final[Mapping[str, str]] = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # The JVM moves packed tables: compiling it for speed costs more than it gives (decision 90).
    "spark.driver.defaultJavaOptions": "-XX:TieredStopAtLevel=1",
}
"""A session on this machine opens no port to others and asks no name server."""

_MORE_MEMORY: Final = (
    "Give Spark more memory: SPARK_DRIVER_MEMORY=4g in the environment (with local[...] this is all of Spark; 1g "
    "otherwise), spark.executor.memory in spark-defaults.conf for the executors of a cluster"
)
_OUT_OF_MEMORY: Final = ("OutOfMemoryError", "heap space", "GC overhead", "result lost", "Answer from Java side")

_RECORDS: Final = "spark.sql.execution.arrow.maxRecordsPerBatch"

_CALL: Final[Mapping[str, str]] = {
    # Packed tables are large; lines of a log ask for more, see ``records_at_once``.
    _RECORDS: "16",
    # A task writes few tables: with a writer open for each, rows need no sorting by table first.
    "spark.sql.maxConcurrentOutputFileWriters": "16",
}

_DDL: Final = {
    pa.int64(): "long",
    pa.float64(): "double",
    pa.string(): "string",
    pa.binary(): "binary",
    pa.list_(pa.int64()): "array<long>",
}


def make_session(master: str) -> SparkSession:
    """A Spark session; on this machine (``local[2]``) without any use of the network.

    Parameters
    ----------
    master : as ``spark-submit --master`` takes it. Options of a cluster come from ``SPARK_CONF_DIR`` as usual; workers
        need this very version of linkage.

    Raises
    ------
    UsageError : no Java, or Spark does not start.
    """
    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        raise UsageError(
            "ingest-spark: wanted a Java runtime, 17 or later; found neither JAVA_HOME nor java. "
            "Install one: apt-get install default-jre-headless"
        )
    is_local = master.startswith("local")
    if is_local:
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("linkage").master(master)
    for name, value in (_LOCAL if is_local else {}).items():
        builder = builder.config(name, value)
    try:
        with pandas_unasked():
            session = builder.getOrCreate()
    except (PySparkException, Py4JError) as error:
        raise UsageError(
            f"wanted Spark at {master}; {_first_line(error)}. Check the master's address and that Java is 17 or later"
        ) from error
    session.sparkContext.setLogLevel("ERROR")
    return session


@contextlib.contextmanager
def tuned(spark: SparkSession) -> Iterator[None]:
    """Settings of the session for the length of a ``with`` block, and Spark's own errors told as ours.

    Raises
    ------
    SourceError : Spark failed: a path that is missing, no room, or a function that raised in its last attempt.
    """
    before = {name: spark.conf.get(name, None) for name in _CALL}
    for name, value in _CALL.items():
        spark.conf.set(name, value)
    try:
        with pandas_unasked():
            yield
    except (PySparkException, Py4JError, ConnectionError) as error:
        raise SourceError(f"wanted to read, map and write with Spark; {_told(error)}") from error
    finally:
        with contextlib.suppress(Py4JError, ConnectionError):  # Spark itself may be gone
            for name, old in before.items():
                if old is None:
                    spark.conf.unset(name)
                else:
                    spark.conf.set(name, old)


@contextlib.contextmanager
def pandas_unasked() -> Iterator[None]:
    """Without PySpark's warning of pandas 3 in a ``with`` block: nothing here hands it pandas, batches are Arrow's."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas", category=FutureWarning)
        yield


@contextlib.contextmanager
def records_at_once(spark: SparkSession, count: int) -> Iterator[None]:
    """How many rows a mapped function gets at once, for what is run in a ``with`` block."""
    before = spark.conf.get(_RECORDS)
    spark.conf.set(_RECORDS, str(count))
    try:
        yield
    finally:
        spark.conf.set(_RECORDS, before)


def _told(error: Exception) -> str:
    """What Spark says, and what to do."""
    if isinstance(error, ConnectionError | Py4JNetworkError):
        return f"Spark itself ended, perhaps out of memory. {_MORE_MEMORY}. What it wrote elsewhere than here is left"
    if any(words in str(error) for words in _OUT_OF_MEMORY):
        return f"{_first_line(error)}. {_MORE_MEMORY}; nothing was left behind"
    if "worker exited unexpectedly" in str(error) or "ExecutorLostFailure" in str(error):
        return (
            f"{_first_line(error)}. A worker was killed in every attempt, most often because it had no memory left: "
            "leave about 1 GB a core beside Spark's heap (spark.executor.memoryOverhead), or use fewer cores at once; "
            "nothing was left behind"
        )
    return f"{_first_line(error)}. Check paths, rights and disk space; nothing was left behind"


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")][-1:]
    told = [line for line in lines if "Error: " in line or "Exception: " in line]
    return (causes or told or lines or [type(error).__name__])[0][:300].rstrip(".")


def ddl_of(schema: Any) -> str:
    """An Arrow schema in Spark's words."""
    return ", ".join(f"`{field.name}` {_DDL[field.type]}" for field in schema)


def map_batches(frame: DataFrame, function: BatchMap, schema: Any) -> DataFrame:
    """What a function of Arrow record batches makes of a DataFrame.

    Parameters
    ----------
    function : pure: a task that failed is run again from its start, and what the first attempt made is dropped.
    schema : Arrow schema of what it gives.
    """
    return frame.mapInArrow(function, ddl_of(schema))


class Place:
    """A folder by any path Spark can reach: a disk of this machine, HDFS, an object store.

    Parameters
    ----------
    spark : the session whose configuration knows how to reach it.
    path : of the folder.
    """

    def __init__(self, spark: SparkSession, path: str) -> None:
        self.path = path.rstrip("/") or "/"
        self._spark = spark
        self._java: Any = spark._jvm
        self._files: Any = self._at().getFileSystem(spark._jsc.hadoopConfiguration())

    def _at(self, name: str = "") -> Any:
        return self._java.org.apache.hadoop.fs.Path(f"{self.path}/{name}" if name else self.path)

    def has(self, name: str = "") -> bool:
        """Whether the folder, or a name in it, is there."""
        return bool(self._files.exists(self._at(name)))

    def is_empty(self) -> bool:
        """Whether the folder is not there or has nothing in it."""
        return not self.has() or len(self._files.listStatus(self._at())) == 0

    def delete(self, name: str = "") -> None:
        """Delete a name in the folder, or the folder, with all that is in it."""
        self._files.delete(self._at(name), True)

    def give_up(self) -> None:
        """Delete the folder after a failure; without Spark, which may be what failed, where it is on this machine."""
        try:
            self.delete()
        except (Py4JError, ConnectionError):
            if (path := local_path(self.path)) is not None:
                shutil.rmtree(path, ignore_errors=True)

    def write_text(self, name: str, text: str) -> None:
        """Write a small file at once."""
        stream = self._files.create(self._at(name), True)
        try:
            stream.write(bytearray(text.encode()))
        finally:
            stream.close()

    def read_text(self, name: str) -> str:
        """The text of a small file."""
        rows = self._spark.read.option("wholetext", "true").text(f"{self.path}/{name}").collect()
        return "".join(row[0] for row in rows)

    def write(self, name: str, frame: DataFrame) -> None:
        """Write a table of the folder."""
        frame.write.parquet(f"{self.path}/{name}")

    def write_packed(self, name: str, packed: DataFrame) -> None:
        """Write packed tables, a folder for each part; they are compressed already."""
        packed.write.partitionBy(PART).option("compression", "none").parquet(f"{self.path}/{name}")

    def read_packed(self, name: str) -> DataFrame:
        """Packed tables of all parts."""
        return self.read(name, PACKED)

    def move(self, name: str, to: str) -> bool:
        """Give something in the folder another name in it; False where it is not there."""
        return self.has(name) and bool(self._files.rename(self._at(name), self._at(to)))

    def read(self, name: str, schema: Any) -> DataFrame:
        """A table of the folder; ``schema`` is Arrow's."""
        return self._spark.read.schema(ddl_of(schema)).parquet(f"{self.path}/{name}")


def local_path(path: str) -> Path | None:
    """The path on this machine, where a path names one: plain, or ``file:``; None for any other scheme."""
    plain = path.removeprefix("file:")
    return None if "://" in plain else Path(plain)
