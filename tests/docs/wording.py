"""What reference and manual page say that no command knows: environment, exit statuses, short options."""

from __future__ import annotations

ENVIRONMENT = (
    ("RQ_Q, RQ_QUEUE", "The queue, where none is named. The first that is set and not empty counts."),
    (
        "RQ_OPTS, RQ_OPTIONS",
        "Further options, quoted as in a shell. The first that is set counts. Each option holds for every "
        "mode that has it, and the command line wins.",
    ),
    ("RQ_EDITOR", "What ioview opens streams with, vim -R -o unless set."),
    ("RQ_NODE", "The name of this node, instead of its host name."),
    ("RQ_SQL_DEBUG", "Set to 1, every SQL statement is shown."),
    ("RQ_DEBUG", "Set to 1, an error comes with a traceback."),
    ("XDG_DATA_HOME", "Below it is your own default queue, rqpy/queue. Unless set it is ~/.local/share."),
)

EXIT_STATUS = (
    ("0", "All is well."),
    ("1", "It failed, or nothing matched."),
    ("2", "The request makes no sense: wrong usage, or input that is not valid."),
    ("75", "The queue lock could not be had in the time of --timeout."),
    ("124", "A wait timed out."),
    ("130", "Ended by Ctrl-C."),
)

SHORT_OPTIONS = (
    (
        "-s",
        "--snapshot in the modes that read (status -s, list -s), --stdin in those that give jobs a stdin.",
    ),
    (
        "-l",
        "--log (feed -l FILE); behind the command of a submit it belongs to that, and so does -v. As a word, "
        "l is list.",
    ),
    (
        "-d",
        "--daemon of feed, as in rq's text; -D, as in rq's table of options, too. As a word, d is delete.",
    ),
    ("-t", "--tag (submit -timportant). As a word, t is status."),
    (
        "-f",
        "--fields in the modes that print jobs; --max-feed in those that start a feeder, which print none. "
        "As a word, f is feed, and behind a mode the state finished.",
    ),
    ("-e", "--editor of ioview, --stderr of tail. As a word, e is execute."),
    ("-q", "--quiet. As a word, q is query, or a queue where there is one of that name."),
    ("-p", "--priority. As a word, p is the state pending; snapshot is S, as in rq's table."),
    ("r, R", "resubmit and rotate, as in rq's table; rq's text has r for rotate too."),
)
