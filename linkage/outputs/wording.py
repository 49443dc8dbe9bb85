"""Figures as plain sentences: what a report says, apart from how it looks.

Accounts are *linked* and traffic is *coordinated*; nobody is called guilty.
"""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from linkage.outputs.tables import as_utc
from linkage.outputs.text import is_null, one_line
from linkage.terms import (
    BARS,
    EXCLUSIONS,
    FLAGGED_TIER,
    MEMBERSHIPS,
    Bar,
    ClusterDetail,
    Exclusion,
    counted,
    join_words,
)

FAMILY_WORDS: Final[Mapping[str, str]] = {
    "network": "the same addresses or address ranges",
    "payment": "the same payment instruments",
    "content": "the same prompt templates",
    "contract": "the same request parameters and output format",
    "client": "the same client software, down to its TLS fingerprint",
    "registration": "sign-ups alike in time, mail domain or plan",
    "conduct": "the same habits: lengths, mix of models, share of templated prompts",
    "rhythm": "working and pausing together",
    "partition": "one list of work, shared out almost without overlap",
    "succession": "one starts where another falls silent",
}
"""What accounts share in each evidence family, for people who see the word for the first time."""

MEMBERSHIP_WORDS: Final[Mapping[str, str]] = {
    "core": "tied to the others by strong evidence",
    "probable": "tied to the core, but less firmly: look before you act",
    "bystander": "touched by the same values, not enough to count: do not act on these",
}
"""What each membership means for the person who decides."""

TIER_WORDS: Final[Mapping[str, str]] = {
    "enforce": "strong enough for a person to decide on action",
    "review": "worth a closer look; too weak to act on as it stands",
    "watch": "worth keeping an eye on; nothing to do today",
}
"""What each tier asks of the person who reads it."""

BAR_WORDS: Final[Mapping[Bar, str]] = {
    "operator": "one operator is in doubt",
    "extraction": "extraction is in doubt",
    "chance": "it may be chance",
    "accounts": "few accounts",
    "evidence": "one kind of evidence",
    "unpaid": "no payment ties them",
    "one_payment": "one payment instrument pays for all",
    "open": "few accounts in the open",
    "own_domain": "a firm in the open",
    "hosted": "a service that calls for its customers",
    "brief": "work of a few days",
    "organization": "they declare one organization",
    "cleared": "people cleared it",
}
"""What keeps a cluster from tier ``enforce``, for a list of clusters; :func:`lacks` tells it with figures."""

CASE_WORDS: Final[Mapping[str, str]] = {
    "open": "Open a case",
    "watched": "Watch",
    "cleared": "Clear: it is innocent",
    "enforced": "Enforced",
    "appealed": "Appealed",
    "overturned": "Overturned",
}
"""What the button of each decision says."""

_UNKNOWN: Final = "not known"
_LIKELIHOODS: Final = (
    (0.95, "very likely"),
    (0.8, "likely"),
    (0.5, "more likely than not"),
    (0.2, "doubtful"),
)
_SURE: Final = _LIKELIHOODS[0][0]
_WEAKEST_NAMED: Final = 3


@dataclasses.dataclass(frozen=True)
class Step:
    """One thing to do next, with the command that does it where there is one."""

    text: str
    command: str | None = None


def percent(share: float | None) -> str:
    """A probability as people say it; never 0 or 100 percent, which nothing here can claim.

    Examples
    --------
    >>> percent(0.973), percent(0.9999), percent(0.001), percent(None)
    ('97%', 'over 99%', 'under 1%', 'not known')
    """
    if share is None or is_null(share):
        return _UNKNOWN
    if share > 0.994:
        return "over 99%"
    return "under 1%" if share < 0.006 else f"{share:.0%}"


def day(moment: Any) -> str:
    """The UTC day of a time.

    Examples
    --------
    >>> day("2026-11-06T23:30Z")
    '6 Nov 2026'
    """
    if is_null(moment):
        return _UNKNOWN
    stamp = as_utc(moment)
    return f"{stamp.day} {stamp:%b %Y}"


def minute(moment: Any) -> str:
    """A time to the minute, with its zone.

    Examples
    --------
    >>> minute("2026-11-06T23:30:12Z")
    '6 Nov 2026 23:30 UTC'
    """
    return _UNKNOWN if is_null(moment) else f"{day(moment)} {as_utc(moment):%H:%M} UTC"


def likelihood(share: float | None) -> str:
    """A probability in words.

    Examples
    --------
    >>> likelihood(0.97), likelihood(0.6), likelihood(0.1)
    ('very likely', 'more likely than not', 'unlikely')
    """
    if share is None or is_null(share):
        return _UNKNOWN
    return next((words for bound, words in _LIKELIHOODS if share >= bound), "unlikely")


def chance(q_value: float | None) -> str:
    """What a q-value says about clusters as strong as this one.

    Examples
    --------
    >>> chance(0.001)
    'of 1,000 clusters as strong as this one, about 1 would be there by chance (q = 0.001)'
    """
    if q_value is None or is_null(q_value):
        return "how often chance makes such a cluster was not computed in this run"
    if q_value <= 0:
        return "no cluster as strong as this one came up by chance (q = 0)"
    if q_value < 1e-6:
        return "chance makes next to no cluster as strong as this one (q below 0.000001)"
    of = 10 ** max(1, math.ceil(-math.log10(q_value)))
    expected = f"about {q_value * of:.0f}" if q_value * of >= 0.95 else "fewer than 1"
    return f"of {of:,} clusters as strong as this one, {expected} would be there by chance (q = {q_value:.2g})"


def summary(detail: ClusterDetail) -> list[str]:
    """The cluster in a few sentences, the most important first."""
    cluster = detail.cluster
    families = join_words([one_line(name) for name in family_names(cluster)]) or "no evidence family"
    sentences = [
        f"{counted(cluster['accounts'], 'account')} made {counted(cluster['requests'], 'request')} "
        f"from {day(cluster['first_seen'])} to {day(cluster['last_seen'])}, linked by {families}.",
        f"That one operator runs them is {verdict(cluster['controller_probability'])}; that their joint "
        f"traffic extracts model output is {verdict(cluster['extraction_probability'])}.",
        reading(cluster),
        f"{chance(cluster['q_value']).capitalize()}.",
        _expected_wrong(cluster),
        _organizations(cluster),
    ]
    return [sentence for sentence in sentences if sentence]


def family_names(cluster: Mapping[str, Any]) -> list[str]:
    """The evidence families of a cluster, strongest first."""
    return _joined(cluster.get("families"))


def _joined(names: Any) -> list[str]:
    """The names of a ``+``-joined list, which may be null."""
    return [] if is_null(names) else [name for name in str(names).split("+") if name]


def verdict(share: float) -> str:
    """A probability in words and as a figure.

    Examples
    --------
    >>> verdict(0.97)
    'very likely (97%)'
    """
    return f"{likelihood(share)} ({percent(share)})" if not is_null(share) else _UNKNOWN


def reading(cluster: Mapping[str, Any]) -> str:
    """What the two verdicts of a cluster mean together, and why it has its tier where one of them is low.

    Examples
    --------
    >>> reading({"tier": "watch", "controller_probability": 0.9, "extraction_probability": 0.1})
    'Run as one but not extracting is what a firm, a class or a reseller looks like.'
    """
    controller, extraction = cluster["controller_probability"], cluster["extraction_probability"]
    if is_null(controller) or is_null(extraction):
        return ""
    if controller >= 0.5 and extraction >= 0.5:
        if cluster["tier"] != FLAGGED_TIER:
            return "Both together look like a coordinated extraction campaign, but for what holds this cluster back."
        return "Both together are what a coordinated extraction campaign looks like."
    if controller >= 0.5:
        what = "but not extracting" if likelihood(extraction) == "unlikely" else "with extraction in doubt"
        return f"Run as one {what} is what a firm, a class or a reseller looks like."
    if extraction >= 0.5:
        return _READS_AS_EXTRACTION + (_DECIDE_BY_TRAFFIC if cluster["tier"] == FLAGGED_TIER else "")
    return _NEITHER.get(cluster["tier"], "")


_READS_AS_EXTRACTION: Final = (
    "Extraction with one operator in doubt is what a campaign looks like that gives its accounts little in common but "
    "their work, and what several hands look like that work alike."
)
_DECIDE_BY_TRAFFIC: Final = (
    " The traffic is clear enough to make up for that doubt in this tier: it is a reason to decide about what these "
    "accounts send, not about whose they are."
)
_NEITHER: Final[Mapping[str, str]] = {
    "review": "Neither is more likely than not; it is for review because neither can be ruled out.",
    "watch": "Neither is more likely than not; it is listed because one operator cannot be ruled out.",
}


def _expected_wrong(cluster: Mapping[str, Any]) -> str:
    told = wrong_words(cluster)
    return told and f"Were all of its {counted(cluster['accounts'], 'account')} acted on, {told}"


def wrong_words(cluster: Mapping[str, Any]) -> str:
    """How many of a cluster's accounts action would wrong, and as what; nothing where that is not known.

    Examples
    --------
    >>> row = {"accounts": 18, "controller_probability": 0.35, "extraction_probability": 0.86, "expected_wrong": 12.6}
    >>> wrong_words(row).split(". ")[0]
    'about 12.6 would be wronged: run by somebody else, or not extracting'
    """
    wrong = cluster.get("expected_wrong")
    if wrong is None or is_null(wrong):
        return ""
    told = f"{wronged(wrong)} would be wronged: run by somebody else, or not extracting."
    if _is_extraction_alone_in_doubt(cluster):
        idle = percent(1 - cluster["extraction_probability"])
        return f"{told} That is a mean: they extract together or not at all, and with {idle} all of them are wronged."
    if not _is_operator_in_doubt(cluster):
        return told
    idle = wronged(cluster["accounts"] * (1 - cluster["extraction_probability"]))
    return (
        f"{told} {idle.capitalize()} of these would not be extracting; the others would extract for another hand, and "
        "are wronged only by a decision that takes them for one operator's."
    )


def _is_extraction_alone_in_doubt(cluster: Mapping[str, Any]) -> bool:
    """Whether one hand surely runs them, so that what they do is true of all or of none."""
    controller, extraction = _verdicts(cluster)
    return controller >= _SURE and 1 - _SURE < extraction < _SURE


def _is_operator_in_doubt(cluster: Mapping[str, Any]) -> bool:
    """Whether only the traffic is more likely than not what it is taken for."""
    controller, extraction = _verdicts(cluster)
    return controller < 0.5 <= extraction


def _verdicts(cluster: Mapping[str, Any]) -> tuple[float, float]:
    """Both probabilities of a cluster; one that is not known is NaN, and so neither high nor low."""
    controller, extraction = (cluster[f"{name}_probability"] for name in ("controller", "extraction"))
    return math.nan if is_null(controller) else controller, math.nan if is_null(extraction) else extraction


def wronged(accounts: float) -> str:
    """How many accounts are expected to be wronged.

    Examples
    --------
    >>> wronged(0.03), wronged(1.26)
    ('fewer than 0.1', 'about 1.3')
    """
    return "fewer than 0.1" if accounts < 0.1 else f"about {accounts:,.1f}"


def _organizations(cluster: Mapping[str, Any]) -> str:
    organizations = cluster.get("organizations") or 0
    if is_null(organizations) or organizations < 1:
        return "None of them declares an organization."
    # Accounts that all declare one organization are watched.
    if organizations == 1 and cluster["tier"] != "watch":
        return "Some of them declare an organization, all of these the same one; the others declare none."
    if organizations == 1:
        return "Those of them that declare an organization declare the same one."
    return f"Those of them that declare an organization declare {organizations:,} different ones."


def tier_rule(run: Mapping[str, Any]) -> str:
    """What a cluster needed for each tier in a run, from the run's settings; nothing where it does not tell them.

    Examples
    --------
    >>> tier_rule({})
    ''
    """
    asked = _rule(run)
    if not asked:
        return ""
    one, own, least_one, both, sure = (f"{asked[name]:.0%}" for name in _RULE_SHARES)
    total, q_value, *counts = (asked[name] for name in _RULE_COUNTS)
    kinds, least, few, days = map(counted, counts, ("independent kind", "account", "account", "day"))
    return (
        f"In this run the tier “enforce” asked for at least {one} that one operator runs the accounts and {own} that "
        f"their traffic is extraction (less of the former, to {least_one}, where both together reach {total:.0%}), "
        f"a q-value of at most {q_value:g}, {kinds} of evidence and {least}; the tier “review” for {both} of both, or "
        f"for as sure extraction with the operator in doubt, or for extraction of {sure} whatever ties them. Fewer "
        f"than {few} that all share one card and one address, accounts under one mail domain of their own, accounts "
        f"that only a program and the addresses it is called from tie, and work of {days} or less that no payment ties "
        "come to review at most; accounts of which nearly all "
        "declare one organization are watched."
    )


def lacks(cluster: Mapping[str, Any], *, run: Mapping[str, Any]) -> list[str]:
    """What a cluster that is not of tier ``enforce`` lacks for it, and which rule bars it; empty for one that is.

    Parameters
    ----------
    cluster : a row of ``CLUSTERS``.
    run : as in :class:`~linkage.terms.ClusterDetail`.

    Examples
    --------
    >>> asked = {"enforce_controller": 0.5, "enforce_extraction": 0.6, "enforce_both": 1.0, "least_controller": 0.1}
    >>> asked |= {"review_probability": 0.3, "review_extraction": 0.9, "max_q_value": 0.05, "min_families": 2}
    >>> asked |= {"min_enforce_accounts": 5, "open_accounts": 10, "brief_days": 3.0}
    >>> row = {"controller_probability": 0.97, "extraction_probability": 0.02, "q_value": 0.001}
    >>> lacks(row | {"barred_by": "extraction"}, run={"settings": {"verdicts": asked}})
    ['For the tier “enforce” it lacks: extraction of 60% or more (2%).']
    """
    asked, barred = _rule(run), bars(cluster)
    if not barred or not asked:
        return []
    figures = _figures_of_bars(cluster, asked)
    missing, held = ([words[name].format(**figures) for name in barred if name in words] for words in (_LACKS, _HELD))
    told = [f"For the tier “enforce” it lacks: {'; '.join(missing)}."] if missing else []
    opening = "It is held back besides" if missing else "Both verdicts reach the tier “enforce”; it is held back"
    return [*told, *([f"{opening}: {'; '.join(held)}."] if held else [])]


def bars(cluster: Mapping[str, Any]) -> list[Bar]:
    """What keeps a cluster from tier ``enforce``; nothing where its run did not keep it."""
    kept = _joined(cluster.get("barred_by"))
    return [bar for bar in BARS if bar in kept]


def exclusions(member: Mapping[str, Any]) -> list[Exclusion] | None:
    """Why a member is a bystander; nothing where it is none, None where its run did not keep it."""
    kept = member.get("left_out_by")
    return None if is_null(kept) else [name for name in EXCLUSIONS if name in _joined(kept)]


def exclusion_words(member: Mapping[str, Any], *, run: Mapping[str, Any]) -> list[str]:
    """Each of the reasons for which a member is a bystander, in words.

    Parameters
    ----------
    member : a row of ``MEMBERS``.
    run : as in :class:`~linkage.terms.ClusterDetail`.

    Examples
    --------
    >>> settings = {"verdicts": {"probable_share": 0.25}}
    >>> exclusion_words({"left_out_by": "families+share"}, run={"settings": settings})
    ['fewer than two kinds of evidence tie it', 'what ties it is less than 25% of what ties a usual member']
    """
    share = (run.get("settings") or {}).get("verdicts", {}).get("probable_share")
    least = "too small a part" if share is None else f"less than {share:.0%}"
    return [_EXCLUDED[name].format(least=least) for name in exclusions(member) or ()]


_EXCLUDED: Final[Mapping[Exclusion, str]] = {
    "families": "fewer than two kinds of evidence tie it",
    "share": "what ties it is {least} of what ties a usual member",
    "copyable": "what ties it could be taken over from others, and what could not be does not tie it",
    "work": "it is tied less firmly than most and sends none of the prompts that hardly anybody but the members sends",
    "overturned": "a decision freed it and nothing is new since",
}


def _figures_of_bars(cluster: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, str]:
    least, most = asked["least_controller"], asked["enforce_controller"]
    needed = min(max(asked["enforce_both"] - cluster["extraction_probability"], least), most)
    return {
        "needed": f"{needed:.0%}",
        "operator": percent(cluster["controller_probability"]),
        "least_extraction": f"{asked['enforce_extraction']:.0%}",
        "extraction": percent(cluster["extraction_probability"]),
        "whole": percent(cluster.get("whole_probability", math.nan)),
        "most_chance": f"{asked['max_q_value']:g}",
        "chance": f"{cluster['q_value']:.2g}",
        "accounts": counted(asked["min_enforce_accounts"], "account"),
        "kinds": counted(asked["min_families"], "independent kind"),
        "few": counted(asked["open_accounts"], "account"),
        "days": counted(asked["brief_days"], "day"),
    }


_OWN_WORK: Final = "so that all that they send counts ({whole} extraction), and not their own work alone ({extraction})"
_LACKS: Final[Mapping[Bar, str]] = {
    "operator": "one operator of {needed} or more ({operator})",
    "extraction": "extraction of {least_extraction} or more ({extraction})",
    "chance": "a q-value of at most {most_chance} ({chance})",
    "accounts": "{accounts} or more that are firmly tied",
    "evidence": "{kinds} of evidence or more",
}
_HELD: Final[Mapping[Bar, str]] = {
    "unpaid": f"no payment ties half of them, {_OWN_WORK}",
    "one_payment": f"one payment instrument pays for all, {_OWN_WORK}",
    "open": "fewer than {few} that all share one card and one address come to review at most",
    "own_domain": "accounts under one mail domain of their own come to review at most",
    "hosted": "accounts that only a program and the addresses it is called from tie come to review at most",
    "brief": "work of {days} or less that no payment ties comes to review at most",
    "organization": "nearly all its accounts declare one organization",
    "cleared": "it was cleared, and there is no new evidence since",
}

_RULE_SHARES: Final = (
    *("enforce_controller", "enforce_extraction", "least_controller"),
    *("review_probability", "review_extraction"),
)
_RULE_COUNTS: Final = (
    *("enforce_both", "max_q_value"),
    *("min_families", "min_enforce_accounts", "open_accounts", "brief_days"),
)


def _rule(run: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings that tiers went by in a run; empty where it does not tell all of them."""
    asked: Mapping[str, Any] = (run.get("settings") or {}).get("verdicts", {})
    return asked if all(name in asked for name in (*_RULE_SHARES, *_RULE_COUNTS)) else {}


def membership_counts(detail: ClusterDetail) -> dict[str, int]:
    """Membership to number of accounts, strongest first, only those that occur."""
    sizes = Counter(detail.members["membership"])
    order = [*MEMBERSHIPS, *sorted(set(sizes) - set(MEMBERSHIPS))]
    return {name: sizes[name] for name in order if sizes[name]}


def readings(cluster: Mapping[str, Any]) -> list[str]:
    """The innocent readings that remain, one by one."""
    text = cluster.get("readings")
    return [] if is_null(text) else [part.strip() for part in str(text).split(";") if part.strip()]


def next_steps(detail: ClusterDetail) -> list[Step]:
    """What the tier asks for, in the order in which to do it."""
    tier = detail.cluster["tier"]
    steps = [_readings_step(detail)]
    if tier == "watch":
        steps = [Step("Nothing needs doing today. The next run follows this cluster under the same id.")]
    if tier == "enforce":
        steps += [
            _weakest_step(detail),
            *_operator_step(detail),
            Step("Decide, and write down why:", _case(detail, "enforced")),
        ]
    if tier == "review":
        look = (
            "Do not act on this cluster as it stands. Look for one more independent reason; while there is none, keep "
            "it in sight:"
        )
        steps += [Step(look, _case(detail, "watched"))]
    steps += [Step("If one of the innocent readings fits, clear it:", _case(detail, "cleared"))]
    bystanders = membership_counts(detail).get("bystander", 0)
    if bystanders:
        steps.append(Step(f"Leave {counted(bystanders, 'bystander')} alone: what ties them is not enough to act on."))
    return steps


def _readings_step(detail: ClusterDetail) -> Step:
    left = len(readings(detail.cluster))
    if not left:
        return Step("No innocent reading that the tool knows of remains; ask whether you know of one.")
    return Step(f"Rule out the innocent readings below: {left} {'remains' if left == 1 else 'remain'}.")


def _weakest_step(detail: ClusterDetail) -> Step:
    flagged = detail.members[detail.members["flagged"]]
    weakest = flagged.sort_values(["controller_probability", "account_id"]).head(_WEAKEST_NAMED)
    names = [one_line(name, longest=40) for name in weakest["account_id"]]
    if not names:
        return Step("No member is flagged: read the members before anything else.")
    return Step(f"Check the flagged accounts with the weakest ties by hand first: {join_words(names)}.")


def _operator_step(detail: ClusterDetail) -> list[Step]:
    if not _is_operator_in_doubt(detail.cluster):
        return []
    told = verdict(detail.cluster["controller_probability"])
    return [Step(f"Look at what each account sends: that one operator runs them all is {told}.")]


def _case(detail: ClusterDetail, state: str) -> str:
    name = shlex.quote(one_line(str(detail.cluster["cluster_id"]), longest=200))
    return f"linkage case STORE {name} --state {state} --note 'why'"


def case_sentence(note: Mapping[str, Any]) -> str:
    """What a person decided about a cluster, when, and why.

    Examples
    --------
    >>> case_sentence({"noted_at": "2026-11-20T09:12:00.000Z", "author": "ana", "state": "cleared", "note": "a class"})
    '20 Nov 2026 09:12 UTC, ana: cleared. a class'
    """
    words = one_line(str(note["note"]), longest=2_000)
    return f"{minute(note['noted_at'])}, {one_line(str(note['author']), longest=80)}: {note['state']}. {words}"


def event_sentence(event: Mapping[str, Any]) -> str:
    """What happened to a cluster between two runs, and the last day of the later one where it is known.

    Examples
    --------
    >>> event_sentence({"event": "grew", "other_id": None, "accounts_before": 5, "accounts_after": 14,
    ...                 "accounts_shared": 5, "as_of": "2026-11-20T00:00Z"})
    'As of 20 Nov 2026: grew from 5 to 14 accounts; 5 were in both.'
    """
    told = _event_words(event)
    when = event.get("as_of")
    return told if is_null(when) else f"As of {day(when)}: {told[:1].lower()}{told[1:]}"


def _event_words(event: Mapping[str, Any]) -> str:
    before, after, shared = (int(event[f"accounts_{when}"]) for when in ("before", "after", "shared"))
    other = "another cluster" if is_null(event["other_id"]) else one_line(str(event["other_id"]))
    both = f"{shared:,} {'was' if shared == 1 else 'were'} in both"
    sentences = {
        "born": f"First seen, with {counted(after, 'account')}.",
        "grew": f"Grew from {before:,} to {counted(after, 'account')}; {both}.",
        "shrank": f"Shrank from {before:,} to {counted(after, 'account')}; {both}.",
        "split": f"Split: {shared:,} of its {counted(before, 'account')} are now in {other}.",
        "merged": f"Merged with {other}: {before:,} became {counted(after, 'account')}; {both}.",
        "dormant": f"Went dormant: none of its {counted(after, 'account')} makes requests any more.",
        "revived": f"Revived, with {counted(after, 'account')}; {both}.",
        "ended": f"Ended: its {counted(before, 'account')} no longer hang together.",
    }
    return sentences.get(str(event["event"]), f"{event['event']}: {before:,} to {counted(after, 'account')}.")
