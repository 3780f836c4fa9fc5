-- The database of one queue. Equal to the sum of migrations/, which a test checks.
-- No SQLite feature newer than 3.34 (Enterprise Linux 9). Times are UTC text as
-- 2026-11-20 15:06:49.514387Z, which sorts as time does and is what `rqpy query` compares with.

PRAGMA user_version = 1;

-- One row, changed by every new generation.
CREATE TABLE generation (
    number INTEGER NOT NULL,
    maker  TEXT NOT NULL                -- token of the process that made it
);

CREATE TABLE jobs (
    jid             INTEGER PRIMARY KEY AUTOINCREMENT,  -- AUTOINCREMENT: never used again
    priority        INTEGER NOT NULL,
    state           TEXT NOT NULL
                    CHECK (state IN ('pending', 'holding', 'running', 'finished', 'dead')),
    submitted       TEXT NOT NULL,
    started         TEXT,
    finished        TEXT,
    elapsed         REAL,               -- seconds, by the node's own steady clock
    submitter       TEXT NOT NULL,      -- node
    runner          TEXT,               -- node that ran the job
    required_runner TEXT,               -- the only node that may run it
    has_stdin       INTEGER NOT NULL DEFAULT 0,
    has_data        INTEGER NOT NULL DEFAULT 0,
    pid             INTEGER,
    exit_status     INTEGER,
    signal          INTEGER,
    reason          TEXT,               -- why it is dead, or ended before its command
    attempt         INTEGER NOT NULL DEFAULT 0,         -- claims so far
    user_cpu        REAL,               -- seconds
    system_cpu      REAL,               -- seconds
    max_rss         INTEGER,            -- bytes
    tag             TEXT,
    restartable     INTEGER NOT NULL DEFAULT 0,
    cwd             TEXT,
    env             TEXT,               -- JSON object of the variables handed over
    command         TEXT NOT NULL,
    token           TEXT NOT NULL DEFAULT '',           -- names the current claim
    feeder          TEXT,               -- <node>.<uid> that made the claim
    -- What keeps a pending job from running, evaluated by the transitions that change it:
    -- NULL no feeder may claim it, '' any may, else the one node that may.
    ready           TEXT
);

-- The claim: two short range scans, '' and this node, whatever else is waiting.
CREATE INDEX jobs_ready ON jobs (ready, priority DESC, jid) WHERE ready IS NOT NULL;
-- Lists and counts per state, and the oldest and newest of each.
CREATE INDEX jobs_state ON jobs (state, submitted);
-- What a feeder, or who buries it, finds running under its name.
CREATE INDEX jobs_running ON jobs (feeder) WHERE state = 'running';

-- Submits of the last day, and the last thousand whatever the clocks say: after an ambiguous COMMIT a submitter asks here whether it happened.
CREATE TABLE submits (
    token     TEXT PRIMARY KEY,
    first_jid INTEGER NOT NULL,
    count     INTEGER NOT NULL,
    submitted TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX submits_first_jid ON submits (first_jid);

-- Jobs that were deleted and whose streams and data are still to be removed: that is done without the lock,
-- and by the next feeder that starts when whoever deleted them was killed.
CREATE TABLE removals (jid INTEGER PRIMARY KEY);
