-- Schema 3: jobs after other jobs, and those that collect what the others wrote.

PRAGMA user_version = 3;

ALTER TABLE jobs ADD COLUMN links INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN collect INTEGER NOT NULL DEFAULT 0;

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
