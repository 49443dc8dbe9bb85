"""Patterns of a prompt: how much of its start, of its end and of which lines is fixed text.

A *pattern* joins a cut of the head (its first tokens), a cut of the tail (its last tokens) and openings of at
most two lines. A *cut* is a depth below which prompts part ways: fixed text ends there, or a slot's usual
opening does. The *strength* of a pattern is the number of its tokens that hardly any prompt leaves before the
pattern ends: fixed text is followed to its end, whereas ordinary openings (``what is the``) thin out word by
word. Kernels only; :mod:`linkage.templates.mine` calls them.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from linkage.kernels import inlined, inner_kernel, kernel
from linkage.sorting import find_place
from linkage.templates.fingerprints import CLOSING, DEPTHS, LABEL_BIT, OPENINGS, opening_tokens
from linkage.templates.tables import count_of, find, home, place_of
from linkage.templates.words import mix

CUTS: Final = 5
"""Cuts kept of each end."""

LINE_CUTS: Final = 5
"""Line openings kept."""

LINE_CHOICES: Final = 3 + LINE_CUTS
"""Choices of lines in a pattern: none, each kept opening, and two pairs (first with second, with third)."""

CELLS: Final = (CUTS + 1) ** 2 * LINE_CHOICES
"""Patterns of one prompt at most."""

STRENGTH_CAP: Final = 12.0
"""Tokens of fixed text beyond this add nothing (flat between 10 and 16)."""

_STAYS = 0.95  # a depth is a cut when fewer than this share of the prompts go on together
_FOLLOWS = 0.5  # a token counts when at least this share of the prompts that have it end in the pattern
_LINE_WEIGHTS = np.array(
    [0.7, 0.5, 0.6, 0.9, 0.7]
)  # of a token in an opening: many were looked at, long ones are rarer
_BITS = 1.0  # tokens of fixed text that outweigh halving the number of prompts
_TOLL = 2.0  # tokens that a pattern must add before it may break off from one that stands by itself
_GAIN_CAP = 10.0
_PART_BITS = 0.5  # the same two where nearly all prompts of a pattern have something longer
_PART_TOLL = 1.0
_MANY = 3  # what a part adds comes with many others where more than so many times its prompts have it
_ENOUGH = 32.0  # prompts; a pattern of fewer must be stronger, for people also open or end alike by chance
_RARE_TOLL = 1.1  # tokens more for each halving below that
_SCALED = 4_096  # numbers of prompts whose logarithms are taken once
_CHARACTER = 0.5  # of a word: what a character says in a script without spaces
_FEW = 1.5  # adding no more tokens than this never breaks off
_SEED_HEAD, _SEED_TAIL, _SEED_LINE = (
    np.uint64(1) << np.uint64(40),
    np.uint64(2) << np.uint64(40),
    np.uint64(3) << np.uint64(40),
)


@inner_kernel
def end_key(value, depth, is_tail):
    """Key of an end cut in the table of pieces."""
    return mix(np.uint64(value) | (np.uint64(depth + 1) << np.uint64(32)) | (_SEED_TAIL if is_tail else _SEED_HEAD))


@inlined
def line_key(value, size):
    """Key of a line opening in the table of pieces."""
    return mix(np.uint64(value) | (np.uint64(size + 1) << np.uint64(32)) | _SEED_LINE)


@inlined
def worth(count, least):
    """How much a number of prompts says: 0 at ``least``, growing with its logarithm to the power of 1.25."""
    if count <= least:
        return 0.0
    size = np.log2(count / least)
    return size * np.sqrt(np.sqrt(size))  # twice as fast as a power


@inner_kernel
def line_tokens(value, size):
    """Tokens in a line opening, weighted by how much one says."""
    return opening_tokens(value, size) * _LINE_WEIGHTS[size]


@kernel
def end_keys(matrix, words, is_tail, depth):
    """Keys of all rows that reach this depth."""
    keys = np.empty(words.size, np.uint64)
    count = 0
    for row in range(words.size):
        if words[row] >= DEPTHS[depth]:
            keys[count] = end_key(matrix[row, depth], depth, is_tail)
            count += 1
    return keys[:count]


@kernel
def line_keys(openings, size):
    """Keys of all line openings of this size, each once per row."""
    keys = np.empty(openings.shape[0] * (openings.shape[1] // OPENINGS.size), np.uint64)
    count = 0
    for row in range(openings.shape[0]):
        start = count
        for column in range(size, openings.shape[1], OPENINGS.size):
            if openings[row, column] == 0:
                continue
            key = line_key(openings[row, column], size)
            is_new = True
            for at in range(start, count):
                is_new = is_new and keys[at] != key
            if is_new:
                keys[count] = key
                count += 1
    return keys[:count]


@kernel
def find_worths(counts, least):
    """What each of these numbers of prompts says."""
    worths = np.empty(counts.size)
    for at in range(counts.size):
        worths[at] = worth(counts[at], least)
    return worths


@inlined
def _first_lowest(scores, found):
    """Where the next score goes: behind those found or, where there is no room, in the place of the lowest."""
    if found < scores.size:
        return found
    lowest = 0
    for at in range(1, found):
        if scores[at] < scores[lowest]:
            lowest = at
    return lowest


@inner_kernel
def _cut_end(values, words, is_tail, pieces, worths, room, cuts, depths):
    """Fill the keys and depths of the best cuts of one end, shallowest first; how many."""
    scores, chosen, found = room[0], room[1], 0
    here, depth = np.uint64(0), np.int64(0)
    if DEPTHS[0] <= words:
        here = find(pieces, end_key(values[0], depth, is_tail))
    while here:
        onward = np.uint64(0)
        if depth + 1 < DEPTHS.size and DEPTHS[depth + 1] <= words:
            onward = find(pieces, end_key(values[depth + 1], depth + 1, is_tail))
        if count_of(onward) <= _STAYS * count_of(here):
            score = worths[place_of(here)] * DEPTHS[depth] + 1e-9
            at = _first_lowest(scores, found)
            if found < CUTS or score > scores[at]:
                scores[at], chosen[at] = score, depth
                found = min(found + 1, CUTS)
        here, depth = onward, depth + 1
    for at in range(found):
        cut, place = np.int64(chosen[at]), at
        while place and depths[place - 1] > DEPTHS[cut]:
            cuts[place], depths[place] = cuts[place - 1], depths[place - 1]
            place -= 1
        cuts[place], depths[place] = end_key(values[cut], cut, is_tail), DEPTHS[cut]
    return found


@inner_kernel
def _best_opening(values, first_size, pieces, worths):
    """The opening of one line (hashes by size) that says most: its score, key and tokens; (0, 0, 0) for none.

    Longest first; a shorter one counts only where most prompts part ways before the longer ends. The closing
    stands beside them.
    """
    best, best_key, best_tokens = 0.0, np.uint64(0), 0.0
    onward = np.int64(0)
    is_whole = values[0] != 0 and not np.uint64(values[0]) & LABEL_BIT
    for step in range(CLOSING + 1):
        size = step - 1 if is_whole else step
        size = CLOSING if step == CLOSING else 0 if size < 0 else CLOSING - 1 - size
        if size < first_size or values[size] == 0:
            continue
        key = line_key(values[size], size)
        found = find(pieces, key)
        if found == 0:
            continue
        if size == CLOSING or 2 * onward <= count_of(found):
            length = line_tokens(values[size], size)
            score = worths[place_of(found)] * length
            if score > best:
                best, best_key, best_tokens = score, key, length
        onward = max(onward, count_of(found))
    return best, best_key, best_tokens


@inner_kernel
def _cut_lines(values, pieces, worths, room, cuts, tokens):
    """Fill the keys and token numbers of the best line openings, at most one a line, best first; how many."""
    scores, found = room[0], 0
    for column in range(0, values.size, OPENINGS.size):
        line = values[column : column + OPENINGS.size]
        is_blank = True
        for value in line:
            is_blank = is_blank and value == 0
        if is_blank:
            continue
        first_size = 1 if column == 0 else 0  # the label of the first line is in the head
        best, best_key, best_tokens = _best_opening(line, first_size, pieces, worths)
        for at in range(found):
            if cuts[at] == best_key:
                best = 0.0
        if best <= 0.0:
            continue
        at = _first_lowest(scores, found)
        if found == LINE_CUTS and best <= scores[at]:
            continue
        scores[at], cuts[at], tokens[at] = best, best_key, best_tokens
        found = min(found + 1, LINE_CUTS)
    for at in range(1, found):
        score, key, length, place = scores[at], cuts[at], tokens[at], at
        while place and scores[place - 1] < score:
            scores[place], cuts[place], tokens[place] = scores[place - 1], cuts[place - 1], tokens[place - 1]
            place -= 1
        scores[place], cuts[place], tokens[place] = score, key, length
    return found


@inlined
def cut_row(heads, tails, openings, words, pieces, worths, room, cuts, tokens):
    """Fill the cuts of one row (rows 0 head, 1 tail, 2 lines) and their tokens; how many of each.

    ``pieces`` are the entries of a table, ``worths`` what its counts say; ``room`` is an array of floats to work in,
    shape (2, CUTS).
    """
    first = _cut_end(heads, words, np.bool_(False), pieces, worths, room, cuts[0], tokens[0])
    last = _cut_end(tails, words, np.bool_(True), pieces, worths, room, cuts[1], tokens[1])
    lines = _cut_lines(openings, pieces, worths, room, cuts[2], tokens[2])
    return first, last, lines


@inner_kernel
def lines_of(choice, found):
    """The one or two openings of a choice of lines, -1 for none; (-2, -2) for a choice that is not there."""
    if choice == 0:
        return -1, -1
    if choice <= LINE_CUTS:
        return (choice - 1, -1) if choice <= found else (-2, -2)
    other = choice - LINE_CUTS
    return (0, other) if other < found else (-2, -2)


@inner_kernel
def pattern_keys(cuts, tokens, sizes, words, keys):
    """Fill ``keys[head, tail, lines]`` of one row, 0 for a pattern whose ends would overlap."""
    head = np.uint64(0)
    for i in range(sizes[0] + 1):
        head = cuts[0, i - 1] if i else np.uint64(0)
        for j in range(sizes[1] + 1):
            tail = cuts[1, j - 1] if j else np.uint64(0)
            length = (tokens[0, i - 1] if i else 0.0) + (tokens[1, j - 1] if j else 0.0)
            ends = mix(head * np.uint64(3) + mix(tail + np.uint64(5)))
            for k in range(LINE_CHOICES):
                one, two = lines_of(k, sizes[2])
                if one == -2 or length > words:
                    keys[i, j, k] = np.uint64(0)
                    continue
                line = cuts[2, one] if one >= 0 else np.uint64(0)
                if two >= 0:
                    line = mix(min(cuts[2, one], cuts[2, two])) + max(cuts[2, one], cuts[2, two])
                keys[i, j, k] = mix(ends + mix(line + np.uint64(7)))
    keys[0, 0, 0] = np.uint64(0)


@inner_kernel
def _followed(counts, gains, at, fixed, choice, is_tail):
    """Tokens of one end's cut that are followed to the end of the pattern, the other end being fixed."""
    total = np.int64(0)
    end = counts[fixed, at, choice] if is_tail else counts[at, fixed, choice]
    for step in range(1, at + 1):
        here = counts[fixed, step, choice] if is_tail else counts[step, fixed, choice]
        total += gains[step] if _FOLLOWS * here <= end else 0
    return total


@inner_kernel
def make_room():
    """Arrays to work in, for :func:`cells_of_row`: made once, not for every row."""
    grid = np.empty((CUTS + 1, CUTS + 1, LINE_CHOICES), np.uint64)
    most = np.int64(CELLS)
    listed = np.empty(most, np.uint64), np.empty(most, np.int16), np.empty(most, np.uint64)
    return grid, listed, np.empty(most, np.int16), np.zeros_like(grid, np.int64), np.zeros((2, CUTS + 1), np.int64)


@inner_kernel
def _list_keys(grid, sizes, keys, codes):
    """Fill key and code of each pattern of one row; how many."""
    listed = 0
    for i in range(sizes[0] + 1):
        for j in range(sizes[1] + 1):
            for k in range(LINE_CHOICES):
                keys[listed], codes[listed] = grid[i, j, k], (i * (CUTS + 1) + j) * LINE_CHOICES + k
                listed += grid[i, j, k] != 0
    return listed


@inner_kernel
def _look_up(keys, patterns, found, others):
    """Fill what the table says of each key.

    All first places are read before any other is looked at, and nothing is decided meanwhile: misses of the cache then
    overlap instead of queueing. ``others`` is room for those that do not stand in their first place.
    """
    last, waiting = np.uint64(patterns.shape[0] - 1), 0
    for at in range(keys.size):
        place = home(patterns, keys[at])
        is_there = patterns[place, 0] == keys[at]
        found[at] = patterns[place, 1] if is_there else np.uint64(0)
        others[waiting] = at
        waiting += not is_there and patterns[place, 1] != 0
    for at in others[:waiting]:
        place = (home(patterns, keys[at]) + np.uint64(1)) & last
        while patterns[place, 1] and patterns[place, 0] != keys[at]:
            place = (place + np.uint64(1)) & last
        found[at] = patterns[place, 1]


@inner_kernel
def _parts_of(code):
    """Cut of the head, cut of the tail and choice of lines."""
    ends = np.int64(code) // LINE_CHOICES
    return ends // (CUTS + 1), ends % (CUTS + 1), np.int64(code) % LINE_CHOICES


@inner_kernel
def _measure(codes, counts, gains, tokens, sizes, strengths, lengths):
    """Fill strength and number of tokens of the frequent patterns of one row."""
    none, head, tail = np.int64(0), np.bool_(False), np.bool_(True)
    for at in range(codes.size):
        i, j, k = _parts_of(codes[at])
        one, two = lines_of(k, sizes[2])
        line = (tokens[2, one] if one >= 0 else 0.0) + (tokens[2, two] if two >= 0 else 0.0)
        ends = (tokens[0, i - 1] if i else 0.0) + (tokens[1, j - 1] if j else 0.0)
        lengths[at] = ends + line
        tail_first = _followed(counts, gains[0], i, j, k, head) + _followed(counts, gains[1], j, none, k, tail)
        head_first = _followed(counts, gains[0], i, none, k, head) + _followed(counts, gains[1], j, i, k, tail)
        strengths[at] = max(tail_first, head_first) + line


@inner_kernel
def _list_steps(codes, grid, counts, keys, steps):
    """Fill key and code of the patterns that tell how far the text of some is followed; how many.

    ``counts`` of those are -1 then, so that each is listed once.
    """
    listed = 0
    for code in codes:
        i, j, k = _parts_of(code)
        for step in range(1, max(i, j) + 1):
            for head, tail in ((min(step, i), j), (i, min(step, j)), (min(step, i), 0), (0, min(step, j))):
                if counts[head, tail, k] == 0 and grid[head, tail, k]:
                    keys[listed], steps[listed] = grid[head, tail, k], (head * (CUTS + 1) + tail) * LINE_CHOICES + k
                    counts[head, tail, k] = -1
                    listed += 1
    return listed


@inner_kernel
def cells_of_row(cuts, tokens, sizes, words, patterns, wanted, is_part, room, codes, places, seen, strengths, lengths):
    """Fill the wanted patterns of one row: code, place in the table, count, strength, tokens; how many.

    Where most words of a row are characters of a script without spaces, each counts as half a token.

    ``patterns`` are the entries of the table; ``wanted`` are a part of them or, where ``is_part`` is false, the same;
    ``room`` is what :func:`make_room` gives. A code is ``(head * (CUTS + 1) + tail) * LINE_CHOICES + lines``.
    """
    grid, (keys, told, entries), others, counts, gains = room
    pattern_keys(cuts, tokens, sizes, words, grid)
    listed = _list_keys(grid, sizes, keys, told)
    _look_up(keys[:listed], wanted, entries, others)
    counts[:] = 0
    found = 0
    for at in range(listed):
        if entries[at]:
            codes[found], places[found], seen[found] = told[at], place_of(entries[at]), count_of(entries[at])
            i, j, k = _parts_of(told[at])
            counts[i, j, k] = seen[found]
            found += 1
    if found and is_part:
        listed = _list_steps(codes[:found], grid, counts, keys, told)
        _look_up(keys[:listed], patterns, entries, others)
        for at in range(listed):
            i, j, k = _parts_of(told[at])
            counts[i, j, k] = count_of(entries[at])
    for side in range(2):
        for at in range(sizes[side]):
            gains[side, at + 1] = np.int64(tokens[side, at]) - (np.int64(tokens[side, at - 1]) if at else 0)
    _measure(codes[:found], counts, gains, tokens, sizes, strengths, lengths)
    if sizes[3]:
        for at in range(found):
            strengths[at], lengths[at] = strengths[at] * _CHARACTER, lengths[at] * _CHARACTER
    return found


@inner_kernel
def _is_within(code, other):
    """Whether a pattern (code) is part of another of the same row."""
    ends, other_ends = code // LINE_CHOICES, other // LINE_CHOICES
    if ends // (CUTS + 1) > other_ends // (CUTS + 1) or ends % (CUTS + 1) > other_ends % (CUTS + 1):
        return False
    lines, other_lines = code % LINE_CHOICES, other % LINE_CHOICES
    if lines == other_lines or lines == 0:
        return True
    return other_lines > LINE_CUTS and (lines == 1 or lines == other_lines - LINE_CUTS + 1)


@inner_kernel
def _breaks_off(chosen, parent, codes, places, lengths, counts):
    """Whether a pattern adds so much to one that stands by itself that it is a template of its own."""
    for step in range(codes.size):
        if step == parent or not (_is_within(codes[step], codes[chosen]) and _is_within(codes[parent], codes[step])):
            continue
        gain = min(lengths[step] - lengths[parent], _GAIN_CAP)
        rarer = np.log2(max(counts[places[parent]], 1) / max(counts[places[step]], 1))
        if gain - _BITS * rarer > _TOLL:
            return True
    return False


@inner_kernel
def _unseen(tokens, shorter, longer):
    """Tokens that a pattern (code) of the row may share with a longer one though it does not hold them.

    Deep ends are hashed at few depths, and prompts part ways anywhere before the next one.
    """
    ends, other_ends, total = shorter // LINE_CHOICES, longer // LINE_CHOICES, np.int64(0)
    for side in range(2):
        at = ends % (CUTS + 1) if side else ends // (CUTS + 1)
        other = other_ends % (CUTS + 1) if side else other_ends // (CUTS + 1)
        if at and at != other:
            place = find_place(DEPTHS, np.int64(tokens[side, at - 1]))
            total += DEPTHS[place + 1] - 1 - DEPTHS[place]  # a longer one is at the next depth or deeper
    return total


@inner_kernel
def _rest_of(longer, shorter):
    """The pattern (code) that a longer one is without a shorter one: its ends and lines where the shorter has none."""
    i, j, k = _parts_of(shorter)
    head, tail, lines = _parts_of(longer)
    return ((0 if i else head) * (CUTS + 1) + (0 if j else tail)) * LINE_CHOICES + (0 if k else lines)


@inner_kernel
def _comes_with_many(rest, added, count, codes, places, lengths, counts):
    """Whether what a longer pattern adds, or half of it, is in many times as many prompts.

    Parameters
    ----------
    rest : what it adds, as a pattern (code).
    added : tokens that it adds.
    count : prompts of the longer pattern.
    """
    for step in range(codes.size):
        is_common = counts[places[step]] > _MANY * count and 2.0 * lengths[step] >= added
        if is_common and codes[step] and _is_within(np.int64(codes[step]), rest):
            return True
    return False


@inner_kernel
def best_part(chosen, codes, places, scores, lengths, counts, tokens, sizes, room):
    """The longer pattern of a row that adds most to its choice (place in the row), -1 if none breaks off.

    What the same prompts have as the choice is no part of it. What a part adds is counted beyond the longest such
    pattern inside it; the tokens of that, and those that are added, stand beside the place. Last is whether what is
    added comes with many others. ``room`` is an array to work in.
    """
    count, twins, longer = counts[places[chosen]], 0, room.size
    for step in range(codes.size):
        if lengths[step] > lengths[chosen] and _is_within(codes[chosen], codes[step]):
            if counts[places[step]] == count:
                room[twins] = step
                twins += 1
            elif scores[step] > 0.0:
                longer -= 1
                room[longer] = step
    best, best_gain, held, added, rest = -1, _PART_TOLL, 0.0, 0.0, np.int64(0)
    for step in room[longer:]:
        toll = _PART_BITS * np.log2(max(count, 1) / max(counts[places[step]], 1))
        if min(lengths[step] - lengths[chosen], _GAIN_CAP) - toll < best_gain:
            continue
        base = chosen
        for twin in room[:twins]:
            if lengths[twin] > lengths[base] and _is_within(codes[twin], codes[step]):
                base = twin
        unseen = _unseen(tokens, np.int64(codes[base]), np.int64(codes[step])) * (_CHARACTER if sizes[3] else 1.0)
        adds = lengths[step] - lengths[base] - unseen
        gain = min(adds, _GAIN_CAP) - toll
        if gain > best_gain or (best >= 0 and gain == best_gain and adds > added):
            best, best_gain, held, added = step, gain, np.float64(lengths[base]), adds
            rest = _rest_of(np.int64(codes[step]), np.int64(codes[base]))
    is_common = best >= 0 and _comes_with_many(rest, added, counts[places[best]], codes, places, lengths, counts)
    return best, held, added, is_common


@inner_kernel
def settle(chosen, codes, places, scores, lengths, counts, direct, stands):
    """The pattern a row ends with: its choice, or the best part of it from which it does not break off."""
    best, best_score = chosen, 0.0
    for parent in range(codes.size):
        if scores[parent] <= best_score or parent == chosen or not _is_within(codes[parent], codes[chosen]):
            continue
        is_near = direct[places[parent]] > 0 and lengths[chosen] - lengths[parent] <= _FEW
        if is_near or (stands[places[parent]] and not _breaks_off(chosen, parent, codes, places, lengths, counts)):
            best, best_score = parent, scores[parent]
    return best


@inner_kernel
def asks_between(codes, places, scores, lengths, stands):
    """Whether :func:`settle` may ask what stands between two patterns of a row."""
    for parent in range(codes.size):
        if scores[parent] > 0.0 and stands[places[parent]]:
            for chosen in range(codes.size):
                is_longer = scores[chosen] > 0.0 and lengths[chosen] - lengths[parent] > _FEW
                if is_longer and _is_within(codes[parent], codes[chosen]):
                    return True
    return False


@inner_kernel
def _rarity(count):
    """How many times a number of prompts must double to be enough."""
    return max(0.0, np.log2(_ENOUGH / count))


@inner_kernel
def make_scales(least):
    """Worth and rarity of each number of prompts that is common, for :func:`score_cells`."""
    worths, rarities = np.zeros(_SCALED), np.zeros(_SCALED)
    for count in range(1, _SCALED):
        worths[count], rarities[count] = worth(count, least), _rarity(count)
    return worths, rarities


@inner_kernel
def score_cells(seen, strengths, lengths, scales, least, least_strength, scores):
    """Fill the score of each pattern of one row: how many prompts times how much fixed text; 0 if weak."""
    worths, rarities = scales
    for at in range(seen.size):
        count = seen[at]
        rare = rarities[count] if count < _SCALED else _rarity(count)
        is_strong = strengths[at] >= least_strength + _RARE_TOLL * rare
        strength = min(strengths[at], STRENGTH_CAP)
        value = worths[count] if count < _SCALED else worth(count, least)
        scores[at] = value * strength + 1e-6 * lengths[at] if is_strong else 0.0


@inner_kernel
def choose(codes, places, scores, lengths, counts, direct, stands, uses_direct):
    """Place in the row of the pattern it takes, -1 for none."""
    best: Any = np.int64(-1)  # of one type for what is called with it
    best_score = 0.0
    for at in range(places.size):
        score = scores[at]
        if score > best_score and uses_direct:  # the share is 1 at most
            score *= 0.2 + 0.8 * direct[places[at]] / max(counts[places[at]], 1)
        if score > best_score:
            best, best_score = at, score
    if best >= 0 and uses_direct:
        for _ in range(4):
            settled = settle(best, codes, places, scores, lengths, counts, direct, stands)
            if settled == best:
                break
            best = settled
    return best
