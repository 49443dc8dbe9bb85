"""What can go wrong, as exceptions that say what was wanted, what was found and what to do.

Every exception of the package inherits :class:`LinkageError`, and also the built-in a caller would
expect. Each class carries the exit code the command line ends with.
"""


class LinkageError(Exception):
    """Any failure of linkage; the message has three parts: wanted, found, what to do."""

    exit_code = 1

    def __str__(self) -> str:
        # KeyError would show the message in quotes, as if it were a key.
        return str(self.args[0]) if self.args else ""


class SettingsError(LinkageError, ValueError):
    """Settings that cannot be used; all faults are told in one message."""

    exit_code = 2


class UsageError(LinkageError, ValueError):
    """A call that asks for something that does not exist, such as an unknown format or scenario."""

    exit_code = 2


class FormatError(LinkageError, ValueError):
    """A file that is not in the format it was taken for."""

    exit_code = 65


class SourceError(LinkageError, OSError):
    """A log file that is missing, not a regular file, or cannot be read."""

    exit_code = 74


class MappingError(LinkageError, ValueError):
    """A mapping file that does not say where the canonical fields are."""

    exit_code = 2


class RecordError(LinkageError, ValueError):
    """One log line that is not a usable record; ingest sets the line aside with this reason."""


class RejectedShareError(LinkageError, ValueError):
    """More of a file was set aside than the settings allow; nothing of that file was stored."""

    exit_code = 65


class StoreError(LinkageError, OSError):
    """A store that cannot be opened, read or written."""

    exit_code = 74


class StoreBusyError(StoreError):
    """Another process is writing to the store."""

    exit_code = 75


class MemoryBoundError(LinkageError, MemoryError):
    """What was asked for takes more memory than the settings or the machine allow; nothing was changed."""


class QueryError(LinkageError, KeyError):
    """A named query that does not exist, or parameters that do not fit it."""


class ShapeError(LinkageError, ValueError):
    """A table that lacks a column, or has one of another dtype, than the stage it is handed to needs."""


class TemplateError(LinkageError, ValueError):
    """Prompts or features that template mining cannot use."""


class ClusterError(LinkageError, ValueError):
    """A graph, partition or run that cannot be worked with."""


class NoSuchClusterError(ClusterError, KeyError):
    """A cluster id that the published run does not have."""


class NoSuchAccountError(LinkageError, KeyError):
    """An account id that the store does not have."""


class NoRunError(ClusterError, LookupError):
    """A store that has no published run yet."""


class WorldError(LinkageError, ValueError):
    """A simulated world that cannot be made, or a truth file that cannot be read."""

    exit_code = 2


class OutputError(LinkageError, ValueError):
    """Something that cannot be written or drawn."""


class OutputFileError(OutputError, OSError):
    """A report, table or graph file that cannot be written to disk."""

    exit_code = 74
