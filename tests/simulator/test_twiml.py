"""A call that runs TwiML: how it is requested and answered, what it says and asks, and what ends it."""

from __future__ import annotations

import socket
import time

import pytest

from bot.simulator.client import SimulatorClient, SimulatorRefused
from tests.simulator.flows import VOICE, begin, play, response, seen
from tests.simulator.process import ACCOUNT
from tests.simulator.receiver import Receiver, Served
from tests.simulator.rest_client import Rest

APOLOGY = "An application error has occurred"
LONG = "word " * 500
"""200 seconds of speech, 4 at the tempo of these tests."""


def test_voice_webhook_is_requested_as_twilio_does(sim: SimulatorClient, receiver: Receiver) -> None:
    call = play(sim, receiver, "<Say>Hello</Say>")
    (request,) = [one for one in receiver.all() if one.path == VOICE]
    assert request.signed
    assert request.params == {
        "AccountSid": ACCOUNT,
        "ApiVersion": "2010-04-01",
        "CallSid": call["sid"],
        "CallStatus": "ringing",
        "Called": "+15005550001",
        "Caller": "+15005550006",
        "Direction": "inbound",
        "From": "+15005550006",
        "To": "+15005550001",
    }
    sim.settle()
    told = [one["CallStatus"] for one in receiver.at("/twilio/call-status")]
    assert told == ["ringing", "in-progress", "completed"]
    assert (call["heard"], call["status"], call["recordings"]) == (["Hello"], "completed", [])


def test_steps_and_state_of_a_flow_are_shown(sim: SimulatorClient, receiver: Receiver) -> None:
    call = play(sim, receiver, "<Hangup/>")
    (step,) = sim.steps(call["sid"])
    assert step["params"] == receiver.at(VOICE)[0]
    assert (step["url"], step["http"], step["twiml"]) == (receiver.url + VOICE, 200, response("<Hangup/>"))
    assert 0 <= step["seconds"] < 5
    assert call["flow"] == {"at": None, "url": receiver.url + VOICE, "over": True, "script": 0}
    plain = sim.place_call().call
    assert (sim.steps(plain), sim.call(plain)["flow"]) == ([], None)


def test_twiml_may_come_from_anywhere(sim: SimulatorClient, receiver: Receiver) -> None:
    url = receiver.serve("/elsewhere", response("<Say>Elsewhere</Say>"))
    sim.set(tempo=50)
    assert sim.wait_for(sim.place_call(voice_url=url).call, "over")["heard"] == ["Elsewhere"]


@pytest.mark.parametrize(
    "wanted",
    [
        {"voice": "yes"}, {"voice_url": "ftp://x"}, {"voice": True, "voice_url": "http://x"}, {"script": [{}]},
        {"script": [{"when": "gather", "keys": "1"}]}, {"voice": True, "agent": "client:alice"},
        {"voice": True, "conference": "room"}, {"voice": True, "direction": "outbound-api"},
        {"voice": True, "script": {}}, {"voice": True, "script": [{"when": "later", "keys": "1"}]},
        {"voice": True, "script": [{"when": "gather", "keys": "x"}]}, {"voice": True, "script": [{"when": "heard:"}]},
        {"voice": True, "script": [{"when": "gather", "answer": True}]},
        {"voice": True, "script": [{"when": "gather", "keys": "1", "hang_up": True}]},
    ],
)  # fmt: skip
def test_call_that_makes_no_sense_is_refused(sim: SimulatorClient, wanted: dict[str, object]) -> None:
    with pytest.raises(SimulatorRefused) as refused:
        sim.place_call(**wanted)
    assert refused.value.http == 400
    assert sim.state()["calls"] == []


def test_verbs_run_in_order_and_the_end_hangs_up(sim: SimulatorClient, receiver: Receiver) -> None:
    call = play(
        sim, receiver,
        '<Say voice="alice">One <emphasis>two</emphasis></Say><Play>/beep.mp3</Play><Pause length="2"/>',
        '<Say loop="2">three</Say>',
    )  # fmt: skip
    assert call["heard"] == ["One two", f"(a sound: {receiver.url}/beep.mp3)", "three", "three"]
    assert (call["status"], sim.debugger()) == ("completed", [])


def test_tempo_shortens_waits(sim: SimulatorClient, receiver: Receiver) -> None:
    began = time.monotonic()
    play(sim, receiver, '<Pause length="30"/>', tempo=100)
    assert 0.3 <= time.monotonic() - began < 2


@pytest.mark.parametrize("tempo", [0, 1001, "fast", True])
def test_impossible_tempo_is_refused(sim: SimulatorClient, tempo: object) -> None:
    with pytest.raises(SimulatorRefused, match="tempo must be a number from"):
        sim.set(tempo=tempo)


def test_call_is_not_answered_by_pause_or_reject(sim: SimulatorClient, receiver: Receiver) -> None:
    call = play(sim, receiver, '<Pause length="1"/><Reject reason="busy"/>')
    assert (call["status"], call["answered_at"]) == ("busy", None)
    assert play(sim, receiver, "<Reject/>")["status"] == "no-answer"


def test_redirect_is_relative_to_the_document(sim: SimulatorClient, receiver: Receiver) -> None:
    receiver.serve("/twilio/flows/next", response('<Redirect method="GET">last?a=1</Redirect>'))
    receiver.serve("/twilio/flows/last", response("<Say>There</Say>"))
    call = play(sim, receiver, "<Redirect>flows/next</Redirect><Say>never</Say>")
    assert call["heard"] == ["There"]
    assert [step["url"].removeprefix(receiver.url) for step in sim.steps(call["sid"])] == [
        VOICE, "/twilio/flows/next", "/twilio/flows/last?a=1",
    ]  # fmt: skip
    last = next(one for one in receiver.all() if one.method == "GET")
    assert (last.signed, last.params["a"], last.params["CallStatus"]) == (True, "1", "in-progress")


def test_gather_posts_digits_to_its_action(sim: SimulatorClient, receiver: Receiver) -> None:
    receiver.serve("/twilio/chosen", response("<Hangup/>"))
    script = [{"when": "gather", "keys": "12#"}]
    call = play(sim, receiver, '<Gather action="chosen"><Say>Choose</Say></Gather>', script=script)
    (chosen,) = receiver.at("/twilio/chosen")
    assert (chosen["Digits"], chosen["FinishedOnKey"], chosen["CallStatus"]) == ("12", "#", "in-progress")
    assert (call["heard"], call["keys_pressed"], call["flow"]["script"]) == (["Choose"], 3, 0)


@pytest.mark.parametrize(
    ("attributes", "keys", "digits"),
    [('numDigits="2"', "123", "12"), ('finishOnKey="" timeout="2"', "1#", "1#"), ('finishOnKey="*"', "#1*", "#1")],
)
def test_gather_ends_as_its_attributes_say(
    sim: SimulatorClient, receiver: Receiver, attributes: str, keys: str, digits: str
) -> None:
    receiver.serve("/done", response("<Hangup/>"))
    script = [{"when": "gather", "keys": keys}]
    play(sim, receiver, f'<Gather action="/done" method="GET" {attributes}/>', script=script)
    assert [one["Digits"] for one in receiver.at("/done")] == [digits]


def test_gather_without_action_posts_to_its_own_document(sim: SimulatorClient, receiver: Receiver) -> None:
    sim.set(tempo=50)
    receiver.serve(VOICE, response('<Gather numDigits="1"/>'), response("<Say>Again</Say>"))
    call = sim.place_call(voice=True, script=[{"when": "gather", "keys": "7"}]).call
    assert sim.wait_for(call, "over")["heard"] == ["Again"]
    assert [one.get("Digits") for one in receiver.at(VOICE)] == [None, "7"]


def test_key_interrupts_what_gather_says(sim: SimulatorClient, receiver: Receiver) -> None:
    receiver.serve("/done", response("<Say>Done</Say>"))
    began = time.monotonic()
    script = [{"when": "heard:word", "keys": "5"}]
    prompts = f"<Say>{LONG}</Say><Say>never</Say>"
    call = play(sim, receiver, f'<Gather action="/done" numDigits="1">{prompts}</Gather>', script=script)
    assert call["heard"] == [LONG.strip(), "Done"]
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("keys", ["", "#"])
def test_empty_gather_posts_nothing_and_falls_through(sim: SimulatorClient, receiver: Receiver, keys: str) -> None:
    script = [{"when": "gather", "keys": keys}] if keys else []
    call = play(sim, receiver, '<Gather action="/done" timeout="1"/><Say>Nothing came</Say>', script=script)
    assert (call["heard"], receiver.at("/done")) == (["Nothing came"], [])


def test_empty_gather_posts_if_it_is_told_to(sim: SimulatorClient, receiver: Receiver) -> None:
    receiver.serve("/done", response("<Hangup/>"))
    play(sim, receiver, '<Gather action="/done" timeout="1" actionOnEmptyResult="true"/><Say>never</Say>')
    (done,) = receiver.at("/done")
    assert (done["Digits"], "FinishedOnKey" in done) == ("", False)


def test_gather_is_answered_by_hand(sim: SimulatorClient, receiver: Receiver) -> None:
    receiver.serve("/done", response("<Hangup/>"))
    call = begin(sim, receiver, '<Gather action="/done" timeout="500"/>')
    assert sim.wait_for(call, "gather")["listening"]
    sim.press(call, "42#")
    sim.wait_for(call, "over")
    assert receiver.at("/done")[0]["Digits"] == "42"


def test_start_recording_does_not_hold_the_call_up(sim: SimulatorClient, receiver: Receiver) -> None:
    attributes = (
        'recordingStatusCallback="/recorded" recordingStatusCallbackEvent="in-progress completed" '
        'channels="dual" track="both" trim="do-not-trim"'
    )
    call = play(sim, receiver, f"<Start><Recording {attributes}/></Start><Say>Recorded</Say>")
    (recording,) = call["recordings"]
    assert (recording["source"], recording["channels"], recording["state"]) == (
        "StartCallRecordingAPI", 2, "completed",
    )  # fmt: skip
    sim.settle()
    assert [one["RecordingStatus"] for one in receiver.at("/recorded")] == ["in-progress", "completed"]
    assert receiver.at("/twilio/recording-status") == []


@pytest.mark.parametrize(
    ("served", "code"),
    [
        (Served("<Response><Say>"), 12100),
        (Served(""), 12300),
        (Served("<Answer/>"), 12100),
        (Served("<!DOCTYPE x><Response/>"), 12100),
        (Served(response("<Fax/>")), 12100),
        (Served(response("<Gather><Dial/></Gather>")), 12100),
        (Served(response("<Dial><Number> </Number></Dial>")), 12100),
        (Served(response("<Redirect>ftp://x</Redirect>")), 11100),
        (Served(response(), type="application/json"), 12300),
        (Served(response(), status=404), 11200),
        (Served(response(), status=503), 11200),
        (Served(response("<Say>" + "x" * 65_536 + "</Say>")), 11750),
    ],
)
def test_document_that_cannot_be_run_ends_the_call(
    sim: SimulatorClient, receiver: Receiver, served: Served, code: int
) -> None:
    call = play(sim, receiver, served)
    assert (call["heard"], call["status"]) == ([APOLOGY], "completed")
    (entry,) = sim.debugger()
    assert (entry["code"], entry["call"], entry["url"]) == (code, call["sid"], receiver.url + VOICE)
    assert (entry["http"], entry["params"]) == (served.status, receiver.at(VOICE)[0])


def test_nobody_to_serve_twiml_ends_the_call(sim: SimulatorClient) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/voice"
        sim.set(tempo=50)
        call = sim.wait_for(sim.place_call(voice_url=url).call, "over")
    assert call["heard"] == [APOLOGY]
    assert [(one["code"], one["http"]) for one in sim.debugger()] == [(11200, None)]


def test_what_twilio_overlooks_is_a_warning(sim: SimulatorClient, receiver: Receiver) -> None:
    call = play(sim, receiver, '<Say colour="red">Hello</Say><Pause length="soon"/>')
    assert call["heard"] == ["Hello"]
    assert [(one["code"], one["message"]) for one in sim.debugger()] == [
        (12200, "<Say> has no attribute colour"),
        (12200, "<Pause> has an invalid length: the default is taken"),
    ]


@pytest.mark.parametrize("verb", [f"<Say>{LONG}</Say>", '<Pause length="500"/>', '<Gather timeout="500"/>'])
def test_hang_up_ends_a_flow_at_once(sim: SimulatorClient, receiver: Receiver, verb: str) -> None:
    call = begin(sim, receiver, "<Say>Hello</Say>", verb)
    seen(sim, call, lambda shown: bool(shown["heard"]))
    sim.hang_up(call)
    sim.wait_for(call, "over", within_seconds=1)
    assert len(sim.steps(call)) == 1


def test_hang_up_while_twiml_is_requested_ends_it_with_the_reply(sim: SimulatorClient, receiver: Receiver) -> None:
    call = begin(sim, receiver, Served(response("<Redirect>/more</Redirect>"), seconds=0.3))
    receiver.wait(lambda received: any(one.path == VOICE for one in received))
    sim.hang_up(call)
    assert sim.wait_for(call, "over")["status"] == "canceled"
    assert len(sim.steps(call)) == 1


def test_reset_ends_all_flows(sim: SimulatorClient, receiver: Receiver) -> None:
    receiver.serve("/twilio/dialled", response("<Hangup/>"))
    calls = [begin(sim, receiver, '<Dial action="dialled" timeout="500">+15005550009</Dial>') for _ in range(2)]
    for call in calls:
        sim.wait_for(call, "dial")
    sim.reset()
    assert (sim.state()["calls"], sim.debugger()) == ([], [])
    assert receiver.at("/twilio/dialled") == []


def test_script_hangs_up_when_something_is_heard(sim: SimulatorClient, receiver: Receiver) -> None:
    script = [{"when": "heard:goodbye", "hang_up": True}]
    call = play(sim, receiver, "<Say>hello</Say><Say>now goodbye</Say><Say>never</Say>", script=script)
    assert call["heard"] == ["hello", "now goodbye"]


def test_waiting_for_what_cannot_come_fails(sim: SimulatorClient, receiver: Receiver) -> None:
    call = play(sim, receiver, "<Hangup/>")["sid"]
    with pytest.raises(TimeoutError, match="not at gather"):
        sim.wait_for(call, "gather")


def test_digits_are_only_where_twilio_has_them(sim: SimulatorClient, receiver: Receiver, rest: Rest) -> None:
    receiver.serve("/done", Served("", status=500))
    call = play(sim, receiver, '<Gather action="/done" numDigits="5"/>', script=[{"when": "gather", "keys": "97531"}])
    assert [one["params"]["Digits"] for one in sim.debugger()] == ["97531"]
    shown = [str(sim.requests()), str(sim.state()), str(sim.callbacks()), rest.get("/").text]
    assert not any("97531" in one for one in shown)
    assert call["keys_pressed"] == 5


def test_page_runs_twiml_and_has_a_keypad(sim: SimulatorClient, receiver: Receiver, rest: Rest) -> None:
    sim.set(tempo=50)
    receiver.serve(VOICE, response('<Gather action="/done" timeout="500"><Say>Choose &lt;one&gt;</Say></Gather>'))
    receiver.serve("/done", Served("", status=500))
    assert rest.send("POST", "/calls", {"voice": "on", "recordings": "1"}).status == 303
    (call,) = sim.state()["calls"]
    sim.wait_for(call["sid"], "gather")
    live = rest.get("/live").text
    for text in (
        "The caller hears “Choose &lt;one&gt;”",
        "is at <strong>gather</strong>",
        'aria-label="star">*</button>',
    ):
        assert text in live
    assert live.count('name="keys" value=') == 12
    for keys in ("8", "6#"):
        assert rest.send("POST", f"/calls/{call['sid']}/keys", {"keys": keys}).status == 303
    sim.wait_for(call["sid"], "over")
    assert receiver.at("/done")[0]["Digits"] == "86"
    after = rest.get("/live").text
    assert "<strong>11200</strong> HTTP retrieval failure: answered with 500" in after
    assert 'name="keys"' not in after
    assert rest.send("POST", f"/calls/{call['sid']}/keys", {"keys": "1"}).status == 409
