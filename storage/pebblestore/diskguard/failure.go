package diskguard

import (
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.uber.org/zap"
)

// Failure is the first write that failed, or what Pebble could not recover from. It
// wraps its cause, such as syscall.ENOSPC. Owners mostly return it in an error of
// their own; it is not changed once it is there.
type Failure struct {
	// Op is what was done: write, sync, create, link, rename, stat, close; background
	// work or pebble where it was Pebble that gave up; or what Fail was told.
	Op string
	// File is what it was done to, or empty.
	File string
	// Err is the cause.
	Err error
}

// Error names the operation and the cause.
func (f *Failure) Error() string {
	if f.File == "" {
		return fmt.Sprintf("%s: %v", f.Op, f.Err)
	}
	return fmt.Sprintf("%s of %s: %v", f.Op, f.File, f.Err)
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Fail records a failure that the owner noticed, such as a panic of Pebble's, if it is
// the first. It may be called concurrently.
func (g *FS) Fail(op, file string, err error) {
	failure := &Failure{Op: op, File: file, Err: err}
	if g.failure.CompareAndSwap(nil, failure) && g.failed != nil {
		g.failed(failure)
	}
}

// Failure returns the failure, the same for good, or nil. It may be called
// concurrently, and costs an atomic load.
func (g *FS) Failure() *Failure { return g.failure.Load() }

// failedPause slows down what Pebble repeats in the background once it has failed,
// until it is closed.
const failedPause = 20 * time.Millisecond

// BackgroundError takes an error of Pebble's background work for a failure. It is a
// pebble.EventListener's BackgroundError.
func (g *FS) BackgroundError(err error) {
	if g.Failure() != nil {
		time.Sleep(failedPause)
		return
	}
	g.Fail("background work", "", err)
}

// Logger returns Pebble's logger. Messages go to log, at level debug, and errors at
// level warn; the end of the process, which Pebble asks its logger for, is a failure.
func (g *FS) Logger(log *zap.Logger) pebble.Logger { return logger{g, log} }

type logger struct {
	g   *FS
	log *zap.Logger
}

func (l logger) Infof(format string, args ...any) {
	if ce := l.log.Check(zap.DebugLevel, "pebble"); ce != nil {
		ce.Write(zap.String("message", fmt.Sprintf(format, args...)))
	}
}

func (l logger) Errorf(format string, args ...any) {
	l.log.Warn("pebble", zap.String("message", fmt.Sprintf(format, args...)))
}

func (l logger) Fatalf(format string, args ...any) {
	l.g.Fail("pebble", "", fmt.Errorf(format, args...))
}
