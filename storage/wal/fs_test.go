package wal

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A file system may open a file for writes past the cache and refuse them later, as all
// do where memory is not aligned: then they go through the cache.
func TestDirectWriteRefused(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	f, err := osFiles{direct: true}.Create(name)
	require.NoError(t, err)
	block := alignedBytes(blockSize)
	copy(block, "aligned")
	require.NoError(t, f.WriteSync(block, 0))
	odd := alignedBytes(blockSize + 1)[1:]
	copy(odd, "not aligned")
	require.NoError(t, f.WriteSync(odd, blockSize))
	require.NoError(t, f.WriteSync(block, 2*blockSize))
	require.NoError(t, f.Close())
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, append(append(append([]byte(nil), block...), odd...), block...), data)
}
