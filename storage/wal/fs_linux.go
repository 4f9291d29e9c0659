package wal

import (
	"errors"
	"os"
	"syscall"
)

// openDirect opens a file of which each write goes past the cache and is durable
// when it returns: one call and one wait, and no journal for a file whose blocks
// were written before. Nil if the file system can not.
func openDirect(name string) *os.File {
	f, err := os.OpenFile(name, os.O_RDWR|syscall.O_DIRECT|syscall.O_DSYNC, 0)
	if err != nil {
		return nil
	}
	return f
}

// directRefused reports whether a file system refused a write past the cache.
func directRefused(err error) bool { return errors.Is(err, syscall.EINVAL) }

// syncData makes the data durable, and of what describes the file as much as is
// needed to find it.
func syncData(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return err
		}
	}
}
