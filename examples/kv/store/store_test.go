package store

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/replica"
)

// A retry gets the first result, also of a refusal; an older request and one of a
// client that was forgotten change nothing; and the client whose last request is
// oldest is forgotten first.
func TestClients(t *testing.T) {
	s := opened(t)
	key := []byte("k")
	for i := uint64(1); i <= fewClients; i++ {
		require.Equal(t, Result{Done, i}, apply(t, s, i, EncodeRegister()))
	}
	onlyOnce := must(EncodeCompareAndSet(RequestID{1, 1}, key, IfAbsent(), []byte("a")))
	require.Equal(t, Result{Done, 10}, apply(t, s, 10, onlyOnce))
	require.Equal(t, Result{Done, 10}, apply(t, s, 11, onlyOnce))
	mismatch := must(EncodeCompareAndSet(RequestID{3, 5}, key, IfAbsent(), []byte("b")))
	require.Equal(t, Result{Mismatch, 10}, apply(t, s, 12, mismatch))
	require.Equal(t, Result{Done, 13}, apply(t, s, 13, must(EncodeDelete(RequestID{1, 2}, key))))
	require.Equal(t, Result{Mismatch, 10}, apply(t, s, 14, mismatch), "now it would hold")
	require.Equal(t, Result{Status: Superseded}, apply(t, s, 15, onlyOnce))

	require.Equal(t, Result{Done, 16}, apply(t, s, 16, EncodeRegister()))
	forgotten := must(EncodePut(RequestID{2, 1}, key, nil))
	require.ErrorIs(t, apply(t, s, 17, forgotten).Err(), ErrUnknownClient)
	require.Equal(t, Done, apply(t, s, 18, must(EncodePut(RequestID{4, 1}, key, nil))).Status)
}

// Commands that are not in order are refused, and so is all that follows, since what
// the state is of is not known any more.
func TestOrder(t *testing.T) {
	s := opened(t)
	putAt(t, s, 7, "k", "v")
	require.NoError(t, s.Sync())
	err := s.Apply([]replica.Command{{Index: 7, Data: EncodeRegister()}})
	require.ErrorIs(t, err, ErrFailed)
	require.ErrorContains(t, err, "command 7 after 7")
	require.Equal(t, err, s.Apply([]replica.Command{{Index: 8, Data: EncodeRegister()}}))
	require.Equal(t, err, s.Restore(9, bytes.NewReader(framed())))
	require.Equal(t, err, s.Close())
	s = open(t, s.o.FS)
	require.EqualValues(t, 7, appliedOf(t, s))
	require.NoError(t, s.Close())
	require.Error(t, (&Options{HistoryBytes: -1}).Validate())
}

// A range is from and before, pages are bounded by keys and by bytes, and Next goes on
// without a gap.
func TestRange(t *testing.T) {
	s := opened(t)
	for i := range 9 {
		require.Equal(t, Done, apply(t, s, uint64(i+1), must(EncodePut(RequestID{}, keyName(i), longestText))).Status)
	}
	names := func(page Page) (all []string) {
		for _, e := range page.Entries {
			all = append(all, string(e.Key))
		}
		return all
	}
	page, err := s.Range([]byte("key03"), []byte("key06"), 2)
	require.NoError(t, err)
	require.Equal(t, []string{"key03", "key04"}, names(page))
	require.Equal(t, "key05", string(page.Next))
	page, err = s.Range(page.Next, []byte("key06"), 2)
	require.NoError(t, err)
	require.Equal(t, []string{"key05"}, names(page))
	require.Nil(t, page.Next)
	page, err = s.Range(nil, nil, 0)
	require.NoError(t, err)
	require.Len(t, page.Entries, 4, "some MiB")
	require.Len(t, everything(t, s, 0), 9)
	page, err = s.Range([]byte("b"), []byte("a"), 0)
	require.NoError(t, err)
	require.Empty(t, page.Entries)
	require.EqualValues(t, 9, page.Revision)
}

// A watcher is woken by a change in its range, is told nothing before it is in the
// state, and learns from a typed error that the history does not go back far enough,
// that the state was replaced, or that the store was closed.
func TestWatch(t *testing.T) {
	s := opened(t)
	type answer struct {
		Changes
		err error
	}
	watch := func(from, to string, since uint64) <-chan answer {
		c := make(chan answer, 1)
		go func() {
			changes, err := s.Watch(context.Background(), []byte(from), []byte(to), since)
			c <- answer{changes, err}
		}()
		return c
	}
	waiting := watch("b", "c", 0)
	putAt(t, s, 1, "a", "1")
	putAt(t, s, 2, "c", "1")
	putAt(t, s, 3, "b", "1")
	got := <-waiting
	require.NoError(t, got.err)
	require.Equal(t, []Event{{Key: []byte("b"), Value: []byte("1"), Revision: 3}}, got.Events)
	require.EqualValues(t, 3, got.Through)

	for i := uint64(4); i < 100; i++ {
		putAt(t, s, i, "a", "x")
	}
	_, err := s.Watch(t.Context(), nil, nil, 49-1)
	var compacted *CompactedError
	require.ErrorAs(t, err, &compacted)
	require.ErrorIs(t, err, ErrCompacted)
	require.Equal(t, CompactedError{Since: 48, From: 49}, *compacted)
	changes, err := s.Watch(t.Context(), nil, nil, 49)
	require.NoError(t, err)
	require.Len(t, changes.Events, 50)

	waiting = watch("", "", 99)
	require.NoError(t, s.Restore(200, bytes.NewReader(framed())))
	require.ErrorIs(t, (<-waiting).err, ErrCompacted)

	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	changes, err = s.Watch(short, nil, nil, 200)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.EqualValues(t, 200, changes.Through)

	waiting = watch("", "", 500) // of a server that is ahead
	require.NoError(t, s.Close())
	require.ErrorIs(t, (<-waiting).err, ErrClosed)
}

// Everything but Close is refused once the store is closed, and nothing panics.
func TestClosed(t *testing.T) {
	s := opened(t)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	_, err := s.Applied()
	_, _, _, getErr := s.Get([]byte("k"))
	_, rangeErr := s.Range(nil, nil, 0)
	_, watchErr := s.Watch(t.Context(), nil, nil, 0)
	_, viewErr := s.View()
	for _, err := range []error{
		err, getErr, rangeErr, watchErr, viewErr, s.Sync(), s.Restore(1, bytes.NewReader(framed())),
		s.Apply([]replica.Command{{Index: 1, Data: EncodeRegister()}}),
	} {
		require.ErrorIs(t, err, ErrClosed)
	}
}

// Readers, watchers, views and Sync run beside Apply and Restore: a reader never sees
// a key without the state that it is of, and a watcher finds what it was told.
func TestConcurrent(t *testing.T) {
	s := opened(t)
	putAt(t, s, 1, "a", "1")
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	loop := func(f func() error) {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := f(); err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
					return
				}
			}
		})
	}
	loop(s.Sync)
	loop(func() error {
		_, _, found, err := s.Get([]byte("a"))
		if err == nil && !found {
			err = errors.New("the key was gone for a moment")
		}
		return err
	})
	loop(func() error {
		page, err := s.Range(nil, nil, 0)
		if err == nil && (len(page.Entries) == 0 || page.Entries[0].Revision > page.Revision) {
			err = errors.New("a page that is not of one state")
		}
		return err
	})
	since := uint64(1)
	loop(func() error {
		changes, err := s.Watch(ctx, nil, nil, since)
		if errors.Is(err, ErrCompacted) {
			since = err.(*CompactedError).From
			return nil
		}
		since = changes.Through
		for _, e := range changes.Events {
			if _, revision, _, err := s.Get(e.Key); err != nil || revision < e.Revision {
				return errors.Join(errors.New("told of what is not there"), err)
			}
		}
		return err
	})
	rnd := rand.New(rand.NewPCG(3, 3))
	for i := uint64(2); i < 1500; i++ {
		if rnd.IntN(20) == 0 {
			require.NoError(t, s.Restore(i, bytes.NewReader(viewOf(t, s))))
		} else {
			putAt(t, s, i, "a", "1")
		}
	}
	cancel()
	wg.Wait()
}

// A store on a real disk is there when it is opened again, in a directory that it
// made with its parents.
func TestRealDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s, err := Open(dir, nil)
	require.NoError(t, err)
	putAt(t, s, 1, "k", "v")
	_, err = Open(dir, nil)
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, s.Close())
	s, err = Open(dir, nil)
	require.NoError(t, err)
	value, _, _, err := s.Get([]byte("k"))
	require.NoError(t, err)
	require.Equal(t, "v", string(value))
	require.NoError(t, s.Close())
	require.NoError(t, os.RemoveAll(dir))
}
