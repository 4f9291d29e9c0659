package load

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Floor is what no replicated write gets under, as medians.
type Floor struct {
	// Growing is an append of 4 KiB to a file with its sync, ZeroFilled the same into a file that has its length and
	// zeros already: there the file system has nothing to write but the data.
	Growing, ZeroFilled time.Duration
	// GrowingOfThree and ZeroFilledOfThree are the same while two others do that on files of their own.
	GrowingOfThree, ZeroFilledOfThree time.Duration
	// RoundTrip is the way of 128 bytes to a server on loopback and back.
	RoundTrip time.Duration
}

// Write is the floor of one write: the faster of the two syncs, and a round trip.
func (f Floor) Write() time.Duration { return min(f.Growing, f.ZeroFilled) + f.RoundTrip }

// MeasureFloor takes medians of n.
func MeasureFloor(dir string, n int) (f Floor, err error) {
	for _, kind := range []struct {
		to     *time.Duration
		files  int
		filled bool
	}{{&f.Growing, 1, false}, {&f.ZeroFilled, 1, true}, {&f.GrowingOfThree, 3, false}, {&f.ZeroFilledOfThree, 3, true}} {
		if *kind.to, err = syncTime(dir, kind.files, n, kind.filled); err != nil {
			return f, err
		}
	}
	f.RoundTrip, err = roundTripTime(n)
	return f, err
}

const block = 4 << 10

// syncTime is how long one of n appends takes to each of some files at the same time.
func syncTime(dir string, files, n int, filled bool) (time.Duration, error) {
	all := make([][]time.Duration, files)
	errs := make([]error, files)
	var prepared, done sync.WaitGroup
	prepared.Add(files)
	for i := range files {
		done.Go(func() {
			all[i], errs[i] = syncs(filepath.Join(dir, fmt.Sprintf("floor%d", i)), n, filled, &prepared)
		})
	}
	done.Wait()
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return median(slices.Concat(all...)), nil
}

func syncs(name string, n int, filled bool, prepared *sync.WaitGroup) (took []time.Duration, err error) {
	f, err := os.Create(name)
	if err == nil && filled {
		err = fill(f, n*block)
	}
	prepared.Done()
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(name) }()
	defer func() { _ = f.Close() }()
	prepared.Wait()
	content := slices.Repeat([]byte{1}, block)
	for i := range n {
		before := time.Now()
		if _, err := f.WriteAt(content, int64(i*block)); err != nil {
			return nil, err
		}
		if err := Datasync(f); err != nil {
			return nil, err
		}
		took = append(took, time.Since(before))
	}
	return took, nil
}

func fill(f *os.File, size int) error {
	if _, err := f.WriteAt(make([]byte, size), 0); err != nil {
		return err
	}
	return f.Sync()
}

func roundTripTime(n int) (time.Duration, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.Copy(c, c)
		_ = c.Close()
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }()
	b := make([]byte, 128)
	var took []time.Duration
	for range n {
		before := time.Now()
		if _, err := c.Write(b); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(c, b); err != nil {
			return 0, err
		}
		took = append(took, time.Since(before))
	}
	return median(took), nil
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return quantile(all, 0.5)
}
