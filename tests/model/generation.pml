/*
 * Lock, lease, generation: how processes on several nodes commit into one SQLite database on NFS, and what
 * happens when one is killed, stopped or cut off in the middle, and perhaps wakes up late.
 *
 * In words: docs/explanation/lock-lease-generation.md. How to run it: docs/explanation/models.md.
 *
 * Each process is on a node of its own and wants one commit acknowledged, a set of one bit. The database is
 * two pages that must always say the same; a commit writes one after the other, with the old ones saved in the
 * journal, as SQLite does. What is proved, in every order of steps and faults within the bounds below:
 *
 *   - whoever begins a transaction finds a sound database with every commit that was ever acknowledged,
 *     and with none of which somebody was told that it did not happen        (assert in check_content)
 *   - the same is true of what is left when everything has come to rest          (proctype Auditor)
 *   - every run ends, and then each process that was neither killed nor stopped for ever has its answer: there
 *     is no cycle (pan -l with -DNP) and no invalid end state
 *
 * FENCES: the server refuses writes of a client whose lease is over to files on which it had a lock (NFSv4).
 * Without it (NFSv3) such writes land, however late. A delay needs no step of its own: any process may stand
 * still between two steps for as long as the others need for anything.
 *
 * Not here: readers, time (a waiter may find a holder stuck whenever it likes, `hasty` times also a living
 * one), the removal of old generations a day later, and the cache of an NFS client but for -DNO_REVALIDATE.
 */

#ifndef PROCS
#define PROCS 2
#endif
#ifndef KILLS
#define KILLS 1         /* killed: the kernel frees the locks, the record stays */
#endif
#ifndef STOPS
#define STOPS 0         /* stopped for ever on a living node, or with its whole node on NFSv3: the locks stay */
#endif
#ifndef LOSSES
#define LOSSES 1        /* cut off: the server gives the locks away; the process goes on later */
#endif
#ifndef HASTY
#define HASTY 1         /* holders that are given up though they live */
#endif
#define GENERATIONS (2 + KILLS + STOPS + LOSSES + HASTY)

typedef Generation {
    bool exists;
    bool frozen;
    byte page_a;        /* sets of commits */
    byte page_b;
    bool hot;           /* the journal holds a transaction: whoever opens the database rolls it back */
    byte saved_a;
    byte saved_b;
    byte lock;          /* db.N/lock: process + 1, or 0 */
    byte writing;       /* the record in it: process + 1 while it says "writing", or 0 */
    bool rolling_back;  /* the record says so: who left it may still write the journal's header */
    byte database_lock; /* SQLite's own */
    byte journal_lock;
}
Generation db[GENERATIONS];

bool killed[PROCS], stopped[PROCS];
bool lost_lock[PROCS], lost_database[PROCS], lost_journal[PROCS];       /* by the process that still believes in it */
byte acknowledged, denied;      /* ghosts: what somebody was told */
byte kills = KILLS, stops = STOPS, losses = LOSSES, hasty = HASTY;
byte i, seen_a, seen_b;         /* scratch, used in single steps only */

#define ME (p + 1)
#define MINE (1 << p)
#define G db[n]
#ifdef FENCES
#define REFUSED(lost) (lost)    /* EIO */
#else
#define REFUSED(lost) false
#endif
#define IS_STUCK(who) (n + 1 < GENERATIONS && who != 0 && who != ME && (stopped[who - 1] || hasty > 0))

inline count_haste(who) { hasty = (stopped[who - 1] -> hasty : hasty - 1) }

inline check_content() {
    assert(seen_a == seen_b);
    assert((acknowledged & ~seen_a) == 0);
    assert((denied & seen_a) == 0);
    seen_a = 0; seen_b = 0
}

/* Closing the files: SQLite's lock and that on the journal, then the record and the queue lock. */
inline close_database() {
    G.database_lock = (G.database_lock == ME -> 0 : G.database_lock);
    G.journal_lock = (G.journal_lock == ME -> 0 : G.journal_lock);
    lost_database[p] = false; lost_journal[p] = false
}
inline clear_record() {         /* queuelock.py close: in place, whoever's it is by now */
    G.writing = ((named && !REFUSED(lost_lock[p])) -> 0 : G.writing);
    G.rolling_back = ((named && !REFUSED(lost_lock[p])) -> false : G.rolling_back);
    named = false
}
inline unlock() {
    G.lock = (G.lock == ME -> 0 : G.lock); lost_lock[p] = false
}
inline give_up() { close_database(); clear_record(); unlock(); view_a = 0; view_b = 0 }

/* One process that submits once: store/transaction.py, store/generation.py, store/successor.py. */
proctype Process(byte p)
{
    byte n;                     /* the generation at hand */
    bool named;                 /* this process has put its name into the record */
    bool asks;                  /* the outcome of its commit is unknown, it asks the database by its token */
    byte view_a, view_b;        /* the pages as they were read */
    byte copy_a, copy_b, copy_saved_a, copy_saved_b;
    bool copy_hot;
    {
        true;
find:   /* generation.py current: the first that is not frozen; where there is none, it makes it */
        if
        :: d_step { G.frozen && n + 1 < GENERATIONS && db[n + 1].exists -> n++ }; goto find
        :: G.frozen && !(n + 1 < GENERATIONS && db[n + 1].exists) -> goto make
        :: !G.frozen
        fi;

        /* queuelock.py acquire */
        if
        :: d_step { G.lock == 0 -> G.lock = ME }
        :: G.frozen && G.lock != 0 -> goto find
        :: d_step { G.lock != 0 && IS_STUCK(G.lock) -> count_haste(G.lock) }; goto make
        fi;

        /* transaction.py _begin: still not frozen? and who was here before? */
        if
        :: d_step { G.frozen -> unlock() }; goto find
#if !defined(FENCES) && !defined(NO_RECORD_CHECK)
        :: d_step { !G.frozen && G.writing != 0 && n + 1 < GENERATIONS -> unlock() }; goto make
        :: !G.frozen && G.writing == 0
#elif defined(ROLL_BACK_IN_A_COPY)
        :: d_step { !G.frozen && G.hot && n + 1 < GENERATIONS -> unlock() }; goto make
        :: !G.frozen && !G.hot
#elif defined(UNNAMED_ROLL_BACK)
        :: !G.frozen
#else
        :: d_step { !G.frozen && G.rolling_back && n + 1 < GENERATIONS -> unlock() }; goto make
        :: !G.frozen && !G.rolling_back
#endif
        fi;
        if
        :: d_step { !REFUSED(lost_lock[p]) -> G.writing = ME; named = true; G.rolling_back = G.hot }
        :: d_step { REFUSED(lost_lock[p]) -> give_up() }; goto failed
        fi;

        /* BEGIN IMMEDIATE takes SQLite's lock; a hot journal is rolled back, then its header zeroed. */
begin:  if
#ifndef NO_SQLITE_LOCK
        :: d_step { G.database_lock == 0 -> G.database_lock = ME }
        :: d_step { G.database_lock != 0 -> give_up() };
            if
            :: G.database_lock == 0 || G.frozen -> goto find
            :: d_step { G.database_lock != 0 && IS_STUCK(G.database_lock) -> count_haste(G.database_lock) }; goto make
            fi
#else
        :: true
#endif
        fi;
        if
        :: !G.hot
#ifdef NO_REVALIDATE
        :: G.hot                /* believed from the client's cache: there is no journal */
#else
        :: G.hot ->
            if
            :: d_step { !REFUSED(lost_database[p]) -> G.page_a = G.saved_a }
            :: d_step { REFUSED(lost_database[p]) -> give_up() }; goto failed
            fi;
            if
            :: d_step { !REFUSED(lost_database[p]) -> G.page_b = G.saved_b }
            :: d_step { REFUSED(lost_database[p]) -> give_up() }; goto failed
            fi;
            G.hot = false;      /* nothing has locked the journal yet: this write is not fenced */
            if
            :: d_step { !REFUSED(lost_lock[p]) -> G.rolling_back = false }
            :: d_step { REFUSED(lost_lock[p]) -> give_up() }; goto failed
            fi
#endif
        fi;
        /* It reads, and what was read stays in the caches of SQLite and of this client. */
        d_step { view_a = G.page_a; view_b = G.page_b };
#ifndef NO_JOURNAL_LOCK
        if
        :: d_step { G.journal_lock == 0 -> G.journal_lock = ME }
        :: d_step { G.journal_lock != 0 -> give_up() };
            if
            :: G.journal_lock == 0 || G.frozen -> goto find
            :: d_step { G.journal_lock != 0 && IS_STUCK(G.journal_lock) -> count_haste(G.journal_lock) }; goto make
            fi
        fi;
#endif
        /* The record once more: were the locks lost before that on the journal was taken, this is refused. */
#ifndef NO_SECOND_RECORD
        if
        :: d_step { !REFUSED(lost_lock[p]) -> G.writing = ME }
        :: d_step { REFUSED(lost_lock[p]) -> give_up() }; goto failed
        fi;
#endif
        /* What it has read is what the last one left, if nobody else writes: that is the promise. */
        d_step {
            if
            :: G.frozen || lost_lock[p]         /* its answer will be refused, so it may be anything */
            :: else -> seen_a = view_a; seen_b = view_b; check_content()
            fi
        };
        if
        :: asks ->
            if
            :: d_step { lost_database[p] && REFUSED(true) -> give_up() }; goto failed
            :: d_step { !(lost_database[p] && REFUSED(true)) && (view_a & MINE) != 0 ->
                    acknowledged = acknowledged | MINE; give_up()
                }; goto done
            :: d_step { !(lost_database[p] && REFUSED(true)) && (view_a & MINE) == 0 ->
                    denied = denied | MINE; give_up()
                }; goto done
            fi
        :: !asks
        fi;

        /* COMMIT: the old pages into the journal, the new ones into the database, the journal's header away. */
        if
        :: d_step { !REFUSED(lost_journal[p]) -> G.saved_a = view_a; G.saved_b = view_b; G.hot = true }
        :: REFUSED(lost_journal[p]) -> goto unknown
        fi;
        if
        :: d_step { !REFUSED(lost_database[p]) -> G.page_a = view_a | MINE }
        :: REFUSED(lost_database[p]) -> goto unknown
        fi;
        if
        :: d_step { !REFUSED(lost_database[p]) -> G.page_b = view_b | MINE }
        :: REFUSED(lost_database[p]) -> goto unknown
        fi;
        if
        :: d_step { !REFUSED(lost_journal[p]) -> G.hot = false }
        :: REFUSED(lost_journal[p]) -> goto unknown
        fi;
        d_step { close_database() };

        /* _check_acknowledged: only a commit into a generation that is still not frozen is one. */
#ifndef NO_FROZEN_CHECK
        if
        :: G.frozen -> goto unknown
        :: d_step { !G.frozen -> acknowledged = acknowledged | MINE }
        fi;
#else
        d_step { acknowledged = acknowledged | MINE };
#endif
        d_step { clear_record() };
        d_step { unlock(); view_a = 0; view_b = 0 };
        goto done;

unknown: /* submission.py acknowledged: nothing is repeated, the database is asked */
        if
        :: d_step { give_up(); asks = true }; goto find
        fi;

make:   /* successor.py make: freeze ... */
        if
#ifdef FREEZE_LAST
        :: true
#else
        :: d_step { G.frozen = true }
#endif
        fi;
        if
        :: db[n + 1].exists -> goto find
        :: !db[n + 1].exists
        fi;
copy:   /* ... copy both files, then read both again until they equal the copy ... */
        if
        :: d_step { copy_a = G.page_a }
        fi;
        d_step { copy_b = G.page_b };
        d_step { copy_hot = G.hot; copy_saved_a = G.saved_a; copy_saved_b = G.saved_b };
#ifndef NO_COMPARE
        if
        :: copy_a != G.page_a -> goto copy
        :: copy_a == G.page_a
        fi;
        if
        :: copy_b != G.page_b -> goto copy
        :: copy_b == G.page_b
        fi;
        if
        :: copy_hot != G.hot || copy_saved_a != G.saved_a || copy_saved_b != G.saved_b -> goto copy
        :: copy_hot == G.hot && copy_saved_a == G.saved_a && copy_saved_b == G.saved_b
        fi;
#endif
        /* ... roll back in the copy, check it, and rename it into place unless there is one. */
        d_step {
            copy_a = (copy_hot -> copy_saved_a : copy_a);
            copy_b = (copy_hot -> copy_saved_b : copy_b);
            assert(copy_a == copy_b);           /* integrity_check */
            if
            :: !db[n + 1].exists ->
                db[n + 1].exists = true; db[n + 1].page_a = copy_a; db[n + 1].page_b = copy_b
            :: else
            fi;
#ifdef FREEZE_LAST
            G.frozen = true;
#endif
            copy_a = 0; copy_b = 0; copy_hot = 0; copy_saved_a = 0; copy_saved_b = 0
        };
        goto find;

failed: /* An error before COMMIT: "nothing was submitted". A question that failed may be asked again. */
        if
        :: d_step { !asks -> denied = denied | MINE }
        :: asks -> goto find
        fi
    } unless { killed[p] || stopped[p] };
done:
    if
    :: d_step {
        n = 0; named = false; asks = false; view_a = 0; view_b = 0;
        copy_a = 0; copy_b = 0; copy_hot = 0; copy_saved_a = 0; copy_saved_b = 0
    }
    fi
}

inline take_locks(p) {
    for (i : 0 .. GENERATIONS - 1) {
        if
        :: db[i].lock == p + 1 -> db[i].lock = 0; lost_lock[p] = true
        :: else
        fi;
        if
        :: db[i].database_lock == p + 1 -> db[i].database_lock = 0; lost_database[p] = true
        :: else
        fi;
        if
        :: db[i].journal_lock == p + 1 -> db[i].journal_lock = 0; lost_journal[p] = true
        :: else
        fi
    }
    i = 0
}

active proctype Fate()
{
    byte p;
    atomic {
        db[0].exists = true;
        for (i : 0 .. PROCS - 1) { run Process(i) }
        i = 0
    }
end:do
    :: atomic { kills > 0 -> kills--; select(p : 0 .. PROCS - 1);
            if
            :: true             /* a fault less */
            :: !stopped[p] -> killed[p] = true; take_locks(p);
                lost_lock[p] = false; lost_database[p] = false; lost_journal[p] = false
            fi;
            p = 0
        }
    :: atomic { stops > 0 -> stops--; select(p : 0 .. PROCS - 1);
            if
            :: true
            :: !killed[p] -> stopped[p] = true
            fi;
            p = 0
        }
    :: atomic { losses > 0 -> losses--; select(p : 0 .. PROCS - 1);
            if
            :: true
            :: take_locks(p)
            fi;
            p = 0
        }
    od
}

/* When nothing moves any more: what the next one would find. */
active proctype Auditor()
{
    byte n;
    timeout ->
    d_step {
        do
        :: n + 1 < GENERATIONS && db[n + 1].exists -> n++
        :: else -> break
        od;
        seen_a = (G.hot -> G.saved_a : G.page_a);
        seen_b = (G.hot -> G.saved_b : G.page_b);
        check_content();
        for (i : 0 .. PROCS - 1) {
            assert(killed[i] || stopped[i] || ((acknowledged | denied) & (1 << i)) != 0)
        }
    }
}
