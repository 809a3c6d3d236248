package work

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/vcmalloc/vcmalloc/bench/lab"
	"github.com/vcmalloc/vcmalloc/bench/proc"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/subject"
)

// imageWork is the image server's client: pictures made beforehand, so that the client takes little of the cores,
// and the answers' checksums, which must be the same under every subject.
type imageWork struct {
	l        *lab.Lab
	binary   string
	requests int
	pictures [][]byte
	mu       sync.Mutex
	sums     map[int]uint32
}

// clients is how many connections there are, each with one request under way.
const clients = 4

func imageServer(l *lab.Lab) runner.Case {
	w := &imageWork{l: l, requests: l.Amount(1500, 200, 8), sums: map[int]uint32{}}
	return runner.Case{
		Name: "image server", Cost: time.Duration(w.requests) * 3 * time.Millisecond, Prepare: w.prepare,
		About:   "A server on libjpeg that decodes, halves, blurs and encodes pictures of 64x48 to 1600x1200 for 4 clients; the answers must be the same under all.",
		Metrics: append([]runner.Metric{throughput("pictures/s")}, w.l.SystemMetrics()...),
		Run: func(ctx context.Context, s subject.Subject) (runner.Sample, error) {
			return w.run(ctx, s)
		},
	}
}

func (w *imageWork) prepare(ctx context.Context) (err error) {
	if w.binary, err = w.l.CC.Program(ctx, "image.c", "-ljpeg"); err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(5, 6))
	for range 24 {
		width := 64 << rng.IntN(5)
		width += rng.IntN(width/2+1) &^ 1
		var b bytes.Buffer
		if err := jpeg.Encode(&b, noisy(rng, width, width*3/4), &jpeg.Options{Quality: 85}); err != nil {
			return err
		}
		w.pictures = append(w.pictures, b.Bytes())
	}
	return nil
}

// noisy is a picture with something in it: gradients and coarse noise.
func noisy(rng *rand.Rand, w, h int) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	a, b := 1+rng.IntN(7), 1+rng.IntN(7)
	for y := range h {
		for x := range w {
			v := uint8(x*a + y*b)
			img.SetRGBA(x, y, color.RGBA{v, uint8(x ^ y), v + uint8(rng.UintN(24)), 255})
		}
	}
	return img
}

func (w *imageWork) run(ctx context.Context, s subject.Subject) (runner.Sample, error) {
	dir, err := os.MkdirTemp("", "vcb-image-")
	if err != nil {
		return runner.Sample{}, err
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "s")
	p, err := w.l.Launch.Start(ctx, proc.Command{Argv: []string{w.binary, socket}, Subject: s, Sample: interval(w.l)})
	if err != nil {
		return runner.Sample{}, err
	}
	var first net.Conn
	err = p.Await(ctx, 20*time.Second, func() (err error) {
		first, err = net.Dial("unix", socket)
		return err
	})
	if err != nil {
		return runner.Sample{}, err
	}
	rate, err := w.drive(ctx, first, socket)
	if err != nil {
		return runner.Sample{}, p.Abandon(err)
	}
	res, err := p.Wait()
	if err != nil {
		return runner.Sample{}, err
	}
	f := map[string]float64{Throughput: rate}
	lab.Account(f, res)
	return runner.Sample{Figures: f, Line: lab.Line(res)}, nil
}

// drive sends all requests, spread over the connections, and then the one that ends the server.
func (w *imageWork) drive(ctx context.Context, first net.Conn, socket string) (float64, error) {
	conns := [clients]net.Conn{first}
	for i := range conns {
		if conns[i] == nil {
			c, err := net.Dial("unix", socket)
			if err != nil {
				return 0, err
			}
			conns[i] = c
		}
		defer conns[i].Close()
		defer context.AfterFunc(ctx, func() { conns[i].Close() })() // a server that hangs must not hold us
	}
	start := time.Now()
	var wg sync.WaitGroup
	var errs [clients]error
	for i := range conns {
		wg.Go(func() {
			for k := i; k < w.requests && errs[i] == nil; k += clients {
				errs[i] = w.request(conns[i], k%len(w.pictures))
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(start)
	if err := errors.Join(errs[:]...); err != nil {
		return 0, err
	}
	_, err := conns[0].Write(make([]byte, 4))
	return float64(w.requests) / elapsed.Seconds(), err
}

func (w *imageWork) request(c net.Conn, picture int) error {
	file := w.pictures[picture]
	if _, err := c.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(file))), file...)); err != nil {
		return err
	}
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return err
	}
	answer := make([]byte, binary.LittleEndian.Uint32(head[:]))
	if _, err := io.ReadFull(c, answer); err != nil {
		return err
	}
	sum := crc32.ChecksumIEEE(answer)
	w.mu.Lock()
	defer w.mu.Unlock()
	if known, ok := w.sums[picture]; ok && known != sum {
		return fmt.Errorf("picture %d came back different", picture)
	}
	w.sums[picture] = sum
	return nil
}
