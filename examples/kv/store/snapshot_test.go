package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/cockroachdb/pebble/v2"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/quorate-raft/raft/storage/pebblestore/diskguard"
)

// filled returns a store with clients and some frames of keys, and its last index.
func filled(t testing.TB, s *Store) uint64 {
	for i := uint64(1); i <= 3; i++ {
		require.Equal(t, Done, apply(t, s, i, EncodeRegister()).Status)
	}
	for i := uint64(4); i < 200; i++ {
		key := fmt.Appendf(nil, "key %d", i*7919%1000)
		data := must(EncodePut(RequestID{Client: 1 + i%3, Number: i}, key, bytes.Repeat([]byte{byte(i)}, 1000)))
		require.Equal(t, Done, apply(t, s, i, data).Status)
	}
	return 199
}

// A view stays as it is while the state goes on and is replaced, and writes the same
// bytes each time; once the store is closed it is refused.
func TestViewStays(t *testing.T) {
	s := opened(t)
	last := filled(t, s)
	want := viewOf(t, s)
	v, err := s.View()
	require.NoError(t, err)
	putAt(t, s, last+1, "more", "of it")
	empty := viewOf(t, opened(t))
	require.NoError(t, s.Restore(last+2, bytes.NewReader(empty)))
	require.NoError(t, s.db.Flush())
	require.NoError(t, s.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false))
	require.Equal(t, empty, viewOf(t, s))
	for range 2 {
		var b bytes.Buffer
		_, err = v.WriteTo(&b)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, b.Bytes()))
	}
	full := errors.New("disk full")
	_, err = v.WriteTo(failingWriter{full})
	require.ErrorIs(t, err, full)
	require.NoError(t, s.Close())
	_, err = v.WriteTo(io.Discard)
	require.ErrorIs(t, err, ErrClosed)
	require.NoError(t, v.Close())
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// A snapshot that is cut short, damaged in any byte, too long, with its frames in
// another order, or that cannot be read, leaves the state and its index as they were,
// and nothing else; the good one is then restored.
func TestBadSnapshotRefused(t *testing.T) {
	from, s := opened(t), opened(t)
	last := filled(t, from)
	good := viewOf(t, from)
	putAt(t, s, 5, "old", "state")
	old := viewOf(t, s)
	refused := func(r io.Reader, want error, why ...any) {
		t.Helper()
		require.ErrorIs(t, s.Restore(last, r), want, why...)
		require.EqualValues(t, 5, appliedOf(t, s), why...)
		require.Equal(t, old, viewOf(t, s), why...)
		left, err := s.holds(generationPrefix(s.generation+1), nil)
		require.NoError(t, err)
		require.False(t, left, why...)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		n := rnd.IntN(len(good))
		refused(bytes.NewReader(good[:n]), ErrSnapshot, "cut to %d", n)
		damaged := bytes.Clone(good)
		damaged[n] ^= byte(1 + rnd.IntN(255))
		refused(bytes.NewReader(damaged), ErrSnapshot, "damage at %d", n)
	}
	refused(bytes.NewReader(append(bytes.Clone(good), 0)), ErrSnapshot)
	refused(bytes.NewReader(nil), ErrSnapshot)
	refused(iotest.TimeoutReader(bytes.NewReader(good)), iotest.ErrTimeout)

	first := len(snapshotHeader)
	second := first + 8 + int(binary.BigEndian.Uint32(good[first:]))
	third := second + 8 + int(binary.BigEndian.Uint32(good[second:]))
	parts := [][]byte{good[:first], good[first:second], good[second:third], good[third:]}
	for _, order := range [][]int{{0, 2, 1, 3}, {0, 2, 3}, {0, 1, 1, 2, 3}, {0, 1, 3}} {
		var moved []byte
		for _, i := range order {
			moved = append(moved, parts[i]...)
		}
		refused(bytes.NewReader(moved), ErrSnapshot, "frames %v", order)
	}

	require.NoError(t, s.Restore(last, iotest.OneByteReader(bytes.NewReader(good))))
	require.Equal(t, good, viewOf(t, s))
	require.Equal(t, last, appliedOf(t, s))
}

// framed returns a snapshot with a frame of these records, and good checksums.
func framed(records ...[]byte) []byte {
	payloads := [][]byte{bytes.Join(records, nil), nil}
	if len(payloads[0]) == 0 {
		payloads = payloads[1:]
	}
	b := []byte(snapshotHeader)
	sum := crc32.Checksum(b, castagnoli)
	for _, payload := range payloads {
		frame := append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))), payload...)
		sum = crc32.Update(sum, castagnoli, frame)
		b = binary.BigEndian.AppendUint32(append(b, frame...), sum)
	}
	return b
}

func clientRecordOf(c client) []byte {
	key := binary.BigEndian.AppendUint64([]byte{clientRecord}, c.id)
	return appendBytes(appendBytes(nil, key), c.append(nil))
}

func recordOf(key, value []byte) []byte { return appendBytes(appendBytes(nil, key), value) }

func memberRecordOf(highest uint64) []byte {
	return recordOf([]byte{membersRecord}, membersRecordOf(highest))
}

func openRecordOf(id, claim uint64) []byte {
	return recordOf(openMemberKey(0, id)[prefixLen:], binary.BigEndian.AppendUint64(nil, claim))
}

func keyRecordOf(key, value string, revision uint64) []byte {
	record := append(binary.BigEndian.AppendUint64(nil, revision), value...)
	return appendBytes(appendBytes(nil, []byte("k"+key)), record)
}

// Also where every checksum is right, only a state that commands can lead to is
// restored.
func TestImpossibleSnapshotRefused(t *testing.T) {
	c := func(id, used uint64) client { return client{id: id, used: used, result: Result{Done, id}} }
	bad := map[string][][]byte{
		"order":             {keyRecordOf("b", "", 1), keyRecordOf("a", "", 2)},
		"twice":             {keyRecordOf("a", "", 1), keyRecordOf("a", "", 2)},
		"later revision":    {keyRecordOf("a", "", 101)},
		"no revision":       {keyRecordOf("a", "", 0)},
		"no key":            {keyRecordOf("", "", 1)},
		"long key":          {keyRecordOf(string(longestKey)+"k", "", 1)},
		"long value":        {keyRecordOf("a", string(longestText)+"v", 1)},
		"unknown kind":      {appendBytes(appendBytes(nil, []byte("x")), nil)},
		"short record":      {appendBytes(appendBytes(nil, []byte("kx")), []byte("1234567"))},
		"torn record":       {{200, 1}},
		"client unborn":     {clientRecordOf(c(9, 8))},
		"client later":      {clientRecordOf(c(9, 101))},
		"client zero":       {clientRecordOf(c(0, 5))},
		"clients at once":   {clientRecordOf(c(3, 9)), clientRecordOf(c(4, 9))},
		"client's result":   {clientRecordOf(client{id: 1, used: 1, result: Result{Superseded, 0}})},
		"client's revision": {clientRecordOf(client{id: 1, used: 1, result: Result{Done, 2}})},
		"clients": {clientRecordOf(c(1, 1)), clientRecordOf(c(2, 2)), clientRecordOf(c(3, 3)), clientRecordOf(c(4, 4)),
			clientRecordOf(c(5, 5))},
	}
	for name, record := range map[string][]byte{
		"no member": membersRecordOf(0), "members wrapped": membersRecordOf(math.MaxUint64), "members cut": {1},
	} {
		bad[name] = [][]byte{recordOf([]byte{membersRecord}, record)}
	}
	bad["members of a key"] = [][]byte{recordOf([]byte{membersRecord, 1}, membersRecordOf(5))}
	bad["members twice"] = [][]byte{memberRecordOf(5), memberRecordOf(5)}
	for name, records := range map[string][][]byte{
		"open ID beyond the highest": {openRecordOf(6, 0)}, "open ID 0": {openRecordOf(0, 1)},
		"one claim of two":       {openRecordOf(2, 7), openRecordOf(3, 7)},
		"too many open":          {openRecordOf(1, 0), openRecordOf(2, 0), openRecordOf(3, 0), openRecordOf(4, 0), openRecordOf(5, 0), openRecordOf(6, 0)},
		"open ID cut":            {recordOf([]byte{openMemberRecord, 1}, membersRecordOf(5))},
		"open ID of a claim cut": {recordOf(openMemberKey(0, 1)[prefixLen:], []byte{1})},
	} {
		highest := uint64(5)
		if len(records) > fewOpen {
			highest = 9
		}
		bad[name] = append([][]byte{memberRecordOf(highest)}, records...)
	}
	bad["open ID without a highest"] = [][]byte{openRecordOf(1, 7)}
	s := opened(t)
	for name, records := range bad {
		require.ErrorIs(t, s.Restore(100, bytes.NewReader(framed(records...))), ErrSnapshot, name)
	}
	require.NoError(t, s.Restore(100, bytes.NewReader(framed(clientRecordOf(c(3, 9)), keyRecordOf("a", "v", 100), memberRecordOf(5), openRecordOf(2, 0), openRecordOf(3, 0), openRecordOf(4, 7)))))
	value, revision, found, err := s.Get([]byte("a"))
	require.NoError(t, err)
	require.Equal(t, []any{"v", uint64(100), true}, []any{string(value), revision, found})
	require.Equal(t, Result{Done, 3}, s.clients.byID[3].Value.(*client).result)
	require.Equal(t, Result{Done, 6}, apply(t, s, 101, EncodeNewMember(0, 0, 0)))
	require.Equal(t, Result{Done, 4}, apply(t, s, 102, EncodeNewMember(0, 0, 7)))
}

// Whatever bytes come as a snapshot, as they are or as records with good checksums:
// either they are restored, and then the view of that restores to itself, or they are
// refused and the state is as before.
func FuzzRestore(f *testing.F) {
	good := framed(clientRecordOf(client{id: 3, used: 9, result: Result{Done, 3}}), keyRecordOf("a", "v", 10))
	f.Add(good, false)
	f.Add(keyRecordOf("a", "v", 10), true)
	f.Add([]byte{}, false)
	f.Add(append(keyRecordOf("a", "v", 10), memberRecordOf(7)...), true)
	f.Add(append(memberRecordOf(7), openRecordOf(5, 3)...), true)
	f.Add(append(keyRecordOf("a", "v", 10), keyRecordOf("b", "", 11)...), true)
	s, err := Open(testDir, small(newFS()))
	require.NoError(f, err)
	defer s.Close()
	f.Fuzz(func(t *testing.T, data []byte, records bool) {
		if records {
			data = framed(data)
		}
		before := viewOf(t, s)
		applied := appliedOf(t, s)
		if err := s.Restore(applied+100, bytes.NewReader(data)); err != nil {
			require.ErrorIs(t, err, ErrSnapshot)
			require.Equal(t, applied, appliedOf(t, s))
			require.Equal(t, before, viewOf(t, s))
			return
		}
		view := viewOf(t, s)
		require.NoError(t, s.Restore(applied+100, bytes.NewReader(view)))
		require.Equal(t, view, viewOf(t, s))
	})
}

// What is not a store of this program is refused when it is opened.
func TestForeignDirectory(t *testing.T) {
	for key, value := range map[string]string{"\x00": "\x02 another version", "\x02": "another program", "\x00more": ""} {
		fs := newFS()
		db, err := pebble.Open(testDir, &pebble.Options{
			FS: fs, FormatMajorVersion: pebble.FormatTableFormatV6, Logger: diskguard.New(fs, nil).Logger(zap.NewNop()),
		})
		require.NoError(t, err)
		require.NoError(t, db.Set([]byte(key), []byte(value), pebble.Sync))
		require.NoError(t, db.Close())
		_, err = Open(testDir, small(fs))
		require.ErrorIs(t, err, ErrFormat, "%q", key)
	}
}
