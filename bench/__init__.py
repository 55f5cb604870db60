"""How fast a pause is, in one run on one machine: `python -m bench`.

::

    plan        what is measured: sizes and lengths, from the command line
    standin     a stand-in for Twilio that answers after a fixed delay, in its own process
    load        the three loads, from one asyncio thread that costs as little as it can
    floor       the same loads as bare urllib3 POSTs, without any bot: the least that threads can take
    naive       a bot as tutorials write it, to compare with
    processes   starting and ending the processes, everything on loopback
    subjects    the bot as Procfile starts it, and the naive one, ready for load
    ledger      whether the bot's log verifies and holds every pause that was answered 200
    report      figures with their goals beside them
    run         all of it in order
    log/        what the log costs, in a run of its own: `python -m bench log`

All times are compared with the delay of the stand-in: a pause cannot be faster than Twilio. A goal that is missed is
printed as NOT REACHED and is never an error, for the machine may be busy with something else.
"""
