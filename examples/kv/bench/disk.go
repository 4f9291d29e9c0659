package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// syncBytes is what is written before each sync: a page, as a small batch of a log is.
const syncBytes = 4096

// diskTime is for how long the disk is measured beside a measurement of d.
func diskTime(d time.Duration) time.Duration { return min(d, 3*time.Second) }

// MeasureSyncs appends to a file in dir and syncs it, one time after the other, for so
// long, and removes the file. Each sample is a write of 4 KiB and a sync.
func MeasureSyncs(ctx context.Context, dir string, d time.Duration) (f Figures, err error) {
	file, err := os.CreateTemp(dir, "raftkv-sync-*.tmp")
	if err != nil {
		return f, fmt.Errorf("bench: measuring the disk: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	page := make([]byte, syncBytes)
	var took []time.Duration
	for began := time.Now(); time.Since(began) < d && ctx.Err() == nil; {
		page[0]++
		call := time.Now()
		if _, err = file.Write(page); err == nil {
			err = file.Sync()
		}
		if err != nil {
			return f, fmt.Errorf("bench: measuring the disk: %w", err)
		}
		took = append(took, time.Since(call))
	}
	return figuresOf(took, d), ctx.Err()
}
