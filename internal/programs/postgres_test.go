package programs

import (
	"crypto/md5"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// postgresUser returns who may run the server, which refuses to be root: nil for this user.
func postgresUser(t *testing.T) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, _ := strconv.ParseUint(u.Uid, 10, 32)
			gid, _ := strconv.ParseUint(u.Gid, 10, 32)
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	t.Fatal("neither a user postgres nor nobody")
	return nil
}

// postgresRows is the number of rows of the table big, which holds i, i%997, the md5 of i in text, padding.
const postgresRows = 300_000

// postgresQuery is a list of statements separated by "; ", and what psql prints.
type postgresQuery struct{ name, query, want string }

// postgresQueries returns queries with results known beforehand: sorts and hashes that spill to disk,
// parallel scans, JSON, a PL/pgSQL function that raises and catches errors, and an index rebuilt.
func postgresQueries() []postgresQuery {
	type row struct {
		hash string
		i    int
	}
	rows := make([]row, postgresRows)
	joined, sum := 0, 0
	for k := range rows {
		i := k + 1
		rows[k] = row{fmt.Sprintf("%x", md5.Sum([]byte(strconv.Itoa(i)))), i}
		if i%997 < 500 {
			joined++
			sum += 2 * i
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.hash, b.hash) })
	return []postgresQuery{
		{"aggregate",
			"SELECT count(*), sum(i), count(DISTINCT i % 1000) FROM generate_series(1, 500000) i",
			"500000|125000250000|1000"},
		{"table",
			"CREATE TABLE big AS SELECT i, i % 997 AS g, md5(i::text) AS h, repeat('x', i % 300) AS pad FROM generate_series(1, 300000) i; ANALYZE big",
			"SELECT 300000\nANALYZE"},
		{"sort on disk",
			"SET work_mem = '512kB'; SELECT i FROM (SELECT i FROM big ORDER BY h OFFSET 149999 LIMIT 1) s",
			fmt.Sprintf("SET\n%d", rows[149_999].i)},
		{"hash join",
			"SELECT count(*), sum(a.i + b.i) FROM big a JOIN big b ON a.h = b.h WHERE a.g < 500",
			fmt.Sprintf("%d|%d", joined, sum)},
		{"parallel",
			"SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SELECT g, count(*), max(length(pad)) FROM big GROUP BY g HAVING g < 3 ORDER BY g",
			"SET\nSET\nSET\n0|300|299\n1|301|299\n2|301|299"},
		{"strings",
			"SELECT length(string_agg(h, ',' ORDER BY i)), length(array_to_string(array_agg(h || pad), '')) FROM big",
			"9899999|54450000"},
		{"json",
			"SELECT jsonb_array_length(j), j -> 500 ->> 'h' = md5('501') FROM (SELECT jsonb_agg(to_jsonb(b) ORDER BY i) AS j FROM big b WHERE i <= 50000) s",
			"50000|t"},
		{"regexp",
			"SELECT sum(length(regexp_replace(h, '[0-9]+', '', 'g')) + length(regexp_replace(h, '[a-f]+', '', 'g'))) FROM big WHERE i <= 50000",
			"1600000"},
		{"plpgsql",
			`DO $$ DECLARE n int := 0; BEGIN FOR i IN 1..20000 LOOP BEGIN IF i % 2 = 0 THEN RAISE EXCEPTION 'even %', repeat('e', i % 500); END IF; EXCEPTION WHEN raise_exception THEN n := n + 1; END; END LOOP; IF n <> 10000 THEN RAISE EXCEPTION 'caught %', n; END IF; END $$`,
			"DO"},
		{"index",
			"CREATE INDEX ON big (h); CREATE INDEX ON big USING gin (string_to_array(h, 'a')) WHERE i <= 20000; REINDEX TABLE big; SELECT i FROM big WHERE h = md5('77777')",
			"CREATE INDEX\nCREATE INDEX\nREINDEX\n77777"},
	}
}

func TestPostgres(t *testing.T) {
	initdb := need(t, "/usr/lib/postgresql/*/bin/initdb", "postgresql-15")
	bin := filepath.Dir(initdb)
	psql := need(t, filepath.Join(bin, "psql"), "postgresql-client-15")
	postgres, pgbench := filepath.Join(bin, "postgres"), filepath.Join(bin, "pgbench")
	requireBound(t, postgres, "--version")
	who := postgresUser(t)
	dir := workDir(t)
	data := filepath.Join(dir, "data")
	env := []string{"PGHOST=" + dir, "PGUSER=tester", "PGDATABASE=postgres"}

	execute(t, program{dir: dir, user: who, timeout: 2 * time.Minute, argv: []string{
		initdb, "-D", data, "-U", "tester", "--auth=trust", "--no-sync", "--no-instructions", "-E", "UTF8", "--locale=C.UTF-8"}})
	p := start(t, program{dir: dir, user: who, proof: proveByMaps, timeout: 4 * time.Minute, argv: []string{
		postgres, "-D", data, "-c", "listen_addresses=", "-c", "unix_socket_directories=" + dir, "-c", "fsync=off",
		"-c", "shared_buffers=128MB", "-c", "autovacuum_naptime=1s", "-c", "log_min_messages=warning",
		"-c", "max_parallel_workers_per_gather=2"}})
	p.waitUntil("ready", func() bool { return strings.Contains(p.stderr.String(), "ready to accept connections") })

	// Each statement is a -c of its own, so that psql prints the result of each.
	query := func(t *testing.T, statements string) string {
		t.Helper()
		argv := []string{psql, "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1"}
		if strings.HasPrefix(statements, "DO ") {
			argv = append(argv, "-c", statements)
		} else {
			for _, s := range strings.Split(statements, "; ") {
				argv = append(argv, "-c", s)
			}
		}
		return strings.TrimSpace(execute(t, program{argv: argv, env: env}))
	}

	t.Run("pgbench", func(t *testing.T) {
		execute(t, program{argv: []string{pgbench, "-i", "-s", "5", "-q"}, env: env})
		load := start(t, program{argv: []string{pgbench, "-c", "8", "-j", "2", "-T", "10"}, env: env})
		p.waitUntil("serving the clients", func() bool { return len(descendants(p.pid())) >= 8 })
		p.requireMapped()
		report := load.wait()
		done := regexp.MustCompile(`number of transactions actually processed: (\d+)`).FindStringSubmatch(report)
		if done == nil || done[1] == "0" || !strings.Contains(report, "number of failed transactions: 0 ") {
			load.fatalf("no successful transactions")
		}
		t.Logf("%s transactions", done[1])
		equal(t, "rows of the history", query(t, "SELECT count(*) FROM pgbench_history"), done[1])
		equal(t, "the balances", query(t, `SELECT a = t AND t = b AND b = h FROM (SELECT sum(abalance) a FROM pgbench_accounts) x,
			(SELECT sum(tbalance) t FROM pgbench_tellers) y, (SELECT sum(bbalance) b FROM pgbench_branches) z,
			(SELECT sum(delta) h FROM pgbench_history) w`), "t")
		equal(t, "the accounts", query(t, "SELECT count(*), count(DISTINCT aid) FROM pgbench_accounts"), "500000|500000")
	})
	for _, q := range postgresQueries() {
		if !t.Run(q.name, func(t *testing.T) { equal(t, q.query, query(t, q.query), q.want) }) {
			break
		}
	}
	t.Run("amcheck", func(t *testing.T) {
		query(t, "CREATE EXTENSION amcheck")
		got := query(t, `SELECT count(bt_index_check(c.oid, true)) > 100 FROM pg_class c JOIN pg_am a ON a.oid = c.relam
			WHERE a.amname = 'btree' AND c.relkind = 'i' AND c.relpersistence = 'p'`)
		equal(t, "the check of all btrees", got, "t")
	})
	t.Run("dump and restore", func(t *testing.T) {
		dump := filepath.Join(dir, "dump")
		execute(t, program{argv: []string{filepath.Join(bin, "pg_dump"), "-Fc", "-Z", "1", "-t", "pgbench*", "-f", dump, "postgres"}, env: env})
		query(t, "CREATE DATABASE again")
		execute(t, program{argv: []string{filepath.Join(bin, "pg_restore"), "-d", "again", "-j", "2", dump}, env: env})
		const digest = "SELECT count(*), sum(hashtext(a::text)::bigint) FROM pgbench_accounts a"
		want := query(t, digest)
		env := append(env[:2:2], "PGDATABASE=again")
		equal(t, "the restored table", strings.TrimSpace(execute(t, program{argv: []string{psql, "-X", "-A", "-t", "-c", digest}, env: env})), want)
	})

	p.stop(syscall.SIGINT) // a fast shutdown
	control := execute(t, program{argv: []string{filepath.Join(bin, "pg_controldata"), data}, user: who})
	if !regexp.MustCompile(`Database cluster state: +shut down\n`).MatchString(control) {
		t.Errorf("not shut down properly:\n%s", control)
	}
	for line := range strings.Lines(p.stderr.String()) {
		ours := strings.Contains(line, "due to administrator command") // the shutdown stopped an autovacuum
		if !ours && regexp.MustCompile(`PANIC:|FATAL:|ERROR:|terminated by|crash`).MatchString(line) {
			t.Errorf("the server's log: %s", line)
		}
	}
}
