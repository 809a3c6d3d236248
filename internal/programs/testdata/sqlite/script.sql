-- What TestSqlite runs: a million rows by a recursive CTE, indexes, aggregates, updates, deletes, a
-- transaction taken back, full text, JSON and the integrity check. Results are known in closed form.
.bail on
.mode list
PRAGMA journal_mode = WAL;
PRAGMA cache_size = -65536;
PRAGMA threads = 4;
CREATE TABLE n (id INTEGER PRIMARY KEY, grp INTEGER NOT NULL, name TEXT NOT NULL, pad BLOB);
BEGIN;
INSERT INTO n
	WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 1000000)
	SELECT i, i % 1000, printf('name-%07d', i), CASE WHEN i % 100 = 0 THEN zeroblob(i % 3000) END FROM c;
COMMIT;
SELECT 'rows', count(*), sum(id), min(name), max(name), sum(length(pad)) FROM n;
CREATE INDEX by_group ON n (grp, name);
CREATE UNIQUE INDEX by_name ON n (name DESC);
SELECT 'groups', count(*), sum(c), sum(s) FROM (SELECT grp, count(*) c, sum(id) s FROM n GROUP BY grp);
SELECT 'lookup', count(*) FROM n a JOIN n b ON b.name = printf('name-%07d', a.id + 1) WHERE a.grp = 7;
SELECT 'window', sum(d), count(*) FROM (SELECT id - lag(id) OVER (PARTITION BY grp ORDER BY id) d FROM n WHERE grp < 20) WHERE d IS NOT NULL;
BEGIN;
UPDATE n SET name = name || '-changed', pad = randomblob(50) WHERE grp BETWEEN 100 AND 149;
SELECT 'changed', count(*) FROM n WHERE name LIKE '%-changed';
ROLLBACK;
SELECT 'rolled back', count(*) FROM n WHERE name LIKE '%-changed';
DELETE FROM n WHERE grp >= 900;
SELECT 'deleted', count(*), changes() FROM n;
SELECT 'concat', length(group_concat(name)) FROM n WHERE grp = 1;
SELECT 'json', json_array_length(j), json_extract(j, '$[99]') FROM (SELECT json_group_array(id) j FROM n WHERE grp = 3);
SELECT 'sorted', name FROM n WHERE grp < 300 ORDER BY substr(name, 9) || substr(name, 6), id LIMIT 1 OFFSET 150000;
VACUUM;
PRAGMA integrity_check;
