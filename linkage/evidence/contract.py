"""Contract: the tuple of request parameters (temperature, token limit, stop, tools, format).

Weak where a client library sends its defaults; those are popular and worth next to nothing.
"""

from __future__ import annotations

import pandas as pd

from linkage.evidence.shared import evidence_of_kinds


def contract_evidence(uses: pd.DataFrame) -> pd.DataFrame:
    """Request contracts of each account.

    Parameters
    ----------
    uses : frame of shape ``USES``.

    Returns
    -------
    DataFrame of shape ``USE_EVIDENCE``, one row per account and value; empty in, empty out.
    """
    return evidence_of_kinds(uses, family="contract")
