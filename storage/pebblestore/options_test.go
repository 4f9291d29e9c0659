package pebblestore

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

func TestOptions(t *testing.T) {
	require.NoError(t, (*Options)(nil).Validate())
	require.NoError(t, (&Options{}).Validate())
	err := (&Options{MemTableBytes: 1, BlockCacheBytes: -1, FreeSpaceDelay: -1}).Validate()
	require.ErrorContains(t, err, "BlockCacheBytes (-1)")
	require.ErrorContains(t, err, "MemTableBytes (1)")
	require.ErrorContains(t, err, "FreeSpaceDelay (-1ns)")
	_, err = Open(testDir, &Options{FS: vfs.NewMem(), MemTableBytes: 1})
	require.Error(t, err)
}
