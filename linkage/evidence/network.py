"""Network: the addresses accounts come from.

Weak where many unrelated people come through one door: carrier NAT, campus, cloud and CI egress, VPN
exits. Popularity tells most of these apart, so no address is left out and none is trusted alone.
"""

from __future__ import annotations

import pandas as pd

from linkage.evidence.shared import evidence_of_kinds


def network_evidence(uses: pd.DataFrame) -> pd.DataFrame:
    """Addresses and address prefixes of each account.

    Parameters
    ----------
    uses : frame of shape ``USES``.

    Returns
    -------
    DataFrame of shape ``USE_EVIDENCE``, one row per account and value; empty in, empty out.
    """
    return evidence_of_kinds(uses, family="network")
