"""The prompt templates of a store: a table, and by id the templates themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import pandas as pd

from linkage.errors import UsageError
from linkage.outputs.html import notebook_table
from linkage.store.store import Database
from linkage.terms import COUNT, TEMPLATE_LIST, TEXT, TIME, Shape, TemplateId, make_frame, rows_of

TEMPLATE_ACCOUNTS: Final[Shape] = {"account_id": TEXT, "request_count": COUNT, "first_at": TIME, "last_at": TIME}
"""One row per account that uses a template, most requests first."""

_SHOWN: Final = ["template_id", "accounts", "unrelated_accounts", "requests", "first_at", "last_at", "text"]


class Templates(pd.DataFrame):
    """Prompt templates: a table of shape ``TEMPLATE_LIST``, and by id the templates themselves.

    ``templates["accounts"]`` is a column, ``templates["t-09ab34cd56ef7812"]`` a :class:`Template`; what is made from
    the table is a plain DataFrame. In ``text``, ``<*>`` marks what differs from prompt to prompt.

    Examples
    --------
    >>> templates = store.templates
    >>> templates[templates["template_id"].iloc[0]].accounts["account_id"].tolist()
    ['c1', 'c2', 'c3', 'c4']
    """

    _metadata: list[str] = ["_database"]  # noqa: RUF012 - the name and form pandas asks for
    _database: Database

    @classmethod
    def of(cls, database: Database, table: pd.DataFrame) -> Templates:
        """A table of templates that knows its store."""
        made = cls(table)
        object.__setattr__(made, "_database", database)
        return made

    @property
    def _constructor(self) -> Callable[..., pd.DataFrame]:
        return pd.DataFrame

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str) and key not in self.columns:
            return self._template(key)
        return super().__getitem__(key)

    def _template(self, template_id: str) -> Template:
        rows = rows_of(pd.DataFrame(self).loc[self["template_id"] == template_id])
        if not rows:
            known = ", ".join(self["template_id"].head(5)) or "none"
            raise UsageError(f"wanted a template of this table; found none named {template_id!r}. It has: {known}")
        return Template(self._database, rows[0])

    def _ipython_key_completions_(self) -> list[str]:
        return [*self["template_id"], *self.columns]

    def _repr_html_(self) -> str:
        return notebook_table(pd.DataFrame(self)[_SHOWN], caption=f"{len(self):,} templates")


class Template:
    """One prompt template and who uses it."""

    def __init__(self, database: Database, row: Mapping[str, Any]) -> None:
        self._database = database
        self._row = row

    def __repr__(self) -> str:
        row = self._row
        return (
            f"<Template {self.template_id}: {row['requests']:,} requests of {row['accounts']:,} accounts, "
            f"{row['unrelated_accounts']:,} of them otherwise unrelated>"
        )

    def _repr_html_(self) -> str:
        told = pd.DataFrame({"text": [self.text]})
        return notebook_table(told, caption=repr(self).strip("<>"), longest=2_000) + notebook_table(self.accounts)

    @property
    def template_id(self) -> TemplateId:
        """The id, made from the fixed text alone."""
        return TemplateId(self._row["template_id"])

    @property
    def text(self) -> str:
        """The fixed text; ``<*>`` marks what differs from prompt to prompt."""
        return str(self._row["text"])

    @property
    def summary(self) -> dict[str, Any]:
        """The template's row of ``store.templates``."""
        return dict(self._row)

    @property
    def accounts(self) -> pd.DataFrame:
        """Who uses it, how often and since when; shape :data:`TEMPLATE_ACCOUNTS`."""
        return self._database.frame("template_accounts", TEMPLATE_ACCOUNTS, template_id=self.template_id)


def appeared_since(table: pd.DataFrame, *, since: pd.Timestamp, until: pd.Timestamp) -> pd.DataFrame:
    """Templates first seen in a span of time, the most shared first; the shape stays."""
    first = table["first_at"]
    rows = table[(first >= since) & (first < until)]
    rows = rows.sort_values(["accounts", "requests", "template_id"], ascending=[False, False, True])
    return make_frame(TEMPLATE_LIST, {name: rows[name].array for name in TEMPLATE_LIST})
