"""Reports: what they say, that nothing in them runs or leaves, and that the same input gives the same bytes."""

import base64
import dataclasses
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from details import HOSTILE, clusters_of, make_detail

from linkage import terms
from linkage.errors import OutputFileError, ShapeError
from linkage.outputs import html, text, wording
from linkage.outputs.masking import mask_value
from linkage.settings import Settings
from linkage.terms import CASE_NOTES, CLUSTERS, ClusterDetail, make_frame

VOID = {"meta", "link", "br", "input", "rect", "path", "use"}


class Page(HTMLParser):
    """What a browser would make of a page: its tags, attributes, text, script and style."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.data = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append("data" if ("type", "application/json") in attrs else tag)
        if self.open and self.open[-1] in self.raw:
            self.raw[self.open[-1]].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() in (tag, "data"), f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in self.raw:
            self.raw[self.open[-1]][-1] += data
        elif self.open and self.open[-1] == "data":
            self.data += data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def renamed(detail: ClusterDetail, name: str, **changes: Any) -> ClusterDetail:
    return dataclasses.replace(detail, cluster={**detail.cluster, "cluster_id": name, **changes})


@pytest.fixture(scope="module")
def small() -> ClusterDetail:
    return make_detail(14)


@pytest.fixture(scope="module")
def page(small: ClusterDetail) -> str:
    return html.cluster_page(small)


@pytest.fixture(scope="module")
def hostile_page() -> str:
    return html.cluster_page(make_detail(14, hostile=True))


def test_the_page_says_who_how_sure_and_what_to_do(page: str) -> None:
    words = Page(page).text
    assert "Cluster c-7f3a91: 14 linked accounts" in words
    assert "14 accounts made 1,666 requests from 6 Nov 2026 to 17 Nov 2026" in words
    assert "very likely (97%)" in words
    assert "likely (94%)" in words
    assert "about 0.4 would be wronged: run by somebody else, or not extracting" in words
    assert "Of 1,000 clusters as strong as this one, about 1 would be there by chance" in words
    assert "linkage case STORE c-7f3a91 --state enforced" in words


def test_habits_are_on_no_accounts_and_nobody_is_told_to_be_wronged_for_certain(small: ClusterDetail) -> None:
    habits = small.shared["kind"] == "conduct"
    links = small.links.assign(accounts=small.links["accounts"].where(small.links["kind"] != "conduct", 0))
    shown = dataclasses.replace(
        small,
        shared=small.shared[~habits],
        links=links.assign(unrelated_accounts=links["unrelated_accounts"].where(links["kind"] != "conduct", 0)),
        cluster={**small.cluster, "expected_wrong": 0.01},
    )
    row = next(row for row in re.findall("<tr>.*?</tr>", html.cluster_page(shown)) if "nearest 2%" in row)
    assert re.findall('<td class="n" data-n="([^"]*)">(.*?)</td>', row)[1:4] == [("", "–")] * 3
    for page in (html.cluster_page(shown), html.overview_page(clusters_of(shown), shown.run)):
        assert ">fewer than 0.1<" in page


def test_a_bystander_s_row_says_why_it_is_one_and_no_other_row_does(small: ClusterDetail) -> None:
    others = len(small.members) - 1
    loose = {"membership": ["bystander"] + ["core"] * others, "left_out_by": ["families+share"] + [""] * others}
    page = html.cluster_page(dataclasses.replace(small, members=small.members.assign(**loose)))
    told = "A bystander: fewer than two kinds of evidence tie it; what ties it is too small a part of what ties a usual"
    assert page.count(told) == page.count("A bystander: ") == 1


def test_a_page_says_what_its_run_asked_of_the_tiers() -> None:
    asked = Settings().to_dict()
    asked["verdicts"] |= {"enforce_controller": 0.55, "min_enforce_accounts": 7, "max_q_value": 0.01}
    told = wording.tier_rule({"settings": asked})
    for words in ("at least 55% that one operator", "q-value of at most 0.01", "and 7 accounts; the tier “review”"):
        assert words in told
    assert wording.tier_rule({"settings": {}}) == "", "a run of other days is not judged by rules of today"


def test_a_page_names_the_rule_that_holds_its_cluster_back(small: ClusterDetail) -> None:
    held = renamed(small, "c-1", tier="review", barred_by="open", accounts=9)
    held = dataclasses.replace(held, run={**held.run, "settings": Settings().to_dict()})
    told = "it is held back: fewer than 10 accounts that all share one card and one address come to review at most."
    assert told in Page(html.cluster_page(held)).text


def test_the_page_names_every_member_every_reading_and_every_statement(page: str, small: ClusterDetail) -> None:
    words = Page(page).text
    for account in small.members["account_id"]:
        assert account in words
    assert "a reseller that pays for its customers" in words
    for sentence in small.statements["sentence"]:
        assert sentence.replace("203.0.113.1 ", "203.0.113.0/24 #1 ") in words


def test_the_page_never_calls_anyone_guilty(page: str) -> None:
    assert not re.search(r"guilt|bad actor|criminal|fraud|attacker", Page(page).text, re.IGNORECASE)


def test_sections_a_report_must_have_are_there(page: str) -> None:
    ids = {attributes.get("id") for _, attributes in Page(page).tags}
    wanted = {
        "summary",
        "ties",
        "picture",
        "time",
        "readings",
        "extraction",
        "members",
        "templates",
        "history",
        "method",
    }
    assert wanted <= ids


def test_links_inside_the_page_have_a_target_and_ids_are_unique(page: str) -> None:
    tags = Page(page).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {attributes["href"] for tag, attributes in tags if tag in ("a", "use") and attributes.get("href")}
    clips = set(re.findall(r'clip-path="url\((#[^)]*)\)"', page))
    assert clips
    assert {target for target in targets | clips if target and target.startswith("#")} <= {f"#{name}" for name in ids}


@pytest.mark.parametrize("name", ["page", "hostile_page"])
def test_no_request_leaves_the_page(name: str, request: pytest.FixtureRequest) -> None:
    for tag, attributes in Page(request.getfixturevalue(name)).tags:
        for attribute in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            target = attributes.get(attribute)
            assert target is None or target.startswith(("#", "data:")), (tag, target)


@pytest.mark.parametrize("name", ["page", "hostile_page"])
def test_the_policy_allows_the_style_sheet_and_scripts_of_the_page_and_nothing_else(
    name: str, request: pytest.FixtureRequest
) -> None:
    parsed = Page(request.getfixturevalue(name))
    [policy] = [a["content"] for _, a in parsed.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    for kind, sources in parsed.raw.items():
        digests = [base64.b64encode(hashlib.sha256(source.encode()).digest()).decode() for source in sources]
        named = " ".join(f"'sha256-{digest}'" for digest in digests)
        assert f"{kind}-src {named};" in policy
    assert [len(parsed.raw[kind]) for kind in ("script", "style")] == [3, 1]
    blocked = [a for _, attributes in parsed.tags for a in attributes if a == "style" or a.startswith("on")]
    assert blocked == []


def test_hostile_text_shows_as_text(hostile_page: str) -> None:
    parsed = Page(hostile_page)
    for name in ("script", "attribute", "formula", "maths", "comment", "wide", "template"):
        assert " ".join(HOSTILE[name].split()) in parsed.text
    assert "abc\\u202egnp.exe" in parsed.text
    assert "a\\u0000b\\u001bc" in parsed.text
    assert "hostile x\\ud800y" in parsed.text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", hostile_page)


def test_template_slots_are_marked_and_long_templates_are_cut(small: ClusterDetail) -> None:
    long = small.templates.assign(text=["a <*> b " + "z" * 5_000] * len(small.templates))
    page = html.cluster_page(dataclasses.replace(small, templates=long))
    assert '<pre>a <mark title="slot">…</mark> b zzz' in page
    assert "z" * 601 not in page


def test_personal_data_stays_out_unless_asked_for(small: ClusterDetail, page: str) -> None:
    assert "203.0.113.1 " not in Page(page).text
    assert "card-0001-9e37" not in page
    assert mask_value("payment", "card-0001-9e37") in page
    raw = html.cluster_page(small, include_personal_data=True)
    assert "card-0001-9e37" in raw
    assert "holds personal data" in raw


def test_the_same_detail_gives_the_same_page_whatever_style_is_in_force(small: ClusterDetail, page: str) -> None:
    import matplotlib as mpl

    with mpl.rc_context({"axes.facecolor": "red", "font.size": 20, "svg.hashsalt": None}):
        assert html.cluster_page(make_detail(14)) == page


def test_a_cluster_of_which_little_is_known_still_makes_a_page() -> None:
    cluster = dict.fromkeys(CLUSTERS) | {"cluster_id": "c-1", "tier": "watch", "accounts": 0, "requests": 0}
    tables = ("members", "links", "shared", "activity", "templates", "statements", "events")
    shapes = dict(
        zip(
            tables,
            ("MEMBERS", "LINK_EVIDENCE", "EVIDENCE", "ACTIVITY", "TEMPLATES", "STATEMENTS", "EVENTS"),
            strict=True,
        )
    )
    empty = {name: make_frame(getattr(terms, shape)) for name, shape in shapes.items()}
    words = Page(html.cluster_page(ClusterDetail(run={}, cluster=cluster, **empty))).text
    assert "None that the tool knows of" in words
    assert "nan" not in words.lower().split()
    assert "None of them declares an organization" in words


def test_a_page_of_two_thousand_accounts_lists_them_all() -> None:
    detail = make_detail(2000)
    parsed = Page(html.cluster_page(detail))
    words = set(parsed.text.split())
    assert all(account in words for account in detail.members["account_id"])
    assert sum(tag == "tr" for tag, _ in parsed.tags) < 2_200


def test_bystanders_come_with_the_word_to_leave_them_alone(small: ClusterDetail) -> None:
    membership = ["bystander", *small.members["membership"][1:]]
    flagged = [name != "bystander" for name in membership]
    members = small.members.assign(membership=membership, flagged=flagged)
    words = Page(html.cluster_page(dataclasses.replace(small, members=members))).text
    assert "Leave 1 bystander alone" in words
    assert "Bystander: 1 account , touched by the same values" in words


def test_what_to_do_depends_on_the_tier(small: ClusterDetail) -> None:
    steps = {tier: wording.next_steps(renamed(small, "c-1", tier=tier)) for tier in terms.TIERS}
    commands = {tier: [step.command for step in said if step.command] for tier, said in steps.items()}
    assert "--state enforced" in commands["enforce"][0]
    assert not any("enforced" in command for tier in ("review", "watch") for command in commands[tier])
    assert "Nothing needs doing today" in steps["watch"][0].text


def test_a_command_in_the_report_is_safe_to_paste(small: ClusterDetail) -> None:
    step = wording.next_steps(renamed(small, "x; rm -rf ~"))[-1]
    assert step.command == "linkage case STORE 'x; rm -rf ~' --state cleared --note 'why'"


def test_the_overview_lists_the_most_pressing_cluster_first(small: ClusterDetail) -> None:
    listed = clusters_of(
        renamed(small, "c-watch", tier="watch"),
        renamed(small, "c-weak", controller_probability=0.6),
        renamed(small, "c-strong"),
        renamed(small, "c-review", tier="review"),
    )
    page = html.overview_page(listed, small.run, pages={"c-strong": "c-strong.html"})
    words = Page(page).text
    places = [words.index(name) for name in ("c-strong", "c-weak", "c-review", "c-watch")]
    assert places == sorted(places)
    assert "4 clusters with 56 linked accounts; 2 need a decision" in words
    assert '<a href="c-strong.html">c-strong</a>' in page
    assert "<a" not in page.split("c-weak")[0].rsplit("<th", 1)[1]


def test_the_overview_shows_what_was_noted_last_about_a_cluster(small: ClusterDetail) -> None:
    said = {
        "cluster_id": ["c-1", "c-1"],
        "state": ["watched", "enforced"],
        "noted_at": pd.to_datetime(["2026-09-10", "2026-09-12"], utc=True),
    }
    listed = clusters_of(renamed(small, "c-1"), renamed(small, "c-2"))
    words = Page(html.overview_page(listed, small.run, notes=make_frame(CASE_NOTES, said))).text
    assert words.count("last noted") == 1
    assert "last noted: enforced, 12 Sep 2026" in words


def test_a_report_is_about_all_to_decide_and_the_first_watched_clusters(small: ClusterDetail) -> None:
    watched = [renamed(small, f"c-{number:03d}", tier="watch") for number in range(html.WATCHED_PAGES + 5)]
    urgent = [renamed(small, "c-review", tier="review"), renamed(small, "c-strong")]
    chosen = html.pressing_clusters(clusters_of(*watched, *urgent))
    assert chosen[:3] == ["c-strong", "c-review", "c-000"]
    assert len(chosen) == html.WATCHED_PAGES + 2


def test_the_overview_says_how_many_clusters_it_leaves_out(small: ClusterDetail) -> None:
    run = {**small.run, "inputs": {**small.run["inputs"], "clusters": 8}}
    assert (
        "7 clusters more of this run are not in this report" in Page(html.overview_page(clusters_of(small), run)).text
    )
    assert "not in this report" not in Page(html.overview_page(clusters_of(small), small.run)).text


def test_the_overview_of_an_empty_run_says_that_nothing_was_found(small: ClusterDetail) -> None:
    words = Page(html.overview_page(make_frame(CLUSTERS), small.run)).text
    assert "No coordinated accounts found" in words


def test_the_overview_wants_the_table_of_clusters(small: ClusterDetail) -> None:
    with pytest.raises(ShapeError, match="no column 'tier'"):
        html.overview_page(pd.DataFrame({"cluster_id": ["c-1"]}), small.run)


def test_a_notebook_table_escapes_counts_and_shortens() -> None:
    frame = pd.DataFrame(
        {
            "<i>": ["<script>", "x" * 500, None],
            "at": pd.to_datetime(["2026-11-06T10:00Z"] * 3),
            "share": [0.123456, 1.0, float("nan")],
            "requests": [1_234_567, 2, 3],
        }
    )
    shown = html.notebook_table(frame, caption="a & b", rows=2)
    assert "<caption>a &amp; b</caption>" in shown
    assert "<th>&lt;i&gt;</th>" in shown
    assert "<td>&lt;script&gt;</td><td>6 Nov 2026 10:00 UTC</td><td>0.1235</td><td>1,234,567</td>" in shown
    assert "x" * 81 not in shown
    assert shown.endswith("<p>1 row more</p>")


def written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_report_holds_a_page_json_and_csv_per_cluster_and_a_manifest_of_them(
    small: ClusterDetail, tmp_path: Path
) -> None:
    paths = html.write_report([small], clusters_of(small), small.run, out=tmp_path / "new" / "report")
    pages = ["c-7f3a91.html", "c-7f3a91.json", "c-7f3a91.members.csv"]
    names = ["report.schema.json", "index.html", *pages, "manifest.json"]
    assert [path.name for path in paths] == names
    files = written(tmp_path / "new" / "report")
    assert sorted(files) == sorted(names)
    manifest = json.loads(files["manifest.json"])
    assert [entry["name"] for entry in manifest["files"]] == names[:-1]
    for entry in manifest["files"]:
        assert entry["sha256"] == hashlib.sha256(files[entry["name"]]).hexdigest()
        assert entry["bytes"] == len(files[entry["name"]])
    assert manifest["include_personal_data"] is False
    assert manifest["run"]["run_id"] == small.run["run_id"]


def test_writing_a_report_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    small = make_detail(5)
    for name in ("a", "b"):
        html.write_report([small], clusters_of(small), small.run, out=tmp_path / name)
    html.write_report([small], clusters_of(small), small.run, out=tmp_path / "b")
    assert written(tmp_path / "a") == written(tmp_path / "b")


def test_no_file_of_a_report_holds_personal_data_unless_asked_for(small: ClusterDetail, tmp_path: Path) -> None:
    told = renamed(small, "c-7f3a91", strongest="card-0001-9e37 from 203.0.113.1 and 2001:db8:5:6::7")
    html.write_report([told], clusters_of(told), told.run, out=tmp_path / "masked")
    for content in written(tmp_path / "masked").values():
        assert b"card-0001-9e37" not in content
        assert not re.search(rb"203\.0\.113\.1\b", content)
        assert b"2001:db8:5:6" not in content
    html.write_report([told], clusters_of(told), told.run, out=tmp_path / "raw", include_personal_data=True)
    raw = written(tmp_path / "raw")
    assert all(b"card-0001-9e37" in raw[name] for name in ("index.html", "c-7f3a91.html", "c-7f3a91.json"))
    assert json.loads(raw["manifest.json"])["include_personal_data"] is True


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "index", "C-1", "a/b", "nul", "", ".", "x" * 300, "c\x00\ud800", "com1"]
)
def test_a_cluster_id_never_leads_out_of_the_folder(name: str, tmp_path: Path) -> None:
    detail = renamed(make_detail(5), name)
    listed = clusters_of(renamed(detail, name.replace("\ud800", "")))
    paths = html.write_report([detail], listed, detail.run, out=tmp_path / "report")
    assert {path.parent for path in paths} == {tmp_path / "report"}
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    assert len({path.name.lower() for path in paths}) == 6
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,80}", path.name) for path in paths)


def test_different_cluster_ids_get_different_files() -> None:
    names = ["c-1", "C-1", "c 1", "c/1", "c_1", "c-1 ", "ⅽ-1"]
    assert len({text.file_stem(name) for name in names}) == len(names)


def test_a_report_removes_what_an_earlier_one_left_and_nothing_else(tmp_path: Path) -> None:
    small = make_detail(5)
    other, edited = renamed(small, "c-gone"), renamed(small, "c-edited")
    html.write_report([small, other, edited], clusters_of(small, other, edited), small.run, out=tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "c-edited.json").write_text("changed by a person")
    html.write_report([small], clusters_of(small), small.run, out=tmp_path)
    assert sorted(written(tmp_path)) == [
        "c-7f3a91.html",
        "c-7f3a91.json",
        "c-7f3a91.members.csv",
        "c-edited.json",
        "index.html",
        "manifest.json",
        "notes.txt",
        "report.schema.json",
    ]


def test_a_forged_manifest_removes_no_file_elsewhere(small: ClusterDetail, tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"x")
    report = tmp_path / "report"
    report.mkdir()
    entry = {"name": "../precious", "sha256": hashlib.sha256(b"x").hexdigest()}
    (report / "manifest.json").write_text(json.dumps({"files": [entry]}))
    html.write_report([], clusters_of(small), small.run, out=report)
    assert (tmp_path / "precious").read_bytes() == b"x"


def test_a_folder_that_cannot_be_made_is_told_in_one_message(small: ClusterDetail, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputFileError, match=r"wanted a folder for the report; .* Choose another folder") as caught:
        html.write_report([], clusters_of(small), small.run, out=tmp_path / "file")
    assert caught.value.exit_code == 74
