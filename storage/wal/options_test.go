package wal

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOptions(t *testing.T) {
	require.NoError(t, (*Options)(nil).Validate())
	require.NoError(t, (&Options{}).Validate())
	require.NoError(t, (&Options{SegmentBytes: maxSegmentBytes}).Validate())
	err := (&Options{SegmentBytes: 4097, LogBytes: 1}).Validate()
	require.ErrorContains(t, err, "SegmentBytes (4097) must be between 65536")
	require.ErrorContains(t, err, "SegmentBytes (4097) must be a multiple of 4096")
	require.ErrorContains(t, err, "LogBytes (1)")
	_, err = Open(testDir, &Options{files: newMemFS(), LogBytes: 1})
	require.Error(t, err)
}
