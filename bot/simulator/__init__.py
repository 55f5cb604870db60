"""A stand-in for Twilio over real HTTP, in its own process: ``python -m bot.simulator --help``.

It imports nothing of the bot. It speaks three things: Twilio's REST API (``/2010-04-01/...``), Twilio's signed webhooks
(outwards, to ``{webhook-base}/twilio/call-status``, ``.../recording-status``, ``.../conference-status``; for TwiML to
``.../voice`` and wherever that leads), and a control API of its own (``/sim/...``) by which a test drives it, as a
person does by the page at ``/``. ``client.py`` is a typed client for the latter.

Of the REST API there are calls, conferences and their participants, recordings (their sound as well:
``/Recordings/RE.wav``) and agent-assisted payments (``/Calls/CA/Payments.json``, by card only). Of Studio there is the
webhook, ``/v1/Accounts/AC/Flows/FW``, with the widgets that studio_definition.py names.

Map, from the outside in
    __main__      command line, signals            server      HTTP/1.1 with keep-alive, resets, dripped replies
    app           wires everything together        settings    what a test may turn
    rest          Twilio's routes                  exchange    the life of one REST request: sign-in, faults, log
    control, tools  the control API's routes       page        the page at /
    calls, conferences, recordings                 what can happen to each; they change the world and send events
    keypad        keys pressed on a leg, one after another in real time
    audio, sound  what a recording sounds like, made up on demand; its routes
    flow          a call's TwiML run in a thread of its own      line        saying, waiting, the script of a caller
    gather, dial, pay                              the verbs that take a while
    documents     requests for TwiML               twiml, reading, attributes, verbs    what is read from it
    terms         what a <Pay> wants               script      the steps of a scripted call
    payments, payment_session, payment_routes      agent-assisted payments: what happens, the noun, Twilio's routes
    cards, connector                               what a card is; what the payment gateway says
    studio, studio_definition, studio_routes       how a call goes through a flow, what is read of it, the webhook
    world, model  the state and its one lock       resources, paging    Twilio's JSON shapes
    events, signature  webhook parameters          callbacks   queues, order, retries
    faults        what can go wrong                journal     the log of REST requests, the overlap counter
    wire          a connection that can be watched, cut, dripped to
    views, body   what the control API shows and reads          client      a typed client for it
    inbox         the other system: where results of payments go (``POST /results``)
    clock, errors

The control API: JSON in, JSON out; 400 malformed, 403 foreign Host or Origin, 404 unknown, 409 not possible now.
Errors are ``{"error": "..."}``. SIDs: CA call, RE recording, CF conference, PK payment session. Times in the world are
seconds since 1970 of the simulator's clock; times in the two logs are real ones.

    GET    /sim/state                {account, clock, settings, calls, conferences, faults, counters, callbacks: counts}
    POST   /sim/reset                an empty world: no calls, faults or logs; default settings (webhook_base is kept)
    POST   /sim/calls                place a call. All optional: customer, number, agent (contact of the agent's leg,
                                     null for none), recordings (how many, default 1), announced (default true),
                                     conference (null or a name), conference_recordings (default 0), answered (default
                                     true: else the last leg rings, and recording begins when it is answered), linked
                                     (default true: else the agent's leg has no ParentCallSid), direction (inbound or
                                     outbound-api), channels (1, 2), track (inbound, outbound, both), source,
                                     voice (default false: true runs the TwiML of {webhook_base}/twilio/voice) or
                                     voice_url (runs that; either way nothing is recorded by default, and the TwiML
                                     answers the call and dials), script (see below)
                                     -> 201 {call, agent_leg, conference, recordings: [RE], conference_recordings: [RE]}
    GET    /sim/calls/CA             a call by any leg's SID: its legs, conferences and recordings (with stretches),
                                     ``flow``: {at, url, over, script: steps left} or null; ``heard``: what was said;
                                     ``payments``: [{sid, leg, state: in-progress, cancelled or the result, capture:
                                     what is being entered or null, required: what is missing}]
    GET    /sim/calls/CA/steps       {steps: [{url, params, http, twiml, seconds}]}: its last 200 requests for TwiML
    POST   /sim/calls/CA/legs        {to, answered, linked} -> 201 {leg}
    POST   /sim/calls/CA/answer      a ringing call or leg is answered; what waited for it begins
    POST   /sim/calls/CA/hangup      a parent: the whole call; a leg: that leg alone. {unanswered: busy | failed |
                                     no-answer | canceled}: what it ends as if it was never answered
    POST   /sim/calls/CA/keys        {keys: 1 to 64 of 0-9*#} presses them on that leg, 0.1 s each, and answers when all
                                     are pressed or the leg is over -> {pressed: how many}. Others wait their turn
    POST   /sim/calls/CA/recordings  {announced, channels, track, source} -> 201 {recording}
    POST   /sim/recordings/RE/state  {state: in-progress | paused | completed | absent, behavior: skip | silence,
                                     error_code}: changed by somebody else than the bot
    GET    /sim/recordings/RE/audio  its sound so far, at any time: a WAV file, 8 kHz, with a tone for each key that was
                                     pressed while it recorded; of what is longer than 30 min only the end
    POST   /sim/conferences          {name, call} -> 201 {conference}; when that call hangs up, the conference ends
    POST   /sim/conferences/CF/participants      {call: CA of a call or leg} joins -> 201
    DELETE /sim/conferences/CF/participants/CA   leaves (the leg stays connected)
    POST   /sim/conferences/CF/recordings        {announced, channels, track, source} -> 201 {recording}
    PUT    /sim/studio/flows/FW      {definition: as Studio exports it} -> {flow, url: a ``voice_url`` that runs it}
    GET    /sim/faults               {faults, kinds, on}
    POST   /sim/faults               {kind, on, call, times, seconds, part} -> 201 the fault with its id; see faults.py
    DELETE /sim/faults, /sim/faults/ID
    GET    /sim/clock                {now, frozen}
    POST   /sim/clock/freeze, /sim/clock/thaw, /sim/clock/advance {seconds}
    GET    /sim/settings             see settings.py
    PATCH  /sim/settings             any of them
    GET    /sim/requests             the log, oldest first: ?call=CA&kind=pause&after=ID&limit=N
                                     -> {requests, counters}; a call's own and its legs', not its conferences'
    DELETE /sim/requests             empties the log and zeroes the counters
    GET    /sim/callbacks            ?state=failed&call=CA -> {callbacks, counts}
    GET    /sim/debugger             {debugger: [{at, call, code, message, url, http, params}]}: what was wrong with
                                     TwiML, oldest first, with the request's parameters as Twilio's debugger has them
    GET    /sim/results              {results: [{at, headers, body}]}: what came to ``POST /results``
    POST   /sim/callbacks/release    {order: forward | reverse} sends what ``callbacks: hold`` kept -> {released}

What ``flow.at`` may be: say, gather, dial, pay:payment-card-number, pay:expiration-date, pay:security-code,
pay:postal-code, pay:payment-processing, null. A script is a list of {when, keys: "12#"}, {when, hang_up: true} and
{when: "dial", answer: true}. ``when`` is one of these moments, but for ``say`` and the last, or ``heard:TEXT``:
something with TEXT in it is said. Steps are taken in order, each once, when its moment comes. TwiML is said and waited
for ``tempo`` times faster than in life; keys take their time, and nobody's patience ends while they are being pressed.

One entry of /sim/requests: {id, kind, method, path, call, target, status, pause_behavior, fault, received_at,
applied_at, answered_at, outcome, reply: {http, code, status}}. ``kind``: pause, resume, stop, update (an invalid
Status), start, list, fetch-recording, fetch-audio, fetch-call, list-calls, end-call, fetch-conference,
list-conferences, participants, payment (a session is begun), payment-update, other. ``outcome``: open, answered, cut,
gave-up (the client went away first). Counters: {requests, commands, overlaps, max_in_flight}; ``overlaps`` counts every
command that arrived for a call while another one for it was neither answered nor given up. One callback: {id, url,
params, token, state (waiting, held, delivered, failed, dropped), attempts, http, error, created_at, settled_at}.

Faults (``kind``; ``on`` any request kind, or command = pause+resume+stop, or any; ``times`` null until removed):
    delay (seconds)   429   500   503   16114   21220   404   401   reset   lost   late (seconds)   wrong-status
    html-200   drip (seconds per byte, part headers or body)   unannounced (of recordings begun, not of requests)
The oldest matching delay and the oldest other matching fault act together; seconds are real ones.
"""
