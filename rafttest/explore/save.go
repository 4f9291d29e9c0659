package explore

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"unsafe"
)

// States name their parts by numbers, so a checkpoint of a search needs the parts too: the tables, shard by shard, in
// the order of the numbers. What inputs do to members is found out anew.

// Save implements search.Saver.
func (m *Model) Save(out io.Writer) error {
	w := &partWriter{w: bufio.NewWriter(out)}
	for i := range tableShards {
		all := m.members.inShard(i)
		w.count(len(all))
		for _, p := range all {
			w.part(p.bytes)
		}
	}
	for i := range tableShards {
		all := m.messages.inShard(i)
		w.count(len(all))
		for _, p := range all {
			w.b = messageCodec.Append(w.b[:0], unsafe.Pointer(&p.msg))
			w.part(w.b)
		}
	}
	for i := range tableShards {
		all := m.ghosts.inShard(i)
		w.count(len(all))
		for _, p := range all {
			w.b = ghostCodec.Append(w.b[:0], unsafe.Pointer(&p.ghost))
			w.part(w.b)
		}
	}
	if w.err != nil {
		return w.err
	}
	return w.w.Flush()
}

type partWriter struct {
	w   *bufio.Writer
	b   []byte // to write a part into
	err error
}

func (w *partWriter) count(n int) {
	if w.err == nil {
		_, w.err = w.w.Write(binary.AppendUvarint(nil, uint64(n)))
	}
}

func (w *partWriter) part(b []byte) {
	w.count(len(b))
	if w.err == nil {
		_, w.err = w.w.Write(b)
	}
}

// Load implements search.Saver.
func (m *Model) Load(in io.Reader) error {
	w, r := m.worker(), bufio.NewReader(in)
	tables := []func(b []byte) (uint32, error){w.loadMember, w.loadMessage, w.loadGhost}
	for _, load := range tables {
		for shard := range uint32(tableShards) {
			n, err := binary.ReadUvarint(r)
			if err != nil {
				return fmt.Errorf("explore: parts of states: %w", err)
			}
			for local := range uint32(n) {
				size, err := binary.ReadUvarint(r)
				if err != nil {
					return fmt.Errorf("explore: parts of states: %w", err)
				}
				b := make([]byte, size)
				if _, err := io.ReadFull(r, b); err != nil {
					return fmt.Errorf("explore: parts of states: %w", err)
				}
				id, err := load(b)
				if err != nil {
					return err
				}
				if want := local*tableShards + shard; id != want {
					return fmt.Errorf("explore: part %d of states was saved as %d", id, want)
				}
			}
		}
	}
	return nil
}

func (w *worker) loadMember(b []byte) (uint32, error) {
	mb, err := w.bench.open(b)
	if err != nil {
		return 0, err
	}
	return w.internMember(mb).number, nil
}

func (w *worker) loadMessage(b []byte) (uint32, error) {
	p := &messagePart{}
	if err := messageCodec.Read(b, unsafe.Pointer(&p.msg)); err != nil {
		return 0, err
	}
	return w.internMessage(&p.msg).number, nil
}

func (w *worker) loadGhost(b []byte) (uint32, error) {
	g := &ghost{}
	if err := ghostCodec.Read(b, unsafe.Pointer(g)); err != nil {
		return 0, err
	}
	return w.internGhost(g).number, nil
}
