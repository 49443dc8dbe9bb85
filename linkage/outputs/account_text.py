"""One account in words: whether it is flagged, and why or why not."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pandas as pd

from linkage.outputs import wording
from linkage.outputs.account import AccountDetail
from linkage.outputs.plain import section
from linkage.outputs.tables import records
from linkage.outputs.text import is_null, one_line, shorten_middle
from linkage.terms import UNRELATED, counted, join_words

_LINKS_TOLD: Final = 3
_PARTS_TOLD: Final = 4
_LEAST_TOLD: Final = 0.05
_VALUE_CHARS: Final = 60
_TEMPLATES_TOLD: Final = 2
_TEMPLATE_CHARS: Final = 160
_WINDOW: Final = re.compile(r"(?P<start>\S+)/(?P<hours>\d+)h(?: (?P<domain>.+))?")
_LONGEST: Final = 2_000
_MILLISECOND: Final = pd.Timedelta(milliseconds=1)

_MEMBERSHIP: Final = {**wording.MEMBERSHIP_WORDS, "bystander": "touched by the same values, not enough to count"}

_MISSING: Final = {
    "network": "address",
    "payment": "payment instrument",
    "content": "prompt",
    "contract": "request parameters",
    "client": "client (user agent or TLS fingerprint)",
    "registration": "time of creation",
    "conduct": "output tokens",
}
"""What the logs do not tell of an account that a family of evidence says nothing of."""

_POPULAR: Final = {
    "network": "an office, a carrier or a VPN has many behind it",
    "payment": "an agency or a firm pays for many",
    "content": "many write so",
    "contract": "many programs send the same",
    "client": "many use the same program",
    "registration": "many signed up like that",
}
"""Why a value that many have says little."""

_READINGS: Final = (
    ({"registration", "content"}, "a class, a workshop or a hackathon"),
    ({"network"}, "a shared office, campus, carrier or VPN"),
    ({"payment"}, "an agency, a household or one firm without a declared organization"),
    ({"content"}, "a wording or an app that many use"),
)
"""What accounts that share this may be, all innocent."""

_FEW: Final = 10
"""Accounts up to which a value that says little does so for another reason than that many have it."""

_SOMETHING: Final = 2.5
_LITTLE: Final = 0.5
"""Bits from which on a shared value says something, and little."""


def account_text(detail: AccountDetail) -> str:
    """The account in words: whether it is flagged, what ties it, how much that says, and what to do next."""
    told = {"not seen": _unseen, "in no cluster": _alone}.get(detail.status, _member)
    return "\n".join(told(detail)) + "\n"


def _name(detail: AccountDetail) -> str:
    return one_line(str(detail.account["account_id"]), longest=200)


def _window(detail: AccountDetail) -> str:
    return f"{wording.day(detail.run['since'])} to {_last_day(detail.run['as_of'])}"


def _at_work(detail: AccountDetail) -> str:
    account = detail.account
    days = f"{counted(account['active_days'], 'day')} from" if account["active_days"] > 1 else ""
    span = f"{days} {wording.day(account['first_at'])} to {wording.day(account['last_at'])}" if days else "one day"
    when = span if days else f"{span}, {wording.day(account['first_at'])}"
    return f"It made {counted(account['requests'], 'request')} on {when}."


def _unseen(detail: AccountDetail) -> Iterator[str]:
    account = detail.account
    yield f"Account {_name(detail)}: not judged"
    yield f"Run {detail.run['run_id']} looked at {_window(detail)}, and it made no request then"
    yield ""
    if not account["all_requests"]:
        yield "No request of it is stored: only an account record or a decision names it."
    else:
        first, last = wording.day(account["earliest_at"]), wording.day(account["latest_at"])
        span = first if first == last else f"{first} to {last}"
        is_one = account["all_requests"] == 1
        yield f"Its {counted(account['all_requests'], 'stored request')} {'is' if is_one else 'are'} from {span}."
    yield from section("History", _history(detail))
    yield from section("What to do next", _look_elsewhere(detail))


def _look_elsewhere(detail: AccountDetail) -> list[str]:
    """Runs that saw it, or how to make one."""
    account, runs = detail.account, detail.history
    if not account["all_requests"]:
        return ["Load its logs if there are any: linkage ingest STORE FILE..."]
    saw = runs[runs["requests"] > 0]
    if len(saw):
        return [f"Ask the run that saw it: linkage why STORE {_quoted(detail)} --run {saw['run_id'].iloc[-1]}"]
    end = (pd.Timestamp(account["latest_at"]) + pd.Timedelta(days=1)).date()
    return [
        "No run that is kept looked at these days. On a copy of STORE, since readers see the newest run: "
        f"linkage rebuild COPY --as-of {end}; linkage why COPY {_quoted(detail)}"
    ]


def _quoted(detail: AccountDetail) -> str:
    return _quote(detail.account["account_id"])


def _quote(account_id: str) -> str:
    return shlex.quote(one_line(str(account_id), longest=200))


def _member(detail: AccountDetail) -> Iterator[str]:
    member, cluster = detail.member or {}, detail.cluster or {}
    name = one_line(str(cluster["cluster_id"]))
    yield f"Account {_name(detail)}: {'flagged' if member['flagged'] else 'not flagged'}"
    yield f"In cluster {name} of tier {cluster['tier']}: {wording.TIER_WORDS.get(cluster['tier'], '')}"
    yield f"Membership {member['membership']}: {_MEMBERSHIP.get(str(member['membership']), '')}"
    yield ""
    yield f"{_at_work(detail)} Run {detail.run['run_id']} looked at {_window(detail)}."
    yield from _why_member(detail)
    yield from section("What ties it to the others", _ties(detail))
    yield from section("What speaks for it", _for_member(detail))
    yield from section("What would free it", _free(detail))
    yield from section("What is not known", _not_known(detail))
    yield from section("History", _history(detail))
    yield from section("What to do next", _next_of_member(detail, name))


def _why_member(detail: AccountDetail) -> Iterator[str]:
    member, cluster = detail.member or {}, detail.cluster or {}
    if cluster["tier"] != "enforce":
        yield "Not flagged, because its cluster is not of tier “enforce”. " + " ".join(
            wording.lacks(cluster, run=detail.run)
        )
    elif not member["flagged"]:
        yield "Not flagged, because it is a bystander: only core and probable members are."
    extraction = wording.verdict(cluster["extraction_probability"])
    if member["membership"] == "bystander":
        yield from _why_bystander(detail)
        yield (
            f"Of its cluster, without it: one operator is {wording.verdict(cluster['controller_probability'])}, "
            f"extraction {extraction}."
        )
    else:
        yield (
            f"That the operator of this cluster runs this account, too, is "
            f"{wording.verdict(member['controller_probability'])}; that the cluster's joint traffic extracts model "
            f"output is {extraction}."
        )
    yield wording.reading(cluster)
    yield f"{wording.chance(cluster['q_value']).capitalize()}."


def _why_bystander(detail: AccountDetail) -> Iterator[str]:
    """What keeps it from being a member, and what its own probability leaves out."""
    member = detail.member or {}
    excluded = wording.exclusions(member)
    if excluded is None:
        yield (
            "It is a bystander because fewer than two kinds of evidence tie it, or too little of what ties a usual "
            "member, or only what could be taken over from others: its run is of an earlier version and does not say "
            "which of these."
        )
    else:  # what else left out an account that a decision freed does not matter
        yield from _told_exclusions(detail, ["overturned"] if "overturned" in excluded else excluded)
    by_what, left_out = "its ties alone", "; this leaves out why it is a bystander, and is"
    if "copyable" in (excluded or ()):
        by_what, left_out = "what could not be taken over", ":"
    yield (
        f"Going by {by_what}, that the operator of this cluster runs it, too, has a probability of "
        f"{wording.percent(member['controller_probability'])}{left_out} no reason to act."
    )


def _told_exclusions(detail: AccountDetail, excluded: Sequence[str]) -> Iterator[str]:
    """Why it is a bystander, by what ties it; what could be taken over from others is told by name."""
    plain = "+".join(name for name in excluded if name != "copyable")
    if plain:
        words = wording.exclusion_words({"left_out_by": plain}, run=detail.run)
        yield f"It is a bystander because {join_words(words)}."
    if "copyable" in excluded:
        untold = [family for family in detail.lacking if family in detail.missing]
        lacking = f" ({join_words(detail.lacking)})" if detail.lacking else ""
        held = f" ({join_words(detail.held_by)})" if detail.held_by else ""
        yield (
            f"{'Besides,' if plain else 'It is a bystander because'} what ties it most{held} could be taken over by "
            f"somebody from others; what could not be{lacking} ties half of the members and more, but this account "
            f"hardly or not at all{f', and its logs tell nothing of {join_words(untold)}' if untold else ''}."
        )


def _ties(detail: AccountDetail) -> list[str]:
    reasons = [_upper_first(part) for part in str((detail.member or {})["reasons"]).split("; ") if part]
    links = _near(detail)
    told = [*reasons, *links, _bits_words(detail)] if links else reasons
    return _with_templates(
        detail, [*told, UNRELATED] if any("otherwise unrelated" in words for words in told) else told
    )


def _with_templates(detail: AccountDetail, sentences: list[str]) -> list[str]:
    """The sentences, and how the templates read that they name."""
    named = [name for name in detail.templates if any(name in sentence for sentence in sentences)]
    read = [f"{name} reads: “{one_line(detail.templates[name], longest=_TEMPLATE_CHARS)}”" for name in named]
    return [*sentences, *read[:_TEMPLATES_TOLD]]


def _upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


def _bits_words(detail: AccountDetail) -> str:
    return (
        "Bits add up, and each doubles how much likelier one operator is than chance. Among "
        f"{counted(detail.accounts, 'account')} chance alone gives up to every second one a match of "
        f"{detail.chance_bits:.1f}."
    )


def _near(detail: AccountDetail, most: int = _LINKS_TOLD) -> list[str]:
    """The strongest links."""
    told = []
    for other in detail.links["other_account"].drop_duplicates().head(most):
        rows = detail.links[detail.links["other_account"] == other]
        parts = join_words(_parts(records(rows)))
        cluster = rows["cluster_id"].iloc[0]
        own = (detail.cluster or {}).get("cluster_id")
        where = "" if is_null(cluster) or cluster == own else f", of cluster {cluster} ({rows['tier'].iloc[0]})"
        told.append(f"With {one_line(other)}{where}: {rows['total_bits'].iloc[0]:.1f} bits, by {parts}.")
    return told


def _parts(rows: list[dict[str, Any]]) -> list[str]:
    """What gives a link its bits, the first few of it."""
    told = [f"{_called(row)} ({row['bits']:.1f})" for row in rows if abs(row["bits"]) >= _LEAST_TOLD]
    rest = len(told) - _PARTS_TOLD
    return told if rest < 2 else [*told[:_PARTS_TOLD], f"{rest} more"]


def _called(row: Any) -> str:
    """A value as people would name it."""
    if row["family"] == "conduct":
        return f"habits among the {row['value']}"
    window = _WINDOW.fullmatch(row["value"]) if str(row["kind"]).startswith("signup_") else None
    if window is None:
        return f"{row['noun']} {shorten_middle(one_line(row['value'], longest=_LONGEST), longest=_VALUE_CHARS)}"
    mail = f" with mail at {one_line(window['domain'])}" if window["domain"] else ""
    start = wording.minute(window["start"])
    days, hours = divmod(int(window["hours"]), 24)
    length = counted(days, "day") if days > 1 and not hours else counted(int(window["hours"]), "hour")
    return f"creation within the {length} from {start}{mail}"


def _for_member(detail: AccountDetail) -> list[str]:
    member, cluster = detail.member or {}, detail.cluster or {}
    readings = "; ".join(wording.readings(cluster))
    told = [f"Innocent readings of its cluster that remain: {readings}."] if readings else []
    if member["membership"] == "probable":
        told.append("It is tied less firmly than the core.")
    organization = detail.account.get("organization_id")
    if not is_null(organization):
        told.append(f"It declares the organization {one_line(str(organization))}.")
    wrong = wording.wrong_words(cluster)
    if cluster["tier"] != "watch" and wrong:
        told.append(f"Were all {cluster['accounts']:,} core and probable members acted on, {wrong}")
    return told


def _free(detail: AccountDetail) -> list[str]:
    member, cluster = detail.member or {}, detail.cluster or {}
    if cluster["tier"] == "watch" or member["membership"] == "bystander":
        return []
    told = []
    if len(detail.held_by) > 1:
        told.append(
            f"It is tied by {join_words(detail.held_by)}. It would be a bystander, and not flagged, if all of these "
            "but one turned out to have another explanation."
        )
    told.append(
        "A decision frees it with the next rebuild, until there is new evidence: linkage case STORE "
        f"{shlex.quote(str(cluster['cluster_id']))} --account {_quoted(detail)} --state overturned --note 'why'"
    )
    return told


def _next_of_member(detail: AccountDetail, cluster: str) -> list[str]:
    member = detail.member or {}
    look = f"Read the whole cluster: linkage show STORE {shlex.quote(cluster)}"
    if member["flagged"]:
        return [look, "On an appeal, ask the account's owner about each tie above."]
    if member["membership"] == "bystander":
        return ["Leave it alone: what ties it is not enough to act on.", look]
    if member["tier"] == "watch":
        return ["Nothing needs doing today.", look]
    return ["Do not act on it as it stands: look for one more independent reason.", look]


def _alone(detail: AccountDetail) -> Iterator[str]:
    yield f"Account {_name(detail)}: not flagged"
    yield f"In no cluster of run {detail.run['run_id']}, which looked at {_window(detail)}"
    yield ""
    yield _at_work(detail)
    yield _verdict_alone(detail)
    yield from _spared(detail)
    yield from section("What it has in common with others, and how much that says", _shared(detail))
    near = _near(detail, _LINKS_TOLD if _closer(detail) else 1)
    yield from section("Whom it is nearest to", [*near, _bits_words(detail)] if near else [])
    yield from section("What is not known", _not_known(detail))
    yield from section("History", _history(detail))
    yield from section("What to do next", _next_alone(detail))


def _closer(detail: AccountDetail) -> int:
    """Accounts that share more with it than chance would have it."""
    total = detail.links.drop_duplicates("other_account")["total_bits"]
    return int((total >= detail.chance_bits).sum())


def _verdict_alone(detail: AccountDetail) -> str:
    closer = _closer(detail)
    if not closer:
        return "Nothing it shares ties it to anybody more than chance would."
    least = "at least " if detail.is_cut else ""
    return (
        f"It shares more with {least}{counted(closer, 'account')} than chance would have it, and is still in no "
        "cluster."
    )


def _spared(detail: AccountDetail) -> Iterator[str]:
    least = (detail.run.get("settings") or {}).get("verdicts", {}).get("review_probability")
    if _closer(detail) and least is not None:
        yield (
            f"No group with it in it became a cluster: that takes {least:.0%} for one operator, or extraction that is "
            "no coincidence."
        )
        rows = detail.links[detail.links["total_bits"] >= detail.chance_bits]
        families = set(rows.loc[rows["bits"] >= _SOMETHING, "family"])
        readings = [words for needed, words in _READINGS if needed <= families]
        if readings:
            yield f"Innocent readings of what they share: {'; '.join(readings)}."
    organization = detail.account.get("organization_id")
    if detail.related and not is_null(organization):
        yield (
            f"It declares the organization {one_line(str(organization))}, as {'at least ' if detail.is_cut else ''}"
            f"{counted(detail.related, 'account')} with which it shares values "
            f"{'does' if detail.related == 1 else 'do'}, too: that explains what they share, and counts for nothing."
        )


def _shared(detail: AccountDetail) -> list[str]:
    """Per kind of evidence the value that tells most, and what it has to itself."""
    told, own = [], []
    for family in _MISSING:
        uses = detail.uses[detail.uses["family"] == family]
        shared = uses[uses["accounts"] > 1]
        if len(shared):
            told.append(_of_family(shared, family, detail.chance_bits))
        elif family != "registration":
            own += [_some(int(number), str(noun)) for noun, number in uses["noun"].value_counts(sort=False).items()]
    if own:
        told.append(f"On no other account: its {join_words(own)}.")
    return _with_templates(detail, told)


def _of_family(shared: pd.DataFrame, family: str, chance_bits: float) -> str:
    shared = shared.sort_values(["bits", "accounts", "value"], ascending=[False, True, True], kind="stable")
    best, rest = shared.iloc[0], len(shared) - 1
    told = f"{_upper_first(_called(best))}: {_on(best)}; {_telling(best, family, chance_bits)}."
    if rest and family != "registration":
        most = shared.sort_values("accounts", kind="stable").iloc[-1]
        told += f" {rest:,} more of this kind {'is' if rest == 1 else 'are'} shared, with up to "
        told += f"{'' if most['is_all'] else 'at least '}{counted(most['accounts'] - 1, 'other')}."
    return told


def _some(number: int, noun: str) -> str:
    """One thing or several of it."""
    if number == 1:
        return noun
    if noun.endswith("y"):
        return f"{number:,} {noun[:-1]}ies"
    return f"{number:,} {noun}{'es' if noun.endswith(('s', 'x')) else 's'}"


def _on(row: Any) -> str:
    others = int(row["accounts"]) - 1
    return f"shared with {'' if row['is_all'] else 'at least '}{counted(others, 'other account')}"


def _telling(best: Any, family: str, chance_bits: float) -> str:
    bits = float(best["bits"])
    if bits >= chance_bits:
        return f"says much by itself ({bits:.1f} bits)"
    if bits >= _SOMETHING:
        return f"says something ({bits:.1f} bits)"
    words = "says little" if bits >= _LITTLE else "says next to nothing"
    why = _POPULAR[family] if best["accounts"] > _FEW else "values of this kind told little in this run"
    return f"{words} ({bits:.1f} bits): {why}"


def _not_known(detail: AccountDetail) -> list[str]:
    told = []
    if detail.missing:
        missing = [f"no {_MISSING[family]}" for family in detail.missing if family in _MISSING]
        told.append(f"Its logs tell {join_words(missing)}, so nothing of that kind can speak for or against it.")
    if detail.member is None:
        told.append(
            "Habits (lengths of prompts and answers, mix of models) are compared in a rebuild alone: alike ones would "
            f"add up to {max(detail.habit_bits, 0.0):.1f} bits to a match. Groups that did not become clusters are not "
            "kept, so whether it was in one is not known."
        )
    if detail.is_behind:
        told.append("Records came in after this run; what it shares is told from all of them.")
    return told


def _history(detail: AccountDetail) -> list[str]:
    """Where it was in the runs that are kept, where that changed, and decisions."""
    runs = [(f"Run {row['run_id']}, to {_last_day(row['as_of'])}", _where(row)) for row in records(detail.history)]
    before = [None, *(where for _, where in runs)]
    told = [f"{run}: {where}." for (run, where), last in zip(runs, before, strict=False) if where != last]
    return [*(told if len(told) > 1 else []), *map(_note, records(detail.case_notes))]


def _last_day(as_of: Any) -> str:
    return wording.day(pd.Timestamp(as_of) - _MILLISECOND)


def _where(row: Mapping[str, Any]) -> str:
    if row["cluster_id"] is None:
        return "in no cluster" if row["requests"] else "no request in its window"
    flagged = ", flagged" if row["flagged"] else ""
    return f"{row['membership']} in {one_line(row['cluster_id'])}, tier {row['tier']}{flagged}"


def _note(note: Mapping[str, Any]) -> str:
    about = (
        f"account {one_line(note['account_id'])}" if note["account_id"] else f"cluster {one_line(note['cluster_id'])}"
    )
    return wording.case_sentence({**note, "note": f"(about {about}) {note['note']}"})


def _next_alone(detail: AccountDetail) -> list[str]:
    if not _closer(detail):
        return ["Nothing here speaks for acting on it."]
    others = detail.links["other_account"].drop_duplicates().head(_LINKS_TOLD)
    return [
        "Do not act on it as it stands.",
        f"See how the nearest accounts are judged: linkage why STORE {' '.join(map(_quote, others))}",
        "To have habits compared, too, which takes as long as a rebuild, in a notebook: "
        f"run.links_of({str(detail.account['account_id'])!r}, everywhere=True)",
    ]
