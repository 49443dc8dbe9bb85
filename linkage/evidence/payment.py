"""Payment: the instruments accounts are billed to.

The hardest tie, because money leaves a trace; weak for agencies, households and corporate cards, which
the verdicts tell apart by purpose.
"""

from __future__ import annotations

import pandas as pd

from linkage.evidence.shared import evidence_of_kinds


def payment_evidence(uses: pd.DataFrame) -> pd.DataFrame:
    """Payment instruments of each account.

    Parameters
    ----------
    uses : frame of shape ``USES``.

    Returns
    -------
    DataFrame of shape ``USE_EVIDENCE``, one row per account and value; empty in, empty out.
    """
    return evidence_of_kinds(uses, family="payment")
