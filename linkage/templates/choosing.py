"""Which template a prompt takes of those that were learned: what learning would give it, found with less work.

Of millions of patterns that are frequent, thousands are templates. So a prompt's patterns are looked up among these
first, and of the others only those that tell how much of a template's text is followed to its end.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from linkage.kernels import kernel
from linkage.parallel import in_halves
from linkage.templates import patterns as kernels
from linkage.templates.features import Features
from linkage.templates.learning import Cuts, Groups, Patterns, cut_rows, group_rows, measure_ends
from linkage.templates.tables import find_places


def choose_patterns(
    features: Features, learned: Patterns, *, least: int, least_strength: float
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """The pattern that each row takes, of those that were learned, and how much of its ends is fixed.

    Parameters
    ----------
    features : any prompts, also ones that nothing was learned from.
    least, least_strength : as when learning.

    Returns
    -------
    Place of each row's pattern (-1: none); and tokens of fixed text at its start and at its end, shape
    (rows, 2).
    """
    groups = group_rows(cut_rows(features, learned.pieces, learned.worths))
    chosen, codes, is_known = _remember(groups, learned)
    new = np.flatnonzero(~is_known)
    chosen[new], codes[new] = _choose_learned(groups.cuts.take(new), learned, least, least_strength)
    return chosen[groups.of_row], measure_ends(groups.cuts, codes)[groups.of_row]


@kernel
def _choose_kept(  # type: ignore[no-untyped-def]
    cuts, tokens, sizes, words, patterns, some, counts, direct, stands, kept, least, least_strength, chosen, taken
):
    """Fill place and code of the pattern that each row takes of those that are templates, -1 for none.

    Where one template stands inside another, what stands between them decides: then all patterns are looked up.
    """
    most = np.int64(kernels.CELLS)
    codes, places, seen = np.empty(most, np.int16), np.empty(most, np.int32), np.empty(most, np.int64)
    strengths, long, exact = np.empty(most), np.empty(most), np.empty(most)
    scores, lengths = np.empty(most, np.float32), np.empty(most, np.float32)
    room, scales = kernels.make_room(), kernels.make_scales(least)
    for row in range(words.size):
        of_row = (cuts[row], tokens[row], sizes[row], words[row])
        chosen[row], taken[row] = -1, -1
        for is_part in (True, False):
            asked = (patterns, some if is_part else patterns, is_part)
            found = kernels.cells_of_row(*of_row, *asked, room, codes, places, seen, strengths, long)
            kernels.score_cells(seen[:found], strengths, long, scales, least, least_strength, exact)
            for cell in range(found):
                scores[cell], lengths[cell] = exact[cell] if kept[places[cell]] else 0.0, long[cell]
            row_codes, row_places, row_scores, row_lengths = (
                codes[:found],
                places[:found],
                scores[:found],
                lengths[:found],
            )
            if not is_part or not kernels.asks_between(row_codes, row_places, row_scores, row_lengths, stands):
                break
        at = kernels.choose(row_codes, row_places, row_scores, row_lengths, counts, direct, stands, True)
        if at >= 0:
            chosen[row], taken[row] = places[at], codes[at]


def _choose_learned(
    cuts: Cuts, learned: Patterns, least: int, least_strength: float
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int16]]:
    """Place and code of the pattern that each row takes, -1 for none."""
    chosen, codes = np.empty(len(cuts.words), np.int32), np.empty(len(cuts.words), np.int16)
    tables = (learned.table.entries, learned.kept_entries, learned.table.counts)

    def work(rows: slice) -> None:
        known = (*tables, learned.direct, learned.stands, learned.kept, least, least_strength)
        _choose_kept(*cuts.part(rows), *known, chosen[rows], codes[rows])

    in_halves(len(cuts.words), work)
    return chosen, codes


def _remember(
    groups: Groups, learned: Patterns
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int16], npt.NDArray[np.bool_]]:
    """Place and code of what groups take whose cuts learned prompts had too, else -1; and which groups these are."""
    chosen, codes = np.full(len(groups.rows), -1, np.int32), np.full(len(groups.rows), -1, np.int16)
    places = find_places(learned.known_entries, groups.hashes)
    is_known = places >= 0
    places = places[is_known]
    chosen[is_known], codes[is_known] = learned.known_places[places], learned.known_codes[places]
    return chosen, codes, is_known
