-- Schema 4: keys, of which at most one job that waits or runs has each.

PRAGMA user_version = 4;

ALTER TABLE jobs ADD COLUMN key TEXT;

CREATE UNIQUE INDEX jobs_key ON jobs (key) WHERE key IS NOT NULL AND state IN ('pending', 'holding', 'running');
