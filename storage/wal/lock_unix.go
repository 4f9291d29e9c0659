//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package wal

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// flocked is a file with a lock on it.
type flocked struct{ *os.File }

// Close frees the lock. Closing the file is not enough: the lock is the open file's, which
// a process that this one is just starting, for something else, has too until it runs its
// program, and a busy machine makes that long.
func (f flocked) Close() error {
	return errors.Join(f.flock(syscall.LOCK_UN), f.File.Close())
}

// flock waits for nothing, but a signal may interrupt it.
func (f flocked) flock(how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); err != syscall.EINTR {
			return err
		}
	}
}

// lockFile locks the file; closing it, or the end of the process, frees it.
func lockFile(name string) (io.Closer, error) {
	opened, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	f := flocked{opened}
	if err := f.flock(syscall.LOCK_EX | syscall.LOCK_NB); err != nil {
		_ = f.File.Close() // another's lock stays
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errInUse
		}
		return nil, &os.PathError{Op: "lock", Path: name, Err: err}
	}
	return f, nil
}
