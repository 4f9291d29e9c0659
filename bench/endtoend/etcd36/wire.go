package etcd36

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"

	pb "go.etcd.io/raft/v3/raftpb"
)

// wire is what connects a node to the others: a connection to each for what it sends, and one from each. Each message is
// preceded by its length in four bytes.
type wire struct {
	to   map[uint64]*outgoing
	from []net.Conn
}

type outgoing struct {
	net.Conn
	frames []byte // that are not written yet
}

// connect returns the wires of n nodes, 1, 2, ..., by TCP on loopback.
func connect(n int) (wires []*wire, err error) {
	defer func() {
		if err != nil {
			for _, w := range wires {
				w.close()
			}
		}
	}()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer func() { _ = l.Close() }()
	for range n {
		wires = append(wires, &wire{to: make(map[uint64]*outgoing)})
	}
	for from := range n {
		for to := range n {
			if from == to {
				continue
			}
			out, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				return wires, err
			}
			wires[from].to[uint64(to+1)] = &outgoing{Conn: out}
			in, err := l.Accept()
			if err != nil {
				return wires, err
			}
			wires[to].from = append(wires[to].from, in)
		}
	}
	return wires, nil
}

// send writes the messages whose type is chosen, in one write for each node that gets some. The buffers of the system hold
// what a node does not read at once, and every node reads all the time, so this does not wait for long.
func (w *wire) send(messages []pb.Message, chosen func(pb.MessageType) bool) error {
	for i := range messages {
		m := &messages[i]
		if !chosen(m.Type) {
			continue
		}
		out := w.to[m.To]
		size, at := m.Size(), len(out.frames)
		out.frames = binary.LittleEndian.AppendUint32(out.frames, uint32(size))
		out.frames = append(out.frames, make([]byte, size)...)
		if _, err := m.MarshalToSizedBuffer(out.frames[at+4:]); err != nil {
			return err
		}
	}
	for _, out := range w.to {
		if len(out.frames) == 0 {
			continue
		}
		_, err := out.Write(out.frames)
		out.frames = out.frames[:0]
		// Who closed is being stopped.
		if err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
	}
	return nil
}

// receive reads what comes into box until the wire is closed.
func (w *wire) receive(box *inbox) {
	for _, c := range w.from {
		go func() {
			r := bufio.NewReaderSize(c, 256<<10)
			var head [4]byte
			var frame []byte
			for {
				if _, err := io.ReadFull(r, head[:]); err != nil {
					return
				}
				size := int(binary.LittleEndian.Uint32(head[:]))
				if cap(frame) < size {
					frame = make([]byte, size)
				}
				frame = frame[:size]
				if _, err := io.ReadFull(r, frame); err != nil {
					return
				}
				// Unmarshal copies what it keeps.
				var m pb.Message
				if err := m.Unmarshal(frame); err != nil {
					return
				}
				box.receive(m)
			}
		}()
	}
}

func (w *wire) close() {
	for _, out := range w.to {
		_ = out.Close()
	}
	for _, in := range w.from {
		_ = in.Close()
	}
}
