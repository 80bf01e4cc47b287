"""The page as a whole: what stands on it, and what can't."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.agents.audit import page, write_page
from hansa.agents.audit.style import DARK, LIGHT
from hansa.ledger.report import AuditReport, CheckpointLine, MemberLine, Tick
from tests.agents.audit import pays, reports

HOSTILE = "</script><img src=http://evil onerror=alert(1)>&\"'\u202egnp\x00\x1b[31m\ud800\u2028"
MADE = (reports.good, reports.bad, reports.empty, reports.big, pays.paid, pays.crowd)
REPORTS = {made.__name__: made() for made in MADE}


def tree(written: str) -> ElementTree.Element:
    """Parse a page as XML, which is stricter than any browser."""
    return ElementTree.fromstring(written.removeprefix("<!DOCTYPE html>\n"))


def words(written: str) -> str:
    """Return all that a reader sees or hears."""
    return " ".join(" ".join(tree(re.sub("</?bdi>", "", written)).itertext()).split())


class _Links(HTMLParser):
    """Collects what a browser could fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "img", "iframe", "link", "object", "embed", "form", "base", "image", "use"}:
            self.found.append(tag)
        for name, value in attrs:
            if name in {"src", "style", "xlink:href"} or name.startswith("on"):
                self.found.append(f"{tag} {name}")
            if name == "href" and not (value or "").startswith("#"):
                self.found.append(f"{tag} {name}={value}")


def fetched(written: str) -> list[str]:
    """Return what a browser would fetch or run."""
    links = _Links()
    links.feed(written)
    return links.found


def hostile(report: AuditReport, text: str) -> AuditReport:
    """Return a report in which every author has written this."""
    counted = {text: 3}
    return replace(
        report,
        source=text,
        federation=text,
        purpose=text,
        keeper=text,
        findings=tuple(replace(finding, text=text) for finding in report.findings),
        members=tuple(
            replace(member, name=text, organisation=text, status=text, datasets={text: (5, 2)})
            for member in report.members
        ),
        jobs=tuple(
            replace(
                job,
                name=text,
                protocol=text,
                coordinator=text,
                parties=(text, text),
                status=text,
                metric=text,
                method=text,
                shares=counted,
                withdrawn=counted,
                reason=text,
                contributions={text: -0.5} if job.contributions else {},
                errors={text: 0.25},
                utility=text,
            )
            for job in report.jobs
        ),
        payouts=tuple(
            replace(
                line,
                job=text,
                basis=text,
                scheme=text,
                currency=text,
                amounts=counted,
                proposer=text,
                approved=(text,),
                held={text: text},
                disputed={text: text},
                waiting=(text, text),
                reference=text,
            )
            for line in report.payouts
        ),
        checkpoints=tuple(replace(line, keeper=text, cosigners={text: 7}) for line in report.checkpoints),
        timeline=tuple(replace(tick, kinds=counted) for tick in report.timeline),
    )


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_a_page_is_well_formed_and_fetches_nothing(report: AuditReport) -> None:
    written = page(report, 1_795_400_000)
    assert tree(written).get("lang") == "en"
    assert fetched(written) == []
    assert not re.search(r"https?:|//|url\((?!#)|@import|javascript:", written)
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in written.replace("&#x27;", "'")


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_every_finding_member_and_job_is_on_the_page(report: AuditReport) -> None:
    seen = words(page(report))
    for expected in (
        *(finding.text for finding in report.findings),
        *(member.name for member in report.members),
        *(" ".join(re.findall("....", member.fingerprint)) for member in report.members),
        *(job.name for job in report.jobs),
    ):
        assert " ".join(expected.split()) in seen


def test_the_same_report_makes_the_same_page() -> None:
    turned = [replace(job, shares=dict(reversed(list(job.shares.items())))) for job in reports.good().jobs]
    assert page(reports.good()) == page(replace(reports.good(), jobs=tuple(turned)))


def test_a_large_ledger_makes_a_page_of_less_than_a_megabyte() -> None:
    assert len(page(reports.big()).encode()) < 1_000_000


def test_authors_who_write_long_and_odd_texts_do_not_make_a_page_too_long_to_open() -> None:
    assert len(page(hostile(reports.big(), "\u202e<" * 10_000)).encode()) < 5_000_000


@pytest.mark.parametrize("report", [reports.good(), reports.bad(), reports.empty(), pays.paid()])
def test_what_an_author_wrote_is_never_markup(report: AuditReport) -> None:
    written = page(hostile(report, HOSTILE))
    assert fetched(written) == []
    assert "<img" not in written
    assert not re.search("[\u202e\x00\x1b\ud800\u2028]", written)
    assert "⟨U+202E⟩gnp⟨U+0000⟩⟨U+001B⟩[31m⟨U+D800⟩⟨U+2028⟩" in words(written)


@given(st.text(st.characters(categories=None), min_size=1, max_size=80))
def test_no_text_breaks_the_page(text: str) -> None:
    small = replace(
        reports.bad(), checkpoints=reports.bad().checkpoints[:2], timeline=reports.bad().timeline[:2]
    )
    plain, odd = page(hostile(small, "x")), page(hostile(small, text))
    assert [node.tag for node in tree(odd).iter()] == [node.tag for node in tree(plain).iter()]
    odd.encode()


@pytest.mark.parametrize("kind", ["size", "epoch", "time"])
def test_numbers_that_nobody_expects_are_shown(kind: str) -> None:
    huge = 2**62
    line = CheckpointLine(huge, huge, "north", "ab" * 32, {"south": 2**63 - 1}, 2, True)
    report = replace(reports.good(), checkpoints=(line,))
    if kind == "size":
        report = replace(report, size=huge, final_size=huge)
    if kind == "time":
        report = replace(
            report, first_ms=-5, last_ms=2**70, timeline=(Tick(-5, -5, {"x": 1}), Tick(9, 3, {}))
        )
    assert "which is no date" in words(page(report))


def test_the_file_is_written_whole(tmp_path: Path) -> None:
    write_page(reports.good(), tmp_path / "report.html", 1_795_400_000)
    written = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert written == page(reports.good(), 1_795_400_000)
    assert "2026-11-23 02:13 UTC" in written
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"nowhere"):
        write_page(reports.good(), tmp_path / "nowhere" / "report.html")


def test_a_ledger_of_nothing_but_its_charter_has_a_page() -> None:
    bare = AuditReport("f", "town", "", "ab" * 32, True, 1, "cd" * 32, "ef" * 32, 0, "north", 0, 5, 5, ())
    seen = words(page(bare))
    assert "The one entry is as its author signed it" in seen
    assert "no checkpoint is final yet" in seen
    for section in (
        "Nothing could be checked",
        "There are no entries",
        "names no members",
        "There are no checkpoints",
    ):
        assert section in seen
    assert "No job was ever proposed" in seen


def test_more_members_than_anybody_reads_are_counted() -> None:
    crowd = tuple(MemberLine(f"m-{n}", "", "active", "ab" * 32, 1, 1) for n in range(302))
    assert "2 members are not shown here" in words(page(replace(reports.good(), members=crowd)))


def test_a_keeper_that_is_suspended_is_shown_as_both() -> None:
    member = replace(reports.member("north"), status="suspended")
    assert "north keeper suspended" in words(page(replace(reports.good(), members=(member,))))


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("ink", ["ink", "quiet", "accent", "bad", "concern"])
@pytest.mark.parametrize("ground", ["ground", "sheet", "wash"])
def test_every_text_has_the_contrast_that_wcag_asks_for(
    colours: dict[str, str], ink: str, ground: str
) -> None:
    darker, lighter = sorted(_luminance(colours[name]) for name in (ink, ground))
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5
