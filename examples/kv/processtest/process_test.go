//go:build unix

package processtest

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience bounds what should be a matter of a moment, on a machine that has other things to
// do.
const patience = 60 * time.Second

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "processtest")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		programDir = dir
		return m.Run()
	}())
}

var programDir string

// program is the path of raftkv, which is built by the first test that wants it, and with
// the race detector if the test has it.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(programDir, "raftkv")
	args := []string{"build", "-o", path}
	if raceEnabled {
		args = append(args, "-race")
	}
	output, err := exec.Command("go", append(args, "../cmd/raftkv")...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("go %q: %w\n%s", args, err, output)
	}
	return path, err
})

// raftkv returns a command that is not started.
func raftkv(t testing.TB, args ...string) *exec.Cmd {
	path, err := program()
	require.NoError(t, err)
	cmd := exec.Command(path, args...)
	// A race ends a server, so that it is noticed. Flags are given; what is in the
	// environment of the test is not for the servers.
	cmd.Env = append(os.Environ(), "GORACE=halt_on_error=1")
	cmd.SysProcAttr = dieWithParent()
	return cmd
}

// starts has functions that start processes. They run on one thread that never ends: to the
// system the parent of a process is a thread, and dieWithParent would end it with that.
var starts = sync.OnceValue(func() chan func() {
	c := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range c {
			f()
		}
	}()
	return c
})

func start(cmd *exec.Cmd) (err error) {
	done := make(chan struct{})
	starts() <- func() {
		err = cmd.Start()
		close(done)
	}
	<-done
	return err
}

// output is what a process wrote, and its exit status.
type output struct {
	status int
	text   string
}

// run runs a command to its end, which it has to come to by itself.
func run(t testing.TB, cmd *exec.Cmd) output {
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	require.NoError(t, start(cmd))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	_ = cmd.Wait()
	require.NoError(t, ctx.Err(), "%q still ran: %s", cmd.Args, &text)
	return output{cmd.ProcessState.ExitCode(), text.String()}
}

// process is one that runs beside the test.
type process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	// mayEnd says that it is no fault if it ends.
	mayEnd atomic.Bool
}

// startProcess starts a command that writes to the end of a file. It is killed when the test
// ends. That it ends before and is not meant to fails the test.
func startProcess(t testing.TB, name, logFile string, cmd *exec.Cmd) *process {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	require.NoError(t, err)
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, start(cmd))
	p := &process{name: name, cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_ = cmd.Wait()
		if !p.mayEnd.Load() {
			t.Errorf("%s ended by itself: %v", name, cmd.ProcessState)
		}
	}()
	t.Cleanup(p.kill)
	return p
}

// kill ends the process at once, whatever it does, and waits for that.
func (p *process) kill() {
	p.mayEnd.Store(true)
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.done
}

// ended waits for the process to end by itself and returns its exit status.
func (p *process) ended(t testing.TB) int {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatalf("%s still runs", p.name)
		return -1
	}
}

// terminate asks the process to end, which it has to do, with success.
func (p *process) terminate(t testing.TB) {
	p.mayEnd.Store(true)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Zero(t, p.ended(t), "%s was terminated: %v", p.name, p.cmd.ProcessState)
}

// pause and resume stop the process without its noticing, and let it go on.
func (p *process) pause()  { _ = p.cmd.Process.Signal(syscall.SIGSTOP) }
func (p *process) resume() { _ = p.cmd.Process.Signal(syscall.SIGCONT) }

// tail returns the last lines of a file.
func tail(file string, lines int) []byte {
	text, err := os.ReadFile(file)
	if err != nil {
		return []byte(err.Error())
	}
	at := len(text)
	for range lines + 1 {
		at = bytes.LastIndexByte(text[:max(at, 0)], '\n')
		if at < 0 {
			break
		}
	}
	return text[at+1:]
}

// eventually waits until check has nothing to object to.
func eventually(t testing.TB, within time.Duration, what string, check func() error) {
	t.Helper()
	var err error
	for began := time.Now(); time.Since(began) < within; time.Sleep(10 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatalf("%s: after %v: %v", what, within, err)
}
