package programs

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// nginxConfig serves files, compresses them, passes requests on to itself and keeps everything it writes
// in its directory ($D); $P is the port, $U the user directive.
const nginxConfig = `
$U
daemon off;
worker_processes 2;
pid $D/nginx.pid;
error_log $D/error.log warn;
events { worker_connections 1024; }
http {
	access_log $D/access.log;
	client_body_temp_path $D/body;
	proxy_temp_path $D/proxy;
	fastcgi_temp_path $D/fastcgi;
	scgi_temp_path $D/scgi;
	uwsgi_temp_path $D/uwsgi;
	client_max_body_size 10m;
	client_body_buffer_size 16k;
	keepalive_requests 1000;
	gzip on;
	gzip_min_length 1000;
	gzip_types application/octet-stream;
	upstream self { server 127.0.0.1:$P; keepalive 16; }
	server {
		listen 127.0.0.1:$P backlog=1024;
		root $D/files;
		location /text { return 200 "$request_uri $arg_x $http_x_test"; }
		location /proxy/ {
			proxy_pass http://self/;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_buffers 4 4k;
			proxy_busy_buffers_size 4k;
		}
		location = /upload { proxy_pass http://self/taken; }
		location = /taken { return 200 "taken $http_content_length"; }
		location /list/ { alias $D/files/; autoindex on; }
	}
}
`

func TestNginx(t *testing.T) {
	nginx := need(t, "nginx", "nginx")
	requireBound(t, nginx, "-V")
	dir, port := workDir(t), freePort(t)
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // the workers must reach dir whatever the umask
	}
	write(t, filepath.Join(dir, "nginx.conf"),
		strings.NewReplacer("$U", user, "$D", dir, "$P", port).Replace(nginxConfig))
	const files = 100
	size := func(i int) int { return i * i * 20 }
	for i := range files {
		write(t, filepath.Join(dir, "files", fmt.Sprintf("f%d", i)), string(pattern(i, size(i))))
	}
	p := start(t, program{dir: dir, proof: proveByMaps, timeout: 2 * time.Minute,
		argv: []string{nginx, "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", filepath.Join(dir, "nginx.conf")}})
	p.waitUntil("listening", func() bool { return len(descendants(p.pid())) == 2 && accepts(port) })
	p.requireMapped()

	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		MaxIdleConnsPerHost: 128, MaxConnsPerHost: 128, DisableCompression: true}}
	defer client.CloseIdleConnections()
	base := "http://127.0.0.1:" + port
	requests := atomic.Int64{}
	ask := func(i int) error {
		var (
			path, method = "", http.MethodGet
			body         io.Reader
			want         []byte
			header       = map[string]string{}
			logged       = int64(1)
		)
		switch i % 5 {
		case 0:
			path, want = fmt.Sprintf("/f%d", i%files), pattern(i%files, size(i%files))
		case 1:
			path, want = fmt.Sprintf("/f%d", i%files), pattern(i%files, size(i%files))
			header["Accept-Encoding"] = "gzip"
		case 2:
			path, want = fmt.Sprintf("/proxy/f%d", i%files), pattern(i%files, size(i%files))
			logged = 2
		case 3:
			path = fmt.Sprintf("/text/%s?x=%d", strings.Repeat("y", i%500), i)
			header["X-Test"] = strings.Repeat("h", i%900+1)
			want = fmt.Appendf(nil, "%s %d %s", path, i, header["X-Test"])
		case 4:
			upload := pattern(i, i*97%150_000)
			path, method, body = "/upload", http.MethodPost, bytes.NewReader(upload)
			want = fmt.Appendf(nil, "taken %d", len(upload))
			logged = 2
		}
		request, err := http.NewRequest(method, base+path, body)
		if err != nil {
			return err
		}
		for k, v := range header {
			request.Header.Set(k, v)
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		reader := io.Reader(response.Body)
		if response.Header.Get("Content-Encoding") == "gzip" {
			if reader, err = gzip.NewReader(response.Body); err != nil {
				return err
			}
		}
		got, err := io.ReadAll(reader)
		if err != nil || response.StatusCode != http.StatusOK || !bytes.Equal(got, want) {
			return fmt.Errorf("%s: %s, %d bytes, expected %d (%w)", path, response.Status, len(got), len(want), err)
		}
		requests.Add(logged)
		return nil
	}

	// Between the rounds the configuration is read again: new workers, and the old ones end.
	const rounds, clients, each = 3, 64, 100
	for round := range rounds {
		var work sync.WaitGroup
		for c := range clients {
			work.Go(func() {
				for k := range each {
					if err := ask(c*each + k + round); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		work.Wait()
		if t.Failed() {
			p.fatalf("the clients failed; error.log:\n%s", tail(read(t, filepath.Join(dir, "error.log"))))
		}
		response, err := client.Get(base + "/list/")
		if err != nil {
			t.Fatal(err)
		}
		listing, _ := io.ReadAll(response.Body)
		response.Body.Close()
		equal(t, "files in the listing", fmt.Sprint(bytes.Count(listing, []byte(`<a href="f`))), fmt.Sprint(files))
		requests.Add(1)
		client.CloseIdleConnections()
		if round == rounds-1 {
			break
		}
		old := descendants(p.pid())
		_ = p.cmd.Process.Signal(syscall.SIGHUP)
		p.waitUntil("reloaded", func() bool {
			now := descendants(p.pid())
			for _, pid := range old {
				for _, still := range now {
					if pid == still {
						return false
					}
				}
			}
			return len(now) == 2
		})
		p.requireMapped()
	}
	p.stop(syscall.SIGQUIT)
	equal(t, "requests in the access log", fmt.Sprint(strings.Count(read(t, filepath.Join(dir, "access.log")), "\n")),
		fmt.Sprint(requests.Load()))
	errors := read(t, filepath.Join(dir, "error.log"))
	if strings.Contains(errors, "[alert]") || strings.Contains(errors, "[crit]") || strings.Contains(errors, "[emerg]") {
		t.Errorf("error.log:\n%s", tail(errors))
	}
}

// read returns a file's contents.
func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
