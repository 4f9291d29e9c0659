package search

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// fileInfo is a finished file, as the manifest names it.
type fileInfo struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
	CRC   string `json:"crc"` // CRC-32C of the whole
}

// records is how many records a run holds.
func (f fileInfo) records() int64 { return f.Bytes / recordSize }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// fileWriter writes one file once. Nothing refers to it before it is finished.
type fileWriter struct {
	dir   *directory
	f     *os.File
	w     *bufio.Writer
	sum   hash.Hash32
	bytes int64
	name  string
	// passing: no manifest will name the file, so it need not survive a crash.
	passing bool
}

func (w *fileWriter) Write(p []byte) (int, error) {
	w.bytes += int64(len(p))
	return w.w.Write(p)
}

// finish makes the file durable, unless it is passing.
func (w *fileWriter) finish() (fileInfo, error) {
	err := w.w.Flush()
	if err == nil {
		err = w.dir.at("sync " + w.name)
	}
	if err == nil && !w.passing {
		err = w.dir.sync(w.f)
	}
	if cerr := w.f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fileInfo{}, fmt.Errorf("write %s: %w", w.name, err)
	}
	w.dir.bytes.Add(w.bytes)
	return fileInfo{Name: w.name, Bytes: w.bytes, CRC: hex.EncodeToString(w.sum.Sum(nil))}, nil
}

// abandon closes a file that is of no use. The next checkpoint removes it.
func (w *fileWriter) abandon() { _ = w.f.Close() }

// verify reads the whole file and compares it with what was written.
func (d *directory) verify(info fileInfo) error {
	path := filepath.Join(d.path, info.Name)
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	sum := crc32.New(castagnoli)
	n, err := io.Copy(sum, f)
	if err != nil {
		return err
	}
	if n != info.Bytes {
		return fmt.Errorf("%w: %s has %d bytes, the manifest says %d", ErrDamaged, path, n, info.Bytes)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != info.CRC {
		return fmt.Errorf("%w: %s has checksum %s, the manifest says %s", ErrDamaged, path, got, info.CRC)
	}
	return nil
}
