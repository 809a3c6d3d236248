package programs

import (
	"net"
	"strconv"
	"testing"
	"time"
)

// freePort returns a TCP port of the loopback interface that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// dial connects to a port on loopback, with a limit on the whole life of the connection, so that a server
// that hangs fails the test.
func dial(port string) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", "127.0.0.1:"+port, 10*time.Second)
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Now().Add(2 * time.Minute))
}

// accepts tells whether somebody listens on a port on loopback.
func accepts(port string) bool {
	c, err := dial(port)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// pattern returns n bytes that follow from n and seed.
func pattern(seed, n int) []byte {
	b := make([]byte, n)
	x := uint32(seed)*2654435761 + uint32(n)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}
