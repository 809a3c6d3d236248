package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// environ runs a shell under the command, and returns the variables it was given.
func environ(t *testing.T, env []string, args ...string) map[string]string {
	t.Helper()
	o := vcmalloc(t, env, append(append([]string{"run"}, args...), "--", "/bin/sh", "-c", "env")...)
	require.Equal(t, 0, o.status, o.stderr)
	out := map[string]string{}
	for line := range strings.Lines(o.stdout) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		require.NotContains(t, out, name, "each variable once")
		out[name] = value
	}
	return out
}

func TestRunSetsWhatItsFlagsSay(t *testing.T) {
	needLibrary(t)
	t.Parallel()
	dir := t.TempDir()
	env := environ(t, []string{"VCMALLOC_STATS_DIR=/elsewhere", "VCMALLOC_LIB=/nowhere", "VCMALLOC_PERCPU_LIMIT=512k"},
		"--lib", filepath.Dir(tools.library), "--stats-dir", dir, "--features", "-span_priority", "--check", "report")
	assert.Equal(t, tools.library, env["LD_PRELOAD"], "--lib takes the folder as well")
	assert.Equal(t, dir, env["VCMALLOC_STATS_DIR"])
	assert.Equal(t, "-span_priority", env["VCMALLOC_FEATURES"])
	assert.Equal(t, "report", env["VCMALLOC_CHECK"])
	assert.Equal(t, "512k", env["VCMALLOC_PERCPU_LIMIT"], "what no flag names is inherited")
	assert.NotContains(t, env, "VCMALLOC_LIB", "the library does not know it")
}

func TestRunKeepsWhatIsPreloadedAlready(t *testing.T) {
	assert.Equal(t, "/l.so", preload("/l.so", ""))
	assert.Equal(t, "/l.so:/a.so:/b.so", preload("/l.so", "/a.so /b.so"))
	assert.Equal(t, "/l.so:/a.so", preload("/l.so", "/a.so:/l.so:"), "and is not loaded twice")
}

func TestRunPrintsStatisticsAtExit(t *testing.T) {
	needLibrary(t)
	t.Parallel()
	o := vcmalloc(t, []string{"VCMALLOC_LIB=" + tools.library}, "run", "--stats-exit", "ls", "-d", "/")
	assert.Equal(t, "/\n", o.stdout, "-d is the program's")
	assert.Contains(t, o.stderr, "in use: objects of size classes")
}

func TestRunFindsTheLibraryAroundItself(t *testing.T) {
	needLibrary(t)
	t.Parallel()
	root := t.TempDir()
	copyFile := func(from, to string) {
		data, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
		require.NoError(t, os.WriteFile(to, data, 0o755))
	}
	for _, at := range []string{"build", "../build", "../lib", "."} { // later ones come first in the search
		copyFile(tools.library, filepath.Join(root, "bin", at, libraryName))
		found := ""
		for _, path := range libraryCandidates(filepath.Join(root, "bin")) {
			if _, err := os.Stat(path); err == nil && found == "" {
				found = path
			}
		}
		if at == "build" || at == "." || at == "../lib" {
			assert.Equal(t, filepath.Join(root, "bin", at, libraryName), found)
		}
	}
	got, err := checkLibrary(filepath.Join(root, "lib"), "test")
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(root, "lib", libraryName), got)

	copyFile(tools.library, filepath.Join(root, "a b", libraryName))
	_, err = checkLibrary(filepath.Join(root, "a b"), "test")
	assert.ErrorContains(t, err, "space")
}

func TestRunWarnsOfProgramsThatTakeNoLibrary(t *testing.T) {
	assert.Contains(t, unpreloadable(tools.vcmalloc), "statically")
	assert.Empty(t, unpreloadable("/bin/sh"))
	suid := filepath.Join(t.TempDir(), "suid")
	require.NoError(t, os.WriteFile(suid, nil, 0o755))
	require.NoError(t, os.Chmod(suid, 0o755|os.ModeSetuid))
	assert.Contains(t, unpreloadable(suid), "set-user-ID")
}

func TestRunGivesScriptsWithoutInterpreterToTheShell(t *testing.T) {
	needLibrary(t)
	t.Parallel()
	script := filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(script, []byte("echo \"$1\"; exit 7\n"), 0o755))
	o := vcmalloc(t, nil, "run", "--lib", tools.library, script, "--all")
	assert.Equal(t, outcome{"--all\n", "", 7}, o)
}

// Errors are one line on standard error and name the thing; nothing else is printed.
func TestErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	require.NoError(t, os.WriteFile(text, []byte("text"), 0o644))
	needsLibrary := tools.library
	for _, c := range []struct {
		args   string
		status int
		want   string
	}{
		{"nonsense", 2, `no command "nonsense"`},
		{"run", 125, "no program is named"},
		{"run --nonsense -- ls", 125, "--nonsense"},
		{"run --lib /none/lib.so -- ls", 125, "/none/lib.so"},
		{"run --lib " + text + " -- ls", 125, "not a shared library"},
		{"run -- ls", 125, "build it with cgo/build.sh"}, // nothing lies around the test's command
		{"run --lib LIB --check 7 -- ls", 125, "use 0, 1 or report"},
		{"run --lib LIB --stats-dir " + text + "/x -- ls", 125, "--stats-dir"},
		{"run --lib LIB -- no-such-program", 127, "no-such-program"},
		{"run --lib LIB -- " + text, 126, text},
		{"stats", 2, "VCMALLOC_STATS_DIR"},
		{"stats --dir " + text, 1, "not a folder"},
		{"stats --dir /none", 1, "/none"},
		{"stats --dir DIR", 1, "no process publishes in"},
		{"stats 1 --dir DIR", 1, "process 1 does not publish"},
		{"stats x --dir DIR", 2, "not a process id"},
		{"stats 1 --all --dir DIR", 2, "not both"},
		{"stats 1 2 --dir DIR", 2, "at most 1"},
		{"report --over 0s --dir DIR", 2, "--over"},
		{"top --interval 1ms --dir DIR", 2, "--interval"},
		{"top --nonsense", 2, "--nonsense"},
		{"export --listen 0.0.0.0:0 --dir DIR", 2, "loopback"},
		{"export --listen :0 --dir DIR", 2, "127.0.0.1"},
		{"export --listen 127.0.0.1:1 --dir /none", 1, "/none"},
		{"version x", 2, "version"},
	} {
		args := strings.Fields(strings.NewReplacer("DIR", dir, "LIB", needsLibrary).Replace(c.args))
		if strings.Contains(c.args, "LIB") && tools.missing != "" {
			continue
		}
		o := vcmalloc(t, nil, args...)
		assert.Equal(t, c.status, o.status, "%s: %s", c.args, o.stderr)
		assert.Regexp(t, "^vcmalloc: [^\n]*"+regexp.QuoteMeta(c.want)+"[^\n]*\n$", o.stderr, c.args)
		assert.Empty(t, o.stdout, c.args)
	}
}

func TestVersionIsTheLibrarys(t *testing.T) {
	header, err := os.ReadFile("../../include/vcmalloc.h")
	require.NoError(t, err)
	assert.Contains(t, string(header), `#define VCMALLOC_VERSION "`+version+`"`)
	o := vcmalloc(t, nil, "version")
	assert.Equal(t, 0, o.status)
	assert.Contains(t, o.stdout, "vcmalloc "+version)
}
