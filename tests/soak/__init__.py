"""Real crashes: SIGKILL of the bot's processes at random moments under load, and what must be true all the same.

plan    how long, how many, which databases
stack   simulated Twilio and the Procfile's processes, kept running by `keeper` as a platform keeps them
load    clients with a key each, that pause and resume the same calls; `calls` has those that are up, `ledger` what
        was acknowledged, `truth` what Twilio really does
killer  SIGKILL, at random moments
checks  what is looked at when it is quiet: settled, nothing lost, the log verifies, no overlap
run     one run on one database, in rounds of kills with a rest after each
report  the table
"""
