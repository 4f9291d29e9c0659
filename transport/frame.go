package transport

import (
	"bufio"
	"encoding/binary"
	"hash/crc32"
	"io"
	"slices"
	"sync"

	"github.com/quorate-raft/raft/raftpb"
)

// frameHeader is the size of what precedes the payload; see the package
// documentation for the layout.
const (
	frameHeader   = 17
	frameChecked  = 13 // bytes of the header that the checksum covers
	frameStep     = 64 << 10
	readBuffer    = 32 << 10
	keepBuffer    = 4 << 20
	maxSmallFrame = 1 << 20 // a frame of the control or the snapshot lane
)

type frameKind uint8

const (
	kindPing frameKind = 1 + iota
	kindMessage
	kindOpen
	kindChunk
	kindEnd
	kindCancel
	kindAck
	kindResult
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frame is one frame that was read. Its payload is valid until the next read.
type frame struct {
	kind    frameKind
	group   uint64
	payload []byte
}

// sealFrame fills in the header of the frame that starts at b[0] and ends with b.
func sealFrame(b []byte, kind frameKind, group uint64) {
	binary.BigEndian.PutUint32(b, uint32(len(b)-frameHeader))
	b[4] = byte(kind)
	binary.BigEndian.PutUint64(b[5:], group)
	sum := crc32.Update(crc32.Update(0, castagnoli, b[:frameChecked]), castagnoli, b[frameHeader:])
	binary.BigEndian.PutUint32(b[frameChecked:], sum)
}

// appendFrame appends a frame whose payload is the concatenation of parts.
func appendFrame(b []byte, kind frameKind, group uint64, parts ...[]byte) []byte {
	start := len(b)
	b = append(b, make([]byte, frameHeader)...)
	for _, part := range parts {
		b = append(b, part...)
	}
	sealFrame(b[start:], kind, group)
	return b
}

// appendMessage appends a frame with m, whose encoded size is size.
func appendMessage(b []byte, group uint64, m *raftpb.Message, size int) ([]byte, error) {
	start := len(b)
	b = slices.Grow(b, frameHeader+size)[:start+frameHeader+size]
	if _, err := m.MarshalToSizedBuffer(b[start+frameHeader:]); err != nil {
		return b[:start], err
	}
	sealFrame(b[start:], kindMessage, group)
	return b, nil
}

// frameReader reads frames. Its memory follows the bytes that arrive, not the
// lengths that they claim.
type frameReader struct {
	br    *bufio.Reader
	limit int
	skip  int     // bytes of the last frame that still stand in br
	large *buffer // payload of the last frame, if it did not fit in br
}

func newFrameReader(r io.Reader, limit int) *frameReader {
	return &frameReader{br: bufio.NewReaderSize(r, readBuffer), limit: limit}
}

// next reads a frame. It returns io.EOF at the end between two frames, and an
// error that matches ErrProtocol for a frame that no correct peer sends.
func (r *frameReader) next() (frame, error) {
	r.release()
	head, err := r.br.Peek(frameHeader)
	if err != nil {
		if err == io.EOF && len(head) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return frame{}, err
	}
	f := frame{kind: frameKind(head[4]), group: binary.BigEndian.Uint64(head[5:])}
	want := binary.BigEndian.Uint32(head[frameChecked:])
	sum := crc32.Update(0, castagnoli, head[:frameChecked])
	size := binary.BigEndian.Uint32(head)
	if uint64(size) > uint64(r.limit) {
		return frame{}, violation("frame of %d bytes, the limit is %d", size, r.limit)
	}
	if f.payload, err = r.payload(int(size)); err != nil {
		return frame{}, err
	}
	if crc32.Update(sum, castagnoli, f.payload) != want {
		return frame{}, violation("frame of %d bytes with a wrong checksum", size)
	}
	return f, nil
}

// payload reads what follows the header; in place, if it is small.
func (r *frameReader) payload(size int) ([]byte, error) {
	if frameHeader+size <= r.br.Size() {
		all, err := r.br.Peek(frameHeader + size)
		if err != nil {
			return nil, unexpected(err)
		}
		r.skip = len(all)
		return all[frameHeader:], nil
	}
	if _, err := r.br.Discard(frameHeader); err != nil {
		return nil, unexpected(err)
	}
	r.large = buffers.get()
	b := r.large.b[:0]
	for len(b) < size {
		// Twice as much at a time, but never more than was received before.
		step := min(size-len(b), max(frameStep, len(b), cap(b)-len(b)))
		at := len(b)
		b = slices.Grow(b, step)[:at+step]
		r.large.b = b
		if _, err := io.ReadFull(r.br, b[at:]); err != nil {
			return nil, unexpected(err)
		}
	}
	return b, nil
}

// release lets go of the last frame.
func (r *frameReader) release() {
	if r.skip > 0 {
		_, _ = r.br.Discard(r.skip) // they are buffered
		r.skip = 0
	}
	if r.large != nil {
		buffers.put(r.large)
		r.large = nil
	}
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// buffer is a byte slice that goes back to a pool.
type buffer struct{ b []byte }

// bufferPool keeps buffers, but leaves those larger than keep to the collector.
type bufferPool struct {
	keep int
	pool sync.Pool
}

var (
	buffers = bufferPool{keep: keepBuffer}
	chunks  = bufferPool{keep: chunkSize}
)

func (p *bufferPool) get() *buffer {
	if b, ok := p.pool.Get().(*buffer); ok {
		return b
	}
	return new(buffer)
}

func (p *bufferPool) put(b *buffer) {
	if cap(b.b) <= p.keep {
		b.b = b.b[:0]
		p.pool.Put(b)
	}
}

// newChunk returns an empty buffer that holds exactly one chunk.
func newChunk() *buffer {
	b := chunks.get()
	if b.b == nil {
		b.b = make([]byte, 0, chunkSize)
	}
	return b
}
