package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"

	"github.com/vcmalloc/vcmalloc/telemetry"
)

func newExport() *cobra.Command {
	var listen string
	var options telemetry.CollectorOptions
	c := &cobra.Command{
		Use:   "export",
		Short: "Serve the numbers of all processes to Prometheus",
		Long: "Serves http://ADDRESS/metrics until it is interrupted. Only addresses of the loopback interface are\n" +
			"accepted: the endpoint has no access control. Port 0 takes a free one; the address is printed.",
		Args: arguments(cobra.NoArgs),
	}
	dir := dirFlag(c)
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:9733", "loopback address and port")
	c.Flags().BoolVar(&options.Classes, "classes", false, "rows of size classes, too: 12 series for each in use")
	c.Flags().BoolVar(&options.VCPUs, "vcpus", false, "rows of vCPUs, too: 7 series for each the process ran on")
	c.RunE = func(c *cobra.Command, _ []string) error {
		d, err := openDir(*dir)
		if err != nil {
			return err
		}
		address, err := loopback(listen)
		if err != nil {
			return err
		}
		ctx, stop := interruptible(c)
		defer stop()
		return export(ctx, address, telemetry.NewCollector(d, options))
	}
	return c
}

// loopback checks that the address is one only this machine can reach.
func loopback(listen string) (string, error) {
	if host, port, err := net.SplitHostPort(listen); err == nil && host == "localhost" {
		listen = net.JoinHostPort("127.0.0.1", port)
	}
	a, err := netip.ParseAddrPort(listen)
	if err != nil {
		return "", usage("--listen %s: use an address and a port, such as 127.0.0.1:9733", listen)
	}
	if !a.Addr().IsLoopback() {
		return "", usage("--listen %s: only loopback addresses are served, such as 127.0.0.1:%d; put a proxy with access control before it", listen, a.Port())
	}
	return a.String(), nil
}

// export serves until ctx is done.
func export(ctx context.Context, address string, collector prometheus.Collector) error {
	registry := prometheus.NewRegistry()
	if err := registry.Register(collector); err != nil {
		return err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("can't listen on %s: %w; choose another port with --listen", address, err)
	}
	mux := http.NewServeMux()
	// Each scrape reads every file: a few at a time are enough.
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, EnableOpenMetrics: true}))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "vcmalloc: the metrics are at /metrics")
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	fmt.Fprintf(os.Stderr, "vcmalloc: serving http://%s/metrics\n", l.Addr())

	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	// Scrapes under way may finish.
	grace, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
