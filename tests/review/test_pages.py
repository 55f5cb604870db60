from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import chain

import pytest

from bot.actors import By
from bot.audit.entry import Draft
from bot.messages import CallReported
from bot.storage.entries import Filter
from bot.telephony.webhooks import Report
from tests.review.bench import ALICES_CALL, BOBS_CALL, Bench, Browser

PAGES = ("/review", f"/review/calls/{ALICES_CALL}", "/review/entries.csv")


def _positions(page: str) -> list[int]:
    return [int(number) for number in re.findall(r'id="entry-(\d+)"', page)]


def _link(page: str, text: str) -> str | None:
    found = re.search(rf'href="([^"]+)"[^>]*>{text}</a>', page)
    return found[1] if found else None


def _walk(carol: Browser, path: str | None, link: str) -> list[list[int]]:
    seen = []
    while path is not None:
        page = carol.page(path)
        seen.append(_positions(page))
        path = _link(page, link)
    return seen


# Who may look


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("name", ["alice", "sam"])
def test_page_for_somebody_who_takes_calls_is_refused_and_noted(path: str, name: str, review_bench: Bench) -> None:
    browser = review_bench.signed_in(name)
    assert browser.get(path).status_code == 403
    last = review_bench.entries()[-1].fields
    assert (last["type"], last["actor"], last["outcome"]) == ("page.refused", name, "failure")


def test_verify_for_an_agent_is_refused_and_noted(review_bench: Bench) -> None:
    alice = review_bench.signed_in("alice")
    assert alice.post("/review/verify", "/calls").status_code == 403
    last = review_bench.entries()[-1].fields
    assert (last["type"], last["actor"], last["detail"]) == ("page.refused", "alice", {"page": "review.verify"})


@pytest.mark.parametrize("path", PAGES)
def test_page_for_nobody_signed_in_leads_to_sign_in(path: str, review_bench: Bench) -> None:
    reply = Browser(review_bench.app.test_client()).get(path)
    assert reply.status_code == 302
    assert reply.headers["Location"].startswith("/login?next=%2Freview") or reply.headers["Location"].startswith(
        "/login?next=/review"
    )
    assert review_bench.entries() == []


def test_verify_without_a_token_is_refused(review_carol: Browser) -> None:
    assert review_carol.client.post("/review/verify", base_url="http://127.0.0.1:8000").status_code == 400


# The list


def test_list_shows_newest_first_in_plain_english(review_bench: Bench, review_carol: Browser) -> None:
    review_bench.log(
        Draft(type="hold.opened", actor="alice", source="agent", reason="card", call=ALICES_CALL),
        Draft(type="resume.refused", actor="bob", source="agent", reason="not-yours", outcome="failure"),
    )
    page = review_carol.page("/review")
    assert page.index("Bob asked for the recording to go on and was refused") < page.index(
        "Alice asked for a pause (card)."
    )
    assert f'href="/review/calls/{ALICES_CALL}"' in page
    at = review_bench.entries(Filter(type="hold.opened"))[0].fields["at"]
    assert f'title="{at}">{at[:10]} {at[11:19]}</time>' in page


def test_list_of_120_entries_shows_each_exactly_once(review_bench: Bench, review_carol: Browser) -> None:
    review_bench.log(*(Draft(type="hold.opened", actor="alice", source="agent") for _ in range(120)))
    wanted = [entry.position for entry in review_bench.entries(Filter(type="hold.opened"))][::-1]
    pages = _walk(review_carol, "/review?type=hold.opened", "Older")
    assert [len(page) for page in pages] == [50, 50, 20]
    assert list(chain.from_iterable(pages)) == wanted


def test_list_goes_back_to_newer_pages_with_its_filter(review_bench: Bench, review_carol: Browser) -> None:
    review_bench.log(*(Draft(type="hold.opened", actor="alice", source="agent") for _ in range(120)))
    down = _walk(review_carol, "/review?type=hold.opened&actor=alice", "Older")
    up = _walk(review_carol, f"/review?type=hold.opened&actor=alice&before={down[1][-1]}", "Newer")
    assert up == down[::-1]


def test_list_without_entries_says_so(review_carol: Browser) -> None:
    assert "No entry fits this filter." in review_carol.page("/review?actor=nobody")


def test_list_past_the_end_says_so(review_carol: Browser) -> None:
    assert "No entry fits here." in review_carol.page("/review?before=0")


def test_filters_combine(review_bench: Bench, review_carol: Browser) -> None:
    review_bench.log(
        Draft(type="hold.opened", actor="alice", source="agent", call=ALICES_CALL),
        Draft(type="hold.opened", actor="alice", source="agent", call=BOBS_CALL),
        Draft(type="pause.refused", actor="alice", source="agent", call=ALICES_CALL, outcome="failure"),
        Draft(type="hold.opened", actor="alice", source="api", call=ALICES_CALL),
        Draft(type="hold.opened", actor="bob", source="agent", call=ALICES_CALL),
    )
    first = review_bench.entries(Filter(type="hold.opened"))[0].position
    today = datetime.now(UTC).date().isoformat()
    wanted = f"call={ALICES_CALL}&actor=alice&source=agent&outcome=success&type=hold.opened"
    assert _positions(review_carol.page(f"/review?{wanted}&from={today}&to=2099-01-01")) == [first]
    assert _positions(review_carol.page(f"/review?{wanted}&to=2020-01-01")) == []


def test_list_keeps_what_was_typed(review_carol: Browser) -> None:
    page = review_carol.page("/review?actor=al%22ice&source=api&from=2026-11-22")
    assert 'value="al"ice"' in page
    assert "<option selected>api</option>" in page
    assert 'value="2026-11-22"' in page


@pytest.mark.parametrize(
    "query", ["source=nowhere", "from=yesterday", "call=1", "before=x", "actor=a%00b", "type=" + "x" * 101]
)
def test_list_with_a_bad_filter_says_so_and_shows_nothing(
    query: str, review_bench: Bench, review_carol: Browser
) -> None:
    size = len(review_bench.entries())
    reply = review_carol.get(f"/review?{query}")
    assert reply.status_code == 400
    assert 'class="problem" role="alert"' in reply.text
    assert _positions(reply.text) == []
    assert len(review_bench.entries()) == size


def test_list_never_shows_a_typed_card_number_again(review_carol: Browser) -> None:
    reply = review_carol.get("/review?actor=4111111111111111")
    assert reply.status_code == 400
    assert "4111111111111111" not in reply.text


def test_reading_the_list_is_an_entry(review_bench: Bench, review_carol: Browser) -> None:
    review_carol.page("/review?actor=alice&before=7")
    last = review_bench.entries()[-1].fields
    assert (last["type"], last["actor"], last["source"], last["call"]) == ("log.read", "carol", "agent", None)
    assert last["detail"] == {"view": "entries", "filter": {"actor": "alice"}, "before": 7}


def test_list_has_no_script_or_style_of_its_own(review_carol: Browser) -> None:
    page = review_carol.page("/review")
    assert re.findall(r"<script(?![^>]*src=)", page) == []
    assert "<style" not in page
    assert " style=" not in page


def test_what_entries_hold_is_never_markup(review_bench: Bench, review_carol: Browser) -> None:
    review_bench.log(Draft(type="hold.opened", actor="<b>x</b>", reason="<script>1</script>", call=ALICES_CALL))
    for path in ("/review", f"/review/calls/{ALICES_CALL}"):
        text = review_carol.get(path).text
        assert "<b>x" not in text
        assert "<script>1" not in text


# A call's story


def test_story_is_told_in_order(review_bench: Bench, review_carol: Browser) -> None:
    control = review_bench.services.control
    for status in ("ringing", "completed"):
        message = CallReported(sid=ALICES_CALL, status=status)
        control.receive(Report(account=None, message=message, call=ALICES_CALL), status.encode())
    page = review_carol.page(f"/review/calls/{ALICES_CALL}")
    assert page.index("Twilio reported the call as ringing.") < page.index("The call ended (completed).")
    assert '"type": "call.ended"' in page
    last = review_bench.entries()[-1].fields
    assert (last["type"], last["call"], last["detail"]) == ("log.read", ALICES_CALL, {"view": "call"})


def test_story_that_is_long_goes_on_over_pages(review_bench: Bench, review_carol: Browser) -> None:
    review_bench.log(*(Draft(type="hold.opened", call=ALICES_CALL) for _ in range(450)))
    wanted = [entry.position for entry in review_bench.entries(Filter(call=ALICES_CALL))]
    pages = _walk(review_carol, f"/review/calls/{ALICES_CALL}", "Go on")
    assert [len(page) for page in pages[:2]] == [200, 200]
    assert list(chain.from_iterable(pages))[:450] == wanted


@pytest.mark.parametrize("sid", [BOBS_CALL, "CA1", "x"])
def test_story_of_an_unknown_call_is_not_found(sid: str, review_carol: Browser) -> None:
    assert review_carol.get(f"/review/calls/{sid}").status_code == 404


def test_story_of_a_call_that_was_only_looked_for_is_not_found(review_carol: Browser) -> None:
    assert review_carol.get(f"/review?call={BOBS_CALL}").status_code == 200
    assert review_carol.get(f"/review/entries.csv?call={BOBS_CALL}").status_code == 200
    assert review_carol.get(f"/review/calls/{BOBS_CALL}").status_code == 404


def test_story_of_a_leg_is_its_calls(review_bench: Bench, review_carol: Browser) -> None:
    control = review_bench.services.control
    message = CallReported(sid=BOBS_CALL, status="in-progress", parent=ALICES_CALL)
    control.receive(Report(account=None, message=message, call=ALICES_CALL), b"leg")
    reply = review_carol.get(f"/review/calls/{BOBS_CALL}")
    assert reply.status_code == 302
    assert reply.headers["Location"] == f"/review/calls/{ALICES_CALL}"


def test_story_of_a_merged_call_names_the_other(review_bench: Bench, review_carol: Browser) -> None:
    control = review_bench.services.control
    control.take(BOBS_CALL, By(actor="alice", source="agent"), "alice")
    message = CallReported(sid=BOBS_CALL, status="in-progress", parent=ALICES_CALL)
    control.receive(Report(account=None, message=message, call=ALICES_CALL), b"leg")
    assert f"{BOBS_CALL} turned out to be a leg of this call" in review_carol.page(f"/review/calls/{ALICES_CALL}")
    for one, other in ((ALICES_CALL, BOBS_CALL), (BOBS_CALL, ALICES_CALL)):
        assert f'also told under <a href="/review/calls/{other}">' in review_carol.page(f"/review/calls/{one}")
