package store

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/cockroachdb/pebble/v2"
)

// Restore replaces the state by what a View wrote, as of index. It reads a frame at a
// time into a generation of its own, which one last batch makes the state and the
// old one nothing; a crash before that is durable leaves the old one, with its index.
// After an ErrSnapshot, or an error of r, the state is as before. Any other error is an
// ErrFailed.
func (s *Store) Restore(index uint64, r io.Reader) (err error) {
	s.mu.RLock()
	err, next := s.usable(), s.generation+1
	s.mu.RUnlock()
	if err != nil {
		return err
	}
	defer func() {
		if failure := s.failure(); failure != nil {
			err = failure
		} else if err != nil {
			err = fmt.Errorf("store: restore at %d: %w", index, err)
		}
	}()
	in := restorer{s: s, index: index, generation: next, members: members{open: map[uint64]uint64{}}}
	if err := in.drop(); err != nil { // of an earlier try
		return err
	}
	if err := in.read(r); err != nil {
		return errors.Join(err, in.drop())
	}
	clients, err := newClientTable(s.o.maxClients, in.clients)
	if err != nil {
		return errors.Join(fmt.Errorf("%w: %w", ErrSnapshot, err), in.drop())
	}
	return s.switchTo(&in, clients)
}

// switchTo makes what was read the state.
func (s *Store) switchTo(in *restorer, clients *clientTable) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	b := s.db.NewBatch()
	_ = b.Set(metaKey, meta{generation: in.generation, applied: in.index, owner: s.owner}.append(nil), nil) // never fails
	_ = b.DeleteRange(generationPrefix(s.generation), generationPrefix(s.generation+1), nil)
	if err := s.write("restore", func() error { return s.db.Apply(b, pebble.NoSync) }); err != nil {
		return err
	}
	s.generation, s.clients, s.members = in.generation, clients, in.members
	s.applied.Store(in.index)
	s.history.reset(in.index)
	return b.Close()
}

// restorer reads a snapshot into a generation.
type restorer struct {
	s                 *Store
	index, generation uint64
	clients           []*client
	members           members
	last              []byte // the key of the record before
	scratch           []byte
}

// drop removes what is in the generation.
func (in *restorer) drop() error {
	return in.commit(func(b *pebble.Batch) error {
		return b.DeleteRange(generationPrefix(in.generation), generationPrefix(in.generation+1), nil)
	})
}

// commit commits what fill adds to a batch, if the Store is open.
func (in *restorer) commit(fill func(b *pebble.Batch) error) error {
	in.s.mu.RLock()
	defer in.s.mu.RUnlock()
	if err := in.s.usable(); err != nil {
		return err
	}
	b := in.s.db.NewBatch()
	if err := fill(b); err != nil {
		return errors.Join(err, b.Close())
	}
	if err := in.s.write("restore", func() error { return in.s.db.Apply(b, pebble.NoSync) }); err != nil {
		return err
	}
	return b.Close()
}

func (in *restorer) read(r io.Reader) error {
	f := frameReader{r: bufio.NewReaderSize(r, frameBytes)}
	if err := f.header(); err != nil {
		return err
	}
	for {
		payload, err := f.frame()
		if err != nil {
			return err
		}
		if len(payload) == 0 {
			return f.end()
		}
		if err := in.commit(func(b *pebble.Batch) error { return in.records(b, payload) }); err != nil {
			return err
		}
	}
}

// records adds the records of a frame to a batch.
func (in *restorer) records(b *pebble.Batch, payload []byte) error {
	r := reader{b: payload}
	for len(r.b) > 0 {
		key, value := r.bytes(), r.bytes()
		if r.failed {
			return fmt.Errorf("%w: a record does not end in its frame", ErrSnapshot)
		}
		if err := in.check(key, value); err != nil {
			return fmt.Errorf("%w: record %.80q: %w", ErrSnapshot, key, err)
		}
		in.last = append(in.last[:0], key...)
		in.scratch = append(append(in.scratch[:0], generationPrefix(in.generation)...), key...)
		if err := b.Set(in.scratch, value, nil); err != nil {
			return err
		}
	}
	return nil
}

// check believes nothing of a record, so that what is restored is a state that
// commands can lead to.
func (in *restorer) check(key, value []byte) error {
	if bytes.Compare(key, in.last) <= 0 {
		return fmt.Errorf("it comes after %.80q", in.last)
	}
	switch key[0] {
	case clientRecord:
		c, err := parseClient(key[1:], value)
		if err != nil {
			return err
		}
		if c.used > in.index {
			return fmt.Errorf("a request at index %d", c.used)
		}
		if len(in.clients) >= in.s.o.maxClients {
			return fmt.Errorf("more than %d clients", in.s.o.maxClients)
		}
		in.clients = append(in.clients, c)
		return nil
	case keyRecord:
		revision, v, err := parseEntry(value)
		if err != nil {
			return err
		}
		if revision == 0 || revision > in.index {
			return fmt.Errorf("revision %d", revision)
		}
		return (&command{op: opPut, key: key[1:], value: v}).check()
	case membersRecord, openMemberRecord:
		return in.members.add(key, value, in.s.o.maxOpen)
	}
	return errors.New("unknown kind")
}

// frameReader reads a snapshot's frames.
type frameReader struct {
	r       *bufio.Reader
	sum     uint32
	payload bytes.Buffer
}

// full reads all of b.
func (f *frameReader) full(b []byte) error {
	_, err := io.ReadFull(f.r, b)
	return cutShort(err)
}

// summed reads all of b and adds it to the checksum.
func (f *frameReader) summed(b []byte) error {
	err := f.full(b)
	f.sum = crc32.Update(f.sum, castagnoli, b)
	return err
}

// cutShort returns what it means that a read ended in err.
func cutShort(err error) error {
	switch err {
	case nil:
		return nil
	case io.EOF, io.ErrUnexpectedEOF:
		return fmt.Errorf("%w: it is cut short", ErrSnapshot)
	}
	return fmt.Errorf("reading the snapshot: %w", err)
}

func (f *frameReader) header() error {
	b := make([]byte, len(snapshotHeader))
	if err := f.summed(b); err != nil {
		return err
	}
	if string(b) != snapshotHeader {
		return fmt.Errorf("%w: it begins with %q", ErrSnapshot, b)
	}
	return nil
}

// frame returns the next payload, which is good until the next call.
func (f *frameReader) frame() ([]byte, error) {
	var word [4]byte
	if err := f.summed(word[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(word[:])
	if n > maxFrame {
		return nil, fmt.Errorf("%w: a frame of %d bytes", ErrSnapshot, n)
	}
	f.payload.Reset()
	if _, err := io.CopyN(&f.payload, f.r, int64(n)); err != nil { // allocates what is there
		return nil, cutShort(err)
	}
	f.sum = crc32.Update(f.sum, castagnoli, f.payload.Bytes())
	if err := f.full(word[:]); err != nil {
		return nil, err
	}
	if got := binary.BigEndian.Uint32(word[:]); got != f.sum {
		return nil, fmt.Errorf("%w: checksum %08x, computed %08x", ErrSnapshot, got, f.sum)
	}
	return f.payload.Bytes(), nil
}

// end checks that nothing follows.
func (f *frameReader) end() error {
	switch _, err := f.r.ReadByte(); err {
	case io.EOF:
		return nil
	case nil:
		return fmt.Errorf("%w: something follows its end", ErrSnapshot)
	default:
		return cutShort(err)
	}
}
