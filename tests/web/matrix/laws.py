"""What must be true of every case, whatever the table says."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.web.matrix.cases import Case
from tests.web.matrix.stage import Row, Seen

Law = Callable[[Case, Row], bool]


def _is_proven(seen: Seen) -> bool:
    return not seen.safe or (bool(seen.truth) and set(seen.truth) == {"paused"})


def safe_is_true_only_if_every_recording_is_paused(_: Case, row: Row) -> bool:
    return _is_proven(row.now) and _is_proven(row.later)


def pause_is_answered_with_200_only_if_it_is_safe(case: Case, row: Row) -> bool:
    return case.wish != "pause" or (row.status == 200) is row.now.safe


def page_says_paused_only_if_it_is_safe(_: Case, row: Row) -> bool:
    return row.headline.startswith("Paused") is row.now.safe


def page_warns_of_a_pause_that_is_not_safe(case: Case, row: Row) -> bool:
    return case.wish != "pause" or row.now.safe or row.headline.startswith("NOT PAUSED")


def resume_is_answered_with_200_only_if_everything_records(case: Case, row: Row) -> bool:
    return case.wish != "resume" or row.status != 200 or "paused" not in row.now.truth


def stop_is_answered_with_200_only_if_the_call_s_recordings_are_over(case: Case, row: Row) -> bool:
    own = row.now.truth[:1] if case.shape == "both" else row.now.truth
    return case.wish != "stop" or row.status != 200 or set(own) == {"ended"}


def page_says_stopped_only_if_the_call_s_recordings_are_over(case: Case, row: Row) -> bool:
    own = row.now.truth[:1] if case.shape == "both" else row.now.truth
    return not row.headline.startswith("Recording stopped") or set(own) == {"ended"}


def nothing_is_left_paused_without_a_hold(_: Case, row: Row) -> bool:
    return row.later.holds > 0 or "paused" not in row.later.truth


def every_pause_is_safe_in_the_end(case: Case, row: Row) -> bool:
    return case.wish != "pause" or not case.is_recorded or row.later.safe


def every_resume_records_in_the_end(case: Case, row: Row) -> bool:
    if case.wish != "resume":
        return True
    observed = "recording" if case.is_recorded else "unknown"
    later = row.later
    return (later.desired, later.observed, later.holds) == ("recording", observed, 0) and set(later.truth) <= {"runs"}


def every_stop_is_over_in_the_end(case: Case, row: Row) -> bool:
    """But one that Twilio cannot do, which was refused at once and changed nothing."""
    if case.wish != "stop" or not case.is_recorded:
        return True
    if row.code == "conference-stop":
        return (row.later.desired, set(row.later.truth)) == ("recording", {"runs"})
    own = row.later.truth[:1] if case.shape == "both" else row.later.truth
    return (row.later.observed, set(own)) == ("stopped", {"ended"})


def fault_is_never_met_without_an_entry(_: Case, row: Row) -> bool:
    return row.status == 200 or any(one.rsplit(".")[-1] in FAILURES for one in row.entries)


FAILURES = {"refused", "unanswered", "failed"}
LAWS: tuple[Law, ...] = (
    safe_is_true_only_if_every_recording_is_paused,
    pause_is_answered_with_200_only_if_it_is_safe,
    page_says_paused_only_if_it_is_safe,
    page_warns_of_a_pause_that_is_not_safe,
    resume_is_answered_with_200_only_if_everything_records,
    stop_is_answered_with_200_only_if_the_call_s_recordings_are_over,
    page_says_stopped_only_if_the_call_s_recordings_are_over,
    nothing_is_left_paused_without_a_hold,
    every_pause_is_safe_in_the_end,
    every_resume_records_in_the_end,
    every_stop_is_over_in_the_end,
    fault_is_never_met_without_an_entry,
)


def broken(rows: Mapping[Case, Row]) -> list[tuple[str, Case]]:
    """Which law each case breaks."""
    return [(law.__name__, case) for case, row in rows.items() for law in LAWS if not law(case, row)]
