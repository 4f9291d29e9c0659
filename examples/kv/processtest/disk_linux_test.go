package processtest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// fillDisk puts a server, which was not started yet, on a disk of its own, and returns how to
// make it full and to free it again. Without the right to mount one, a bound on the size of
// files, which the server runs into when it is started again, has to do.
func fillDisk(t *testing.T, s *server) (fill, free func()) {
	require.NoError(t, os.MkdirAll(s.dir, 0o755))
	err := syscall.Mount("processtest", s.dir, "tmpfs", 0, "size=64m")
	if errors.Is(err, syscall.EPERM) {
		t.Logf("no disk of its own: %v", err)
		return limitFiles(s)
	}
	require.NoError(t, err)
	t.Cleanup(func() {
		if p := s.take(); p != nil {
			p.kill()
		}
		require.NoError(t, syscall.Unmount(s.dir, syscall.MNT_DETACH))
	})
	filler := filepath.Join(s.dir, "filler")
	return func() {
			f, err := os.Create(filler)
			require.NoError(t, err)
			defer f.Close()
			for block := make([]byte, 1<<20); len(block) > 0; {
				if n, err := f.Write(block); err != nil {
					require.ErrorIs(t, err, syscall.ENOSPC)
					block = block[:(len(block)-n)/2]
				}
			}
		}, func() {
			require.NoError(t, os.Remove(filler))
		}
}

func limitFiles(s *server) (fill, free func()) {
	return func() {
			s.terminate()
			s.wrap = func(cmd *exec.Cmd) *exec.Cmd {
				limited := exec.Command("sh", append([]string{"-c", `ulimit -f 128 && exec "$0" "$@"`}, cmd.Args...)...)
				limited.Env, limited.SysProcAttr = cmd.Env, cmd.SysProcAttr
				return limited
			}
			s.start()
			s.awaitServing()
		}, func() {
			s.wrap = nil
		}
}
