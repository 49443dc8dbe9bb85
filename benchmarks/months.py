"""Daily rebuilds of one world for weeks: bans and replacements, people who come and leave, a merger and a split.

A simulated world is cut into days and its accounts are churned: every day a share of all accounts ends. A banned
account of a campaign is followed by a new one from the next day on (own id, organization and key, a card of its
operator), an innocent that leaves by nobody, and about as many innocents begin late. A third of the way, one operator
takes over another's accounts, and half of a third operator's accounts go to work of their own; two thirds of the way a
fourth operator rests for some days. Every day is loaded and the store rebuilt.
"""

from __future__ import annotations

import csv
import dataclasses
import gzip
import json
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd

import linkage as lk
from linkage.settings import TrackingSettings

SCENARIOS: Final = ("innocents", "E1:2", "E3:2", "E4:2", "E5:2", "E6:2")
MERGED: Final = ("E1", "E4")  # from then on, the accounts of the second work for the first
SPLIT: Final = ("E6", "E5")  # half of the first's accounts from then on do what the second would have done
REST: Final = ("E3", 4)  # two thirds of the way, all accounts of the first make no request for so many days
DORMANT_DAYS: Final = 2
CHURN: Final = 0.03
WINDOW_DAYS: Final = 7
ATTACH_DAYS: Final = 3
START_DAY: Final = "2026-09-01"

Row = dict[str, Any]


@dataclasses.dataclass
class Script:
    """Who works for whom when; times are days since the world began."""

    days: int
    half: int
    operator: dict[str, str] = dataclasses.field(default_factory=dict)
    """Account to operator; innocents are in none."""
    newcomers: dict[str, tuple[int, str]] = dataclasses.field(default_factory=dict)
    """Replacement to the day of its first request and its operator."""
    late_innocents: dict[str, int] = dataclasses.field(default_factory=dict)

    def rests(self, campaign: str, day: int) -> bool:
        """Whether all accounts of an operator are silent on a day."""
        begin = 2 * self.days // 3
        return campaign == REST[0] and begin <= day < begin + REST[1]


def make_days(folder: Path, *, accounts: int, days: int, seed: int) -> tuple[Script, list[list[Row]], list[Row]]:
    """The script, the requests of every day, and the account records."""
    world = lk.simulate(folder, accounts=accounts, days=days, scenarios=SCENARIOS, seed=seed)
    truth = {row["account_id"]: row["campaign"].split("-")[0] for row in _csv(world.truth)}
    records = {row["account_id"]: row for row in _csv(world.accounts)}
    draw = random.Random(seed)
    script = Script(days=days, half=days // 3)
    rows: list[list[Row]] = [[] for _ in range(days)]
    with gzip.open(world.requests, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            rows[(pd.Timestamp(row["timestamp"]) - pd.Timestamp(START_DAY, tz="UTC")).days].append(row)
    slots = defaultdict(list)
    for account, campaign in truth.items():
        slots[campaign].append(account)
    lives = _innocent_lives(slots[""], script, draw)
    slot_of = {slot: campaign for campaign in slots if campaign for slot in slots[campaign]}
    moved = set(draw.sample(slots[SPLIT[0]], len(slots[SPLIT[0]]) // 2))
    holders = {slot: _follow(slot, slot_of[slot], slot in moved, script, draw) for slot in slot_of}
    out: list[list[Row]] = []
    for day, todays in enumerate(rows):
        kept = []
        for row in todays:
            campaign, account = truth[row["account_id"]], row["account_id"]
            if not campaign:
                begin, end = lives[account]
                if begin <= day < end:
                    kept.append(row)
                continue
            slot = _worker(campaign, account, day, script, slots, moved, draw)
            holder = _holder(holders[slot], day) if slot else None
            if holder and not script.rests(campaign, day):
                kept.append({**row, "account_id": holder, "api_key_id": f"key-{holder}"})
        out.append(kept)
    active = {row["account_id"] for day in out for row in day}
    script.newcomers = {name: value for name, value in script.newcomers.items() if name in active}
    return script, out, list(_records(records, holders, slots, slot_of, script, moved, active, draw))


def _csv(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _innocent_lives(accounts: list[str], script: Script, draw: random.Random) -> dict[str, tuple[int, int]]:
    lives = {}
    for account in accounts:
        begin = draw.randrange(1, script.days) if draw.random() < CHURN * script.days / 2 else 0
        if begin:
            script.late_innocents[account] = begin
        end = next((day for day in range(begin + 1, script.days) if draw.random() < CHURN), script.days)
        lives[account] = (begin, end)
    return lives


def _follow(slot: str, campaign: str, is_moved: bool, script: Script, draw: random.Random) -> list[tuple[int, str]]:
    """(first day, account) of those who hold a slot one after the other."""
    chain = [(0, slot)]
    for day in range(1, script.days):
        if draw.random() < CHURN:
            chain.append((day + 1, f"{slot}-{len(chain)}"))
    for first, account in chain:
        operator = campaign
        if first > script.half:
            operator = MERGED[0] if campaign == MERGED[1] else SPLIT[1] if is_moved else campaign
        script.operator[account] = operator
        if first > 0:
            script.newcomers[account] = (first, operator)
    return chain


def _holder(chain: list[tuple[int, str]], day: int) -> str | None:
    """Who holds a slot on a day; nobody on the day of a ban."""
    if any(first == day + 1 for first, _ in chain[1:]):
        return None
    return [account for first, account in chain if first <= day][-1]


def _worker(
    campaign: str,
    account: str,
    day: int,
    script: Script,
    slots: Mapping[str, list[str]],
    moved: set[str],
    draw: random.Random,
) -> str | None:
    """Which slot does this request; None: it is not done."""
    later = day >= script.half
    if campaign == SPLIT[1]:
        return draw.choice(sorted(moved)) if later else None
    if campaign == SPLIT[0] and later and account in moved:
        return None
    if campaign == MERGED[1] and later:
        return None
    if campaign == MERGED[0] and later and draw.random() < 0.5:
        return draw.choice(slots[MERGED[1]])
    return account


def _records(
    records: Mapping[str, Row],
    holders: Mapping[str, list[tuple[int, str]]],
    slots: Mapping[str, list[str]],
    slot_of: Mapping[str, str],
    script: Script,
    moved: set[str],
    active: set[str],
    draw: random.Random,
) -> Iterator[Row]:
    """(Day it is known from, record) rows: a replacement has an organization of its own and a card of its operator."""
    for account, record in records.items():
        if account in active and account not in slot_of:
            yield {"day": 0, **record}
    for slot, chain in holders.items():
        for first, account in chain:
            own = {**records[slot], "account_id": account}
            if first:
                operator = script.operator[account]
                card = records[draw.choice(slots[operator])]["payment_method"]
                created = pd.Timestamp(START_DAY, tz="UTC") + pd.Timedelta(days=first) - pd.Timedelta(hours=1)
                changed = {
                    "payment_method": card,
                    "organization_id": f"org-{account}",
                    "created_at": created.isoformat(),
                }
                own |= changed
            if account in active:
                yield {"day": first, **own}
        last = [account for first, account in chain if first <= script.half][-1]
        joined = MERGED[0] if slot_of[slot] == MERGED[1] else SPLIT[1] if slot in moved else None
        if joined and last in active:  # who changed hands pays with the new operator's cards from then on
            card = records[draw.choice(slots[joined])]["payment_method"]
            yield {"day": script.half, **records[slot], "account_id": last, "payment_method": card}


def rebuild_daily(
    folder: Path, script: Script, days: list[list[Row]], records: list[Row]
) -> tuple[list[Any], list[float]]:
    """Members and events of every daily run, and seconds of every rebuild."""
    found, seconds = [], []
    settings = dataclasses.replace(lk.Settings(), tracking=TrackingSettings(dormant_days=DORMANT_DAYS))
    with lk.open_store(folder / "months.db") as store:
        for day, rows in enumerate(days):
            logs, accounts = folder / f"day-{day:02d}.ndjson", folder / f"accounts-{day:02d}.csv"
            logs.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            new = [{k: v for k, v in record.items() if k != "day"} for record in records if record["day"] == day]
            with accounts.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, fieldnames=[k for k in records[0] if k != "day"])
                writer.writeheader()
                writer.writerows(new)
            store.ingest(logs, accounts=[accounts] if new else [])
            began = time.process_time()
            run = lk.rebuild(store, window=WINDOW_DAYS, settings=settings)
            seconds.append(time.process_time() - began)
            found.append((run.members, run.events))
    return found, seconds


def score(script: Script, days: list[list[Row]], found: list[Any]) -> dict[str, Any]:
    """The figures: kept ids, attached replacements, innocents among them, events of the script."""
    seen = [{row["account_id"] for row in rows} for rows in days]
    firm = [members[members["membership"] != "bystander"] for members, _ in found]
    of = [dict(zip(table["account_id"], table["cluster_id"], strict=True)) for table in firm]
    ids = _kept_ids(script, of, seen)
    attached, late = _attached(script, of, firm)
    return {**ids, **attached, **late, **_script_events(script, of, seen, found)}


def _main(script: Script, clusters: Mapping[str, str], operator: str, *, least: int = 3) -> str | None:
    """The cluster that holds most of an operator's accounts."""
    counts: dict[str, int] = defaultdict(int)
    for account, cluster in clusters.items():
        if script.operator.get(account) == operator:
            counts[cluster] += 1
    best = max(counts, key=lambda name: (counts[name], name), default=None)
    return best if best is not None and counts[best] >= least else None


def _kept_ids(script: Script, of: list[dict[str, str]], seen: list[set[str]]) -> dict[str, Any]:
    """How many clusters that survive a day carry the same id, and how many main clusters of operators.

    A cluster survives when most of its accounts that are still at work are in one cluster, mostly made of them.
    """
    survived = kept = mains = main_kept = 0
    for day in range(1, script.days):
        before, now = _by_cluster(of[day - 1]), _by_cluster(of[day])
        for cluster, accounts in before.items():
            active = accounts & set().union(*seen[max(day - WINDOW_DAYS + 1, 0) : day + 1])
            heir = max(now, key=lambda name: (len(now[name] & active), name), default=None)
            if heir is None or len(active) < 2:
                continue
            both = len(now[heir] & active)
            if both * 2 > len(active) and both * 2 > len(now[heir]):
                survived += 1
                kept += heir == cluster
        for operator in {*script.operator.values()} - ({MERGED[1]} if day >= script.half else set()):
            one, other = _main(script, of[day - 1], operator), _main(script, of[day], operator)
            if one and other:
                mains += 1
                main_kept += one == other
    return {
        "clusters that survived a day": survived,
        "of them under the same id": kept / max(survived, 1),
        "operators' main clusters over a day": mains,
        "of these under the same id": main_kept / max(mains, 1),
    }


def _by_cluster(of: Mapping[str, str]) -> dict[str, set[str]]:
    groups: dict[str, set[str]] = defaultdict(set)
    for account, cluster in of.items():
        groups[cluster].add(account)
    return groups


def _attached(
    script: Script, of: list[dict[str, str]], firm: list[pd.DataFrame]
) -> tuple[dict[str, Any], dict[str, Any]]:
    due = joined = 0
    for account, (first, operator) in script.newcomers.items():
        if first + ATTACH_DAYS >= script.days or first < ATTACH_DAYS:
            continue
        due += 1
        days = range(first, first + ATTACH_DAYS + 1)
        joined += any(account in of[day] and of[day][account] == _main(script, of[day], operator) for day in days)
    innocents = [name for name, day in script.late_innocents.items() if day + ATTACH_DAYS < script.days]
    flagged = [set(table.loc[table["flagged"], "account_id"]) for table in firm]
    caught = sum(any(name in flags for flags in flagged) for name in innocents)
    with_campaign = 0
    for name in innocents:
        mains = [{_main(script, of[day], one) for one in set(script.operator.values())} for day in range(script.days)]
        with_campaign += any(of[day].get(name) in mains[day] and name in of[day] for day in range(script.days))
    return (
        {"replacements": due, f"attached within {ATTACH_DAYS} days": joined / max(due, 1)},
        {
            "innocents that came late": len(innocents),
            "of them ever flagged": caught / max(len(innocents), 1),
            "of them ever a firm member of a campaign's cluster": with_campaign / max(len(innocents), 1),
        },
    )


def _script_events(script: Script, of: list[dict[str, str]], seen: list[set[str]], found: list[Any]) -> dict[str, Any]:
    """How many days after each event of the script the runs told of it (None: never), and what they told besides.

    Besides: events of operators' main clusters, but for growth and birth, that the script does not have. Simulated
    campaigns end before their world does: that a cluster without a request for days is dormant or ends is no event
    besides, and an operator that never comes back has no return to tell.
    """
    rest = 2 * script.days // 3
    begins = {
        ("merger", "merged"): (script.half, MERGED),
        ("split", "split"): (script.half, SPLIT),
        ("rest", "dormant"): (rest, REST[:1]),
        ("return", "revived"): (rest + REST[1], REST[:1]),
    }
    told: dict[str, int | None] = {f"{name} told after days": None for name, _ in begins}
    comes_back = any(script.operator.get(account) == REST[0] for day in seen[rest + REST[1] :] for account in day)
    if not comes_back:
        del begins["return", "revived"]
    swallowed = {_main(script, of[script.half - 1], operator) for operator in MERGED}  # one of the two
    besides = []
    for day in range(WINDOW_DAYS, script.days):
        mains = {operator: _main(script, of[day - 1], operator) for operator in sorted({*script.operator.values()})}
        due: dict[str, set[str | None]] = defaultdict(set)
        for (name, kind), (begin, who) in begins.items():
            own = {mains.get(operator) or _main(script, of[begin - 1], operator) for operator in who}
            due[kind] |= own if day >= begin else set()
            rows = _of(found[day][1], kind, own)
            if day >= begin and len(rows) and told[f"{name} told after days"] is None:
                told[f"{name} told after days"] = day - begin
        silent: set[str | None] = {
            name for name in mains.values() if name and not _at_work(name, of[day - 1], seen[: day + 1])
        }
        due["dormant"], due["ended"] = due["dormant"] | silent, silent
        for kind in ("merged", "split", "dormant", "revived", "ended"):
            rows = _of(found[day][1], kind, set(mains.values()) - {None} - due[kind])
            besides += [(day, *row) for row in rows if kind != "ended" or row[0] not in swallowed]
    return {**told, "events of main clusters besides the script": len(besides)}


def _at_work(cluster: str, of: Mapping[str, str], seen: list[set[str]]) -> bool:
    """Whether any account of a cluster made a request in the last days."""
    return any(of.get(account) == cluster for day in seen[-DORMANT_DAYS:] for account in day)


def _of(events: pd.DataFrame, kind: str, clusters: set[str | None]) -> list[tuple[str, str]]:
    """Cluster and kind of the events of a kind that one of these clusters has part in."""
    rows = events[(events["event"] == kind) & (events["cluster_id"].isin(clusters) | events["other_id"].isin(clusters))]
    return list(zip(rows["cluster_id"], rows["event"], strict=True))


def run(*, folder: Path, accounts: int, days: int, seed: int) -> str:
    """Simulate, rebuild daily and tell the figures as a Markdown table."""
    place = folder / f"months-{accounts}-{days}-{seed}"
    place.mkdir(parents=True, exist_ok=True)
    for old in place.glob("months.db*"):
        old.unlink()
    script, logs, records = make_days(place / "world", accounts=accounts, days=days, seed=seed)
    found, seconds = rebuild_daily(place, script, logs, records)
    figures = {
        "accounts": accounts,
        "days": days,
        "seed": seed,
        **score(script, logs, found),
        "seconds of processor a rebuild, median": float(pd.Series(seconds).median()),
    }
    lines = ["| figure | value |", "| --- | --- |"]
    lines += [f"| {name} | {_shown(value)} |" for name, value in figures.items()]
    return "\n".join(lines) + "\n"


def _shown(value: Any) -> str:
    return "never" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)
