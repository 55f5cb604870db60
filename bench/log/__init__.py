"""What the log costs, as ratios in one run: `python -m bench log`.

::

    append      one entry with its head, one writer, beside a bare INSERT of the same row with its commit
    fill        a long log, made quickly: straight into the tables, with a head that fits
    verify      an export verified, beside reading and hashing the same file without any tree
    export      the memory that `bot audit export` takes for a long log
    run         all of it in order
"""
