package wal

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Open makes the directory with its parents, and leaves what is in it alone.
func TestNewDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b", "c")
	e, err := Open(dir, nil)
	require.NoError(t, err)
	require.NoError(t, e.Close())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600))
	e, err = Open(dir, nil)
	require.NoError(t, err)
	require.NoError(t, e.Close())
	require.FileExists(t, filepath.Join(dir, "notes.txt"))
}
