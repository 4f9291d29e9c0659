//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package wal

import (
	"io"
	"os"
	"sync"
)

// locked are the files that this process has locked: there is no lock here that
// other processes heed and that ends with the process.
var locked sync.Map

type heldLock string

func (l heldLock) Close() error {
	locked.Delete(string(l))
	return nil
}

func lockFile(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	if _, held := locked.LoadOrStore(name, true); held {
		return nil, errInUse
	}
	return heldLock(name), nil
}
