package demo

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// process is a server that was started.
type process struct {
	cmd *exec.Cmd
	log string
	// done is closed when it has ended, and err says how.
	done chan struct{}
	err  error
}

// startProcess starts a program whose output goes to the end of a file.
func startProcess(program string, args []string, log string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(program, args...), log: log, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.Env = withoutSettings(os.Environ())
	p.cmd.SysProcAttr = endWithParent()
	started := make(chan error)
	go func() {
		// What ends the child with its parent goes by the thread that started it. This one
		// is kept until the child has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer out.Close()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", program, err)
	}
	return p, nil
}

// withoutSettings leaves out what raftkv serve would take for its flags.
func withoutSettings(environment []string) (kept []string) {
	for _, e := range environment {
		if !strings.HasPrefix(e, "RAFTKV_") {
			kept = append(kept, e)
		}
	}
	return kept
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill ends the process without asking (SIGKILL), and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// terminate asks the process to end, and kills it if it has not by the end of ctx.
func (p *process) terminate(ctx context.Context) {
	if p.cmd.Process.Signal(syscall.SIGTERM) != nil { // not everywhere can a process be asked
		_ = p.cmd.Process.Kill()
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		p.kill()
	}
}

// wait waits until the process has ended by itself.
func (p *process) wait(ctx context.Context, atMost time.Duration) bool {
	select {
	case <-p.done:
	case <-ctx.Done():
	case <-time.After(atMost):
	}
	return p.ended()
}

// portTaken says whether the process ended because others had its address.
func (p *process) portTaken() bool {
	return p.ended() && strings.Contains(p.tail(), syscall.EADDRINUSE.Error())
}

// tail returns the last lines of what the process wrote.
func (p *process) tail() string {
	const most = 5
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-most):], "\n")
}
