"""Reports as self-contained HTML: one file each, no request leaves it, all text from logs is escaped.

Escaping is not left to the templates: everything they print passes :func:`~linkage.outputs.text.visible`
and Jinja's autoescaping. The content-security policy of each page allows only the style sheet and the
script in it, by their hashes.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Final

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from linkage.outputs import tables, ties, wording
from linkage.outputs.files import make_folder, sha256, write_whole
from linkage.outputs.interactive import drawn_accounts, graph_script
from linkage.outputs.manifest import MANIFEST, file_entry, manifest_bytes, manifest_content
from linkage.outputs.masking import mask_clusters, mask_detail
from linkage.outputs.pdf import find_browser, print_page
from linkage.outputs.schema import SCHEMA_FILE, schema_bytes
from linkage.outputs.text import file_stem, is_null, one_line, shorten, visible
from linkage.terms import CASE_NOTES, CLUSTERS, HARD_ACCOUNTS, TIERS, ClusterDetail, check_frame, counted, make_frame

Spread = Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[Any]]
"""What a function makes of each value, in their order; like ``map``."""

INDEX: Final = "index.html"

WATCHED_PAGES: Final = 50
"""Watched clusters in a report for which none was named: nothing needs doing about them today."""

_PAGES: Final = Path(__file__).parent / "pages"
_TABLE_SCRIPTS: Final = ("pages/tables.js",)
_GRAPH_SCRIPTS: Final = (*_TABLE_SCRIPTS, "vendor/cytoscape.min.js", "pages/graph.js")
_MOST_VALUES_OF_FAMILY: Final = 15
_MOST_TEMPLATES: Final = 20
_MOST_REASONS: Final = 2_000
_ELSEWHERE: Final = "in the table of members beside this page"
_TEMPLATE_CHARS: Final = 600
_TOPICS: Final = ("why", "rare", "extraction", "free", "for")
_SLOT: Final = "<*>"

_PRIVACY: Final = {
    False: "Addresses are shown as prefixes, payment instruments and keys as fingerprints; account ids are as in the "
    "logs.",
    True: "This report holds personal data: addresses and payment instruments are shown as they are in the logs.",
}
"""What is said of a page, by whether it includes personal data."""


@dataclasses.dataclass(frozen=True)
class CaseForm:
    """A form on the page of a cluster, for those who may note decisions."""

    action: str
    """Where it goes."""
    token: str
    """What shows that it was sent from our own page."""
    author: str
    """Under whose name it is noted."""
    states: Mapping[str, str] = dataclasses.field(default_factory=lambda: wording.CASE_WORDS)
    """Each decision, and what its button says."""


def cluster_page(
    detail: ClusterDetail,
    *,
    include_personal_data: bool = False,
    files: Mapping[str, str] | None = None,
    overview: str | None = None,
    desk: CaseForm | None = None,
) -> str:
    """One cluster as an HTML page that a person who was not there can act on and defend.

    Parameters
    ----------
    detail : the cluster; only what is in it is shown.
    include_personal_data : whether addresses, payment instruments and keys are shown raw.
    files : what is beside the page, name to address.
    overview : name of the overview page beside it, if there is one.
    desk : a form to note decisions with; None: the page says what to type instead.

    Returns
    -------
    The whole page. The same arguments give the same bytes. About 3 s for 2,000 accounts.
    """
    shown = detail if include_personal_data else mask_detail(detail)
    return _draw_cluster(
        shown, include_personal_data=include_personal_data, files=files or {}, overview=overview, desk=desk
    )


def _draw_cluster(
    shown: ClusterDetail,
    *,
    include_personal_data: bool,
    files: Mapping[str, str],
    overview: str | None,
    desk: CaseForm | None = None,
) -> str:
    context = {
        "run": _run_context(shown.run),
        "cluster": _plain(shown.cluster),
        "tier_words": wording.TIER_WORDS.get(shown.cluster["tier"], ""),
        "tier_rule": wording.tier_rule(shown.run),
        "summary": [*wording.summary(shown), *wording.lacks(shown.cluster, run=shown.run)],
        "memberships": wording.membership_counts(shown),
        "steps": wording.next_steps(shown),
        "readings": wording.readings(shown.cluster),
        "statements": _statements(shown),
        "events": [wording.event_sentence(row) for row in tables.records(shown.events)],
        "notes": [wording.case_sentence(row) for row in tables.records(shown.case_notes)],
        "pictures": _pictures(shown),
        "graph": graph_script(shown),
        "drawn": drawn_accounts(len(shown.members)),
        "listed": tables.listed_rows(shown),
        "members": len(shown.members),
        "member_groups": _member_groups(shown),
        "privacy": _PRIVACY[include_personal_data],
        "files": files,
        "overview": overview,
        "desk": desk,
    }
    form_action = "'self'" if desk else "'none'"
    return _render("cluster.html", context | _tie_tables(shown) | _template_rows(shown), form_action=form_action)


def overview_page(
    clusters: pd.DataFrame,
    run: Mapping[str, Any],
    *,
    pages: Mapping[str, str] | None = None,
    notes: pd.DataFrame | None = None,
    include_personal_data: bool = False,
) -> str:
    """All clusters of a run as one HTML page, the most pressing first.

    Parameters
    ----------
    clusters : ``CLUSTERS``.
    run : as in :class:`~linkage.terms.ClusterDetail`.
    pages : cluster id to the file name of its page; clusters without one are listed without a link.
    notes : ``CASE_NOTES`` of the clusters, oldest first; the last of each is listed with it.
    include_personal_data : whether the sentences in the table may show raw addresses.

    Raises
    ------
    ShapeError : ``clusters`` lacks a column.
    """
    check_frame(clusters, CLUSTERS, name="clusters")
    shown = clusters if include_personal_data else mask_clusters(clusters, [])
    return _render("overview.html", _overview_context(shown, run, pages or {}, notes, include_personal_data))


def front_page(
    clusters: pd.DataFrame,
    run: Mapping[str, Any],
    *,
    pages: Mapping[str, str],
    questions: Sequence[Mapping[str, str]],
    tables: Mapping[str, str],
    search: str,
    author: str | None = None,
    notes: pd.DataFrame | None = None,
    include_personal_data: bool = False,
) -> str:
    """The overview as the front page of a server: with a search for accounts and questions to ask.

    Parameters
    ----------
    clusters : ``CLUSTERS``, masked where they have to be.
    run, pages, notes : as for :func:`overview_page`.
    questions : ``title``, ``path`` and ``asked`` (what has to be filled in) of each.
    tables : title to address of tables to look through.
    search : where the search for accounts is answered; it is asked with ``text``.
    author : who may note decisions, and reads this; None: whoever reads it may not.
    include_personal_data : whether the snapshot behind it holds raw addresses.

    Raises
    ------
    ShapeError : ``clusters`` lacks a column.
    """
    check_frame(clusters, CLUSTERS, name="clusters")
    context = _overview_context(clusters, run, pages, notes, include_personal_data)
    asking = {"questions": questions, "tables": tables, "search": search, "author": author}
    return _render("serve.html", context | asking, form_action="'self'")


def find_page(rows: Sequence[Mapping[str, Any]], *, text: str, total: int, search: str) -> str:
    """What the search of a server found.

    Parameters
    ----------
    rows : ``account_id``, ``how`` (by what it was found), ``cluster_id``, ``tier``, ``membership`` and ``page`` of
        each; null where the account is in no cluster.
    text : what was asked for.
    total : how many were found; ``rows`` may be the first of them.
    search : where the next search is answered.
    """
    return _render("find.html", {"rows": rows, "text": text, "total": total, "search": search}, form_action="'self'")


def _overview_context(
    shown: pd.DataFrame,
    run: Mapping[str, Any],
    pages: Mapping[str, str],
    notes: pd.DataFrame | None,
    include_personal_data: bool,
) -> dict[str, Any]:
    ranked = _rank(shown)
    last = {} if notes is None else {note["cluster_id"]: note for note in tables.records(notes)}
    rows = [
        {
            **row,
            "page": pages.get(row["cluster_id"]),
            "noted": last.get(row["cluster_id"]),
            "bars": [wording.BAR_WORDS[bar] for bar in wording.bars(row)],
        }
        for row in tables.records(ranked)
    ]
    return {
        "run": _run_context(run),
        "clusters": rows,
        "tiers": [_tier_figures(ranked, tier) for tier in TIERS],
        "headline": _headline(ranked),
        "tier_rule": wording.tier_rule(run),
        "unlisted": max(0, run.get("inputs", {}).get("clusters", 0) - len(ranked)),
        "privacy": _PRIVACY[include_personal_data],
    }


def notebook_table(frame: pd.DataFrame, *, caption: str = "", rows: int = 20, longest: int = 80) -> str:
    """The first rows of a table as a small HTML fragment for ``_repr_html_``; everything is escaped.

    Times are shown to the minute, text is shortened to ``longest`` characters, and a last line tells how many rows are
    left out.

    Examples
    --------
    >>> notebook_table(pd.DataFrame({"account_id": ["<b>"]}))
    '<table><thead><tr><th>account_id</th></tr></thead><tbody><tr><td>&lt;b&gt;</td></tr></tbody></table>'
    """
    shown = frame.head(rows)
    head = Markup("").join(Markup("<th>{}</th>").format(one_line(str(name))) for name in frame.columns)
    columns = [[_notebook_cell(value, longest) for value in shown[name]] for name in frame.columns]
    lines = (Markup("<tr>{}</tr>").format(Markup("").join(cells)) for cells in zip(*columns, strict=True))
    body = Markup("").join(lines)
    title = Markup("<caption>{}</caption>").format(one_line(caption, longest=200)) if caption else Markup("")
    table = Markup("<table>{}<thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(title, head, body)
    left = len(frame) - len(shown)
    return str(table + (Markup("<p>{} more</p>").format(counted(left, "row")) if left > 0 else Markup("")))


def _notebook_cell(value: Any, longest: int) -> Markup:
    if is_null(value):
        return Markup("<td></td>")
    if isinstance(value, pd.Timestamp):
        return Markup("<td>{}</td>").format(wording.minute(value))
    plain = tables.plain_value(value)
    if isinstance(plain, float):
        return Markup("<td>{}</td>").format(f"{plain:.4g}")
    if isinstance(plain, int) and not isinstance(plain, bool):
        return Markup("<td>{}</td>").format(f"{plain:,}")
    return Markup("<td>{}</td>").format(one_line(str(plain), longest=longest))


def write_report(
    details: Sequence[ClusterDetail],
    clusters: pd.DataFrame,
    run: Mapping[str, Any],
    *,
    out: str | PathLike[str],
    include_personal_data: bool = False,
    sources: pd.DataFrame | None = None,
    pdf: bool = False,
    spread: Spread = map,
) -> list[Path]:
    """Writes the report of a run into a folder and returns the paths written, the manifest last.

    ``index.html`` lists all clusters; each cluster in ``details`` gets ``<id>.html``, ``<id>.json`` (described by
    ``report.schema.json``) and ``<id>.members.csv``, where ids that are no safe file names are replaced by safe ones;
    ``manifest.json`` holds size and SHA-256 of every file and of every input file, the run with its settings and
    versions, and whether personal data is included. Each file is written whole or not at all. Files that an earlier
    report left here are removed if they are unchanged since and no longer part of the report; others are left alone.

    Parameters
    ----------
    details : the clusters to write in full.
    clusters : ``CLUSTERS``; may list more clusters than there are details.
    run : as in :class:`~linkage.terms.ClusterDetail`.
    out : the folder; made if missing.
    include_personal_data : whether addresses, payment instruments and keys are shown raw.
    sources : the input files, with ``path``, ``size`` and ``sha256``.
    pdf : print every page as PDF too, with a browser that is installed.
    spread : what a function makes of each value, in their order; one that uses several processes saves time.

    Raises
    ------
    ShapeError : ``clusters`` lacks a column.
    OutputError : there is no browser to print with, or it fails.
    OutputFileError : the folder or a file cannot be written; files already in place stay whole.
    """
    browser = find_browser() if pdf else None
    folder = make_folder(out)
    earlier = _manifest_entries(folder)
    entries: list[dict[str, Any]] = []
    paths: list[Path] = []
    for name, content in report_files(
        details, clusters, run, include_personal_data=include_personal_data, spread=spread
    ):
        paths.append(write_whole(content, out=folder / name))
        entries.append(file_entry(name, content))
    pages = [path for path in paths if path.suffix == ".html"] if browser else []
    printed = {page.with_suffix(".pdf").name: print_page(page, browser=str(browser)) for page in pages}
    paths += [write_whole(content, out=folder / name) for name, content in printed.items()]
    manifest = manifest_content(
        entries,
        run,
        clusters=[str(detail.cluster["cluster_id"]) for detail in details],
        listed=list(clusters["cluster_id"]),
        sources=sources,
        include_personal_data=include_personal_data,
        printed=[file_entry(name, content) for name, content in printed.items()],
    )
    paths.append(write_whole(manifest_bytes(manifest), out=folder / MANIFEST))
    _remove_outdated(folder, earlier, kept={path.name for path in paths})
    return paths


def report_files(
    details: Sequence[ClusterDetail],
    clusters: pd.DataFrame,
    run: Mapping[str, Any],
    *,
    include_personal_data: bool = False,
    spread: Spread = map,
) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file of a report but the manifest, one at a time so that few are in memory.

    Parameters
    ----------
    details, clusters, run, include_personal_data, spread : as for :func:`write_report`.

    Raises
    ------
    ShapeError : ``clusters`` lacks a column.
    """
    check_frame(clusters, CLUSTERS, name="clusters")
    listed = clusters if include_personal_data else mask_clusters(clusters, details)
    pages = {detail.cluster["cluster_id"]: f"{file_stem(detail.cluster['cluster_id'])}.html" for detail in details}
    yield SCHEMA_FILE, schema_bytes()
    notes = pd.concat([make_frame(CASE_NOTES), *(detail.case_notes for detail in details)])
    context = _overview_context(listed, run, pages, notes, include_personal_data)
    yield INDEX, _render("overview.html", context).encode()
    for files in spread(functools.partial(_cluster_files, include_personal_data=include_personal_data), details):
        yield from files


def _cluster_files(whole: ClusterDetail, *, include_personal_data: bool) -> list[tuple[str, bytes]]:
    """Name and content of the page of a cluster and of what is beside it."""
    detail = whole if include_personal_data else mask_detail(whole)
    stem = file_stem(detail.cluster["cluster_id"])
    beside = (f"{stem}.json", f"{stem}.members.csv")
    page = _draw_cluster(
        detail, include_personal_data=include_personal_data, files={name: name for name in beside}, overview=INDEX
    )
    return [
        (f"{stem}.html", page.encode()),
        (beside[0], (tables.detail_text(detail) + "\n").encode()),
        (beside[1], tables.to_csv(detail.members).encode()),
    ]


def pressing_clusters(clusters: pd.DataFrame) -> list[str]:
    """Ids of the clusters a report is about when none is named, the most pressing first.

    All that need a decision or a review, and the first :data:`WATCHED_PAGES` of those that are watched.

    Parameters
    ----------
    clusters : ``CLUSTERS``.
    """
    ranked = _rank(clusters)
    watched = ranked["tier"] == TIERS[-1]
    return list(ranked.loc[~watched | (watched.cumsum() <= WATCHED_PAGES), "cluster_id"])


def _manifest_entries(folder: Path) -> dict[str, str]:
    """File name to SHA-256 in the manifest of an earlier report; empty where there is none to trust."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        files = [*manifest["files"], *manifest.get("printed", [])]
        named = {str(entry["name"]): str(entry["sha256"]) for entry in files}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return {name: digest for name, digest in named.items() if Path(name).name == name}


def _remove_outdated(folder: Path, earlier: Mapping[str, str], *, kept: set[str]) -> None:
    for name in sorted(set(earlier) - kept):
        path = folder / name
        if path.is_file() and not path.is_symlink() and sha256(path.read_bytes()) == earlier[name]:
            path.unlink()


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """One row with nulls as None and times kept as they are."""
    blank: dict[str, Any] = dict.fromkeys(CLUSTERS)
    return blank | {name: None if is_null(value) else value for name, value in row.items()}


def _pictures(detail: ClusterDetail) -> dict[str, Markup]:
    # matplotlib takes half a second to load, which a table in a notebook need not wait for.
    from linkage.outputs import pictures, plots

    drawings = {"cluster": plots.cluster, "timeline": plots.timeline, "evidence_matrix": plots.evidence_matrix}
    labels = {
        "cluster": "accounts of the cluster and the values that tie them",
        "timeline": "requests per account over time",
        "evidence_matrix": "strongest bits per account and evidence family",
    }
    return {
        name: pictures.inline_svg(functools.partial(draw, detail), name=name, label=labels[name])
        for name, draw in drawings.items()
    }


def _statements(detail: ClusterDetail) -> dict[str, list[dict[str, Any]]]:
    rows = tables.records(detail.statements)
    by_topic = {topic: [row for row in rows if row["topic"] == topic] for topic in _TOPICS}
    return by_topic | {"other": [row for row in rows if row["topic"] not in _TOPICS]}


def _tie_tables(detail: ClusterDetail) -> dict[str, Any]:
    families = tables.records(ties.family_ties(detail))
    for row in families:
        row["words"] = wording.FAMILY_WORDS.get(row["family"], "")
        row["share"] = min(1.0, row["inside"] / max(1, len(detail.members)))
    values = ties.shared_values(detail)
    shown = tables.records(values.groupby("family").head(_MOST_VALUES_OF_FAMILY))
    for row in shown:
        row["value"] = one_line(row["value"], longest=160)
    return {
        "families": families,
        "values": shown,
        "values_left": len(values) - len(shown),
        "values_shown": _MOST_VALUES_OF_FAMILY,
    }


def _member_groups(detail: ClusterDetail) -> list[dict[str, Any]]:
    told = ties.whole_cluster(detail).member_ties
    members = detail.members.assign(**{name: told[name].array for name in told.columns if name != "account_id"})
    members = members.sort_values(["controller_probability", "account_id"], ascending=[False, True])
    if detail.whole is not None:  # reasons are most of such a page, and nobody reads thousands of them
        members["reasons"] = members["reasons"].where(np.arange(len(members)) < _MOST_REASONS, _ELSEWHERE)
    rows = tables.records(members)
    for row in rows:
        row["excluded"] = wording.exclusion_words(row, run=detail.run)
    return [
        {
            "name": name,
            "words": wording.MEMBERSHIP_WORDS.get(name, ""),
            "rows": [row for row in rows if row["membership"] == name],
        }
        for name in wording.membership_counts(detail)
    ]


def _template_rows(detail: ClusterDetail) -> dict[str, Any]:
    ranked = detail.templates.sort_values(["requests", "template_id"], ascending=[False, True])
    rows = tables.records(ranked.head(_MOST_TEMPLATES))
    for row in rows:
        row["pieces"] = _pieces(row["text"] or "")
    return {"templates": rows, "templates_left": max(0, len(ranked) - _MOST_TEMPLATES)}


def _pieces(text: str) -> list[tuple[str, bool]]:
    """The shortened text of a template, cut at its slots: (text, whether it is a slot)."""
    parts = shorten(text, longest=_TEMPLATE_CHARS).split(_SLOT)
    pieces = [(parts[0], False)]
    for part in parts[1:]:
        pieces += [("", True), (part, False)]
    return pieces


def _run_context(run: Mapping[str, Any]) -> dict[str, Any]:
    titles = {"settings": "Settings", "versions": "Versions", "inputs": "Inputs"}
    since, until = run.get("since"), run.get("as_of")
    days = run.get("window_days")
    window = f"{wording.minute(since)} to {wording.minute(until)}" if not is_null(since) else "not known"
    return {
        "run_id": run.get("run_id", "not known"),
        "as_of": wording.minute(until),
        "window": window + (f" ({days:g} days)" if isinstance(days, int | float) else ""),
        "seed": run.get("seed", "–"),
        "settings_digest": run.get("settings_digest", "–"),
        "tables": [(title, list(_flatten(run[name]))) for name, title in titles.items() if run.get(name)],
    }


def _flatten(value: Any, *, name: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as dotted names and values."""
    plain = tables.plain_value(value)
    if isinstance(plain, dict):
        for key, inner in plain.items():
            yield from _flatten(inner, name=f"{name}.{key}" if name else str(key))
    elif isinstance(plain, list):
        yield name, ", ".join(str(item) for item in plain)
    else:
        yield name, f"{plain:,}" if isinstance(plain, int) and not isinstance(plain, bool) else str(plain)


def _rank(clusters: pd.DataFrame) -> pd.DataFrame:
    order = {str(tier): place for place, tier in enumerate(TIERS)}
    place = clusters["tier"].map(order).fillna(len(order))
    product = clusters["controller_probability"] * clusters["extraction_probability"]
    ranked = clusters.assign(_place=place, _product=product)
    by = ["_place", "_product", "accounts", "cluster_id"]
    ranked = ranked.sort_values(by, ascending=[True, False, False, True], na_position="last")
    return ranked.drop(columns=["_place", "_product"])


def _tier_figures(clusters: pd.DataFrame, tier: str) -> dict[str, Any]:
    rows = clusters[clusters["tier"] == tier]
    return {
        "name": tier,
        "clusters": len(rows),
        "accounts": int(rows["accounts"].sum()),
        "words": wording.TIER_WORDS[tier],
    }


def _headline(clusters: pd.DataFrame) -> str:
    if clusters.empty:
        return "No coordinated accounts found"
    accounts = counted(int(clusters["accounts"].sum()), "linked account")
    urgent = int((clusters["tier"] == TIERS[0]).sum())
    decision = f"{urgent:,} {'needs' if urgent == 1 else 'need'} a decision" if urgent else "none needs a decision"
    return f"{counted(len(clusters), 'cluster')} with {accounts}; {decision}"


def _render(template: str, context: Mapping[str, Any], *, form_action: str = "'none'") -> str:
    style, scripts = (
        _asset("pages/report.css"),
        [_asset(name) for name in (_GRAPH_SCRIPTS if "graph" in context else _TABLE_SCRIPTS)],
    )
    hashes = " ".join(f"'{_source_hash(script)}'" for script in scripts)
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_source_hash(style)}'; script-src {hashes}; "
        f"base-uri 'none'; form-action {form_action}"
    )
    page = _environment().get_template(template)
    told = {"style": Markup(style), "scripts": [Markup(script) for script in scripts]}  # noqa: S704
    return page.render(context, **told, policy=policy) + "\n"


@functools.cache
def _asset(name: str) -> str:
    return (_PAGES.parent / name).read_text(encoding="utf-8")


def _source_hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_PAGES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        finalize=_show,
    )
    told = (wording.day, wording.percent, wording.likelihood, wording.wronged, counted, shorten)
    environment.globals |= {function.__name__: function for function in told} | {"hard_accounts": HARD_ACCOUNTS}
    return environment


def _show(value: Any) -> Any:
    """What a template prints for a value: markup made here as it is, all else made visible."""
    if isinstance(value, Markup):
        return value
    return escape(visible(value)) if isinstance(value, str) else value
