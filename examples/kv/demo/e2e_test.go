package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var built struct {
	sync.Once
	path string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.path != "" {
		_ = os.RemoveAll(filepath.Dir(built.path))
	}
	os.Exit(code)
}

// raftkv builds the program, once for all tests.
func raftkv(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts servers")
	}
	built.Do(func() {
		dir, err := os.MkdirTemp("", "raftkv-")
		if err != nil {
			built.err = err
			return
		}
		built.path = filepath.Join(dir, "raftkv")
		output, err := exec.Command("go", "build", "-o", built.path, "../cmd/raftkv").CombinedOutput()
		if built.err = err; err != nil {
			built.err = &exec.Error{Name: string(output), Err: err}
		}
	})
	require.NoError(t, built.err)
	return built.path
}

// running is a demo that runs, as a program.
type running struct {
	*testing.T
	cmd            *exec.Cmd
	tmp            string // for its temporary directory
	stdout, stderr lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func startDemo(t *testing.T, args ...string) *running {
	t.Helper()
	r := &running{T: t, tmp: t.TempDir()}
	r.cmd = exec.Command(raftkv(t), append([]string{"demo"}, args...)...)
	r.cmd.Env = append(os.Environ(), "TMPDIR="+r.tmp, "RAFTKV_JOIN=127.0.0.1:1") // which is not for the demo's servers
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, &r.stderr
	require.NoError(t, r.cmd.Start())
	t.Cleanup(func() { _ = r.cmd.Process.Kill() })
	return r
}

// wait returns the status that the demo exits with.
func (r *running) wait() int {
	r.Helper()
	_ = r.cmd.Wait()
	return r.cmd.ProcessState.ExitCode()
}

// until waits until the demo's page shows a state.
func (r *running) until(shown func(s *pageState) bool) {
	r.Helper()
	require.Eventually(r, func() bool {
		url := regexp.MustCompile(`http://\S+/`).FindString(r.stdout.String() + r.stderr.String())
		resp, err := http.Get(url + "state")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		var s pageState
		return json.NewDecoder(resp.Body).Decode(&s) == nil && shown(&s)
	}, time.Minute, 20*time.Millisecond, "%s%s", &r.stdout, &r.stderr)
}

func threeRun(s *pageState) bool {
	answer := 0
	for _, server := range s.Servers {
		if server.Answers {
			answer++
		}
	}
	return answer == 3
}

// servers returns the command lines of the demo's servers that run.
func (r *running) servers() (lines []string) {
	r.Helper()
	if runtime.GOOS != "linux" {
		return nil
	}
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(r, err)
	for _, f := range files {
		line, err := os.ReadFile(f) // it may have ended meanwhile
		if err == nil && strings.Contains(string(line), r.tmp) {
			lines = append(lines, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return lines
}

func (r *running) requireNoServers() {
	r.Helper()
	require.Eventually(r, func() bool { return len(r.servers()) == 0 }, 10*time.Second, 10*time.Millisecond, "%v", r.servers())
}

func (r *running) requireNoFiles() {
	r.Helper()
	entries, err := os.ReadDir(r.tmp)
	require.NoError(r, err)
	require.Empty(r, entries)
}

// The demo does what it says, says that all is well, and leaves nothing behind. As its
// output is no terminal there is nothing drawn in it.
func TestDemo(t *testing.T) {
	t.Parallel()
	r := startDemo(t, "--keys", "300")
	require.Equal(t, 0, r.wait(), "%s%s", &r.stdout, &r.stderr)
	t.Log(r.stdout.String())
	out := r.stdout.String()
	require.Empty(t, r.stderr.String())
	require.NotContains(t, out, "\r")
	for _, line := range []string{
		`keys loaded +300 in .*/s`, `writes +[1-9]\d+`, `reads +[1-9]\d*`, `ambiguous +\d+`,
		`time without writes +(\d+ ms|\d+\.\d\d s) \(election timeout 500 ms to 1.00 s\)`,
		`restart +\d.*s`, `join as learner +\d.*s`, `promotion +\d.*s`, `swap +\d.*s(, by a joint configuration that was seen)?`,
		`read back +3\d\d keys, from each of (\d, ){2}4 and 5`, `lost +0`, `linearizable +yes, \d+ operations`, `total time +\d.*s`,
	} {
		require.Regexp(t, `(?m)^`+line+`$`, out)
	}
	r.requireNoServers()
	r.requireNoFiles()
}

// The summary is JSON if that is asked for, alone on the standard output; a directory that
// was named is kept.
func TestDemoInterruptedWhileOpen(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "kept")
	r := startDemo(t, "--keys", "200", "--dir", dir, "--json", "--open-for", "5m")
	r.until(func(s *pageState) bool { return s.Over })
	require.NoError(t, r.cmd.Process.Signal(os.Interrupt))
	require.Equal(t, 0, r.wait(), "%s%s", &r.stdout, &r.stderr)
	var s Summary
	require.NoError(t, json.Unmarshal([]byte(r.stdout.String()), &s), r.stdout.String())
	require.Equal(t, 200, s.Keys)
	require.True(t, s.Linearizable)
	require.NotNil(t, s.Lost)
	require.Empty(t, s.Lost)
	require.Positive(t, s.WithoutWrites)
	require.DirExists(t, filepath.Join(dir, "server-5"))
	require.FileExists(t, filepath.Join(dir, "server-5.log"))
}

// A demo that is interrupted ends its servers, removes what it has made, and says so.
func TestDemoInterrupted(t *testing.T) {
	t.Parallel()
	r := startDemo(t, "--keys", "1000000")
	r.until(threeRun)
	require.NoError(t, r.cmd.Process.Signal(os.Interrupt))
	require.Equal(t, 1, r.wait())
	require.Contains(t, r.stderr.String(), "interrupted")
	r.requireNoServers()
	r.requireNoFiles()
}

// The servers of a demo that is killed do not outlive it.
func TestDemoKilled(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends a child with its parent")
	}
	t.Parallel()
	r := startDemo(t, "--keys", "1000000")
	r.until(threeRun)
	require.Len(t, r.servers(), 3)
	require.NoError(t, r.cmd.Process.Kill())
	r.wait()
	r.requireNoServers()
}

// A write that is undone behind the back of the clients is found, in a real cluster, and so
// is a register of the history that was changed.
func TestTamperedData(t *testing.T) {
	program := raftkv(t)
	s, d, err := tell(t, Config{Program: program, Keys: 100}, func(d *demo) []step {
		return []step{
			{"certificates", d.makeCertificates}, {"start", d.startServers}, {"load", d.load}, {"traffic", d.startTraffic},
			{"tamper", func(ctx context.Context) (string, error) {
				d.stop()
				if _, err := d.cluster.asking().Delete(ctx, []byte(loadKey(17))); err != nil {
					return "", err
				}
				_, err := d.cluster.asking().Put(ctx, []byte(historyKey(1)), []byte("nonsense"))
				return "", err
			}},
			{"read back", d.readBack}, {"check", d.check},
		}
	})
	require.ErrorIs(t, err, ErrLost)
	require.ErrorIs(t, err, ErrNotLinearizable)
	require.ErrorContains(t, err, loadKey(17)+" is missing")
	require.Len(t, s.Lost, 3, "on each server")
	require.DirExists(t, d.dir)
	for _, s := range d.cluster.servers {
		require.True(t, s.process.ended())
	}
}

// Servers whose ports somebody takes before they can are started with others; one that ends
// for another reason is an error that has its last lines.
func TestPortsThatAreTaken(t *testing.T) {
	program := raftkv(t)
	_, _, err := tell(t, Config{Program: program, Keys: 100}, func(d *demo) []step {
		return []step{
			{"certificates", d.makeCertificates}, {"start", d.startServers},
			{"kill a server, and take its port", func(ctx context.Context) (string, error) {
				s := d.cluster.find(2)
				d.cluster.kill(2)
				for _, address := range []string{s.client, s.peer} {
					l, err := net.Listen("tcp", address)
					if err != nil {
						return "", err
					}
					t.Cleanup(func() { _ = l.Close() })
				}
				if err := d.cluster.restart(ctx, 2); err != nil {
					return "", err
				}
				require.NotEqual(t, s.client, d.cluster.find(2).client)
				return "", nil
			}},
			{"kill a server behind the demo's back", func(context.Context) (string, error) {
				d.cluster.find(3).process.kill()
				return "", nil
			}},
		}
	})
	require.ErrorContains(t, err, "server 3 ended (signal: killed); its last lines:\n")
	require.ErrorContains(t, err, "INFO")
}

// A page whose address is taken is an error before anything is begun.
func TestPageAddressTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	t.Setenv("TMPDIR", t.TempDir())
	_, err = Run(t.Context(), Config{Page: l.Addr().String()})
	require.ErrorContains(t, err, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	entries, err := os.ReadDir(os.Getenv("TMPDIR"))
	require.NoError(t, err)
	require.Empty(t, entries)
}
