"""Ids that a job of ours asks for: journalled with it, found again after a crash, forgotten with it."""

from hansa.agents.core.desk import Desk
from hansa.agents.core.journal import Changes, MemoryJournal
from hansa.agents.core.wanted import Wanted


def test_ids_outlive_the_process_and_no_more_than_the_job() -> None:
    journal = MemoryJournal()
    desk = Desk("bank", lambda: 0.0, lambda *_: None, lambda *_: None)

    def commit() -> Wanted:
        journal.commit(desk.changes)
        desk.changes = Changes()
        return Wanted(desk, journal)

    wanted = commit()
    wanted.note("all", ())
    wanted.note("some", ("c-7", "c-2"))
    assert (wanted.of("all"), wanted.of("some"), wanted.of("other")) == ((), ("c-7", "c-2"), ())
    wanted = commit()
    assert wanted.of("some") == ("c-7", "c-2")
    wanted.forget("some")
    wanted.forget("other")
    assert wanted.of("some") == ()
    assert commit().of("some") == ()
    assert journal.load("wanted") == {}
