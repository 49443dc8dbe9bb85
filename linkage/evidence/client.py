"""Client: user agent and TLS fingerprint together.

A library, not a person: it only refines what harder evidence says.
"""

from __future__ import annotations

import pandas as pd

from linkage.evidence.shared import evidence_of_kinds


def client_evidence(uses: pd.DataFrame) -> pd.DataFrame:
    """Clients of each account.

    Parameters
    ----------
    uses : frame of shape ``USES``.

    Returns
    -------
    DataFrame of shape ``USE_EVIDENCE``, one row per account and value; empty in, empty out.
    """
    return evidence_of_kinds(uses, family="client")
