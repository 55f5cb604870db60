"""Several calls in one conference: its recording is one, and none of them may undo what another needs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bot.actors import By
from bot.call import Problem, is_safe
from bot.messages import Resume
from bot.simulator.client import PlacedCall, SimulatorClient
from tests.control.bench import CRM, HOLDER, WARNING, Bench, Node, safe, until
from tests.control.test_worker import die_after_the_claim

IVR = By(actor="ivr2", source="api")


def state(twilio: SimulatorClient) -> str:
    """What the conference's one recording really does."""
    (conference,) = twilio.state()["conferences"]
    (recording,) = conference["recordings"]
    return str(recording["state"])


@pytest.fixture
def two(bench: Bench, node: Node, twilio: SimulatorClient) -> tuple[PlacedCall, PlacedCall]:
    """Two calls that only their conference links, as in Flex."""
    first = twilio.place_call(recordings=0, conference="desk", conference_recordings=1)
    second = twilio.place_call(recordings=0)
    assert first.conference is not None
    twilio.join(first.conference, second.call)
    bench.deliver(node)
    return first, second


def test_resume_of_one_call_leaves_the_recording_that_another_holds(
    bench: Bench, node: Node, twilio: SimulatorClient, two: tuple[PlacedCall, PlacedCall]
) -> None:
    first, second = two
    paused = node.control.pause(first.call, CRM, HOLDER)
    assert safe(paused)
    assert node.control.resume(second.call, IVR, "api:ivr2").problem is None
    assert state(twilio) == "paused"
    assert is_safe(bench.call(first.call), paused.now)
    assert [one["path"] for one in twilio.requests(kind="resume") if "/Conferences/" in one["path"]] == []


def test_recording_goes_on_only_with_the_last_of_their_holds(
    node: Node, twilio: SimulatorClient, two: tuple[PlacedCall, PlacedCall]
) -> None:
    first, second = two
    assert safe(node.control.pause(first.call, CRM, HOLDER))
    assert safe(node.control.pause(second.call, IVR, "api:ivr2"))
    assert node.control.resume(first.call, CRM, HOLDER).problem is None
    assert state(twilio) == "paused"
    assert node.control.resume(second.call, IVR, "api:ivr2").problem is None
    assert state(twilio) == "in-progress"


def test_recording_goes_on_when_all_of_their_holds_run_out_together(
    bench: Bench, node: Node, twilio: SimulatorClient, two: tuple[PlacedCall, PlacedCall]
) -> None:
    first, second = two
    assert safe(node.control.pause(first.call, CRM, HOLDER, max_seconds=2))
    assert safe(node.control.pause(second.call, IVR, "api:ivr2", max_seconds=2))
    until(lambda: all(bench.call(one.call).holds[0].expires_at + 2 * WARNING < datetime.now(UTC) for one in two))
    for placed in (first, second, first, second):
        node.control.converge(placed.call, patience_seconds=0.0)
    assert [bench.log(placed.call).count("hold.expired") for placed in two] == [1, 1]
    assert state(twilio) == "in-progress"


def test_recording_goes_on_although_the_last_to_hold_it_could_not_pause_it_itself(
    node: Node, twilio: SimulatorClient, two: tuple[PlacedCall, PlacedCall]
) -> None:
    first, second = two
    assert safe(node.control.pause(first.call, CRM, HOLDER))
    twilio.add_fault("401", on="pause")
    assert safe(node.control.pause(second.call, IVR, "api:ivr2"))
    twilio.clear_faults()
    assert node.control.resume(first.call, CRM, HOLDER).problem is None
    assert state(twilio) == "paused"
    assert node.control.resume(second.call, IVR, "api:ivr2").problem is None
    assert state(twilio) == "in-progress"


def test_pause_is_confirmed_anew_after_another_call_resumed(
    node: Node, twilio: SimulatorClient, two: tuple[PlacedCall, PlacedCall]
) -> None:
    """What one call believed of the recording is void once another had it resumed."""
    first, second = two
    for call, by, holder in ((first.call, CRM, HOLDER), (second.call, IVR, "api:ivr2"), (first.call, CRM, HOLDER)):
        assert safe(node.control.pause(call, by, holder))
        assert state(twilio) == "paused"
        assert node.control.resume(call, by, holder).problem is None
        assert state(twilio) == "in-progress"
    assert twilio.counters()["overlaps"] == 0


def test_resume_of_one_call_that_was_lost_is_late_for_the_other_too(
    node: Node, twilio: SimulatorClient, two: tuple[PlacedCall, PlacedCall]
) -> None:
    first, second = two
    assert safe(node.control.pause(first.call, CRM, HOLDER))
    twilio.add_fault("lost", on="resume", times=1)
    node.control.resume(first.call, CRM, HOLDER)
    assert node.control.pause(second.call, IVR, "api:ivr2").problem is Problem.LATE_RESUME


def test_resume_of_one_call_whose_sender_died_is_late_for_the_other_too(
    bench: Bench, node: Node, two: tuple[PlacedCall, PlacedCall]
) -> None:
    """Nobody has taken over from the dead process yet; its resume may still arrive."""
    first, second = two
    assert safe(node.control.pause(first.call, CRM, HOLDER))
    die_after_the_claim(node, first.call, Resume(by=CRM, holder=HOLDER), bench.settings.twilio_account_sid)
    claim = bench.call(first.call).claim
    assert claim is not None
    until(lambda: claim.until < datetime.now(UTC))
    assert node.control.pause(second.call, IVR, "api:ivr2").problem is Problem.LATE_RESUME


def test_call_that_ended_unheard_is_found_over_although_its_recording_still_lists_as_live(
    node: Node, twilio: SimulatorClient
) -> None:
    twilio.set(completion_seconds=30.0)
    placed = twilio.place_call()
    assert safe(node.control.pause(placed.call, CRM, HOLDER))
    assert node.control.resume(placed.call, CRM, HOLDER).problem is None
    twilio.hang_up(placed.call)
    assert node.control.pause(placed.call, CRM, HOLDER).problem is Problem.CALL_OVER


def test_names_that_twilio_does_not_know_are_dropped(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    """A mistyped conference or leg must not keep the call from ever being safe."""
    placed = twilio.place_call()
    paused = node.control.pause(placed.call, CRM, HOLDER, conference="CF" + "0" * 32, legs=("CA" + "0" * 32,))
    assert safe(paused)
    assert (paused.call.conferences, paused.call.legs) == ((), ())
    assert "call.name_dropped" in bench.log(placed.call)


@pytest.mark.parametrize("repeat", ["ok", "21220"])
def test_pause_that_another_call_had_confirmed_counts_for_both(
    bench: Bench, node: Node, twilio: SimulatorClient, two: tuple[PlacedCall, PlacedCall], repeat: str
) -> None:
    """It is one recording, and whether Twilio pauses it twice is open."""
    first, second = two
    twilio.set(repeat=repeat)
    assert safe(node.control.pause(first.call, CRM, HOLDER))
    assert safe(node.control.pause(second.call, IVR, "api:ivr2"))
    assert len([one for one in twilio.requests(kind="pause") if "/Conferences/" in one["path"]]) == 1
    assert bench.log(second.call).count("recording.paused_with") == 1
    assert node.control.resume(first.call, CRM, HOLDER).problem is None
    assert state(twilio) == "paused"
    assert node.control.resume(second.call, IVR, "api:ivr2").problem is None
    assert state(twilio) == "in-progress"


def test_pause_that_another_call_had_confirmed_counts_also_for_whom_only_the_list_showed_the_recording(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    twilio.set(repeat="21220")
    first = twilio.place_call(recordings=0, conference="desk", conference_recordings=1, announced=False)
    second = twilio.place_call(recordings=0)
    assert first.conference is not None
    twilio.join(first.conference, second.call)
    bench.deliver(node)
    twilio.add_fault("401", on="pause", call=first.conference)
    assert node.control.pause(second.call, IVR, "api:ivr2").problem is Problem.CREDENTIALS
    twilio.clear_faults()
    assert safe(node.control.pause(first.call, CRM, HOLDER))
    assert safe(node.control.converge(second.call))
    assert state(twilio) == "paused"


def test_pause_that_another_call_had_confirmed_is_proof_for_the_hold_and_nothing_is_stopped_for_it(
    bench: Bench, node: Node, twilio: SimulatorClient, two: tuple[PlacedCall, PlacedCall]
) -> None:
    first, second = two
    hasty = bench.node(stop_after=timedelta(seconds=60))
    twilio.add_fault("401", on="pause", call=first.conference)
    assert hasty.control.pause(second.call, IVR, "api:ivr2").problem is Problem.CREDENTIALS
    twilio.clear_faults()
    assert safe(node.control.pause(first.call, CRM, HOLDER))
    assert safe(hasty.control.converge(second.call))
    call = bench.call(second.call)
    assert ([hold.proven for hold in call.holds], call.stop_at) == ([True], None)


def test_pause_left_behind_by_a_call_that_went_is_proven_anew_by_the_one_that_stays(
    bench: Bench, node: Node, twilio: SimulatorClient, two: tuple[PlacedCall, PlacedCall]
) -> None:
    """Twilio refuses to pause it twice, and nobody else holds it any more: the opposite goes first."""
    first, second = two
    assert first.conference is not None
    twilio.set(repeat="21220")
    assert safe(node.control.pause(second.call, IVR, "api:ivr2"))
    twilio.add_fault("429", on="resume")
    twilio.leave(first.conference, second.call)
    bench.deliver(node)
    node.control.pause(first.call, CRM, HOLDER)
    twilio.clear_faults()

    def is_proven() -> bool:
        node.control.converge(second.call)
        return safe(node.control.converge(first.call))

    until(is_proven)
    assert state(twilio) == "paused"
