package work

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

// client speaks redis's protocol over a unix socket. Not safe for concurrent use.
type client struct {
	c net.Conn
	r *bufio.Reader
	w *bufio.Writer
}

// dial connects to a server that answers.
func dial(ctx context.Context, socket string) (*client, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	c := &client{c: conn, r: bufio.NewReaderSize(conn, 1<<16), w: bufio.NewWriterSize(conn, 1<<16)}
	if end, ok := ctx.Deadline(); ok { // a server that hangs must not hold us
		_ = conn.SetDeadline(end)
	}
	if err := c.ask("PING", "PONG"); err != nil {
		conn.Close()
		return nil, fmt.Errorf("redis does not answer: %w", err)
	}
	return c, nil
}

func (c *client) ask(command, want string) error {
	got, err := c.do([]byte(command))
	if err == nil && string(got) != want {
		err = fmt.Errorf("%s: got %q, want %q", command, got, want)
	}
	return err
}

// do sends one command and reads its answer; nil for redis's null.
func (c *client) do(args ...[]byte) ([]byte, error) {
	c.send(args...)
	if err := c.w.Flush(); err != nil {
		return nil, err
	}
	return c.receive()
}

// send queues a command; Flush by the caller.
func (c *client) send(args ...[]byte) {
	fmt.Fprintf(c.w, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(c.w, "$%d\r\n", len(a))
		_, _ = c.w.Write(a)
		_, _ = c.w.WriteString("\r\n")
	}
}

func (c *client) receive() ([]byte, error) {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	if len(line) < 3 {
		return nil, fmt.Errorf("redis answers %q", line)
	}
	body := line[1 : len(line)-2]
	switch line[0] {
	case '+', ':':
		return []byte(body), nil
	case '-':
		return nil, errors.New("redis: " + body)
	case '$':
		n, err := strconv.Atoi(body)
		if err != nil || n < 0 {
			return nil, err
		}
		b := make([]byte, n+2)
		if _, err := io.ReadFull(c.r, b); err != nil {
			return nil, err
		}
		return b[:n], nil
	}
	return nil, fmt.Errorf("redis answers %q", line)
}
