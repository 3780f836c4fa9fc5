-- Schema 4: keys, of which at most one job that waits or runs has each; human steps.

PRAGMA user_version = 4;

ALTER TABLE jobs ADD COLUMN key TEXT;
ALTER TABLE jobs ADD COLUMN kind TEXT;
ALTER TABLE jobs ADD COLUMN completed_by TEXT;
ALTER TABLE jobs ADD COLUMN note TEXT;
ALTER TABLE attempts ADD COLUMN completed_by TEXT;
ALTER TABLE attempts ADD COLUMN note TEXT;

-- At most one; and which.
CREATE UNIQUE INDEX jobs_key ON jobs (key) WHERE key IS NOT NULL AND state IN ('pending', 'holding', 'running');

-- Human steps are few; no claim and no finish changes it.
CREATE INDEX jobs_kind ON jobs (kind) WHERE kind IS NOT NULL;
