"""The coefficients of the two verdicts: two logistic models that are data, shipped or refitted.

One row per feature, every coefficient at least 0 so that a verdict never falls when its evidence grows. The
shipped ones lie in ``shipped.toml`` beside this room; the table ``[coefficients]`` of a settings file takes
their place. Where they come from stands in them, as their provenance.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.clusters.features import CONTROLLER_FEATURES, EXTRACTION_FEATURES, SLICE_FEATURES
from linkage.errors import SettingsError

FEATURES: Final[Mapping[str, Sequence[str]]] = {
    "controller": CONTROLLER_FEATURES,
    "extraction": EXTRACTION_FEATURES,
    "slice": SLICE_FEATURES,
}
"""Model to the names of its features. Two models say whether a group extracts, of all that it sends and of its own work
alone; the verdict is the greater of them."""


NEVER: Final = -30.0
"""Log odds of what does not happen."""


@dataclasses.dataclass(frozen=True)
class Logistic:
    """A logistic model with named features: ``1 / (1 + exp(-(intercept + sum of weight * feature)))``."""

    intercept: float
    weights: Mapping[str, float]

    def logit(self, features: pd.DataFrame) -> npt.NDArray[np.float64]:
        """The log odds of each row; ``features`` has a column per weight.

        Examples
        --------
        >>> Logistic(-2.0, {"size": 1.0}).logit(pd.DataFrame({"size": [2.5]})).tolist()
        [0.5]
        """
        logit = np.full(len(features), self.intercept)
        for name, weight in self.weights.items():
            logit += weight * features[name].to_numpy(dtype=np.float64)
        return logit

    def probability(self, features: pd.DataFrame) -> npt.NDArray[np.float64]:
        """One probability per row; ``features`` has a column per weight.

        Examples
        --------
        >>> Logistic(-2.0, {"size": 1.0}).probability(pd.DataFrame({"size": [2.0]})).tolist()
        [0.5]
        """
        return np.asarray(1 / (1 + np.exp(-np.clip(self.logit(features), -30, 30))), dtype=np.float64)

    def rescaled(self, *, slope: float, shift: float) -> Logistic:
        """The model whose log odds are ``slope`` times these, plus ``shift``.

        Examples
        --------
        >>> Logistic(-2.0, {"size": 1.0}).rescaled(slope=0.5, shift=1.0)
        Logistic(intercept=0.0, weights={'size': 0.5})
        """
        return Logistic(slope * self.intercept + shift, {name: slope * weight for name, weight in self.weights.items()})


@dataclasses.dataclass(frozen=True)
class Coefficients:
    """The models of both verdicts and where they come from; that of extraction has two."""

    provenance: str
    """Which worlds or decisions they were fitted on, with which seeds, and when."""
    controller: Logistic
    extraction: Logistic
    slice: Logistic
    """Extraction, judged by the group's own work."""

    @property
    def version(self) -> str:
        """A hash of all values (8 hex digits): what a run records of them."""
        return hashlib.sha256(json.dumps(self.to_tables(), sort_keys=True).encode()).hexdigest()[:8]

    def to_tables(self) -> dict[str, Any]:
        """The table ``coefficients`` of a settings file, as plain values."""
        models = {"controller": self.controller, "extraction": self.extraction, "slice": self.slice}
        parts = {verdict: {"intercept": model.intercept, **model.weights} for verdict, model in models.items()}
        return {"provenance": self.provenance, **parts}

    def to_toml(self) -> str:
        """The table ``[coefficients]`` as the text of a settings file."""
        tables = self.to_tables()
        lines = ["[coefficients]", f"provenance = {json.dumps(tables['provenance'])}"]
        for verdict in FEATURES:
            lines += ["", f"[coefficients.{verdict}]"]
            lines += [f"{name} = {value!r}" for name, value in tables[verdict].items()]
        return "\n".join(lines) + "\n"


def coefficients_from(tables: Mapping[str, Any], *, name: str = "settings") -> Coefficients:
    """Coefficients from the table ``coefficients`` of a settings file; an empty table stands for the shipped ones.

    Parameters
    ----------
    tables : ``provenance`` and the tables ``controller``, ``extraction`` and ``slice``: ``intercept`` and weights by
        feature. A feature that is not named has weight 0; without the table ``slice``, which files of earlier versions
        do not have, own work is not judged apart.
    name : what to call the source in a message.

    Raises
    ------
    SettingsError : lists every unknown name, negative weight and value that is no finite number at once.

    Examples
    --------
    >>> coefficients_from({}) is SHIPPED
    True
    """
    if not tables:
        return SHIPPED
    faults = [
        f"{name} [coefficients]: no table {table!r}" for table in tables if table not in {*FEATURES, "provenance"}
    ]
    tables = {"slice": {"intercept": NEVER}, **tables}
    for verdict, features in FEATURES.items():
        faults += _model_faults(tables.get(verdict), features, where=f"{name} [coefficients.{verdict}]")
    if faults:
        raise SettingsError("\n".join([*faults, "Make such a file with: linkage calibrate STORE --out FILE"]))
    models = {verdict: _model(tables[verdict]) for verdict in FEATURES}
    return Coefficients(str(tables.get("provenance", "unknown")), **models)


def _model_faults(table: Any, features: Sequence[str], *, where: str) -> list[str]:
    if not isinstance(table, Mapping) or "intercept" not in table:
        return [f"{where}: wanted an intercept and weights by feature; got {table!r}"]
    known = {"intercept", *features}
    faults = [f"{where}: no feature {key!r}. Features: {', '.join(features)}" for key in table if key not in known]
    for key, value in table.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            faults.append(f"{where}: {key} must be a finite number; got {value!r}")
        elif value < 0 and key != "intercept":
            faults.append(f"{where}: {key} must be at least 0, so that evidence never frees; got {value}")
    return faults


def _model(table: Mapping[str, float]) -> Logistic:
    weights = {name: float(value) for name, value in table.items() if name != "intercept"}
    return Logistic(float(table["intercept"]), weights)


def _read_shipped() -> Coefficients:
    file = Path(__file__).with_name("shipped.toml")
    tables = tomllib.loads(file.read_text(encoding="utf-8"))
    return coefficients_from(tables["coefficients"], name=file.name)


SHIPPED: Final = _read_shipped()
"""The coefficients that come with this version of the tool."""
