"""The tables of a gradebook, and how those of an older version are brought up to date."""

TABLES = """
CREATE TABLE IF NOT EXISTS run (
    id INTEGER PRIMARY KEY, started TEXT NOT NULL, seed INTEGER NOT NULL, coursekit TEXT NOT NULL,
    sandbox TEXT NOT NULL DEFAULT 'none', finished TEXT);
CREATE TABLE IF NOT EXISTS submission (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES run(id),
    learner TEXT NOT NULL, exercise TEXT NOT NULL, status TEXT NOT NULL, message TEXT NOT NULL,
    points INTEGER NOT NULL, possible INTEGER NOT NULL, seconds REAL NOT NULL, graded TEXT NOT NULL,
    key_digest TEXT NOT NULL, digest TEXT NOT NULL DEFAULT '', handed_in TEXT,
    UNIQUE (learner, exercise));
CREATE TABLE IF NOT EXISTS mark (
    submission INTEGER NOT NULL REFERENCES submission(id) ON DELETE CASCADE, position INTEGER NOT NULL,
    task TEXT NOT NULL, title TEXT NOT NULL, points INTEGER NOT NULL, possible INTEGER NOT NULL,
    status TEXT NOT NULL, message TEXT NOT NULL, cases_right INTEGER NOT NULL, cases INTEGER NOT NULL,
    feedback TEXT NOT NULL, hint TEXT NOT NULL DEFAULT '', source TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (submission, position));
CREATE TABLE IF NOT EXISTS note (
    submission INTEGER NOT NULL REFERENCES submission(id) ON DELETE CASCADE, text TEXT NOT NULL);
"""
VERSION = 2
FROM_VERSION_1 = """
ALTER TABLE run ADD COLUMN sandbox TEXT NOT NULL DEFAULT 'none';
ALTER TABLE run ADD COLUMN finished TEXT;
ALTER TABLE submission ADD COLUMN digest TEXT NOT NULL DEFAULT '';
ALTER TABLE submission ADD COLUMN handed_in TEXT;
ALTER TABLE mark ADD COLUMN hint TEXT NOT NULL DEFAULT '';
ALTER TABLE mark ADD COLUMN source TEXT NOT NULL DEFAULT '';
"""
