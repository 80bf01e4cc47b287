"""How a job's course is told: every entry in its place, on a terminal and off it, and nothing that steers one."""

import io
from collections.abc import Iterator
from dataclasses import replace

import pytest
from rich.console import Console

from hansa.agents.cli.outcome import about, course_table, ending, figure
from hansa.agents.cli.storyteller import Storyteller, since, waiting_line
from hansa.agents.jobs.course import News
from hansa.agents.jobs.follow import Told
from hansa.agents.jobs.progress import JobProgress, read_progress
from hansa.agents.jobs.watch import Seen, Waiting
from hansa.ledger import (
    Body,
    CoalitionsValued,
    ContributionMeasured,
    DistortionFound,
    EpochEnded,
    JobAborted,
    JobAccepted,
    JobFinished,
    JobProposed,
    JobRefused,
    JobStarted,
    ModelEvaluated,
    ModelUsed,
    PartiesOverdue,
    RoundClosed,
    RowsAligned,
    Setting,
)

DIGEST = b"m" * 32
PROPOSAL = JobProposed(
    job="trial",
    protocol="horizontal-fedavg",
    model="softmax",
    settings={"protocol.rounds": 2, "model.epochs": 1},
    parties=("east", "north", "west"),
    dataset="rows",
    quorum=2,
    deadline_s=60.0,
    specification=DIGEST,
)
COURSE: list[tuple[str, Body]] = [
    ("hub", PROPOSAL),
    ("east", JobAccepted("trial")),
    ("north", JobRefused("trial", "our \x1b[2Jpolicy")),
    ("west", JobAccepted("trial")),
    ("hub", ModelEvaluated("trial", 0, DIGEST, 2.5, 0.1, "accuracy", 30)),
    ("hub", RoundClosed("trial", 1, DIGEST, ("east",), ("west",))),
    ("hub", ModelEvaluated("trial", 1, DIGEST, 1.5, 0.6, "accuracy", 30)),
    ("hub", RoundClosed("trial", 2, DIGEST, ("east", "west"))),
    ("hub", ModelEvaluated("trial", 2, DIGEST, 0.5, 0.9, "accuracy", 30)),
    ("hub", ContributionMeasured("trial", "volume", {"east": 30, "west": 10})),
    ("hub", JobFinished("trial", DIGEST, 0.5, 0.9, "accuracy", 2)),
    ("hub", ModelUsed("trial", 5)),
]
ABORTED = ("hub", JobAborted("trial", "round 2: too few", ("west",)))


def told(course: list[tuple[str, Body]]) -> Iterator[Told]:
    for second, (author, body) in enumerate(course):
        yield Told(author, 1_000.0 + second, body)


def follow(course: list[tuple[str, Body]], progress: JobProgress) -> Iterator[News]:
    for each in told(course):
        yield from progress.take(each)


def tell(course: list[tuple[str, Body]], *, terminal: bool = False, ascii_only: bool = False) -> str:
    progress = JobProgress("trial")
    raw = io.BytesIO()
    text = io.TextIOWrapper(raw, encoding="ascii" if ascii_only else "utf-8", errors="backslashreplace")
    console = Console(file=text, force_terminal=terminal, width=120, highlight=False, color_system=None)
    Storyteller(console, progress).tell(follow(course, progress))
    text.flush()
    return raw.getvalue().decode()


def test_a_whole_course_reads_from_proposal_to_shares() -> None:
    lines = tell(COURSE).splitlines()
    assert lines == [
        "trial: horizontal-fedavg, softmax on rows, 2 rounds",
        "  led by hub; asked for consent: east, north, west",
        "  ✓ east consents   awaited: north, west",
        "  ✗ north refuses: our \\x1b[2Jpolicy   awaited: west",
        "  ✓ west consents",
        "  before     loss 2.5000    accuracy  10.0%  ███",
        "  round 1: without west",
        "  round 1/2  loss 1.5000    accuracy  60.0%  ██████████████████",
        "  round 2/2  loss 0.5000    accuracy  90.0%  ███████████████████████████",
        "trial: finished after 2 rounds: accuracy 90.0%, loss 0.5000",
        f"  model {DIGEST.hex()}",
        "  shares by volume: east 75.0%, west 25.0%",
        "  used for 5 rows so far",
    ]


def test_valued_coalitions_are_counted_and_not_listed() -> None:
    players = tuple(f"party-{number}" for number in range(10))
    many = CoalitionsValued("trial", 1, players, (5,) * 10, tuple(range(1024)), (0.25, *[0.5] * 1023))
    whole = CoalitionsValued("trial", 0, ("east", "west"), (5, 5), (1, 2), (0.5, 0.5))
    valued: list[tuple[str, Body]] = [
        ("hub", JobStarted("trial", ("east", "west"))),
        ("hub", many),
        ("hub", whole),
    ]
    lines = tell([*COURSE[:4], *valued]).splitlines()
    assert lines[-3:] == [
        "  begins with east, west",
        "  round 1/2: 1024 coalitions of 10 parties valued, gain +0.2500",
        "  the whole job: 2 coalitions of 2 parties valued",
    ]
    [news] = follow([("hub", many)], JobProgress("trial"))
    assert (news.fields["coalitions"], news.fields["before"], news.fields["after"]) == (1024, 0.25, 0.5)


def test_a_valued_job_ends_with_contributions_negative_ones_as_they_are() -> None:
    progress = JobProgress("trial")
    how: dict[str, Setting] = {"contribution.method": "gtg", "contribution.utility": "score"}
    proposal = replace(PROPOSAL, settings=PROPOSAL.settings | how)
    for _ in follow([("hub", proposal), *COURSE[1:]], progress):
        pass
    progress.contributions = {"east": 0.25, "west": -0.03125}
    assert about(progress).endswith(", 2 rounds, contributions by gtg")
    assert "  contributions to the model's score: east +0.2500, west -0.0312" in list(ending(progress))


def test_an_abort_says_who_was_missing_and_how_to_go_on() -> None:
    lines = tell([*COURSE[:6], ABORTED]).splitlines()
    assert lines[-2:] == [
        "trial: aborted: round 2: too few; missing: west",
        "  round 1 was closed; to go on from it, at hub: hansa job resume trial",
    ]
    assert tell([*COURSE[:2], ABORTED]).splitlines()[-1] == "trial: aborted: round 2: too few; missing: west"


def test_a_terminal_also_shows_what_goes_on_now_and_one_of_ascii_does_too() -> None:
    assert "round 2/2" in tell(COURSE, terminal=True)
    plain = tell(COURSE, ascii_only=True)
    assert "  ###" in plain
    assert plain.isascii()


def test_a_protocol_without_rounds_is_told_too() -> None:
    course = [("hub", replace(PROPOSAL, settings={})), *COURSE[1:9]]
    lines = tell(course).splitlines()
    assert lines[0] == "trial: horizontal-fedavg, softmax on rows"
    assert lines[-1].startswith("  round 2  loss")


def test_what_is_waited_for_is_said_with_whom_and_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_000.0)
    waiting = Waiting("round 3", ("east", "west"), 1_012.0, True, "")
    assert waiting_line(waiting) == "waiting for round 3 of east, west, for at most 12 s more"
    assert waiting_line(replace(waiting, until_s=900.0)).endswith(", which is overdue")
    assert waiting_line(Waiting("the average", (), None, True, "")) == "waiting for the average"
    assert waiting.as_json()["whom"] == ["east", "west"]


def test_trouble_stands_beneath_what_is_waited_for() -> None:
    progress = JobProgress("trial")
    console = Console(file=(out := io.StringIO()), width=120)
    seen: list[Seen] = [
        Waiting("round 1", ("east",), None, False, "the agent is not running: hansa agent run")
    ]
    Storyteller(console, progress).tell(iter(seen))
    first, second = out.getvalue().splitlines()
    assert "waiting for round 1 of east" in first
    assert second.strip() == "the agent is not running: hansa agent run"


def test_an_open_job_says_what_it_waits_for() -> None:
    progress = JobProgress("trial")
    for stop, expected in (
        (2, "consent of north, west"),
        (5, "round 1 of east, west"),
        (8, "the final evaluation"),
    ):
        progress = JobProgress("trial")
        list(follow(COURSE[:stop], progress))
        assert expected in " ".join(ending(progress))


def test_rounds_become_a_table() -> None:
    progress = JobProgress("trial")
    list(follow(COURSE, progress))
    console = Console(file=(out := io.StringIO()), width=80)
    console.print(course_table(progress))
    rows = [line.split() for line in out.getvalue().splitlines()]
    assert rows[1:] == [
        ["0", "2.5000", "accuracy", "10.0%"],
        ["1", "1.5000", "accuracy", "60.0%", "1", "west"],
        ["2", "0.5000", "accuracy", "90.0%", "2"],
    ]
    list(follow([("hub", RoundClosed("trial", 3, DIGEST, ("east",)))], progress))
    console.print(course_table(progress))  # not evaluated yet


def test_a_terminal_says_who_holds_an_epoch_up_and_when_the_end_is_near() -> None:
    vertical = replace(PROPOSAL, model="", settings={"protocol.epochs": 3, "protocol.guest": "east"})
    consent: list[tuple[str, Body]] = [(name, JobAccepted("trial")) for name in PROPOSAL.parties]
    course: list[tuple[str, Body]] = [
        ("hub", vertical),
        *consent,
        ("east", EpochEnded("trial", 1, 0.0, "improved")),
    ]
    late: list[tuple[str, Body]] = [
        ("hub", PartiesOverdue("trial", 1, ("north", "west"))),
        ("east", PartiesOverdue("trial", 1, ("west",))),
    ]
    told = tell([*course, *late], terminal=True)
    assert "epoch 2 of 3: north, west" in told
    lines = [line for line in tell([*course, *late]).splitlines() if "overdue" in line]
    assert [line.split("  ")[-1] for line in lines] == ["north, west are overdue: hub waits for them"]
    back = [*course, *late, ("east", EpochEnded("trial", 2, None, "converged"))]
    assert "the final evaluation: east, north, west" in tell(back, terminal=True)
    jumped = tell([*course, ("east", DistortionFound("trial", 2, None, None))])
    assert jumped.splitlines()[-1] == "  epoch 2: the loss has jumped: somebody's part is not what it was"


@pytest.mark.parametrize(
    ("settings", "aligned", "ending"),
    [
        ({}, RowsAligned("trial", {}, 1), "1 row in common"),
        ({}, RowsAligned("trial", {}, 0), "no rows in common"),
        ({}, RowsAligned("trial", {}, None), "the parties know which rows are common"),
        ({"threshold": 3}, RowsAligned("trial", {"east": 9}, 7), "7 rows in 3 lists or more (east 9)"),
        ({"receiver": "east"}, RowsAligned("trial", {}, None), "east alone knows which rows are common"),
    ],
)
def test_common_rows_are_told_as_far_as_they_are_known(
    settings: dict[str, Setting], aligned: RowsAligned, ending: str
) -> None:
    said: dict[str, Setting] = {f"protocol.{name}": value for name, value in settings.items()}
    proposal = replace(PROPOSAL, protocol="alignment", model="", settings=said)
    done = JobFinished("trial", b"", None, None, "", 0)
    lines = tell([("hub", proposal), ("hub", aligned), ("hub", done)]).splitlines()
    assert lines[0] == "trial: alignment on rows"
    assert lines[-1] == f"trial: finished: {ending}"


def test_a_job_that_counts_nothing_waits_for_word_and_may_end_without_any() -> None:
    proposal = replace(PROPOSAL, protocol="vertical-inference", settings={"protocol.model": "fraud"})
    course: list[tuple[str, Body]] = [("hub", proposal)]
    course += [(name, JobAccepted("trial")) for name in PROPOSAL.parties]
    assert tell(course, terminal=True).count("word: east, north, west") == 1
    course.append(("stranger", ModelUsed("fraud", 7, "trial")))  # in another's name: not counted
    done = ("hub", JobFinished("trial", b"", None, None, "", 0))
    assert tell([*course, done]).splitlines()[-1] == "trial: finished: no row served with the model of fraud"
    plain = [("hub", replace(proposal, settings={})), *course[1:], done]
    assert tell(plain).splitlines()[-1] == "trial: finished"


def test_an_abort_after_an_epoch_says_how_to_go_on() -> None:
    proposal = replace(PROPOSAL, settings={"protocol.epochs": 3})
    course: list[tuple[str, Body]] = [
        ("hub", proposal),
        ("east", EpochEnded("trial", 2, 0.5, "stalled")),
        ABORTED,
    ]
    expected = "  epoch 2 had ended; to go on from it, at hub: hansa job resume trial"
    assert tell(course).splitlines()[-1] == expected


def test_jobs_are_told_apart_and_shares_need_something_to_share() -> None:
    other = ("hub", replace(PROPOSAL, job="other"))
    jobs = read_progress(
        told([*COURSE, other, ("hub", ContributionMeasured("other", "volume", {"east": 0}))])
    )
    assert list(jobs) == ["trial", "other"]
    assert jobs["other"].portions() == {}
    assert jobs["other"].awaited() == ("consent", ("east", "north", "west"))
    assert not JobProgress("x").proposed


def test_figures_and_moments_read_well() -> None:
    assert figure("accuracy", 0.5) == "accuracy  50.0%"
    assert figure("auc", 0.9912) == "AUC 0.991"
    assert figure("r2", 0.478) == "R² 0.48"
    assert figure("f1", 0.5) == "f1 0.5000"
    assert since(0.5) == "1970-01-01T00:00:00.500Z"
