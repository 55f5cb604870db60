"""PURE. What one call's entries show, as a page to print: its pauses in a table, then every entry as a sentence.

The page proves nothing itself and says so: what is proven are the lines beside it. It has no script and loads nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape

from bot.review.sentences import sentence
from bot.storage.entries import Entry

PAGE = "evidence.html"

STYLE = """
body { font: 11pt/1.45 Georgia, serif; color: #111; max-width: 48rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; break-after: avoid; }
table { border-collapse: collapse; width: 100%; } tr { break-inside: avoid; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 0.6rem 0.25rem 0; border-bottom: 1px solid #bbb; }
thead { display: table-header-group; } td.time { white-space: nowrap; font-variant-numeric: tabular-nums; }
code, pre { font: 9pt/1.4 monospace; overflow-wrap: anywhere; white-space: pre-wrap; }
@media print { body { margin: 0; max-width: none; } @page { margin: 18mm; } }
"""


@dataclass(frozen=True)
class Pause:
    """One pause: when it was asked for, proven safe, and over. The entries' own times; empty where none says so."""

    asked: str = ""
    safe: str = ""
    resumed: str = ""
    ended: str = ""


def pauses(found: Iterable[Entry]) -> list[Pause]:
    """The call's pauses in order. A pause goes on until a resume, a stop or the call's end is told.

    One that was given up unproven may have none of these: it is over when a pause is asked for again.
    """
    done: list[Pause] = []
    now: Pause | None = None
    is_given_up = False
    for entry in found:
        at = str(entry.fields.get("at") or "")
        kind = _kind(entry)
        if kind == "asked":
            if now and is_given_up and not now.safe:
                done.append(now)
                now = None
            now, is_given_up = now or Pause(asked=at), False
        elif kind == "given up":
            is_given_up = True
        elif kind == "safe":
            now = now or Pause()
            now = now if now.safe else replace(now, safe=at)
        elif kind in {"resumed", "ended"} and now is not None:
            done.append(replace(now, resumed=at) if kind == "resumed" else replace(now, ended=at))
            now = None
    return [*done, now] if now else done


def _kind(entry: Entry) -> str:
    detail = entry.fields.get("detail")
    more = detail if isinstance(detail, dict) else {}
    wish = str(more.get("wish"))
    match entry.fields.get("type"):
        case "hold.opened":
            return "asked"
        case "hold.released" | "hold.expired" | "hold.closed" if entry.fields.get("after") != "paused":
            return "given up"
        case "pause.proven":
            return "safe"
        case "command.confirmed" if wish == "paused" and more.get("safe") is True:
            return "safe"
        case "command.confirmed" if wish == "recording":
            return "resumed"
        case "command.confirmed" if wish == "stopped":
            return "ended"
        case "call.ended":
            return "ended"
    return ""


def page(sid: str, found: Sequence[Entry], checkpoint: str, left_out: int) -> str:
    """The whole document. `left_out`: entries of the call that are not in the bundle, as they name another call too."""
    table = "".join(f"<tr>{''.join(_cell(cell) for cell in _row(one))}</tr>\n" for one in pauses(found))
    story = "".join(
        f"<tr>{_cell(_moment(entry.fields.get('at')))}<td>{escape(sentence(entry.fields))}</td>"
        f"<td>{entry.position}</td></tr>\n"
        for entry in found
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Evidence for call {escape(sid)}</title><style>{STYLE}</style></head>
<body>
<h1>Evidence for one call</h1>
<p><code>{escape(sid)}</code><br>All times are UTC.</p>
<h2>Pauses</h2>
<table><thead><tr><th>Asked for</th><th>Proven safe</th><th>Recording again</th></tr></thead>
<tbody>
{table or '<tr><td colspan="3">No pause is told of.</td></tr>'}</tbody></table>
<h2>What happened</h2>
<table><thead><tr><th>Time</th><th>What</th><th>Entry</th></tr></thead>
<tbody>
{story}</tbody></table>
{_left_out(left_out)}<h2>What is proven</h2>
<p>Each line of <code>entries.jsonl</code> stands in the log as it was signed with this checkpoint, unchanged. To check
it on any computer: <code>python -I verify.py --vkey FILE</code>, where FILE holds the log's public key, got another way
than with this bundle.</p>
<pre>{escape(checkpoint)}</pre>
<h2>What is not proven</h2>
<ul>
<li>That these are all the entries of the call: a part of a log proves inclusion, not completeness.</li>
<li>That the program which wrote them told the truth.</li>
<li>This page itself: it only puts the lines of <code>entries.jsonl</code> into words.</li>
</ul>
</body>
</html>
"""


def _row(pause: Pause) -> tuple[str, str, str]:
    end = _moment(pause.resumed) or (f"never; ended {_moment(pause.ended)}" if pause.ended else "not told")
    return _moment(pause.asked) or "not told", _moment(pause.safe) or "never", end


def _cell(text: str) -> str:
    return f'<td class="time">{escape(text)}</td>'


def _moment(at: object) -> str:
    """`2026-11-22 10:00:01.123` of an entry's time, which is in UTC already."""
    return str(at or "")[:23].replace("T", " ")


def _left_out(count: int) -> str:
    if not count:
        return ""
    return f"<p>Left out, as they also name another call: {count} {'entry' if count == 1 else 'entries'}.</p>\n"
