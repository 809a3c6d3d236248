package programs

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// memcachedLoad is one client: it stores values of many sizes under its own keys, reads them back one by
// one and in groups, overwrites and deletes some, and returns how many set commands it sent.
func memcachedLoad(port string, client, rounds int) (sets int, err error) {
	conn, err := dial(port)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	in, out := bufio.NewReader(conn), bufio.NewWriter(conn)
	ask := func(format string, args ...any) (string, error) {
		fmt.Fprintf(out, format, args...)
		if err := out.Flush(); err != nil {
			return "", err
		}
		line, err := in.ReadString('\n')
		return strings.TrimRight(line, "\r\n"), err
	}
	expect := func(want, format string, args ...any) error {
		if got, err := ask(format, args...); err != nil || got != want {
			return fmt.Errorf("client %d: answer %q, expected %q (%w)", client, got, want, err)
		}
		return nil
	}
	size := func(i, round int) int {
		if i%50 == 49 {
			return 100_000 + client*7 + round
		}
		return (i*i*37 + client + round*13) % 9000
	}
	const keys = 100
	for round := range rounds {
		for i := range keys {
			value := pattern(client*1000+i+round, size(i, round))
			if err := expect("STORED", "set c%d:k%d %d 0 %d\r\n%s\r\n", client, i, i, len(value), value); err != nil {
				return sets, err
			}
			sets++
		}
		for i := 0; i < keys; i += 10 {
			fmt.Fprintf(out, "get")
			for k := i; k < i+10; k++ {
				fmt.Fprintf(out, " c%d:k%d", client, k)
			}
			line, err := ask("\r\n")
			for k := i; k < i+10; k++ {
				want := pattern(client*1000+k+round, size(k, round))
				if header := fmt.Sprintf("VALUE c%d:k%d %d %d", client, k, k, len(want)); err != nil || line != header {
					return sets, fmt.Errorf("answer %q, expected %q (%w)", line, header, err)
				}
				got := make([]byte, len(want)+2)
				if _, err := io.ReadFull(in, got); err != nil {
					return sets, err
				}
				if !bytes.Equal(got[:len(want)], want) {
					return sets, fmt.Errorf("client %d: key %d of round %d came back changed", client, k, round)
				}
				line, err = in.ReadString('\n')
				line = strings.TrimRight(line, "\r\n")
			}
			if err != nil || line != "END" {
				return sets, fmt.Errorf("answer %q, expected END (%w)", line, err)
			}
		}
		for i := round; i < keys; i += 20 {
			if err := expect("DELETED", "delete c%d:k%d\r\n", client, i); err != nil {
				return sets, err
			}
			if err := expect("END", "get c%d:k%d\r\n", client, i); err != nil {
				return sets, err
			}
		}
		if err := expect("STORED", "set n%d 0 0 1\r\n0\r\n", client); err != nil {
			return sets, err
		}
		sets++
		for i := range 20 {
			if err := expect(strconv.Itoa((i+1)*7), "incr n%d 7\r\n", client); err != nil {
				return sets, err
			}
		}
	}
	return sets, nil
}

func TestMemcached(t *testing.T) {
	server := need(t, "memcached", "memcached")
	requireBound(t, server, "-V")
	port := freePort(t)
	p := start(t, program{proof: proveByMaps, timeout: 2 * time.Minute, argv: []string{
		server, "-l", "127.0.0.1", "-p", port, "-U", "0", "-m", "512", "-c", "1024", "-t", "4", "-u", "root"}})
	p.waitUntil("listening", func() bool { return accepts(port) })
	p.requireMapped()

	const clients, rounds = 200, 3
	var (
		work sync.WaitGroup
		mu   sync.Mutex
		sets int
	)
	for client := range clients {
		work.Go(func() {
			n, err := memcachedLoad(port, client, rounds)
			mu.Lock()
			defer mu.Unlock()
			sets += n
			if err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	if t.Failed() {
		p.fatalf("the clients failed")
	}

	conn, err := dial(port)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "stats\r\n")
	stats := make(map[string]string)
	for in := bufio.NewScanner(conn); in.Scan() && in.Text() != "END"; {
		if fields := strings.Fields(in.Text()); len(fields) == 3 {
			stats[fields[1]] = fields[2]
		}
	}
	equal(t, "cmd_set", stats["cmd_set"], strconv.Itoa(sets))
	equal(t, "evictions", stats["evictions"], "0")
	equal(t, "incr_hits", stats["incr_hits"], strconv.Itoa(clients*rounds*20))
	// 95 keys and the counter of each client are left.
	equal(t, "curr_items", stats["curr_items"], strconv.Itoa(clients*96))
	t.Logf("%s connections, %s bytes in %s items", stats["total_connections"], stats["bytes"], stats["curr_items"])
	p.stop(syscall.SIGTERM)
}
