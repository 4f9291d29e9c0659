package search

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
)

const (
	manifestName   = "manifest"
	manifestFormat = 1
	// dataSuffix marks the files that may be removed when no manifest names them.
	dataSuffix = ".search"
)

// manifest says where a search stands after a layer. All that it names is durable.
// Its file is JSON and a last line with the CRC-32C of that.
type manifest struct {
	Format    int    `json:"format"`
	Identity  string `json:"identity"`
	SleepSets bool   `json:"sleep_sets"`
	// Layers are the numbers of new states. The frontier holds those of the last.
	Layers      []uint64 `json:"layers"`
	Transitions uint64   `json:"transitions"`
	Terminal    uint64   `json:"terminal"`
	// Done: the last layer was expanded too.
	Done     bool       `json:"done"`
	Frontier fileInfo   `json:"frontier"`
	Runs     []fileInfo `json:"runs"`
	Model    *fileInfo  `json:"model,omitempty"`
	// Sequence is the number of the last file.
	Sequence int `json:"sequence"`
}

// directory is Options.Dir.
type directory struct {
	path     string
	buffer   int
	sequence int
	bytes    atomic.Int64
	noSync   bool
	// fault, if set, is asked before each step that a crash could precede.
	fault func(step string) error
}

func (d *directory) at(step string) error {
	if d.fault == nil {
		return nil
	}
	return d.fault(step)
}

// candidates are the kind of files that hold a layer which is not finished.
const candidates = "candidates"

// create begins a file of a new name.
func (d *directory) create(kind string) (*fileWriter, error) {
	d.sequence++
	name := fmt.Sprintf("%s-%08d%s", kind, d.sequence, dataSuffix)
	if err := d.at("create " + name); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(d.path, name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	sum := crc32.New(castagnoli)
	return &fileWriter{
		dir: d, f: f, name: name, sum: sum, passing: kind == candidates,
		w: bufio.NewWriterSize(io.MultiWriter(f, sum), d.buffer),
	}, nil
}

// remove deletes a file that no manifest names.
func (d *directory) remove(info fileInfo) error {
	d.bytes.Add(-info.Bytes)
	return os.Remove(filepath.Join(d.path, info.Name))
}

// load returns the manifest, or nil if there is none.
func (d *directory) load() (*manifest, error) {
	if err := os.MkdirAll(d.path, 0o755); err != nil {
		return nil, err
	}
	path := filepath.Join(d.path, manifestName)
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	end := max(len(data)-len(manifestSum(nil)), 0)
	if !bytes.Equal(data[end:], manifestSum(data[:end])) {
		return nil, fmt.Errorf("%w: %s has another checksum", ErrDamaged, path)
	}
	m := &manifest{}
	if err := json.Unmarshal(data[:end], m); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, path, err)
	}
	if m.Format != manifestFormat {
		return nil, fmt.Errorf("%w: %s has format %d, not %d", ErrOtherSearch, path, m.Format, manifestFormat)
	}
	d.sequence = m.Sequence
	return m, nil
}

// manifestSum is the last line of a manifest.
func manifestSum(data []byte) []byte {
	return fmt.Appendf(nil, "\n%08x\n", crc32.Checksum(data, castagnoli))
}

// save replaces the manifest by m, at once, after all that it names. Then it
// removes what m does not name.
func (d *directory) save(m *manifest) error {
	m.Format, m.Sequence = manifestFormat, d.sequence
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := d.at("sync directory"); err != nil {
		return err
	}
	if err := d.syncNames(); err != nil {
		return err
	}
	path := filepath.Join(d.path, manifestName)
	if err := d.writeWhole(path+".new", append(data, manifestSum(data)...)); err != nil {
		return err
	}
	if err := d.at("rename manifest"); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	if err := d.at("sync rename"); err != nil {
		return err
	}
	if err := d.syncNames(); err != nil {
		return err
	}
	return d.sweep(m)
}

func (d *directory) writeWhole(path string, data []byte) error {
	if err := d.at("create manifest"); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = d.at("sync manifest")
	}
	if err == nil {
		err = d.sync(f)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// sweep removes the files of the search that m does not name, and counts those
// that it does.
func (d *directory) sweep(m *manifest) error {
	named := map[string]bool{m.Frontier.Name: true}
	total := m.Frontier.Bytes
	for _, r := range m.Runs {
		named[r.Name] = true
		total += r.Bytes
	}
	if m.Model != nil {
		named[m.Model.Name] = true
		total += m.Model.Bytes
	}
	d.bytes.Store(total)
	files, err := os.ReadDir(d.path)
	if err != nil {
		return err
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), dataSuffix) || named[f.Name()] {
			continue
		}
		if err := d.at("remove " + f.Name()); err != nil {
			return err
		}
		if err := os.Remove(filepath.Join(d.path, f.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (d *directory) syncNames() error {
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	err = d.sync(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func (d *directory) sync(f *os.File) error {
	if d.noSync {
		return nil
	}
	return f.Sync()
}
