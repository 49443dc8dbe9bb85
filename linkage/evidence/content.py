"""Content: the prompt templates accounts use, and families of templates that paraphrase each other.

Weak for public scaffolds, SDK examples, wrapper applications, starter code and benchmarks: all of them
popular among accounts that share nothing else, which is what the discount looks at.
"""

from __future__ import annotations

import pandas as pd

from linkage.evidence.shared import evidence_of_kinds


def content_evidence(uses: pd.DataFrame) -> pd.DataFrame:
    """Prompt templates and template families of each account.

    Parameters
    ----------
    uses : frame of shape ``USES``.

    Returns
    -------
    DataFrame of shape ``USE_EVIDENCE``, one row per account and value; empty in, empty out.
    """
    return evidence_of_kinds(uses, family="content")
