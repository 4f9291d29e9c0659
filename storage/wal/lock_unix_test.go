//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package wal

import (
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// Close frees the directory though a process that is just being started has all files of
// this one, and the lock with them, until it runs its program; and a lock that was refused
// takes nothing from who has it.
func TestLockIsFreeBesideAProcessThatStarts(t *testing.T) {
	dir := t.TempDir()
	e, err := Open(dir, nil)
	require.NoError(t, err)
	fd, err := syscall.Dup(int(e.lock.(flocked).Fd())) // as in that process
	require.NoError(t, err)
	inherited := os.NewFile(uintptr(fd), "inherited")
	defer inherited.Close()
	for range 2 {
		_, err = Open(dir, nil)
		require.ErrorIs(t, err, ErrLocked)
	}
	require.NoError(t, e.Close())
	e, err = Open(dir, nil)
	require.NoError(t, err)
	require.NoError(t, inherited.Close())
	_, err = Open(dir, nil)
	require.ErrorIs(t, err, ErrLocked, "closing the other's file frees nothing")
	require.NoError(t, e.Close())
}
