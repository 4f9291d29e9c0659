package transport

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/raftpb"
)

// Any bytes are read as frames, which survive being written again, or are an error
// that says whose fault it is; none costs more memory than it has bytes, and none
// panics, however it is split.
func FuzzReadFrame(f *testing.F) {
	buffers.keep, buffers.pool = 0, sync.Pool{} // so that the size of each is known
	f.Cleanup(func() { buffers.keep = keepBuffer })
	m := appendOf(1, 2, 3, []byte("data"))
	valid, err := appendMessage(nil, 7, &m, m.Size())
	require.NoError(f, err)
	f.Add(valid)
	f.Add(appendFrame(valid, kindPing, 0))
	f.Add(valid[:len(valid)-1])
	f.Add(append([]byte{0x7f, 0xff, 0xff, 0xff}, valid[4:]...))
	f.Add(append([]byte{0, 8, 0, 0}, valid[4:]...))
	f.Add(appendFrame(nil, kindMessage, 1, bytes.Repeat([]byte{entriesField<<3 | 2, 0}, 5000)))
	f.Add(appendFrame(nil, kindMessage, 1, make([]byte, readBuffer)))
	f.Add(appendFrame(nil, kindOpen, 1, encodeOpen(streamID{1}, false, []byte("meta"))))
	f.Add(appendFrame(nil, kindAck, 1, ack{1, 2, minWindow}.encode()))
	f.Add(appendFrame(nil, kindResult, 1, result{outcomeRefused, "why"}.encode()))
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1 << 20
		r := newFrameReader(&oneByteAtATime{data}, limit)
		var written []byte
		for {
			frame, err := r.next()
			if r.large != nil {
				require.LessOrEqual(t, len(r.large.b), 2*len(data)+frameStep)
			}
			if err != nil {
				known := errors.Is(err, ErrProtocol) || errors.Is(err, io.ErrUnexpectedEOF)
				require.True(t, known || err == io.EOF, "%v", err)
				require.Equal(t, err == io.EOF, len(written) == len(data))
				break
			}
			written = appendFrame(written, frame.kind, frame.group, frame.payload)
			readPayload(t, frame)
		}
		require.True(t, bytes.HasPrefix(data, written))
	})
}

// readPayload decodes a payload as everything that it could be.
func readPayload(t *testing.T, f frame) {
	m, err := decodeMessage(f.payload)
	if err == nil {
		require.LessOrEqual(t, cap(m.Entries)*entrySize, decodeFactor*len(f.payload)+decodeSlack)
	} else {
		require.ErrorIs(t, err, ErrProtocol)
		plain := new(raftpb.Message)
		if plain.Unmarshal(f.payload) == nil {
			n, ok := countEntries(f.payload)
			require.True(t, !ok || n == len(plain.Entries), "counted %d entries of %d", n, len(plain.Entries))
		}
	}
	if id, resume, meta, err := decodeOpen(f.payload); err == nil {
		require.Equal(t, f.payload, encodeOpen(id, resume, meta))
	}
	if a, err := decodeAck(f.payload); err == nil {
		require.Equal(t, f.payload, a.encode())
	}
	if r, err := decodeResult(f.payload); err == nil {
		require.Equal(t, f.payload, r.encode())
		_ = r.err()
	}
}

// oneByteAtATime gives as little as a network may.
type oneByteAtATime struct{ left []byte }

func (r *oneByteAtATime) Read(b []byte) (int, error) {
	if len(r.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b, r.left[:1+len(r.left)/2])
	r.left = r.left[n:]
	return n, nil
}

// Any bytes are a handshake that survives being written again, or an error; what is
// let in is of this cluster and this version, and reads no more than it has to.
func FuzzHandshake(f *testing.F) {
	h := hello{version: 1, minVersion: 1, lane: LaneLog, cluster: 1, from: 3, to: 2, advertise: "host:1"}
	f.Add(h.encode())
	f.Add(welcome{version: 1, maxFrame: 1 << 20, node: 2}.encode())
	f.Add(welcome{answer: answerBusy}.encode())
	f.Add([]byte("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"))
	f.Add(append(bytes.Repeat([]byte{0xff}, 300), magic...))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		h, err := readHello(r)
		require.LessOrEqual(t, len(data)-r.Len(), helloSize+maxAddress)
		if err == nil {
			again, err := readHello(bytes.NewReader(h.encode()))
			require.NoError(t, err)
			require.Equal(t, h, again)
			if h.judge(1, 2) == answerWelcome {
				require.Equal(t, uint64(1), h.cluster)
				require.Equal(t, uint64(2), h.to)
				require.Less(t, h.lane, lanes)
			}
			_ = reachableAt(h.advertise, &stringAddr{"127.0.0.1:5"})
		}
		w, err := readWelcome(bytes.NewReader(data))
		if err == nil {
			again, err := readWelcome(bytes.NewReader(w.encode()))
			require.NoError(t, err)
			require.Equal(t, w, again)
			_ = w.check(2)
		}
	})
}

type stringAddr struct{ s string }

func (a *stringAddr) Network() string { return "tcp" }
func (a *stringAddr) String() string  { return a.s }

// The text of refusals is for people; each is different and none is empty.
func TestNamesOfNumbers(t *testing.T) {
	seen := make(map[string]bool)
	note := func(s string) {
		require.NotEmpty(t, s)
		require.False(t, seen[s], s)
		seen[s] = true
	}
	for a := range answerClosing + 2 {
		note(a.String())
	}
	for l := range lanes + 1 {
		note("lane " + l.String())
	}
	for c := range classes + 1 {
		note("class " + c.String())
	}
	for o := outcomeRefused; o <= outcomeNoGroup; o++ {
		note(result{outcome: o}.err().Error())
	}
	for _, byPeer := range []bool{true, false} {
		note((&HandshakeError{ByPeer: byPeer, Reason: "why"}).Error())
	}
	require.Equal(t, "host:1", reachableAt("host:1", nil))
	require.Equal(t, "10.0.0.1:7", reachableAt(":7", &stringAddr{"10.0.0.1:5"}))
	require.Empty(t, reachableAt("nonsense", nil))
	require.Empty(t, reachableAt(":7", &stringAddr{"nonsense"}))
}
