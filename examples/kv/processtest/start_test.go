//go:build unix

package processtest

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is wrong with a start is said in words, with status 2 if it is the command line, the
// environment or the config file, else with status 1.
func TestBadStarts(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", freeAddress(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	c := startCluster(t, 1) // with a directory that is in use
	inUse := c.get(1)
	stopped := startCluster(t, 1).get(1)
	stopped.terminate()
	config := func(text string) string {
		file := filepath.Join(t.TempDir(), "config.yaml")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		return file
	}
	damaged := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(damaged, "server.json"), []byte("{"), 0o644))
	foreign := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(foreign, "thesis.tex"), nil, 0o644))

	for _, test := range []struct {
		name   string
		args   []string
		env    string
		status int
		text   []string
	}{
		{"port of clients in use", []string{"--client-listen", taken.Addr().String()}, "", 1, []string{taken.Addr().String(), "in use", "--client-listen"}},
		{"port of peers in use", []string{"--peer-listen", taken.Addr().String()}, "", 1, []string{taken.Addr().String(), "in use", "--peer-listen"}},
		{"no such flag", []string{"--nonsense"}, "", 2, []string{"nonsense", "--help"}},
		{"an argument", []string{"nonsense"}, "", 2, []string{`"nonsense"`, "--help"}},
		{"bad duration", []string{"--tick", "soon"}, "", 2, []string{"tick", "soon"}},
		{"bad number", []string{"--id", "first"}, "", 2, []string{"id", "first"}},
		{"bad address", []string{"--client-listen", "here"}, "", 2, []string{"ClientListen", `"here"`}},
		{"bad members", []string{"--members", "one"}, "", 2, []string{"--members", `"one"`}},
		{"not among the members", []string{"--id", "3", "--members", "1=127.0.0.1:1"}, "", 2, []string{"ID (3)", "Members"}},
		{"members and join", []string{"--id", "1", "--members", "1=127.0.0.1:1", "--join", "127.0.0.1:2"}, "", 2, []string{"Members", "Join"}},
		{"a certificate without its key", []string{"--peer-cert", "x"}, "", 2, []string{"--peer-key", "go together"}},
		{"no certificates there", []string{"--peer-cert", "nowhere", "--peer-key", "nowhere", "--peer-ca", "nowhere"}, "", 2, []string{"nowhere", "no such file"}},
		{"bad log level", []string{"--log-level", "chatty"}, "", 2, []string{"--log-level", "chatty"}},
		{"no config file", []string{"--config", "nowhere.yaml"}, "", 2, []string{"--config", "nowhere.yaml", "no such file"}},
		{"unknown key in the config file", []string{"--config", config("tik: 100ms\n")}, "", 2, []string{"--config", `"tik"`}},
		{"bad value in the config file", []string{"--config", config("tick: soon\n")}, "", 2, []string{"--config", "tick", "soon"}},
		{"no YAML", []string{"--config", config("\t:")}, "", 2, []string{"--config", "yaml"}},
		{"bad environment", nil, "RAFTKV_TICK=soon", 2, []string{"RAFTKV_TICK", "soon"}},
		{"directory in use", []string{"--data", inUse.dir}, "", 1, []string{inUse.dir, "in use by another process", "--data"}},
		{"directory of another server", []string{"--data", stopped.dir, "--id", "2"}, "", 1, []string{stopped.dir, "belongs to another server", "--data"}},
		{"directory of another cluster", []string{"--data", stopped.dir, "--id", "1", "--members", "1=127.0.0.1:1"}, "", 1, []string{stopped.dir, "belongs to another server"}},
		{"directory of something else", []string{"--data", foreign}, "", 1, []string{foreign, "thesis.tex"}},
		{"damaged directory", []string{"--data", damaged}, "", 1, []string{"server.json", "damaged"}},
		{"a file for a directory", []string{"--data", filepath.Join(foreign, "thesis.tex")}, "", 1, []string{"thesis.tex"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			args := []string{"serve", "--data", filepath.Join(t.TempDir(), "data"), "--peer-listen", freeAddress(t), "--client-listen", freeAddress(t)}
			cmd := raftkv(t, append(args, test.args...)...)
			if test.env != "" {
				cmd.Env = append(cmd.Env, test.env)
			}
			end := run(t, cmd)
			require.Equal(t, test.status, end.status, end.text)
			for _, text := range test.text {
				require.Contains(t, end.text, text)
			}
			require.NotContains(t, end.text, "goroutine ")
		})
	}
	for _, args := range [][]string{{}, {"nonsense"}, {"member"}, {"member", "remove"}, {"member", "remove", "first"}} {
		end := run(t, raftkv(t, args...))
		require.Equal(t, 2, end.status, "%q: %s", args, end.text)
	}
}
