package programs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// redisClient speaks redis's protocol on one connection.
type redisClient struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func dialRedis(t *testing.T, port string) *redisClient {
	t.Helper()
	conn, err := dial(port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &redisClient{t: t, conn: conn, in: bufio.NewReader(conn)}
}

// do sends one command and returns the answer as text; an error of redis fails the test.
func (r *redisClient) do(words ...string) string {
	r.t.Helper()
	var b bytes.Buffer
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	if _, err := r.conn.Write(b.Bytes()); err != nil {
		r.t.Fatal(err)
	}
	answer, err := r.read()
	if err != nil {
		r.t.Fatalf("%s: %v", words[0], err)
	}
	return answer
}

// read reads one answer; the elements of an array are joined by newlines.
func (r *redisClient) read() (string, error) {
	line, err := r.in.ReadString('\n')
	if err != nil || len(line) < 3 {
		return "", fmt.Errorf("answer %q: %w", line, err)
	}
	kind, rest := line[0], line[1:len(line)-2]
	switch kind {
	case '-':
		return "", errors.New(rest)
	case '$':
		n, err := strconv.Atoi(rest)
		if err != nil || n < 0 {
			return "(nil)", err
		}
		value := make([]byte, n+2)
		_, err = io.ReadFull(r.in, value)
		return string(value[:n]), err
	case '*':
		n, err := strconv.Atoi(rest)
		if err != nil {
			return "", err
		}
		parts := make([]string, 0, max(n, 0))
		for range n {
			part, err := r.read()
			if err != nil {
				return "", err
			}
			parts = append(parts, part)
		}
		return strings.Join(parts, "\n"), nil
	}
	return rest, nil
}

// info returns one field of INFO.
func (r *redisClient) info(field string) string {
	r.t.Helper()
	for line := range strings.Lines(r.do("INFO", "everything")) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	r.t.Fatalf("INFO has no %s", field)
	return ""
}

// TestRedis loads redis-server with 500 connections and makes it fork a BGSAVE in the middle. Debian's
// redis-server brings jemalloc and imports nallocx besides malloc, so all of it must be bound to the
// library: half of it would overflow redis's strings.
func TestRedis(t *testing.T) {
	server := need(t, "redis-server", "redis-server")
	benchmark := need(t, "redis-benchmark", "redis-tools")
	checkDump := need(t, "redis-check-rdb", "redis-tools")
	requireBound(t, server, "--version")

	dir, port := workDir(t), freePort(t)
	p := start(t, program{dir: dir, proof: proveByMaps, timeout: 3 * time.Minute, argv: []string{server,
		"--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--maxclients", "600",
		"--daemonize", "no", "--enable-debug-command", "yes", "--activedefrag", "no"}})
	p.waitUntil("listening", func() bool { return accepts(port) })
	p.requireMapped()
	r := dialRedis(t, port)

	// Values of our own, of many sizes and types, present through everything that follows.
	const own = 2000
	size := func(i int) int { return i * i % 7919 }
	for i := range own {
		r.do("SET", fmt.Sprintf("own:%d", i), string(pattern(i, size(i))))
		r.do("HSET", "own:hash", fmt.Sprintf("field%d", i), string(pattern(i, i%100)))
		r.do("ZADD", "own:zset", strconv.Itoa(i*7%own), fmt.Sprintf("member%d", i))
		r.do("RPUSH", "own:list", string(pattern(i, i%60)))
		r.do("APPEND", "own:long", string(pattern(i, 50)))
	}

	load := start(t, program{timeout: 2 * time.Minute, argv: []string{benchmark, "-h", "127.0.0.1", "-p", port,
		"-d", "1000", "-n", "100000", "-c", "500", "-r", "100000", "-t", "set,get", "--csv"}})
	commands := func() int { n, _ := strconv.Atoi(r.info("total_commands_processed")); return n }
	before := commands()
	p.waitUntil("under load", func() bool { return commands() > before+20_000 || load.ended() })
	if load.ended() {
		load.fatalf("ended before the BGSAVE began: %v", load.err)
	}
	r.do("BGSAVE")
	out := load.wait()
	for _, test := range []string{"SET", "GET"} {
		rate := regexp.MustCompile(`(?m)^"` + test + `","(\d+)`).FindStringSubmatch(out)
		if rate == nil || rate[1] == "0" {
			load.fatalf("no result for %s", test)
		}
		t.Logf("%s: %s requests/s", test, rate[1])
	}
	p.waitUntil("done with BGSAVE", func() bool { return r.info("rdb_bgsave_in_progress") == "0" })
	equal(t, "rdb_last_bgsave_status", r.info("rdb_last_bgsave_status"), "ok")
	execute(t, program{argv: []string{checkDump, filepath.Join(dir, "dump.rdb")}})

	keys := 0
	check := func(when string) {
		t.Helper()
		for i := range own {
			equal(t, fmt.Sprintf("own:%d %s", i, when), r.do("GET", fmt.Sprintf("own:%d", i)), string(pattern(i, size(i))))
			equal(t, when+": a hash's field", r.do("HGET", "own:hash", fmt.Sprintf("field%d", i)), string(pattern(i, i%100)))
		}
		equal(t, when+": the list's length", r.do("LLEN", "own:list"), strconv.Itoa(own))
		equal(t, when+": the set's size", r.do("ZCARD", "own:zset"), strconv.Itoa(own))
		equal(t, when+": the string's length", r.do("STRLEN", "own:long"), strconv.Itoa(50*own))
		equal(t, when+": the benchmark's keys", r.do("EVAL", benchmarkValues, "0", benchmarkValue(1000)),
			fmt.Sprintf("good %d", keys-own-4))
	}
	// 100,000 draws from 100,000 keys hit 63,212 of them on average, with a deviation below 160. Of ours there
	// are own strings, a long one, a hash, a sorted set and a list.
	keys, _ = strconv.Atoi(r.do("DBSIZE"))
	if keys < own+62_000 || keys > own+64_500 {
		t.Errorf("DBSIZE is %d", keys)
	}
	check("after the load")
	t.Logf("%d keys, used_memory %s, allocator_allocated %s (jemalloc's own view), rss %s, %s forks",
		keys, r.info("used_memory_human"), r.info("allocator_allocated"), r.info("used_memory_rss_human"), r.info("total_forks"))

	if preload != "" && !strings.Contains(preload, "jemalloc") {
		used, _ := strconv.Atoi(r.info("used_memory"))
		if own, _ := strconv.Atoi(r.info("allocator_allocated")); own > used/2 {
			t.Errorf("redis's own jemalloc holds %d of %d bytes", own, used)
		}
	}

	// Everything saved, freed and loaded again must give the same data.
	digest := r.do("DEBUG", "DIGEST")
	r.do("DEBUG", "RELOAD")
	equal(t, "the digest after a reload", r.do("DEBUG", "DIGEST"), digest)
	check("after a reload")
	r.do("MEMORY", "DOCTOR")
	r.do("MEMORY", "PURGE")
	r.do("FLUSHALL", "SYNC")
	equal(t, "DBSIZE", r.do("DBSIZE"), "0")
	p.stop(syscall.SIGTERM)
	if crash, _ := os.ReadFile(filepath.Join(dir, "crash.log")); len(crash) > 0 || strings.Contains(p.stdout.String(), "BUG REPORT") {
		p.fatalf("a crash report")
	}
}

// benchmarkValues is a script that checks every value that redis-benchmark wrote against its argument.
const benchmarkValues = `
local seen = 0
for i = 0, 99999 do
  local v = redis.call('GET', string.format('key:%012d', i))
  if v then
    seen = seen + 1
    if v ~= ARGV[1] then return 'bad value of key ' .. i end
  end
end
return 'good ' .. seen`

// benchmarkValue returns the n bytes that redis-benchmark -d n stores: its generator starts at 1234.
func benchmarkValue(n int) string {
	b, state := make([]byte, n), uint32(1234)
	for i := range b {
		state = state*1103515245 + 12345
		b[i] = '0' + byte(state>>16&63)
	}
	return string(b)
}
