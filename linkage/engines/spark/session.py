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
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from linkage.engines.spark.parts import BatchMap
from linkage.errors import SourceError, UsageError

_LOCAL: Final[Mapping[str, str]] = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
"""A session on this machine opens no port to others and asks no name server."""

_CALL: Final[Mapping[str, str]] = {
    # The functions work on columns: ten times Spark's own number of rows takes less of Python's overhead.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "100000",
    # A task writes few tables: with a writer open for each, rows need no sorting by table first.
    "spark.sql.maxConcurrentOutputFileWriters": "8",
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
            f"wanted Spark at {master}; {_first_line(error)}. Check the master's address and Java"
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
    except (PySparkException, Py4JError) as error:
        raise SourceError(
            f"wanted to read, map and write with Spark; {_first_line(error)}. Check paths, rights and disk space; "
            "nothing was left behind"
        ) from error
    finally:
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

    def write(self, name: str, frame: DataFrame, *, by_part: bool = False) -> None:
        """Write a table of the folder; ``by_part`` makes one folder of each of its parts."""
        writer = frame.write.partitionBy("part") if by_part else frame.write
        writer.parquet(f"{self.path}/{name}")

    def read(self, name: str, schema: Any) -> DataFrame:
        """A table of the folder; ``schema`` is Arrow's."""
        return self._spark.read.schema(ddl_of(schema)).parquet(f"{self.path}/{name}")


def local_path(path: str) -> Path | None:
    """The path on this machine, where a path names one: plain, or ``file:``; None for any other scheme."""
    plain = path.removeprefix("file:")
    return None if "://" in plain else Path(plain)
