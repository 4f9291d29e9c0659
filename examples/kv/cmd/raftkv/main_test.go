package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v3"

	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/examples/kv/bench"
	"github.com/quorate-raft/raft/examples/kv/server"
)

// outcome is what a command line came to.
type outcome struct {
	status      int
	out, errors string
}

// raftkv runs a command line.
func raftkv(t *testing.T, stdin string, args ...string) (o outcome) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	o.status = run(ctx, append([]string{"raftkv"}, args...), strings.NewReader(stdin), &out, &errs)
	o.out, o.errors = out.String(), errs.String()
	return o
}

// startServer starts a server in this process and returns it.
func startServer(t *testing.T) *server.Server {
	t.Helper()
	s, err := server.Start(t.Context(), server.Config{
		Dir: filepath.Join(t.TempDir(), "data"), PeerListen: "127.0.0.1:0", ClientListen: "127.0.0.1:0", Tick: 20 * time.Millisecond,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop()) })
	return s
}

// What is wrong with a command line is told with what it should be, and the status for
// that; nothing is started or written.
func TestUsage(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "raftkv.yaml")
	require.NoError(t, os.WriteFile(config, []byte("peer-listn: 127.0.0.1:1\n"), 0o600))
	data := filepath.Join(dir, "data")
	for _, c := range []struct {
		args []string
		text string
	}{
		{nil, "say what to do"},
		{[]string{"frob"}, `no command "frob"`},
		{[]string{"member"}, "say what to do"},
		{[]string{"member", "frob"}, `no command "frob"`},
		{[]string{"get"}, "KEY is missing"},
		{[]string{"put", "k"}, "VALUE is missing"},
		{[]string{"put", "k", "v", "w"}, `"w" is one argument too many`},
		{[]string{"get", "--frob", "k"}, "frob"},
		{[]string{"get", "k", "--timeout", "x"}, "timeout"},
		{[]string{"get", "k", "--endpoints", "ftp://x"}, "http"},
		{[]string{"get", "k", "--cert", "x"}, "--key is missing"},
		{[]string{"get", "k", "--ca", filepath.Join(dir, "none")}, "no such file"},
		{[]string{"get", "k", "--ca", config}, "holds no certificate"},
		{[]string{"cas", "k", "v"}, "--if-absent"},
		{[]string{"cas", "k", "v", "--if-absent", "--if-value", "x"}, "--if-absent"},
		{[]string{"range", "--prefix", "a", "--to", "b"}, "--prefix"},
		{[]string{"member", "remove", "x"}, "not the ID"},
		{[]string{"member", "add"}, "peer"},
		{[]string{"member", "set"}, "voters"},
		{[]string{"member", "set", "--voters", "1,x"}, `"x" is not ID or ID=ADDRESS`},
		{[]string{"member", "set", "--voters", "1,2="}, `"2=" is not ID or ID=ADDRESS`},
		{[]string{"member", "set", "--voters", "1,2,1"}, "two of ID 1"},
		{[]string{"member", "plan", "--voters", "1", "--learners", "1"}, "both voter and learner"},
		{[]string{"member", "set", "--voters", "1", "2"}, "too many"},
		{[]string{"member", "watch", "--interval", "0s"}, "--interval (0s)"},
		{[]string{"repair"}, "say what to do"},
		{[]string{"serve", "--data", data, "--spares", "4"}, "--spares needs --auto-repair"},
		{[]string{"serve", "--data", data, "--auto-repair", "--spares", "four"}, "not the ID of a server"},
		{[]string{"serve", "--data", data, "--auto-repair", "--spares", "4,4"}, "4 is named twice"},
		{[]string{"serve", "--data", data, "--auto-repair", "--repair-min-voters", "-1"}, "MinVoters (-1)"},
		{[]string{"bench", "--clients", "-1"}, "Clients (-1)"},
		{[]string{"bench", "--consistency", "eventual"}, "consistency (eventual)"},
		{[]string{"get", "k", "--consistency", "eventual"}, "consistency (eventual)"},
		{[]string{"range", "--limit", "-1"}, "--limit (-1)"},
		{[]string{"serve", "--data", data, "--cluster", "x", "--join", "a:1"}, "leave one of them out"},
		{[]string{"serve", "--data", data, "x"}, "too many"},
		{[]string{"serve", "--data", data, "--members", "1"}, "not ID=ADDRESS"},
		{[]string{"serve", "--data", data, "--members", "1=a:1,1=b:1"}, "two of ID 1"},
		{[]string{"serve", "--data", data, "--members", "1=a:1"}, "ID must be set"},
		{[]string{"serve", "--data", data, "--tick", "fast"}, "tick"},
		{[]string{"serve", "--data", data, "--peer-listen", ":1"}, "PeerAdvertise must be set"},
		{[]string{"serve", "--data", data, "--peer-cert", "x"}, "--peer-key is missing"},
		{[]string{"serve", "--data", data, "--client-ca", "x"}, "--client-ca needs"},
		{[]string{"serve", "--data", data, "--client-cert", "x", "--client-key", "y"}, "no such file"},
		{[]string{"serve", "--data", data, "--log-level", "loud"}, "log-level"},
		{[]string{"serve", "--data", data, "--log-format", "xml"}, "console or json"},
		{[]string{"serve", "--data", data, "--config", filepath.Join(dir, "none")}, "no such file"},
		{[]string{"serve", "--data", data, "--config", config}, `no flag "peer-listn"`},
	} {
		o := raftkv(t, "", c.args...)
		require.Equal(t, exitUsage, o.status, "%v: %s", c.args, o.errors)
		require.Contains(t, o.errors, c.text, "%v", c.args)
	}
	require.NoDirExists(t, data)
	o := raftkv(t, "", "recover", "--data", data)
	require.Equal(t, exitFailed, o.status)
	require.Contains(t, o.errors, "nothing to recover")
	require.NoDirExists(t, data)
	o = raftkv(t, "", "serve", "--help")
	require.Equal(t, 0, o.status)
	require.Contains(t, o.out, "--peer-listen")
}

// A flag counts before the environment, and that before the config file.
func TestWhereFlagsComeFrom(t *testing.T) {
	file := filepath.Join(t.TempDir(), "raftkv.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`
data: from-file
peer-listen: 127.0.0.1:1
client-listen: 127.0.0.1:1
debug-listen: 127.0.0.1:1
id: 7
tick: 30ms
as-learner: true
members: [1=a:1, 2=b:1]
join: c:1
`), 0o600))
	t.Setenv("RAFTKV_CLIENT_LISTEN", "127.0.0.1:2")
	t.Setenv("RAFTKV_DEBUG_LISTEN", "127.0.0.1:2")
	t.Setenv("RAFTKV_ELECTION_TICKS", "12")
	var got server.Config
	serve := serveCommand()
	serve.Action = func(_ context.Context, c *cli.Command) (err error) {
		got, err = serverConfig(c)
		return err
	}
	require.NoError(t, serve.Run(t.Context(), []string{"serve", "--debug-listen", "127.0.0.1:3", "--config", file}))
	require.Equal(t, "from-file", got.Dir)
	require.Equal(t, []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}, []string{got.PeerListen, got.ClientListen, got.DebugListen})
	require.Equal(t, uint64(7), got.ID)
	require.Equal(t, 30*time.Millisecond, got.Tick)
	require.Equal(t, 12, got.ElectionTicks)
	require.True(t, got.AsLearner)
	require.Equal(t, map[uint64]string{1: "a:1", 2: "b:1"}, got.Members)
	require.Equal(t, []string{"c:1"}, got.Join)
}

// Commands do what they say, and scripts can tell from the status how it ended.
func TestCommands(t *testing.T) {
	s := startServer(t)
	t.Setenv("RAFTKV_ENDPOINTS", s.Addresses().Client)
	ok := func(stdin string, args ...string) string {
		t.Helper()
		o := raftkv(t, stdin, args...)
		require.Equal(t, 0, o.status, "%v: %s", args, o.errors)
		require.Empty(t, o.errors)
		return o.out
	}
	require.Regexp(t, `^revision \d+\n$`, ok("", "put", "a/1", "one"))
	require.Regexp(t, `^revision \d+\n$`, ok("two\n", "put", "a/2", "-"))
	require.Equal(t, "one\n", ok("", "get", "a/1"))
	require.Equal(t, "two\n\n", ok("", "get", "--consistency", "lease", "a/2"))
	require.Equal(t, "a/1\tone\na/2\ttwo\n\n", ok("", "range", "--prefix", "a/"))
	require.Equal(t, "a/1\tone\n", ok("", "range", "--limit", "1"))
	var e api.Entry
	require.NoError(t, json.Unmarshal([]byte(ok("", "get", "--json", "a/1")), &e))
	require.Equal(t, "one", string(e.Value))

	ok("", "cas", "a/1", "uno", "--if-value", "one")
	o := raftkv(t, "", "cas", "a/1", "eins", "--if-absent")
	require.Equal(t, exitFailed, o.status)
	require.Contains(t, o.errors, "condition")
	ok("", "cas", "a/3", "", "--if-absent")
	require.Contains(t, ok("", "del", "a/3"), "revision")
	require.Contains(t, ok("", "del", "a/3"), "no such key")
	o = raftkv(t, "", "get", "a/3")
	require.Equal(t, exitFailed, o.status)
	require.Contains(t, o.errors, `no key "a/3"`)

	require.Contains(t, ok("", "status"), "leader")
	require.Contains(t, ok("", "member", "list"), s.Cluster())
	added := ok("", "member", "add", "--peer", "127.0.0.1:1")
	require.Contains(t, added, "server 2 is a learner now")
	require.Contains(t, added, "--id 2 --join "+s.Addresses().Client)
	o = raftkv(t, "", "member", "promote", "2")
	require.Equal(t, exitFailed, o.status)
	require.Contains(t, o.errors, "(refused)")
	require.Contains(t, ok("", "status"), "has not told its address")
	require.NotContains(t, ok("", "member", "remove", "2"), "learner")
	o = raftkv(t, "", "transfer", "--to", "9")
	require.Equal(t, exitFailed, o.status)

	plan := ok("", "member", "plan", "--voters", "1,3=127.0.0.1:1")
	for _, line := range []string{`1 +add learner: 3 +1 +3 +1 +0 failures`, `2 +catch up: 3`, `3 +change voters: 3 +1 3 +2`, "survives 0 failures before"} {
		require.Regexp(t, line, plan)
	}
	require.Contains(t, ok("", "member", "plan", "--voters", "1"), "nothing is to be done")
	require.Contains(t, ok("", "member", "plan", "--voters", "1,3=127.0.0.1:1", "--expect-version", "1", "--force"), "1 was expected")
	o = raftkv(t, "", "member", "plan", "--voters", "1,7")
	require.Equal(t, exitFailed, o.status)
	require.Contains(t, o.errors, "server 7 is no member yet: give its address")
	o = raftkv(t, "", "member", "set", "--voters", "1,3=127.0.0.1:1", "--expect-version", "1")
	require.Equal(t, exitFailed, o.status)
	require.Contains(t, o.errors, "1 was expected")
	// Nobody listens there, so it is given up, and the exit status says so.
	o = raftkv(t, "", "member", "set", "--voters", "1,3=127.0.0.1:1", "--wait")
	require.Equal(t, exitFailed, o.status)
	require.Contains(t, o.errors, "aborted: server 3 did not answer")
	require.Contains(t, o.out, "voters 1 3")
	require.Contains(t, ok("", "member", "set", "--voters", "1", "--wait"), ": reached\n")
	o = raftkv(t, "", "member", "cancel")
	require.Equal(t, exitFailed, o.status)
	require.Contains(t, o.errors, "no membership target stands")
	require.Regexp(t, `1 +leader +off`, ok("", "repair", "status"))
	o = raftkv(t, "", "repair", "pause")
	require.Equal(t, exitFailed, o.status)
	require.Contains(t, o.errors, "no server was started with --auto-repair")
	require.Contains(t, ok("", "member", "list"), ": reached\n")
	o = raftkv(t, "", "get", "k", "--endpoints", "127.0.0.1:1", "--timeout", "50ms")
	require.Equal(t, exitFailed, o.status)
	require.Contains(t, o.errors, "refused")
}

// A watch prints what changes, from the revision that it is told on.
func TestWatchCommand(t *testing.T) {
	s := startServer(t)
	t.Setenv("RAFTKV_ENDPOINTS", s.Addresses().Client)
	for _, v := range []string{"1", "2"} {
		require.Equal(t, 0, raftkv(t, "", "put", "k", v).status)
	}
	require.Equal(t, 0, raftkv(t, "", "del", "k").status)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	lines := &lineWriter{enough: 3, done: cancel}
	status := run(ctx, []string{"raftkv", "watch", "--since", "1"}, nil, lines, os.Stderr)
	require.Equal(t, 0, status)
	require.Regexp(t, `^\d+\tput\tk\t1\n\d+\tput\tk\t2\n\d+\tdel\tk\n$`, lines.String())
}

// lineWriter ends what writes to it after enough lines.
type lineWriter struct {
	bytes.Buffer
	enough int
	done   func()
}

func (w *lineWriter) Write(p []byte) (int, error) {
	n, err := w.Buffer.Write(p)
	if bytes.Count(w.Bytes(), []byte("\n")) >= w.enough {
		w.done()
	}
	return n, err
}

// A benchmark measures what it says, and the servers' disks beside it.
func TestBenchCommand(t *testing.T) {
	s := startServer(t)
	o := raftkv(t, "", "bench", "--endpoints", s.Addresses().Client, "--clients", "4", "--duration", "300ms", "--disk", t.TempDir(), "--json")
	require.Equal(t, 0, o.status, o.errors)
	var r bench.Result
	require.NoError(t, json.Unmarshal([]byte(o.out), &r))
	require.Equal(t, 1, r.Servers)
	for _, f := range []bench.Figures{r.Writes, r.Reads, *r.Disk} {
		require.Positive(t, f.Count)
		require.Zero(t, f.Failed)
		require.Positive(t, f.P50)
		require.LessOrEqual(t, f.P50, f.P99)
		require.LessOrEqual(t, f.P99, f.P999)
		require.LessOrEqual(t, f.P999, f.Max)
		require.InDelta(t, float64(f.Count)/f.Seconds, f.PerSecond, 0.01)
	}
	require.Len(t, r.LogSyncs, 1)
	require.Positive(t, r.LogSyncs[0].P50)
	require.LessOrEqual(t, uint64(r.Writes.Count), r.LogSyncs[0].Count*4*2, "at most one write of each client in a sync")

	o = raftkv(t, "", "bench", "--endpoints", s.Addresses().Client, "--clients", "4", "--duration", "500ms", "--disk", "")
	require.Equal(t, 0, o.status, o.errors)
	require.Contains(t, o.out, "reads, linearizable")
	require.NotContains(t, o.out, "disk here")
	o = raftkv(t, "", "bench", "--endpoints", s.Addresses().Client, "--duration", "100ms", "--disk", filepath.Join(t.TempDir(), "none"))
	require.Equal(t, exitFailed, o.status)
}
