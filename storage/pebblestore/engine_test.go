package pebblestore

import (
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

// What this program does not understand it leaves alone.
func TestFormat(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, small(fs))
	require.NoError(t, e.Close())
	version := make([]byte, crcLen+8, crcLen+40)
	version[crcLen+7] = 9
	withRaw(t, fs, func(db *pebble.DB) {
		value := append(version, "and more"...)
		sum := checksum(identityKey, value[crcLen:])
		value[0], value[1], value[2], value[3] = byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24)
		require.NoError(t, db.Set(identityKey, value, pebble.Sync))
	})
	_, err := Open(testDir, small(fs))
	var format *FormatError
	require.ErrorAs(t, err, &format)
	require.Equal(t, FormatError{testDir, 9, formatVersion}, *format)
	require.ErrorIs(t, err, ErrFormat)

	withRaw(t, fs, func(db *pebble.DB) { require.NoError(t, db.Set(identityKey, version, pebble.Sync)) })
	_, err = Open(testDir, small(fs))
	require.ErrorIs(t, err, ErrCorrupt)

	foreign := vfs.NewMem()
	withRaw(t, foreign, func(db *pebble.DB) { require.NoError(t, db.Set([]byte("some"), []byte("thing"), pebble.Sync)) })
	_, err = Open(testDir, small(foreign))
	require.ErrorIs(t, err, ErrFormat)
	require.ErrorContains(t, err, "something else")
}
