package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// floors are what no replicated write gets under: one synced append, and one round trip.
type floors struct{ sync, roundTrip time.Duration }

func (f floors) write() time.Duration { return f.sync + f.roundTrip }

// measureFloors returns medians of n.
func measureFloors(dir string, n int) (f floors, err error) {
	if f.sync, err = syncTime(dir, n); err != nil {
		return f, err
	}
	f.roundTrip, err = roundTripTime(n)
	return f, err
}

// syncTime is how long it takes to append 4 KiB to a file and to sync its data.
func syncTime(dir string, n int) (time.Duration, error) {
	f, err := os.Create(filepath.Join(dir, "floor"))
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	defer func() { _ = f.Close() }()
	block := make([]byte, 4<<10)
	return median(n, func() error {
		if _, err := f.Write(block); err != nil {
			return err
		}
		return unix.Fdatasync(int(f.Fd()))
	})
}

// roundTripTime is how long 128 bytes take to a server on loopback and back.
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
	return median(n, func() error {
		if _, err := c.Write(b); err != nil {
			return err
		}
		_, err := io.ReadFull(c, b)
		return err
	})
}

func median(n int, f func() error) (time.Duration, error) {
	var all []time.Duration
	for range n {
		before := time.Now()
		if err := f(); err != nil {
			return 0, err
		}
		all = append(all, time.Since(before))
	}
	slices.Sort(all)
	return quantile(all, 0.5), nil
}
