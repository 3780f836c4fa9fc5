-- The database of one queue. Equal to the sum of migrations/, which a test checks.
-- No SQLite feature newer than 3.34 (Enterprise Linux 9). Times are UTC text as
-- 2026-11-20 15:06:49.514387Z, which sorts as time does and is what `rqpy query` compares with.

PRAGMA user_version = 4;

-- One row, changed by every new generation.
CREATE TABLE generation (
    number INTEGER NOT NULL,
    maker  TEXT NOT NULL                -- token of the process that made it
);

-- What later schemas have added stands at the end, in SQLite's own spelling: `links` is a set of bits, 1 for a job
-- that is after others, 2 for one that others are after; `collect` says that its stdin is what those wrote; `key`
-- is what at most one job has that waits or runs; `kind` is human for a job that a person completes, `completed_by`
-- says who has, and `note` what was said about it.
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
    -- What keeps a pending job from running: a set of bits, one for each kind of condition that is not met.
    -- 1 time, 2 other jobs, 4 its sequence, 8 paused, 16 its array's limit, 32 a person. Each kind sets and
    -- clears its own bit only, by evaluating its condition anew.
    waits           INTEGER NOT NULL DEFAULT 0,
    needs           TEXT,               -- the resources that it needs, in canonical order
    not_before      TEXT,               -- the time before which it is not claimed
    expires         TEXT,               -- the time at which it is dead if it was not claimed
    timeout         REAL,               -- seconds that an attempt may take
    retries         INTEGER NOT NULL DEFAULT 0,         -- how often it is tried again when it has failed
    retried         INTEGER NOT NULL DEFAULT 0,         -- how often it was, since it was submitted
    backoff         REAL,               -- seconds before the first retry; twice as many before each further
    -- Who may claim it: NULL no feeder, '' any, else the one node; after a / what it needs.
    ready           TEXT GENERATED ALWAYS AS (
        CASE WHEN state = 'pending' AND waits = 0
             THEN coalesce(required_runner, '') || coalesce('/' || needs, '') END
    ) VIRTUAL,
    -- When a feeder must look at it, though nothing else changes it.
    due             TEXT GENERATED ALWAYS AS (
        CASE WHEN state NOT IN ('pending', 'holding') THEN NULL
             WHEN waits & 1 AND (expires IS NULL OR not_before <= expires) THEN not_before
             ELSE expires END
    ) VIRTUAL
, links INTEGER NOT NULL DEFAULT 0, collect INTEGER NOT NULL DEFAULT 0, key TEXT, kind TEXT, completed_by TEXT, note TEXT);

-- The claim: two short range scans, '' and this node, whatever else is waiting.
CREATE INDEX jobs_ready ON jobs (ready, priority DESC, jid) WHERE ready IS NOT NULL;
-- Lists and counts per state, and the oldest and newest of each.
CREATE INDEX jobs_state ON jobs (state, submitted);
-- What a feeder, or who buries it, finds running under its name.
CREATE INDEX jobs_running ON jobs (feeder) WHERE state = 'running';
-- What the clock changes next.
CREATE INDEX jobs_due ON jobs (due) WHERE due IS NOT NULL;

-- How many jobs wait, kept by the triggers below, so that a status need not count a million rows. Those that
-- run are few and counted, those that have ended are in `ended`.
CREATE TABLE tally (
    pending INTEGER NOT NULL,
    holding INTEGER NOT NULL
);
INSERT INTO tally VALUES (0, 0);

-- The jobs that have ended, of each 1024 neighbouring jids, by how they have.
CREATE TABLE ended (
    block        INTEGER NOT NULL,      -- jid >> 10
    state        TEXT NOT NULL,
    exit_status  NOT NULL,              -- '' for none
    jobs         INTEGER NOT NULL,
    milliseconds INTEGER NOT NULL,      -- of all together; whole ones, for a sum of reals would drift
    shortest     REAL,                  -- seconds; no job has less, but the one that had it may be gone
    longest      REAL,
    PRIMARY KEY (block, state, exit_status)
) WITHOUT ROWID;

-- How many of the jobs that are finished ended in which minute, 2026-11-20 15:06.
CREATE TABLE minutes (
    minute TEXT PRIMARY KEY,
    jobs   INTEGER NOT NULL
) WITHOUT ROWID;

-- Only the last day is asked for. Not by a clock, for each node has its own.
CREATE TRIGGER minutes_insert AFTER INSERT ON minutes BEGIN
    DELETE FROM minutes WHERE minute < (SELECT minute FROM minutes ORDER BY minute DESC LIMIT 1 OFFSET 3000);
END;

CREATE TRIGGER waiting_insert AFTER INSERT ON jobs WHEN new.state IN ('pending', 'holding') BEGIN
    UPDATE tally SET pending = pending + (new.state = 'pending'), holding = holding + (new.state = 'holding');
END;
CREATE TRIGGER waiting_update AFTER UPDATE OF state ON jobs
WHEN old.state IN ('pending', 'holding') OR new.state IN ('pending', 'holding') BEGIN
    UPDATE tally SET
        pending = pending + (new.state = 'pending') - (old.state = 'pending'),
        holding = holding + (new.state = 'holding') - (old.state = 'holding');
END;
CREATE TRIGGER waiting_delete AFTER DELETE ON jobs WHEN old.state IN ('pending', 'holding') BEGIN
    UPDATE tally SET pending = pending - (old.state = 'pending'), holding = holding - (old.state = 'holding');
END;

CREATE TRIGGER ended_insert AFTER INSERT ON jobs WHEN new.state IN ('finished', 'dead') BEGIN
    INSERT INTO ended (block, state, exit_status, jobs, milliseconds, shortest, longest)
    VALUES (new.jid >> 10, new.state, coalesce(new.exit_status, ''), 1,
            coalesce(CAST(round(new.elapsed * 1000) AS INTEGER), 0), new.elapsed, new.elapsed)
    ON CONFLICT (block, state, exit_status) DO UPDATE SET
        jobs = jobs + 1,
        milliseconds = milliseconds + excluded.milliseconds,
        shortest = coalesce(min(shortest, excluded.shortest), shortest, excluded.shortest),
        longest = coalesce(max(longest, excluded.longest), longest, excluded.longest);
    INSERT INTO minutes (minute, jobs)
    SELECT substr(new.finished, 1, 16), 1 WHERE new.state = 'finished' AND new.finished IS NOT NULL
    ON CONFLICT (minute) DO UPDATE SET jobs = jobs + 1;
END;
CREATE TRIGGER ended_update_new AFTER UPDATE OF state, finished, elapsed, exit_status ON jobs
WHEN new.state IN ('finished', 'dead') BEGIN
    INSERT INTO ended (block, state, exit_status, jobs, milliseconds, shortest, longest)
    VALUES (new.jid >> 10, new.state, coalesce(new.exit_status, ''), 1,
            coalesce(CAST(round(new.elapsed * 1000) AS INTEGER), 0), new.elapsed, new.elapsed)
    ON CONFLICT (block, state, exit_status) DO UPDATE SET
        jobs = jobs + 1,
        milliseconds = milliseconds + excluded.milliseconds,
        shortest = coalesce(min(shortest, excluded.shortest), shortest, excluded.shortest),
        longest = coalesce(max(longest, excluded.longest), longest, excluded.longest);
    INSERT INTO minutes (minute, jobs)
    SELECT substr(new.finished, 1, 16), 1 WHERE new.state = 'finished' AND new.finished IS NOT NULL
    ON CONFLICT (minute) DO UPDATE SET jobs = jobs + 1;
END;
CREATE TRIGGER ended_update_old AFTER UPDATE OF state, finished, elapsed, exit_status ON jobs
WHEN old.state IN ('finished', 'dead') BEGIN
    UPDATE ended SET
        jobs = jobs - 1,
        milliseconds = milliseconds - coalesce(CAST(round(old.elapsed * 1000) AS INTEGER), 0)
    WHERE block = old.jid >> 10 AND state = old.state AND exit_status = coalesce(old.exit_status, '');
    DELETE FROM ended
    WHERE block = old.jid >> 10 AND state = old.state AND exit_status = coalesce(old.exit_status, '')
        AND jobs = 0;
    UPDATE minutes SET jobs = jobs - 1
    WHERE minute = substr(old.finished, 1, 16) AND old.state = 'finished';
END;
CREATE TRIGGER ended_delete AFTER DELETE ON jobs WHEN old.state IN ('finished', 'dead') BEGIN
    UPDATE ended SET
        jobs = jobs - 1,
        milliseconds = milliseconds - coalesce(CAST(round(old.elapsed * 1000) AS INTEGER), 0)
    WHERE block = old.jid >> 10 AND state = old.state AND exit_status = coalesce(old.exit_status, '');
    DELETE FROM ended
    WHERE block = old.jid >> 10 AND state = old.state AND exit_status = coalesce(old.exit_status, '')
        AND jobs = 0;
    UPDATE minutes SET jobs = jobs - 1
    WHERE minute = substr(old.finished, 1, 16) AND old.state = 'finished';
END;

-- How those attempts of a job ended that were not its last.
CREATE TABLE attempts (
    jid         INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    token       TEXT NOT NULL,
    runner      TEXT,
    pid         INTEGER,
    started     TEXT,
    finished    TEXT,
    elapsed     REAL,
    exit_status INTEGER,
    signal      INTEGER,
    reason      TEXT,
    user_cpu    REAL,
    system_cpu  REAL,
    max_rss     INTEGER, completed_by TEXT, note TEXT,
    PRIMARY KEY (jid, attempt)
) WITHOUT ROWID;
CREATE TRIGGER attempts_delete AFTER DELETE ON jobs WHEN old.attempt > 0 BEGIN
    DELETE FROM attempts WHERE jid = old.jid;
END;

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

-- Which job is after which other one, and with what end of that.
CREATE TABLE dependencies (
    jid       INTEGER NOT NULL,         -- the job that waits
    after     INTEGER NOT NULL,         -- the other one; it may be gone
    condition TEXT NOT NULL,            -- ok, failed, any
    met       INTEGER NOT NULL,         -- 0 not yet, 1 met, 2 it cannot be any more
    PRIMARY KEY (jid, after)
) WITHOUT ROWID;
-- Who is after a job whose end has changed, and does not know it yet.
CREATE INDEX dependencies_after ON dependencies (after, condition, met);
-- Whether anything is left that a job waits for, of however many.
CREATE INDEX dependencies_unmet ON dependencies (jid, met) WHERE met <> 1;

-- The linked jobs that began to wait, have ended or are gone: they, and those after them, are to be looked at.
CREATE TABLE settling (
    jid  INTEGER PRIMARY KEY,
    gone TEXT                           -- how a job that was deleted had ended: ok, failed
);
CREATE TRIGGER links_update AFTER UPDATE OF state, exit_status, reason ON jobs
WHEN new.links AND new.state <> 'running' BEGIN
    INSERT INTO settling (jid) VALUES (new.jid) ON CONFLICT (jid) DO NOTHING;
END;
CREATE TRIGGER links_delete AFTER DELETE ON jobs WHEN old.links BEGIN
    INSERT INTO settling VALUES (old.jid, CASE WHEN old.state = 'finished' AND old.exit_status IS 0
        AND old.reason IS NOT 'timeout' THEN 'ok' ELSE 'failed' END)
    ON CONFLICT (jid) DO UPDATE SET gone = excluded.gone;
END;

-- At most one; and which.
CREATE UNIQUE INDEX jobs_key ON jobs (key) WHERE key IS NOT NULL AND state IN ('pending', 'holding', 'running');

-- Human steps are few; no claim and no finish changes it.
CREATE INDEX jobs_kind ON jobs (kind) WHERE kind IS NOT NULL;
