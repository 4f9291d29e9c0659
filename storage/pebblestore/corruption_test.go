package pebblestore

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// withRaw opens the directory as a plain Pebble store.
func withRaw(t *testing.T, fs vfs.FS, do func(db *pebble.DB)) {
	t.Helper()
	db, err := pebble.Open(testDir, &pebble.Options{FS: fs, FormatMajorVersion: pebble.FormatTableFormatV6, Logger: quiet{}})
	require.NoError(t, err)
	do(db)
	require.NoError(t, db.Close())
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(f string, a ...any) {
	panic(fmt.Sprintf(f, a...))
}

func rawGet(t *testing.T, db *pebble.DB, k []byte) []byte {
	t.Helper()
	value, closer, err := db.Get(k)
	require.NoError(t, err)
	defer closer.Close()
	return append([]byte(nil), value...)
}

// filled is a store with a group 1 of 40 entries and all other records, and a
// group 2 with the same entries.
func filled(t *testing.T) *vfs.MemFS {
	fs := vfs.NewMem()
	e := open(t, small(fs))
	for id := uint64(1); id <= 2; id++ {
		s := group(t, e, id)
		save(t, s, entries(1, 31, 1, 100))
		save(t, s, entries(31, 41, 2, 100))
		require.NoError(t, s.Save(raft.Ready{Entries: []pb.Entry{{Index: 41, Term: 2, Type: pb.EntryConfChange}}, MustSync: true}))
		require.NoError(t, s.SetConfState(pb.ConfState{Voters: []uint64{1, 2}, Index: 6}))
		require.NoError(t, s.CreateSnapshot(10, pb.ConfState{Voters: []uint64{1, 2}, Index: 6}, []byte("where it is")))
		require.NoError(t, s.Compact(5))
	}
	require.NoError(t, e.Close())
	return fs
}

// wholeRead opens group 1 and reads all of it.
func wholeRead(fs vfs.FS) error {
	e, err := Open(testDir, small(fs))
	if err != nil {
		return err
	}
	defer e.Close()
	s, err := e.Group(1)
	if err != nil {
		return err
	}
	return s.Verify()
}

// A record that is not what was written, whatever Pebble's own checksums say, is
// an error that names the group, the record and its index.
func TestDamagedRecords(t *testing.T) {
	entry := key{1, kindEntry, 20}
	for _, test := range []struct {
		name   string
		key    key
		damage func(db *pebble.DB, value []byte) []byte // nil deletes
		index  uint64
		cause  error
	}{
		{"a flipped bit of an entry", entry, flip(30), 20, errChecksum},
		{"a flipped bit of its checksum", entry, flip(1), 20, errChecksum},
		{"half an entry", entry, func(_ *pebble.DB, v []byte) []byte { return v[:len(v)/2] }, 20, errChecksum},
		{"an empty entry", entry, func(*pebble.DB, []byte) []byte { return []byte{} }, 20, errShort},
		{"a missing entry", entry, nil, 20, errMissing},
		{"the first entry is missing", key{1, kindEntry, 6}, nil, 6, errMissing},
		{"the last entries are missing", key{1, kindEntry, 41}, nil, 41, errMissing},
		{"a neighbour in its place", entry, func(db *pebble.DB, _ []byte) []byte {
			return rawGet(t, db, key{1, kindEntry, 21}.bytes())
		}, 20, errChecksum},
		{"the same entry of another group", entry, func(db *pebble.DB, _ []byte) []byte {
			return rawGet(t, db, key{2, kindEntry, 20}.bytes())
		}, 20, errChecksum},
		{"an older entry at its place", entry, func(*pebble.DB, []byte) []byte { return sealed(entry, &pb.Entry{Index: 20, Term: 7}) }, 20, errOrder},
		{"an entry that says to be another", entry, func(*pebble.DB, []byte) []byte { return sealed(entry, &pb.Entry{Index: 19, Term: 1}) }, 20, errOrder},
		{"the hard state", key{group: 1, kind: kindHard}, flip(5), 0, errChecksum},
		{"another group's hard state", key{group: 1, kind: kindHard}, func(db *pebble.DB, _ []byte) []byte {
			return rawGet(t, db, key{group: 2, kind: kindHard}.bytes())
		}, 0, errChecksum},
		{"the configuration", key{group: 1, kind: kindConf}, flip(6), 0, errChecksum},
		{"the snapshot", key{group: 1, kind: kindSnapshot}, flip(9), 0, errChecksum},
		{"the start of the log", key{group: 1, kind: kindBase}, flip(4), 0, errChecksum},
		{"the start of the log is missing", key{group: 1, kind: kindBase}, nil, 1, errMissing},
		{"the start of a term", key{1, kindTerm, 31}, flip(4), 31, errChecksum},
		{"the start of a term is missing", key{1, kindTerm, 31}, nil, 41, errOrder},
		{"the first start of a term is missing", key{1, kindTerm, 6}, nil, 6, errMissing},
		{"a change of configuration", key{1, kindChange, 41}, flip(0), 41, errChecksum},
	} {
		t.Run(test.name, func(t *testing.T) {
			fs := filled(t)
			withRaw(t, fs, func(db *pebble.DB) {
				k := test.key.bytes()
				if test.damage == nil {
					require.NoError(t, db.Delete(k, pebble.Sync))
					return
				}
				require.NoError(t, db.Set(k, test.damage(db, rawGet(t, db, k)), pebble.Sync))
			})
			err := wholeRead(fs)
			require.ErrorIs(t, err, ErrCorrupt)
			require.ErrorIs(t, err, test.cause)
			var corrupt *CorruptionError
			require.ErrorAs(t, err, &corrupt)
			require.Equal(t, uint64(1), corrupt.Group, err)
			require.Equal(t, test.index, corrupt.Index, err)
			require.Contains(t, err.Error(), "of group 1")
			if test.index > 0 {
				require.Contains(t, err.Error(), fmt.Sprint(test.index))
			}
			// It does not go away, and the other group is not concerned.
			require.Error(t, wholeRead(fs))
			e := open(t, small(fs))
			require.NoError(t, group(t, e, 2).Verify())
			require.NoError(t, e.Close())
		})
	}
	require.NoError(t, wholeRead(filled(t)))
}

func flip(at int) func(*pebble.DB, []byte) []byte {
	return func(_ *pebble.DB, value []byte) []byte {
		value[at%len(value)] ^= 0x10
		return value
	}
}

func sealed(k key, e *pb.Entry) []byte {
	db, _ := pebble.Open("", &pebble.Options{FS: vfs.NewMem(), Logger: quiet{}})
	defer db.Close()
	b := db.NewBatch()
	defer b.Close()
	_ = setRecord(b, k, nil, e)
	r := b.Reader()
	_, _, value, _, _ := r.Next()
	return append([]byte(nil), value...)
}

// A record that no version writes is reported too, not skipped.
func TestUnknownRecords(t *testing.T) {
	fs := filled(t)
	odd := append(key{group: 1, kind: kindHard}.bytes(), 1)
	withRaw(t, fs, func(db *pebble.DB) { require.NoError(t, db.Set(odd, nil, pebble.Sync)) })
	require.ErrorIs(t, wholeRead(fs), ErrCorrupt)
}

// readFile and writeFile are for damage to whole files.
func readFile(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	require.NoError(t, err)
	defer f.Close()
	data, err := io.ReadAll(f)
	require.NoError(t, err)
	return data
}

func writeFile(t *testing.T, fs vfs.FS, name string, data []byte) {
	t.Helper()
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	_, err = f.Write(slices.Clone(data)) // under the race detector Pebble's file system spoils what it is given
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// files returns the names of a kind of files, and cloneFS a file system of its
// own with the same.
func files(t *testing.T, fs vfs.FS, part string) []string {
	t.Helper()
	list, err := fs.List(testDir)
	require.NoError(t, err)
	var names []string
	for _, name := range list {
		if strings.Contains(name, part) && !strings.HasPrefix(name, "marker") {
			names = append(names, fs.PathJoin(testDir, name))
		}
	}
	slices.Sort(names)
	return names
}

func cloneFS(t *testing.T, fs vfs.FS) *vfs.MemFS {
	t.Helper()
	clone := vfs.NewMem()
	_, err := vfs.Clone(fs, clone, testDir, testDir)
	require.NoError(t, err)
	return clone
}

// Whatever byte of a sorted file rots, what is read is what was written, or an
// error that names the file.
func TestDamagedTables(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, small(fs))
	s := group(t, e, 1)
	for i := uint64(1); i < 600; i += 20 {
		save(t, s, entries(i, i+20, 1, 200))
	}
	want := all(t, s)
	require.NoError(t, e.db.Flush())
	require.NoError(t, e.Close())
	tables := files(t, fs, ".sst")
	require.NotEmpty(t, tables)
	rnd := rand.New(rand.NewPCG(1, 2))
	found := 0
	for range subject.Scaled(60) {
		damaged := cloneFS(t, fs)
		name := tables[rnd.IntN(len(tables))]
		data := readFile(t, damaged, name)
		at := rnd.IntN(len(data))
		data[at] ^= 1 << rnd.IntN(8)
		writeFile(t, damaged, name, data)
		got, err := readAll(damaged)
		if err == nil {
			require.Equal(t, want, got)
			continue
		}
		found++
		require.ErrorIs(t, err, ErrCorrupt, "%s at %d of %d", name, at, len(data))
		require.Contains(t, err.Error(), fs.PathBase(name), "at %d of %d", at, len(data))
		_, again := readAll(damaged)
		require.ErrorIs(t, again, ErrCorrupt, "it went away")
	}
	require.NotZero(t, found)
	t.Log(found, "found")
}

func readAll(fs vfs.FS) ([]pb.Entry, error) {
	e, err := Open(testDir, small(fs))
	if err != nil {
		return nil, err
	}
	defer e.Close()
	s, err := e.Group(1)
	if err != nil {
		return nil, err
	}
	last, err := s.LastIndex()
	if err != nil {
		return nil, err
	}
	ents, err := s.Entries(1, last+1, ^uint64(0))
	return ents, errors.Join(err, e.Err())
}

// logOf returns a file system with a log of n synced Saves, one entry each, that a
// crash left.
func logOf(t *testing.T, n uint64, size int) (*vfs.MemFS, string) {
	fs := vfs.NewCrashableMem()
	o := small(fs)
	o.MemTableBytes = 4 << 20
	e := open(t, o)
	s := group(t, e, 1)
	for i := uint64(1); i <= n; i++ {
		save(t, s, entries(i, i+1, 1, size))
	}
	left := fs.CrashClone(vfs.CrashCloneCfg{})
	require.NoError(t, e.Close())
	logs := files(t, left, ".log")
	return left, logs[len(logs)-1]
}

// A torn end of the log is what a crash leaves, and is dropped. The same damage in
// the middle of what was synced is corruption, is reported with the file, and
// nothing of it is dropped.
func TestTornAndDamagedLog(t *testing.T) {
	for _, size := range []int{10, 300, 3000} { // of one log: a memtable begins with 256 KiB
		const saves = 60
		fs, name := logOf(t, saves, size)
		data := readFile(t, fs, name)
		end := len(data)
		for end > 0 && data[end-1] == 0 {
			end--
		}
		record := end / (saves + 2)
		rnd := rand.New(rand.NewPCG(uint64(size), 3))

		// Cut anywhere: the rest is lost from the end.
		for range subject.Scaled(20) {
			cut := rnd.IntN(end)
			torn := cloneFS(t, fs)
			writeFile(t, torn, name, data[:cut])
			got, err := readAllOrNone(torn)
			require.NoError(t, err, "cut at %d of %d", cut, end)
			require.LessOrEqual(t, len(got), saves)
			for i, e := range got {
				require.Equal(t, entries(uint64(i+1), uint64(i+2), 1, size)[0], e)
			}
		}
		// The last record alone, damaged: it may have been torn.
		torn := cloneFS(t, fs)
		writeFile(t, torn, name, flipped(data, end-record/3))
		got, err := readAllOrNone(torn)
		require.NoError(t, err)
		require.Len(t, got, saves-1)

		// Anything before the last two records: it was synced.
		for range subject.Scaled(40) {
			at := rnd.IntN(end - 3*record)
			rotten := cloneFS(t, fs)
			writeFile(t, rotten, name, flipped(data, at))
			_, err := readAllOrNone(rotten)
			require.ErrorIs(t, err, ErrCorrupt, "flipped at %d of %d", at, end)
			require.Contains(t, err.Error(), fs.PathBase(name))
			require.Equal(t, flipped(data, at), readFile(t, rotten, name), "the log was touched")
			_, again := readAllOrNone(rotten)
			require.ErrorIs(t, again, ErrCorrupt)
		}
	}
}

func flipped(data []byte, at int) []byte {
	data = append([]byte(nil), data...)
	data[at] ^= 0x04
	return data
}

// readAllOrNone is readAll of what may be empty.
func readAllOrNone(fs vfs.FS) ([]pb.Entry, error) {
	e, err := Open(testDir, small(fs))
	if err != nil {
		return nil, err
	}
	defer e.Close()
	s, err := e.Group(1)
	if err != nil {
		return nil, err
	}
	last, err := s.LastIndex()
	if err != nil || last == 0 {
		return nil, err
	}
	return s.Entries(1, last+1, ^uint64(0))
}

// An older log was closed before the next one was begun: no end of it is torn.
func TestDamagedOlderLog(t *testing.T) {
	const saves = 60
	fs, newest := logOf(t, saves, 5000)
	logs := files(t, fs, ".log")
	require.Greater(t, len(logs), 1)
	require.NotEqual(t, logs[0], newest)
	rnd := rand.New(rand.NewPCG(4, 4))
	for range subject.Scaled(20) {
		rotten := cloneFS(t, fs)
		data := readFile(t, fs, logs[0])
		writeFile(t, rotten, logs[0], flipped(data, rnd.IntN(len(data))))
		_, err := readAllOrNone(rotten)
		require.ErrorIs(t, err, ErrCorrupt)
		require.Contains(t, err.Error(), fs.PathBase(logs[0]))
	}
	got, err := readAllOrNone(fs)
	require.NoError(t, err)
	require.Len(t, got, saves)
}

// After Close any damage to what was written is told from a torn end, the last
// record included.
func TestDamagedLogAfterClose(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, small(fs))
	save(t, group(t, e, 1), entries(1, 4, 1, 100))
	marked := len(readFile(t, fs, files(t, fs, ".log")[0]))
	require.NoError(t, e.Close())
	name := files(t, fs, ".log")[0]
	data := readFile(t, fs, name)
	for at := 0; at < marked; at += 3 {
		rotten := cloneFS(t, fs)
		writeFile(t, rotten, name, flipped(data, at))
		_, err := Open(testDir, small(rotten))
		require.ErrorIs(t, err, ErrCorrupt, "at %d of %d", at, len(data))
	}
}

// Pebble takes damage in its manifest for the end, and would forget files.
func TestDamagedManifest(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, small(fs))
	s := group(t, e, 1)
	for i := uint64(1); i < 400; i += 20 {
		save(t, s, entries(i, i+20, 1, 200))
	}
	require.NoError(t, e.db.Flush())
	want := all(t, s)
	require.NoError(t, e.Close())
	desc, err := pebble.Peek(testDir, fs)
	require.NoError(t, err)
	name := fs.PathJoin(testDir, fs.PathBase(desc.ManifestFilename))
	data := readFile(t, fs, name)
	rnd := rand.New(rand.NewPCG(8, 8))
	for range subject.Scaled(60) {
		at := rnd.IntN(len(data) * 2 / 3)
		rotten := cloneFS(t, fs)
		writeFile(t, rotten, name, flipped(data, at))
		_, err := Open(testDir, small(rotten))
		require.ErrorIs(t, err, ErrCorrupt, "at %d of %d", at, len(data))
		require.Contains(t, err.Error(), fs.PathBase(name))
	}
	got, err := readAll(fs)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// Verify reads what is known in memory too: it may be gone at the next start.
func TestVerifyReadsAllRecords(t *testing.T) {
	for _, k := range []key{
		{group: 1, kind: kindBase}, {group: 1, kind: kindHard}, {group: 1, kind: kindConf}, {1, kindTerm, 31}, {1, kindChange, 41},
	} {
		e := open(t, small(filled(t)))
		s := group(t, e, 1)
		require.NoError(t, s.Verify())
		require.NoError(t, e.db.Set(k.bytes(), []byte("not what was written"), nil))
		err := s.Verify()
		var corrupt *CorruptionError
		require.ErrorAs(t, err, &corrupt, k)
		require.Equal(t, k.String(), corrupt.Key)
		require.NoError(t, e.Close())
	}
}
