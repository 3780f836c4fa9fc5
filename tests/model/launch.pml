/*
 * Claim and launch: how one job goes from the database to a process on a node, and what is left when a
 * feeder, a runner or a whole node is killed, frozen or cut off on the way.
 *
 * In words: docs/explanation/claim-and-launch.md. How to run it: docs/explanation/models.md.
 *
 * There is one job and there are two nodes, each with a feeder and a runner. A transaction is one atomic
 * step here: that it is one is what generation.pml is about. Time is counted in halves of node_lease.
 * What is proved, in every order of steps and faults within the bounds below:
 *
 *   - a job that is not restartable is started at most once                    (assert in the runner's go)
 *   - attempts of a restartable one do not overlap, but for the moment after a freeze   (check_overlap)
 *   - an attempt is finished by its own exit only, after it has ended, by itself      (assert in tx_finish)
 *   - when faults are over, everything comes to rest with the job finished, or dead if it is not
 *     restartable: nothing is lost, and nothing waits for ever                       (proctype Auditor)
 *
 * Assumed: processes that must be ended can be (none sleeps in the kernel), cron starts a feeder again,
 * and while a machine runs on, half of a lease is enough for a living runner or feeder to take its next
 * step (may_lapse). The names behind -D that break it are listed in test_model.py.
 */

#ifndef FAULTS
#define FAULTS 2        /* kills, power cuts, lost journals, freezes, cuts: of node 0, or -DFAULTS_ON_BOTH */
#endif
#ifndef LAPSES
#define LAPSES 2        /* halves of a lease that pass without a renewal */
#endif
#ifndef DOUBTS
#define DOUBTS 1        /* commits of unknown outcome */
#endif
#define NODES 2
#define LAST 8          /* attempts: a job for which these are not enough is found at the end as not finished */
#define MAY_CLAIM (state == pending && claims_made < LAST)

/* ------------------------------- the row of the job (rq_py/claims.py) ------------------------------- */

mtype = { pending, running, finished, dead };
mtype state = pending;
bool restartable;       /* chosen at the beginning, both are tried */
byte attempt;           /* with `journal_in_token` and the number of the claim: what a guard compares */
byte owner;             /* the node under whose name it runs */
byte journal_in_token;
bool node_lost;         /* the reason of `dead` */
byte claims_made;       /* each claim is an attempt of its own */

/* --------------- attempts: the process, and what the runner's journal and memory say --------------- */

byte home[LAST + 1];    /* the node on which this attempt was claimed */
bool alive[LAST + 1];   /* its process runs */
bool mine[LAST + 1];    /* in a shell of the runner that runs now */
bool going[LAST + 1];   /* journal: told to go, no exit yet */
bool exited[LAST + 1];  /* journal: an exit that no feeder has confirmed */
bool condemned[LAST + 1];       /* the switch has ended it; its exit says so (lease_lost) */
byte starts;            /* ghost: how often a job that is not restartable was started, or 1 */

/* ------------------------------------------- the nodes ------------------------------------------- */

bool killed[NODES];     /* the feeder has just been killed */
bool feeds[NODES];      /* a feeder process is there */
bool runs[NODES];       /* a runner process is there */
bool connected[NODES];  /* that feeder with that runner */
byte order[NODES];      /* a launch that was sent, and is not yet read, or waits for a free slot (runner/orders.py) */
byte launching[NODES];  /* the runner is between "going" and the word */
byte unwritten[NODES];  /* only with GO_BEFORE_JOURNAL: between the word and "going" */
byte answer[NODES];
byte journal[NODES];    /* the id of the runner's journal */
bool frozen[NODES];     /* the whole machine */
bool woken[NODES];      /* ... and its runner has not had its next turn yet */
bool cut[NODES];        /* off the queue's file system */
bool told[NODES];       /* this runner has heard of a renewal */
byte lease[NODES];      /* halves of node_lease since Q/feeders/<node> was last changed, 2 at most */
byte known[NODES];      /* ... since the renewal of which the runner knows */
#ifdef CLOCK_STANDS_STILL
byte known_before[NODES];
#endif
#define LAUNCHED 1
#define REFUSED 2

byte faults = FAULTS, lapses = LAPSES, doubts = DOUBTS;
byte i, unexcused;      /* scratch, used in single steps only */

#define EACH(a) a : 1 .. LAST
#define ANY(is, n) (is(n, 1) || is(n, 2) || is(n, 3) || is(n, 4) || is(n, 5) || is(n, 6) || is(n, 7) || is(n, 8))
#define overdue(n) (told[n] && known[n] >= 1)

/* Not more than one attempt runs, except on a machine that is frozen or has just woken up. */
inline check_overlap() {
    unexcused = 0;
    for (EACH(i)) {
        unexcused = unexcused + (alive[i] && !frozen[home[i]] && !woken[home[i]])
    }
    assert(unexcused <= 1);
    unexcused = 0; i = 0
}

/* ------------------------------ guarded transitions (rq_py/claims.py) ------------------------------ */

#ifdef NO_GUARD
#define GUARD(a) true
#else
#define GUARD(a) (attempt == a)
#endif

inline tx_release(a) {
    if
    :: GUARD(a) && state == running -> state = pending
    :: else
    fi
}
inline tx_bury(a, is_lost) {
    if
    :: GUARD(a) && state == running && restartable -> state = pending
    :: GUARD(a) && state == running && !restartable -> state = dead; node_lost = is_lost
    :: else
    fi
}
#ifdef ENDED_IS_FINISHED
#define IS_OUTCOME(a) true
#else
#define IS_OUTCOME(a) (!condemned[a])
#endif
inline tx_finish(a) {
    if
    :: IS_OUTCOME(a) && GUARD(a) && (state == running || (state == dead && node_lost)) ->
        state = finished;
        assert(attempt == a && !alive[a] && !condemned[a])
    :: !IS_OUTCOME(a) -> tx_bury(a, true)
    :: else
    fi
}
inline tx_claim(n, id) {
    claims_made++;
    state = running; attempt = claims_made; owner = n; journal_in_token = id;
    home[attempt] = n
}

/* -------------------------------------- the runner (rq_py/runner) -------------------------------------- */

/* deadman.py: end the restartable jobs when half of the lease has passed. */
inline dead_mans_switch(n) {
    for (EACH(i)) {
        if
#ifndef NO_DEAD_MANS_SWITCH
        :: overdue(n) && restartable && mine[i] && alive[i] && home[i] == n ->
            alive[i] = false; condemned[i] = true
#endif
        :: else
        fi
    }
    woken[n] = false; i = 0;
    check_overlap()
}

#define SWITCH_HAS_WORK(n) (woken[n] || (overdue(n) && restartable && CAN_END(n)))
#define ENDS_HERE(n, a) (mine[a] && alive[a] && home[a] == n)
#ifdef NO_DEAD_MANS_SWITCH
#define CAN_END(n) false
#else
#define CAN_END(n) ANY(ENDS_HERE, n)
#endif

#define IS_OVER(n, a) (mine[a] && !alive[a] && home[a] == n)

proctype Runner(byte n) provided (!frozen[n])
{
    byte a;
end:do
    /* requests.py _launch, shells.py launch: first the journal says "going" ... */
    :: d_step { runs[n] && launching[n] == 0 && unwritten[n] == 0 && order[n] != 0 ->
            a = order[n]; order[n] = 0;
            if
            :: going[a] || exited[a] -> answer[n] = REFUSED
#ifndef NO_OVERDUE_CHECK
            :: !(going[a] || exited[a]) && restartable && overdue(n) -> answer[n] = REFUSED
#endif
            :: else ->
                launching[n] = a;
#ifndef GO_BEFORE_JOURNAL
                going[a] = true
#endif
            fi;
            a = 0
        }
    /* ... and then the shell gets its script and its word. */
    :: d_step { runs[n] && launching[n] != 0 ->
            a = launching[n]; launching[n] = 0;
            alive[a] = true; mine[a] = true;
            starts = (restartable -> 1 : starts + 1);
            assert(restartable || starts == 1);
            assert(!restartable || told[n]);    /* or the switch would not know when */
            check_overlap();
#ifdef GO_BEFORE_JOURNAL
            unwritten[n] = a;
#else
            answer[n] = LAUNCHED;
#endif
            a = 0
        }
#ifdef GO_BEFORE_JOURNAL
    :: d_step { runs[n] && unwritten[n] != 0 ->
            going[unwritten[n]] = true; unwritten[n] = 0; answer[n] = LAUNCHED
        }
#endif
    /* server.py _look_at_deadlines */
    :: d_step { runs[n] && launching[n] == 0 && SWITCH_HAS_WORK(n) -> dead_mans_switch(n) }
    :: d_step { !runs[n] && woken[n] -> woken[n] = false; check_overlap() }
    /* shells.py reap: how a job ended is in the journal before anybody is told. */
    :: d_step { runs[n] && launching[n] == 0 && unwritten[n] == 0 &&
            ANY(IS_OVER, n) ->
            for (EACH(i)) {
                if
                :: mine[i] && !alive[i] && home[i] == n -> mine[i] = false; going[i] = false; exited[i] = true
                :: else
                fi
            }
            i = 0
        }
    od
}

/* A job ends by itself whenever it likes. */
#define MAY_END(a) (alive[a] && !frozen[home[a]])
active proctype Jobs()
{
end:do
    :: d_step { MAY_END(1) -> alive[1] = false }
    :: d_step { MAY_END(2) -> alive[2] = false }
    :: d_step { MAY_END(3) -> alive[3] = false }
    :: d_step { MAY_END(4) -> alive[4] = false }
    :: d_step { MAY_END(5) -> alive[5] = false }
    :: d_step { MAY_END(6) -> alive[6] = false }
    :: d_step { MAY_END(7) -> alive[7] = false }
    :: d_step { MAY_END(8) -> alive[8] = false }
    od
}

/* -------------------------------------- the feeder (rq_py/feeder) -------------------------------------- */

#define EXIT_AT(n, a) (exited[a] && home[a] == n)
#define HAS_EXITS(n) ANY(EXIT_AT, n)
#define OTHER(n) (1 - n)
#define RUNS_AT(n) (state == running && owner == n)
#define LOST_HERE(n, a) (alive[a] && mine[a] && home[a] == n && !(state == running && attempt == a))
#define HAS_LOST_RUNS(n) ANY(LOST_HERE, n)

typedef Memory {                /* what dies with the feeder */
    bool runs_here[LAST + 1];   /* of the runner's hello */
    bool ended[LAST + 1];       /* exits that are not known to be in the database */
    bool orphans[LAST + 1];
    byte journal;
    mtype row_state;            /* of the reconciliation's first transaction */
    byte row_attempt;
    byte claim;                 /* made by the transaction at hand */
    byte waits;                 /* given to the runner, which has not said what became of it */
    bool in_doubt;
    bool renewed;               /* has a lease */
    bool sulks;                 /* refused: no further claim before a renewal (slots.py launching) */
}
Memory memory[NODES];
#define M memory[n]

inline forget_all(n) {
    for (EACH(i)) { M.runs_here[i] = false; M.ended[i] = false; M.orphans[i] = false }
    M.journal = 0; M.row_state = 0; M.row_attempt = 0; M.claim = 0; M.waits = 0;
    M.in_doubt = false; M.renewed = false; M.sulks = false; i = 0
}

inline kill_process(a) {
    if
    :: alive[a] -> alive[a] = false
    :: else
    fi
}

/* What M.ended says goes into the database; a second time that changes nothing. */
inline tx_finish_ended(n) {
    for (EACH(i)) {
        if
        :: M.ended[i] -> tx_finish(i)
        :: else
        fi
    }
    i = 0
}

/* loop.py _tick: one transaction finishes what ended and claims. Its outcome may stay unknown. */
inline transaction(n) {
    if
    :: true ->
        tx_finish_ended(n);
        if
        :: MAY_CLAIM && !M.sulks && M.waits == 0 -> tx_claim(n, M.journal); M.claim = attempt
        :: else
        fi;
        if
        :: true
        :: doubts > 0 -> doubts--; M.in_doubt = true; M.claim = 0
        fi
    :: doubts > 0 -> doubts--; M.in_doubt = true        /* nothing was committed */
    fi
}

/* slots.py confirm: the runner forgets what the database has. */
inline forget_ended(n) {
    for (EACH(i)) {
        if
        :: M.ended[i] ->
            exited[i] = false; condemned[i] = false; M.ended[i] = false
        :: else
        fi
    }
    i = 0
}

/* leases.py introduce: the runner is told the time from before the renewal. */
inline tell_renewal(n) {
#ifndef RENEWAL_BEFORE_SWITCH
    dead_mans_switch(n);        /* requests.py _renewed: what is overdue ends, whatever has come since */
#endif
#ifndef ORDERS_OUTLIVE_THE_LEASE
    if          /* and what waits is refused, or a free slot would launch it when others may have it */
    :: overdue(n) && restartable && order[n] != 0 -> order[n] = 0; answer[n] = REFUSED
    :: else
    fi;
#endif
    told[n] = true; known[n] = lease[n];
#ifdef CLOCK_STANDS_STILL
    known_before[n] = known[n];
#endif
    woken[n] = false;
    check_overlap()
}

proctype Feeder(byte n) provided (!frozen[n])
{
end:do
    :: {
        feeds[n] = true;

attach: /*
         * session.attach: connect, or start a runner, which loads the journal: what it finds is no child of it.
         * session.agree: hello. A connection that is replaced is not read any more (server.py _greet).
         * reconcile.py: restartable orphans end before the queue is asked: the node may be cut off from it.
         */
        if
        :: d_step { launching[n] == 0 && unwritten[n] == 0 ->
            told[n] = told[n] && runs[n];
            runs[n] = true; connected[n] = true; order[n] = 0; answer[n] = 0;
            for (EACH(i)) {
                M.runs_here[i] = mine[i] && home[i] == n;
                M.ended[i] = M.ended[i] || EXIT_AT(n, i);
                M.orphans[i] = going[i] && !mine[i] && home[i] == n && !M.ended[i];
                if
#ifndef ORPHANS_AFTER_READ
                :: M.orphans[i] && restartable -> kill_process(i)
#endif
                :: else
                fi
            }
            M.journal = journal[n]; M.claim = 0; M.waits = 0; M.in_doubt = false; i = 0
        }
        fi;
        /* Its first transaction reads; leftovers.py, outside of any, ends what is to be buried. */
        if
        :: d_step { connected[n] && !cut[n] ->
                M.row_state = state; M.row_attempt = (owner == n -> attempt : 0);
                for (EACH(i)) {
                    if
#ifndef BURY_WITHOUT_ENDING
                    :: M.orphans[i] -> kill_process(i)
                    :: !M.orphans[i] && M.row_state == running && i == M.row_attempt && !M.runs_here[i] &&
                            !M.ended[i] && journal_in_token != M.journal -> kill_process(i)
#endif
                    :: else
                    fi
                }
                i = 0
            }
        :: !connected[n] -> goto attach
        fi;

        /* reconcile.py plan and reconcile: one transaction. */
        if
        :: d_step { !cut[n] ->
                tx_finish_ended(n);
                if
                :: M.row_state != running || M.row_attempt == 0 || M.runs_here[M.row_attempt] ||
                        M.ended[M.row_attempt]
                :: else ->
                    if
                    :: M.orphans[M.row_attempt] -> tx_bury(M.row_attempt, false)
                    :: !M.orphans[M.row_attempt] && journal_in_token == M.journal -> tx_release(M.row_attempt)
                    :: else ->
#ifdef MISSING_JOURNAL_PROVES
                        tx_release(M.row_attempt)
#else
                        tx_bury(M.row_attempt, false)
#endif
                    fi
                fi
            }
        :: !connected[n] -> goto attach
        fi;

        /* The runner forgets what the database has; restartable jobs whose claim was lost are ended. */
        if
        :: d_step { connected[n] && launching[n] == 0 ->
                for (EACH(i)) {
                    if
                    :: M.ended[i] -> exited[i] = false; condemned[i] = false; M.ended[i] = false
                    :: M.orphans[i] -> going[i] = false; M.orphans[i] = false
                    :: else
                    fi;
                    if
                    :: M.runs_here[i] && restartable && !(M.row_state == running && M.row_attempt == i) ->
                        kill_process(i)
                    :: else
                    fi;
                    M.runs_here[i] = false
                }
                M.row_state = 0; M.row_attempt = 0; i = 0;
                if
                :: M.renewed -> tell_renewal(n)
                :: else
                fi
            }
        :: !connected[n] -> goto attach
        fi;

        /* A feeder without a lease must not claim (session.py, leases.begin). */
        if
        :: M.renewed
        :: !M.renewed ->
            if
            :: d_step { connected[n] && launching[n] == 0 && !cut[n] ->
                    lease[n] = 0; M.renewed = true; tell_renewal(n)
                }
            :: !connected[n] -> goto attach
            fi
        fi;

        /* loop.py */
end_loop:
        do
        :: !connected[n] -> goto attach

        /* one tick: finish what ended, claim, commit, launch, confirm */
        :: atomic { connected[n] && !cut[n] && (HAS_EXITS(n) || (MAY_CLAIM && !M.sulks && M.waits == 0)) ->
                for (EACH(i)) { M.ended[i] = M.ended[i] || EXIT_AT(n, i) }
                i = 0;
#if defined(LAUNCH_BEFORE_COMMIT) || defined(FORGET_BEFORE_RECORDED)
            };
#else
                transaction(n)
            };
#endif
#ifdef FORGET_BEFORE_RECORDED
            d_step {
                for (EACH(i)) { exited[i] = exited[i] && !M.ended[i] }
                i = 0
            };
            if
            :: atomic { !cut[n] -> transaction(n) }
            :: !connected[n] -> goto attach
            fi;
#endif
#ifdef LAUNCH_BEFORE_COMMIT
            if
            :: d_step { connected[n] && MAY_CLAIM && !M.sulks ->
                    claims_made++; home[claims_made] = n;
                    order[n] = claims_made; answer[n] = 0; M.claim = claims_made
                }
            :: else
            fi;
            if
            :: M.claim == 0 || answer[n] != 0 -> answer[n] = 0
            :: !connected[n] -> goto attach
            fi;
            if
            :: d_step { !cut[n] ->
                    tx_finish_ended(n);
                    if
                    :: M.claim != 0 && state == pending ->
                        state = running; attempt = M.claim; owner = n; journal_in_token = M.journal
                    :: else
                    fi;
                    M.claim = 0
                }
            :: !connected[n] -> goto attach
            fi;
#else
            /* loop.py _settle: nothing is repeated, the database is asked what is true. */
            if
            :: M.in_doubt ->
                if
                :: d_step { !cut[n] ->
                        tx_finish_ended(n);
                        M.in_doubt = false;
                        M.claim = ((RUNS_AT(n) && journal_in_token == M.journal && !going[attempt] &&
                            !exited[attempt] && !mine[attempt] && attempt != M.waits) -> attempt : 0)
                    }
                :: !connected[n] -> goto attach
                fi
            :: else
            fi;
            /* What is claimed is ordered, and the runner launches it when it likes: that may be ahead of a slot. */
            if
            :: M.claim == 0
            :: M.claim != 0 ->
                if
                :: d_step { connected[n] -> order[n] = M.claim; answer[n] = 0; M.waits = M.claim; M.claim = 0 }
                :: !connected[n] -> goto attach
                fi
            fi;
#endif
            if
            :: d_step { connected[n] -> forget_ended(n) }
            :: !connected[n] -> goto attach
            fi

        /* slots.py collect: what became of an order; what was refused is released by the next transaction */
        :: d_step { connected[n] && M.waits != 0 && answer[n] == LAUNCHED -> answer[n] = 0; M.waits = 0 }
        :: d_step { connected[n] && M.waits != 0 && answer[n] == REFUSED && !cut[n] ->
                answer[n] = 0; tx_release(M.waits); M.waits = 0; M.sulks = true
            }

        /* leases.py keep: renew, then tell the runner */
        :: d_step { connected[n] && !cut[n] && (lease[n] > 0 || known[n] > 0 || M.sulks) -> lease[n] = 0 };
            if
            :: d_step { connected[n] && launching[n] == 0 -> tell_renewal(n); M.sulks = false }
            :: !connected[n] -> goto attach
            fi

        /* ring.py, leases.py _bury: a neighbour whose lease did not change for a whole node_lease */
        :: connected[n] && !cut[n] && lease[OTHER(n)] == 2 && RUNS_AT(OTHER(n)) ->
            if
            :: d_step { !cut[n] ->
                    if
#ifdef BURY_WITHOUT_A_LAST_LOOK
                    :: RUNS_AT(OTHER(n)) -> tx_bury(attempt, true)
#else
                    :: RUNS_AT(OTHER(n)) && lease[OTHER(n)] == 2 -> tx_bury(attempt, true)
#endif
                    :: else
                    fi
                }
            :: !connected[n] -> goto attach
            fi

        /* slots.py end_lost_runs, with every full tick */
        :: d_step { connected[n] && !cut[n] && launching[n] == 0 && restartable && HAS_LOST_RUNS(n) ->
                for (EACH(i)) {
                    if
                    :: LOST_HERE(n, i) -> kill_process(i)
                    :: else
                    fi
                }
                i = 0
            }
        od
    } unless { killed[n] };
        atomic { killed[n] = false; forget_all(n) }
    od
}

/* ------------------------------------------- what goes wrong ------------------------------------------- */

inline kill_feeder(n) { killed[n] = true; feeds[n] = false; connected[n] = false }

inline kill_runner(n) {         /* its ready shells read the end of their pipe; jobs run on as orphans */
    runs[n] = false; connected[n] = false; order[n] = 0; launching[n] = 0; unwritten[n] = 0; answer[n] = 0;
    for (EACH(i)) {
        if
        :: home[i] == n -> mine[i] = false; condemned[i] = condemned[i] && exited[i]
        :: else
        fi
    }
    i = 0
}

inline lose_journal(n) {        /* deleted or damaged: the next one has another id */
    journal[n]++;
    for (EACH(i)) {
        if
        :: home[i] == n -> going[i] = false; exited[i] = false; condemned[i] = false
        :: else
        fi
    }
    i = 0
}

inline cut_power(n) {
    kill_feeder(n); kill_runner(n); woken[n] = false;
    for (EACH(i)) {
        if
        :: home[i] == n -> alive[i] = false
        :: else
        fi
    }
    if
    :: lose_journal(n)          /* what was not yet on the disk */
    :: journal[n]++; i = 0      /* another boot: another id, the records are there */
    fi
}

/*
 * May another half of node_lease pass on node n without a renewal? Not while a living process of ours has a
 * step to take there that takes seconds: half a lease is minutes.
 */
#define RUNS_ON(n, a) (alive[a] && home[a] == n && (mine[a] || KEEPS_ORPHANS(n)))
#define ANY_RUNS_ON(n) ANY(RUNS_ON, n)
/* An orphan lives on only where feeder and runner are both gone, for the whole rest of the lease: that is the
   exception in claim-and-launch.md, and left out here, unless ... */
#ifdef BOTH_STAY_AWAY
#define KEEPS_ORPHANS(n) feeds[n]
#else
#ifdef ORPHANS_AFTER_READ
#define KEEPS_ORPHANS(n) !(feeds[n] && cut[n])
#else
#define KEEPS_ORPHANS(n) true
#endif
#endif
#ifdef NO_DEAD_MANS_SWITCH
#define HOLDS_TIME(n) false
#else
#define HOLDS_TIME(n) (ANY_RUNS_ON(n) || launching[n] != 0)
#endif
#define ORPHAN_ON(n, a) (alive[a] && home[a] == n && !mine[a])
#define ANY_ORPHAN_ON(n) ANY(ORPHAN_ON, n)
#define may_lapse(n) (lapses > 0 && lease[n] < 2 && (lease[n] == 0 || !restartable || \
    (frozen[n] && !ANY_ORPHAN_ON(n)) || !HOLDS_TIME(n)))

inline lapse(n) {
    lapses--;
    lease[n] = (lease[n] < 2 -> lease[n] + 1 : 2);
    known[n] = (known[n] < 2 -> known[n] + 1 : 2)
}

inline thaw(n) {
    frozen[n] = false; woken[n] = true;
#ifdef CLOCK_STANDS_STILL
    known[n] = known_before[n];         /* a VM whose CLOCK_BOOTTIME knows nothing of the pause */
#endif
}

active proctype Fate()
{
    byte n;
    atomic {
        if
        :: restartable = true
        :: restartable = false
        fi;
        run Feeder(0); run Feeder(1); run Runner(0); run Runner(1)
    }
end:do
    :: atomic { faults > 0 && !woken[0] && !woken[1] ->         /* not within that second */
            faults--;
            if
            :: n = 0
#ifdef FAULTS_ON_BOTH
            :: n = 1
#endif
            fi;
            if
            :: true             /* a fault less */
            :: feeds[n] && !frozen[n] -> kill_feeder(n)
            :: runs[n] && !frozen[n] -> kill_runner(n)
            :: feeds[n] && !frozen[n] -> kill_feeder(n); kill_runner(n)
            :: cut_power(n)
            :: !frozen[n] -> kill_feeder(n); kill_runner(n); lose_journal(n)
            :: !frozen[n] -> frozen[n] = true
            :: !cut[n] -> cut[n] = true
            fi;
            n = 0
        }
    :: atomic { may_lapse(0) -> lapse(0) }
    :: atomic { may_lapse(1) -> lapse(1) }
    :: atomic { lapses > 0 -> lapses-- }
    :: atomic { frozen[0] -> thaw(0) }
    :: atomic { frozen[1] -> thaw(1) }
    :: cut[0] -> cut[0] = false
    :: cut[1] -> cut[1] = false
    od
}

/* When nothing moves any more. */
active proctype Auditor()
{
    timeout ->
#ifndef NO_AUDIT
    assert(state == finished || (state == dead && !restartable));
#endif
    assert(state != finished || starts > 0);
    assert(!HAS_EXITS(0) && !HAS_EXITS(1))
}
